package main

import (
	"context"
	"fmt"
	"time"

	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
)

// loopModule is how the module loop gets into a VM.
type loopModule struct {
	file string // of a kernel of one's own; "" for a kernel whose modules lie where distributions put them
}

// transition is how long one may take on an emulated processor, with KASAN too.
const transition = 2 * time.Minute

// script tries the livepatches one and two. The label of each step is the column that it
// belongs to.
func script(one, two string, loop loopModule) vm.Script {
	const dev, image, attr, command = "/dev/loop0", "/tmp/image", "/sys/block/loop0/loop/offset", "/proc/cmdline"
	files := []vm.File{vm.ModuleFile(one), vm.ModuleFile(two)}
	names := []string{"", moduleName(one), moduleName(two)}
	module := guest.Modprobe("loop")
	if loop.file != "" {
		f := vm.ModuleFile(loop.file)
		files = append(files, f)
		module = guest.Insmod(f.Name, "")
	}
	s := vm.Script{Files: files}
	add := func(c Column, steps ...guest.Step) {
		for _, step := range steps {
			s = s.Add(step.Labelled(string(c)))
		}
	}
	load := func(n int) []guest.Step {
		return []guest.Step{
			guest.Insmod(files[n-1].Name, ""), guest.WaitTransition(names[n], transition), guest.ExpectEnabled(names[n]),
		}
	}
	seen := func(n int) []guest.Step {
		return []guest.Step{
			guest.Expect(command, guest.MatchContains, word(n)+"console="),
			guest.Expect(attr, guest.MatchExact, fmt.Sprint(offset(n))),
		}
	}
	original := []guest.Step{
		guest.Expect(command, guest.MatchRegexp, "^console="), guest.Expect(attr, guest.MatchExact, "0"),
	}
	unload := func(n int) []guest.Step {
		return append([]guest.Step{guest.Disable(names[n], transition), guest.Rmmod(names[n])}, original...)
	}
	attach := []guest.Step{module, guest.LoopAttach(dev, image)}

	// The livepatch is there before the module that it patches.
	add(ColBefore, guest.WriteFile(image, 1<<20, 1))
	add(ColBefore, load(1)...)
	add(ColBefore, attach...)
	add(ColBefore, guest.CheckDmesg())
	add(ColEffect, seen(1)...)

	// The second replaces it: what the first did is gone, and nothing holds it any more.
	add(ColReplace, load(2)...)
	add(ColReplace, seen(2)...)
	add(ColReplace, guest.Rmmod(names[1]), guest.CheckDmesg())
	add(ColUnload, unload(2)...)
	add(ColUnload, guest.CheckDmesg())

	// The module is there before the livepatch.
	add(ColAfter, load(1)...)
	add(ColAfter, guest.CheckDmesg())
	add(ColEffect, seen(1)...)
	add(ColUnload, unload(1)...)
	add(ColUnload, guest.LoopDetach(dev), guest.Rmmod("loop"), guest.CheckDmesg(), guest.CheckTaint(guest.TaintAllowed))
	return s
}

// vmColumns are those that the VM says something of.
var vmColumns = []Column{ColBefore, ColAfter, ColEffect, ColReplace, ColUnload}

// load boots the kernel and returns the cells of vmColumns. The error is for what keeps a
// VM from running.
func load(ctx context.Context, o vm.Options, s vm.Script) (map[Column]Cell, error) {
	begun := time.Now()
	r, err := vm.Run(ctx, o, s)
	if err != nil {
		return nil, err
	}
	return judge(s, r, time.Since(begun)), nil
}

// judge says what a boot means for each column: all of its steps passed, one failed or was
// under way when the VM ended, or they were not reached.
func judge(s vm.Script, r *vm.Result, took time.Duration) map[Column]Cell {
	passed, wanted := map[Column]int{}, map[Column]int{}
	for _, step := range s.Steps {
		wanted[Column(step.Label)]++
	}
	for _, step := range r.Steps {
		if step.OK {
			passed[Column(step.Label)]++
		}
	}
	failure := r.Err()
	// The first step that did not pass is the one that ended the script.
	culprit := Column("")
	if failure != nil && len(r.Steps) < len(s.Steps) {
		culprit = Column(s.Steps[len(r.Steps)].Label)
	}
	for _, step := range r.Steps {
		if !step.OK {
			culprit = Column(step.Label)
			break
		}
	}
	out := map[Column]Cell{}
	for _, c := range vmColumns {
		switch {
		case c == culprit || failure != nil && culprit == "":
			out[c] = Cell{Outcome: Failed, Text: failure.(*vm.FailedError).Why, Detail: fmt.Sprintf("%+v", failure)}
		case wanted[c] > 0 && passed[c] == wanted[c]:
			out[c] = Cell{Outcome: Done}
		default:
			out[c] = Cell{Outcome: Untried, Text: fmt.Sprintf("“%s” failed before", culprit)}
		}
	}
	if cell := out[ColBefore]; cell.Outcome == Done {
		cell.Seconds = took.Seconds()
		out[ColBefore] = cell
	}
	return out
}
