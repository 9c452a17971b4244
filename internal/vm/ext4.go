package vm

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"github.com/klpforge/klpforge/internal/vm/guest"
)

// Ext4PanicFunction is where 6.1.0-55 dereferences NULL without a livepatch:
// source 6.1.192-1 tests IS_ERR() where __filemap_get_folio() returns NULL.
const Ext4PanicFunction = "ext4_mb_load_buddy_gfp"

// Ext4Order says when the livepatch is loaded where ext4 is a module. Where it
// is built in, both are the same.
type Ext4Order int

const (
	Ext4First      Ext4Order = iota // ext4, then the livepatch
	LivepatchFirst                  // the livepatch, then ext4: it is patched while it loads
)

// Ext4Options choose the variant of the ext4 case.
type Ext4Options struct {
	Image     string // ext4 image on the host, see MakeExt4Image
	Livepatch string // .ko on the host; empty for the control run
	Order     Ext4Order
	Rounds    int  // of write, sync, drop caches, then three times write, sync, drop caches; default 1, with a livepatch 2
	Unload    bool // unload the livepatch and do one more round: the panic is back
}

// Labels of the steps of Ext4Steps that a caller may want to look at.
const (
	Ext4LoadedLabel   = "livepatch in force"
	Ext4SurvivedLabel = "survived"
	Ext4UnloadedLabel = "livepatch unloaded"
)

// Ext4Steps is the ext4 case: mount an image on a loop device, write, sync,
// drop caches, write again, sync. On an unpatched 6.1.0-55 the first round
// panics in Ext4PanicFunction: an allocation looks for the block bitmap of the
// buddy cache, which was dropped. A round allocates three times after
// dropping, so that surviving one is no accident. Where ext4 is a module the
// same script loads it from the initramfs.
//
// The step labelled Ext4SurvivedLabel ends when all rounds did, files were
// read back and neither messages nor taint show trouble.
func Ext4Steps(o Ext4Options) (Script, error) {
	const image, mnt = "/ext4.img", "/mnt"
	script := Script{Files: []File{{Name: image, Host: o.Image}}}
	rounds := o.Rounds
	var load, unload []guest.Step
	if o.Livepatch != "" {
		if rounds == 0 {
			rounds = 2
		}
		name, err := ModuleName(o.Livepatch)
		if err != nil {
			return script, err
		}
		ko := ModuleFile(o.Livepatch)
		script.Files = append(script.Files, ko)
		load = []guest.Step{
			guest.Insmod(ko.Name, "").Labelled("load livepatch"),
			guest.WaitTransition(name, 0),
			guest.ExpectEnabled(name).Labelled(Ext4LoadedLabel),
			guest.Livepatches(),
		}
		unload = []guest.Step{
			guest.Disable(name, 0),
			guest.Rmmod(name).Labelled(Ext4UnloadedLabel),
		}
	} else if o.Unload {
		return script, fmt.Errorf("ext4 case: nothing to unload without a livepatch")
	}
	ext4 := []guest.Step{guest.Modprobe("ext4")}
	if o.Order == LivepatchFirst {
		script = script.Add(load...).Add(ext4...)
	} else {
		script = script.Add(ext4...).Add(load...)
	}
	script = script.Add(
		guest.Modprobe("loop"),
		guest.LoopAttach("/dev/loop0", image),
		guest.Mount("/dev/loop0", mnt, "ext4", ""),
	)
	number := int64(0)
	round := func(label string) {
		number++
		steps := Ext4Round(mnt, number)
		steps[0] = steps[0].Labelled(label)
		for i := range steps {
			if steps[i].Op == guest.OpWriteFile && i > 0 {
				steps[i] = steps[i].Labelled(label + ", after dropping caches")
			}
		}
		script = script.Add(steps...)
	}
	for i := range max(1, rounds) {
		round(fmt.Sprintf("round %d", i+1))
	}
	script = script.Add(guest.CheckDmesg(), guest.CheckTaint(guest.TaintAllowed).Labelled(Ext4SurvivedLabel))
	if o.Unload {
		script = script.Add(unload...)
		round("round without the livepatch")
		return script, nil
	}
	script = script.Add(guest.Umount(mnt), guest.LoopDetach("/dev/loop0"))
	script = script.Add(unload...)
	return script.Add(guest.CheckDmesg()), nil
}

// Ext4Round writes below mnt, which has the bug's file system, and allocates
// three times after caches were dropped; then it reads all back. n, not 0, makes the
// content differ from round to round.
func Ext4Round(mnt string, n int64) []guest.Step {
	later := []string{"/a", "/b", "/c"}
	steps := []guest.Step{guest.WriteFile(mnt+"/first", 1<<20, n), guest.Sync(), guest.DropCaches()}
	for _, name := range later {
		steps = append(steps, guest.WriteFile(mnt+name, 1<<20, -n), guest.Sync(), guest.DropCaches())
	}
	steps = append(steps, guest.VerifyFile(mnt+"/first", 1<<20, n))
	for _, name := range later {
		steps = append(steps, guest.VerifyFile(mnt+name, 1<<20, -n))
	}
	return steps
}

// CheckExt4 returns nil when r, of a run of Ext4Steps(o), went as it should on
// a kernel that has the bug: the control run panics; with a livepatch all
// rounds survive, and after Unload the panic is back as the last event.
func CheckExt4(r *Result, o Ext4Options) error {
	if o.Livepatch == "" {
		return r.ExpectPanic(Ext4PanicFunction)
	}
	if !o.Unload {
		return r.Err()
	}
	for _, label := range []string{Ext4LoadedLabel, Ext4SurvivedLabel, Ext4UnloadedLabel} {
		if step := r.Step(label); step == nil || !step.OK {
			if err := r.Err(); err != nil {
				return fmt.Errorf("ext4 case: not %s: %w", label, err)
			}
			return &FailedError{Why: "ext4 case: the script has no step " + label, Result: r}
		}
	}
	return r.ExpectPanic(Ext4PanicFunction)
}

// MakeExt4Image makes a 16 MiB ext4 image with mke2fs, without root.
func MakeExt4Image(ctx context.Context, path string) error {
	cmd := exec.CommandContext(ctx, "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0",
		"-U", "6b6c7066-6f72-4765-8000-000000000001", "-E", "lazy_itable_init=0,lazy_journal_init=0", path, "16M")
	// Not every user's PATH has the directory of system programs.
	if cmd.Err != nil {
		cmd.Path, cmd.Err = "/usr/sbin/mke2fs", nil
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make ext4 image: %w (package e2fsprogs): %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
