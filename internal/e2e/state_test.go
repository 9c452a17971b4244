package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
)

// hrtimerSleep changes a function that tasks sleep in.
var hrtimerSleep = edit{"kernel/time/hrtimer.c", "\tret = do_nanosleep(&t, mode);\n\tif (ret != -ERESTART_RESTARTBLOCK)\n\t\tgoto out;\n\n\t/* Absolute",
	"\tret = do_nanosleep(&t, mode);\n\tREAD_ONCE(current->flags);\n\tif (ret != -ERESTART_RESTARTBLOCK)\n\t\tgoto out;\n\n\t/* Absolute"}

// TestState changes a global's value in place, by the callbacks that
// release new-state writes, and follows it through every movement: load,
// upgrade by replace, downgrade, reversal in mid transition, unload.
func TestState(t *testing.T) {
	t.Parallel() // mostly waits for a VM
	e := env(t)
	c := newCLI(t, e, CloudRelease)
	dir := t.TempDir()
	const limit = "/proc/sys/fs/pipe-max-size"
	const original = 1048576
	value := map[int]int{1: 2097152, 2: 4194304}
	last := "fs_initcall(init_pipe_fs);\n"
	ko := map[int]string{}
	for v := 1; v <= 2; v++ {
		code := c.run(t, "release", "new-state", "--id", "1001", "--state-version", strconv.Itoa(v), "--meaning", "pipes may be larger",
			"--variable", "pipe_max_size", "--value", strconv.Itoa(value[v]), "pipe_limit").want(t, exitDone, "states:").out
		edits := []edit{{"fs/pipe.c", last, last + "\n" + code}, cmdlineEdit}
		if v == 2 { // which tasks sleep in
			edits = append(edits, hrtimerSleep)
		}
		manifest := filepath.Join(dir, fmt.Sprintf("%d.yaml", v))
		text := fmt.Sprintf("name: pipes\nversion: %q\ntargets: [{release: %s}]\npatches: [{file: %s}]\nstates: [{id: 1001, version: %d, meaning: pipes may be larger}]\n"+
			"callbacks: {vmlinux: [pre_patch, post_patch, pre_unpatch, post_unpatch]}\n", strconv.Itoa(v), CloudRelease, c.patch(t, edits...), v)
		if err := os.WriteFile(manifest, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(dir, strconv.Itoa(v))
		c.run(t, "release", "build", "-f", manifest, "-o", out).want(t, exitDone)
		ko[v] = filepath.Join(out, CloudRelease, fmt.Sprintf("livepatch_pipes_%d.ko", v))
		c.run(t, "release", "check", "-f", manifest, ko[v]).want(t, exitDone)
	}
	r := c.run(t, "release", "diff", ko[1], ko[2]).want(t, exitDone)
	for _, text := range []string{"upgrade: allowed", "downgrade: disable first\n  KLP405", "  ~ 1001"} {
		if !strings.Contains(r.out, text) {
			t.Errorf("the comparison does not say %q:\n%s", text, r.out)
		}
	}

	one, two := vm.ModuleFile(ko[1]), vm.ModuleFile(ko[2])
	name := func(v int) string { return fmt.Sprintf("livepatch_pipes_%d", v) }
	const wait = 60 * time.Second
	is := func(n int) guest.Step { return guest.Expect(limit, guest.MatchExact, fmt.Sprintf("%d\n", n)) }
	s := vm.Script{Files: []vm.File{one, two}}.Add(
		is(original).Labelled("before"),
		guest.Insmod(one.Name, ""), guest.WaitTransition(name(1), wait), is(value[1]).Labelled("loaded"),
		guest.Insmod(two.Name, ""), guest.WaitTransition(name(2), wait), is(value[2]).Labelled("upgraded by replace"),
		guest.Rmmod(name(1)),
		// The kernel forbids the way back by replace; disabling undoes.
		guest.Insmod(one.Name, "").Fails("EINVAL").Labelled("downgrade by replace"), is(value[2]),
		guest.Disable(name(2), wait), is(original).Labelled("disabled"), guest.Rmmod(name(2)),
		guest.Insmod(one.Name, ""), guest.WaitTransition(name(1), wait), is(value[1]).Labelled("downgraded"),
		// Sleepers hold the transition up; it is reversed meanwhile.
		guest.Background(4, guest.LongSleep),
		guest.Insmod(two.Name, ""),
		guest.Expect("/sys/kernel/livepatch/"+name(2)+"/transition", guest.MatchExact, "1\n").Labelled("in transition"), is(value[1]),
		guest.Disable(name(2), wait), is(value[1]).Labelled("reversed"),
		guest.ExpectEnabled(name(1)), guest.Rmmod(name(2)),
		guest.StopBackground(),
		guest.Disable(name(1), wait), is(original).Labelled("unloaded"), guest.Rmmod(name(1)),
		guest.CheckDmesg(), guest.CheckTaint(guest.TaintAllowed),
	)
	opt, err := e.VM(t.Context(), CloudRelease)
	if err != nil {
		t.Fatal(err)
	}
	res, err := vm.Run(t.Context(), opt, s)
	if err == nil {
		err = res.Err()
	}
	if err != nil {
		t.Fatalf("%+v", err)
	}
	for _, label := range []string{"before", "loaded", "upgraded by replace", "downgrade by replace", "disabled", "downgraded", "in transition", "reversed", "unloaded"} {
		if step := res.Step(label); step == nil || !step.OK {
			t.Errorf("step %q: %+v", label, step)
		}
	}
}

// TestModuleState does the same for a variable of a module, which also comes
// and goes: before the livepatch and after it, and in mid transition. Linux 6.1
// does not load a module again while a livepatch refers to it, so this is 6.12.
func TestModuleState(t *testing.T) {
	t.Parallel() // mostly waits for a VM
	e := env(t)
	c := newCLI(t, e, IBTRelease)
	dir := t.TempDir()
	const parts = "/sys/module/loop/parameters/max_part"
	value := map[int]int{1: 3, 2: 7, 3: 15} // the module rounds up to these
	last := "module_exit(loop_exit);\n"
	// In version 2 tasks sleep for some seconds, in version 3 a kernel thread for ever.
	more := map[int][]edit{2: {hrtimerSleep}, 3: {oomReaper}}
	ko := map[int]string{}
	for v := 1; v <= 3; v++ {
		code := c.run(t, "release", "new-state", "--id", "1002", "--state-version", strconv.Itoa(v), "--meaning", "loop devices have partitions",
			"--object", "loop", "--variable", "max_part", "--value", strconv.Itoa(value[v]), "loop_parts").want(t, exitDone, "loop: [pre_patch").out
		manifest := filepath.Join(dir, fmt.Sprintf("%d.yaml", v))
		text := fmt.Sprintf("name: parts\nversion: %q\ntargets: [{release: %s}]\npatches: [{file: %s}]\nstates: [{id: 1002, version: %d, meaning: loop devices have partitions}]\n"+
			"callbacks: {loop: [pre_patch, post_patch, pre_unpatch, post_unpatch]}\n",
			strconv.Itoa(v), IBTRelease, c.patch(t, append([]edit{{"drivers/block/loop.c", last, last + "\n" + code}, cmdlineEdit}, more[v]...)...), v)
		writeFile(t, manifest, text)
		c.run(t, "release", "build", "-f", manifest, "-o", dir).want(t, exitDone)
		ko[v] = filepath.Join(dir, IBTRelease, fmt.Sprintf("livepatch_parts_%d.ko", v))
	}

	var s vm.Script
	file := map[int]string{}
	for v := 1; v <= 3; v++ {
		f := vm.ModuleFile(ko[v])
		file[v] = f.Name
		s.Files = append(s.Files, f)
	}
	name := func(v int) string { return fmt.Sprintf("livepatch_parts_%d", v) }
	const wait = 120 * time.Second
	is := func(n int) guest.Step { return guest.Expect(parts, guest.MatchExact, strconv.Itoa(n)) }
	load := func(v int) []guest.Step {
		return []guest.Step{guest.Insmod(file[v], ""), guest.WaitTransition(name(v), wait), guest.ExpectEnabled(name(v))}
	}
	unload := func(v int) []guest.Step { return []guest.Step{guest.Disable(name(v), wait), guest.Rmmod(name(v))} }
	again := []guest.Step{guest.Rmmod("loop"), guest.Modprobe("loop")}
	moving := guest.Expect("/sys/kernel/livepatch/"+name(3)+"/transition", guest.MatchExact, "1")

	s = s.Add(load(1)...).Add(guest.Modprobe("loop"), is(value[1]).Labelled("the module comes later"))
	s = s.Add(again...).Add(is(value[1]).Labelled("and again"))
	s = s.Add(load(2)...).Add(guest.Rmmod(name(1)), is(value[2]).Labelled("upgraded by replace"))
	s = s.Add(again...).Add(is(value[2]).Labelled("the module comes after an upgrade"))
	s = s.Add(unload(2)...).Add(is(0).Labelled("unloaded"))
	s = s.Add(load(1)...).Add(is(value[1]).Labelled("loaded upon the module"))
	// A transition that never ends: the old version is still in force.
	s = s.Add(guest.Insmod(file[3], ""), moving, is(value[1]).Labelled("in transition"))
	s = s.Add(again...).Add(moving, is(value[1]).Labelled("the module comes in mid transition"))
	s = s.Add(unload(3)...).Add(guest.ExpectEnabled(name(1)), is(value[1]).Labelled("reversed"))
	// Reversed without the module, which comes afterwards.
	s = s.Add(guest.Insmod(file[3], ""), moving, guest.Rmmod("loop"))
	s = s.Add(unload(3)...).Add(guest.Modprobe("loop"), is(value[1]).Labelled("reversed without the module"))
	// A transition that ends after the module came.
	s = s.Add(guest.Background(4, guest.LongSleep), guest.Insmod(file[2], ""))
	s = s.Add(again...).Add(guest.StopBackground(), guest.WaitTransition(name(2), wait), guest.Rmmod(name(1)), is(value[2]).Labelled("upgraded after it came"))
	s = s.Add(unload(2)...).Add(is(0).Labelled("unloaded again"), guest.Rmmod("loop"),
		guest.CheckDmesg(), guest.CheckTaint(guest.TaintAllowed))
	opt, err := e.VM(t.Context(), IBTRelease)
	if err != nil {
		t.Fatal(err)
	}
	res, err := vm.Run(t.Context(), opt, s)
	if err == nil {
		err = res.Err()
	}
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Logf("boot %v, total %v", res.Boot, res.Total)
}
