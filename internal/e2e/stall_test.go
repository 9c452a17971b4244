package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/pipeline"
)

// TestThreadStallsTransition patches the main loop of a module's kernel thread.
// KLP301 names the thread beforehand, and in the VM the transition does not end;
// patched in what the loop calls, it does.
func TestThreadStallsTransition(t *testing.T) {
	t.Parallel() // mostly waits for a VM
	e := env(t)
	ctx := t.Context()
	if err := e.Fetch(ctx, CloudRelease); err != nil {
		t.Fatal(err)
	}
	ko := kernel.Options{Release: CloudRelease, Root: string(e.Cache.TargetRoot(CloudRelease)), Cache: e.Cache}
	target, err := kernel.Open(ko)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	tree, err := pipeline.Prepare(ctx, target, kbuild.PrepareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(e.Dir, "ticker")
	if err := os.CopyFS(dir, os.DirFS("testdata/ticker")); err != nil {
		t.Fatal(err)
	}
	if err := kbuild.BuildModule(ctx, kbuild.ModuleOptions{Tree: tree, Dir: dir}); err != nil {
		t.Fatal(err)
	}
	module := filepath.Join(dir, "klpforge_ticker.ko")
	ko.ExtraModules = []string{module}
	livepatch := func(patch string) (string, []finding.Finding) {
		out := filepath.Join(e.Dir, "klp_"+strings.TrimSuffix(patch, ".patch")+".ko")
		res, err := pipeline.Run(ctx, pipeline.Options{Kernel: ko, ExternalSource: dir, Patches: []string{filepath.Join(dir, patch)}, Output: out})
		if err != nil {
			t.Fatalf("%s: %v", patch, err)
		}
		return out, slices.DeleteFunc(res.Findings, func(f finding.Finding) bool { return f.ID != "KLP301" })
	}
	loop, found := livepatch("loop.patch")
	if len(found) != 1 || found[0].Severity != finding.Warning || found[0].Symbol != "ticker_loop" || !slices.Contains(found[0].Who, "ticker_loop (thread klpticker)") {
		t.Errorf("a thread's main loop is patched: %+v", found)
	}
	callee, found := livepatch("callee.patch")
	if len(found) != 0 {
		t.Errorf("only what the loop calls is patched: %+v", found)
	}
	o, err := e.VM(ctx, CloudRelease)
	if err != nil {
		t.Fatal(err)
	}
	files := []vm.File{vm.ModuleFile(module), vm.ModuleFile(loop), vm.ModuleFile(callee)}
	res, err := vm.Run(ctx, o, vm.Script{Files: files, Steps: []guest.Step{
		guest.Insmod(files[0].Name, ""),
		guest.Insmod(files[2].Name, ""),
		guest.WaitTransition("klp_callee", 30*time.Second),
		guest.Disable("klp_callee", 30*time.Second),
		guest.Rmmod("klp_callee"),
		guest.Insmod(files[1].Name, ""),
		// Everything else has changed over long before; the thread cannot.
		guest.Sleep(8 * time.Second),
		guest.Expect("/sys/kernel/livepatch/klp_loop/transition", guest.MatchExact, "1"),
		guest.Poweroff(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Err(); err != nil {
		t.Fatal(err)
	}
}
