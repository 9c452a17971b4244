package e2e

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
	"github.com/klpforge/klpforge/pipeline"
)

// TestExternalModule patches a module that is no part of the kernel's tree, which is
// loaded before the livepatch, and then after it. What changes has no ftrace entry, so
// that its caller is replaced.
func TestExternalModule(t *testing.T) {
	t.Parallel() // mostly waits for a VM
	e := env(t)
	foo, err := e.External(t.Context(), CloudRelease, filepath.Join("testdata", "foo"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := e.Livepatch(t.Context(), foo, pipeline.Options{
		Patches: []string{filepath.Join(foo.Source, "thousands.patch")}, Output: filepath.Join(e.Dir, "thousands.ko")})
	if err != nil {
		t.Fatal(err)
	}
	if o := res.Plan.Objects; len(o) != 1 || o[0].Name != "klpforge_foo" || len(o[0].Funcs) != 1 || o[0].Funcs[0].Name != "foo_add" {
		t.Errorf("patched %+v", o)
	}
	opt, err := e.VM(t.Context(), CloudRelease)
	if err != nil {
		t.Fatal(err)
	}
	module, lp := vm.ModuleFile(foo.Module), vm.ModuleFile(res.Module)
	name := res.Plan.Name
	load := []guest.Step{guest.Insmod(lp.Name, ""), guest.WaitTransition(name, 0)}
	inForce := []guest.Step{
		guest.Expect("/sys/module/klpforge_foo/parameters/steps", guest.MatchRegexp, `^\d{4,}\s*$`).Within(time.Minute),
		guest.Disable(name, 0), guest.Rmmod(name), guest.Rmmod("klpforge_foo"),
	}
	s := vm.Script{Files: []vm.File{module, lp}}.Add(
		guest.Insmod(module.Name, "pause_us=15000"),
		guest.Sleep(100*time.Millisecond),
		guest.Expect("/sys/module/klpforge_foo/parameters/steps", guest.MatchRegexp, `^\d{1,3}\s*$`))
	s = s.Add(load...).Add(inForce...)
	s = s.Add(load...).Add(guest.Insmod(module.Name, "pause_us=15000")).Add(inForce...).Add(guest.CheckDmesg())
	r, err := vm.Run(t.Context(), opt, s)
	if err == nil {
		err = r.Err()
	}
	if err != nil {
		t.Fatalf("%+v", err)
	}
}
