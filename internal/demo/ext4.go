package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klpforge/klpforge/internal/e2e"
	"github.com/klpforge/klpforge/internal/vm"
)

// ext4 shows the rescue of a kernel that panics in ext4.
func (d *demo) ext4(ctx context.Context) error {
	const release = e2e.CloudRelease
	d.title("The kernel")
	if _, err := d.fetch(ctx, release); err != nil {
		return err
	}

	d.title("The bug, and its fix")
	text, err := d.env.Ext4Patch(ctx)
	if err != nil {
		return err
	}
	patch := filepath.Join(d.out, "ext4.patch")
	if err := copyFile(text, patch); err != nil {
		return err
	}
	d.say(`Source %s, which this kernel was built from, tests IS_ERR() for a function that
in 6.1 returns NULL: after memory was reclaimed, the next allocation of a block in
an ext4 file system dereferences NULL. Debian's %s fixed one file, %s:`, e2e.BrokenSource, e2e.FixedSource, e2e.FixedFile)
	d.say("")
	if err := d.showPatch(patch, 24); err != nil {
		return err
	}

	d.title("Without a livepatch")
	d.say("The kernel boots in a VM, mounts an ext4 image, writes, syncs, drops caches, and writes again.")
	r, err := d.boot(ctx, "", nil)
	if err != nil {
		return err
	}
	d.panic(r)

	d.title("Forging the livepatch")
	ko, err := d.build(ctx, release, patch, "ext4_fix")
	if err != nil {
		return err
	}
	d.say("")
	d.say("No kernel was built for this: only the one file, before and after.")
	d.say("A reviewer reads %s; `make` builds the module from it again.", filepath.Join(d.out, "sources"))

	d.title("With the livepatch")
	d.say("The same kernel, not rebooted in between: load, repeat what killed it, unload, repeat once more.")
	r, err = d.boot(ctx, ko, map[string]string{
		"load livepatch":                 "the module loaded",
		vm.Ext4LoadedLabel:               "the livepatch is in force: every task has moved to the new code",
		"round 1, after dropping caches": "wrote after dropping caches, which was fatal before",
		"round 2, after dropping caches": "and in a second round",
		vm.Ext4SurvivedLabel:             "survived; the kernel log is clean, the files read back right",
		vm.Ext4UnloadedLabel:             "the livepatch is unloaded: the old code is back",
		"round without the livepatch":    "wrote and dropped caches without the livepatch",
	})
	if err != nil {
		return err
	}
	d.panic(r)
	d.summary(
		"kernel    "+release+", as Debian ships it",
		"without   panic in "+vm.Ext4PanicFunction,
		"with      survives the same steps twice, 6 writes after dropping caches",
		"unloaded  the panic is back: it was the livepatch that helped",
		"module    "+ko,
	)
	return nil
}

// boot runs the ext4 case; an outcome other than the promised one is an error.
func (d *demo) boot(ctx context.Context, ko string, words map[string]string) (*vm.Result, error) {
	env := d.env
	env.Log = d.narrator(words)
	r, err := env.Ext4(ctx, e2e.CloudRelease, ko, vm.Ext4First)
	if err != nil {
		return nil, fmt.Errorf("the VM did not do what it should: %w", err)
	}
	return r, nil
}

// panic shows the death of a VM that was to die.
func (d *demo) panic(r *vm.Result) {
	if r.Panic == nil {
		return
	}
	d.say("vm: the kernel died:")
	lines := []string{r.Panic.Text}
	for _, l := range r.Panic.Lines {
		if strings.HasPrefix(l, "RIP: 0010:"+r.Panic.Function) && len(lines) == 1 || strings.HasPrefix(l, "Kernel panic") {
			lines = append(lines, l)
		}
	}
	if len(r.Panic.Trace) > 0 {
		lines = append(lines, "called by: "+strings.Join(r.Panic.Trace[:min(4, len(r.Panic.Trace))], " < "))
	}
	d.quote(lines...)
}

// showPatch quotes the beginning of a patch.
func (d *demo) showPatch(path string, most int) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "--- ") || strings.HasPrefix(l, "+++ ") {
			lines[i], _, _ = strings.Cut(l, "\t") // without the time stamp
		}
	}
	cut := min(len(lines), most)
	d.quote(lines[:cut]...)
	if cut < len(lines) {
		d.quote(fmt.Sprintf("... %d more lines in %s", len(lines)-cut, path))
	}
	return nil
}

// summary ends the story.
func (d *demo) summary(lines ...string) {
	d.title("Summary")
	for _, l := range lines {
		d.say("%s", l)
	}
	d.say("time      %v", time.Since(d.started).Round(time.Second))
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o644)
}
