//go:build arches

package e2e

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klpforge/klpforge/internal/ownkernel"
	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
)

// TestArches builds livepatches for kernels of other architectures, and loads them in a machine that
// QEMU emulates.
func TestArches(t *testing.T) {
	e := env(t)
	bin := buildCLI(t)
	for _, s := range ownkernel.Foreign() {
		t.Run(s.Name, func(t *testing.T) {
			k := ownKernel(t, e, s.Name)
			// A built-in function and one of a module, loaded before the module and after it.
			t.Run("module", func(t *testing.T) { loadOwn(t, e, k, buildOwn(t, e, bin, k)) })
			t.Run("shared addresses", func(t *testing.T) { sharedAddresses(t, e, bin, k) })
			t.Run("lint", func(t *testing.T) { lintForeign(t, e, bin, k) })
		})
	}
}

// sharedAddresses patches a function that reaches two variables of the kernel over one address, so that
// it is found by the object as the kernel's build makes it.
func sharedAddresses(t *testing.T, e *Env, bin string, k ownkernel.Kernel) {
	c := &cli{bin: bin, cache: e.Cache, release: k.Release, tree: k.Source}
	patch := c.patch(t, edit{"fs/filesystems.c", "\tstruct file_systems_string *fss;\n\n\tfor (;;) {\n",
		"\tstruct file_systems_string *fss;\n\n\tseq_puts(m, \"patched\\n\");\n\tfor (;;) {\n"})
	ko := filepath.Join(t.TempDir(), "own.ko")
	c.run(t, "build", "--build-tree", k.Build, "-o", ko, patch).want(t, exitDone)
	c.run(t, "verify", "--build-tree", k.Build, ko).want(t, exitDone)

	own := vm.ModuleFile(ko)
	const file = "/proc/filesystems"
	s := vm.Script{Files: []vm.File{own}}.Add(
		guest.Expect(file, guest.MatchRegexp, "^nodev"),
		guest.Insmod(own.Name, ""), guest.WaitTransition("own", time.Minute), guest.ExpectEnabled("own"),
		guest.Expect(file, guest.MatchRegexp, "(?s)^patched\nnodev.*tmpfs"),
		guest.Disable("own", time.Minute), guest.Rmmod("own"),
		guest.Expect(file, guest.MatchRegexp, "^nodev"), guest.CheckDmesg())
	r, err := vm.Run(t.Context(), vm.Options{Kernel: k.Image(), Arch: k.Arch.Name, Dir: t.TempDir(), Log: e.Log}, s)
	if err == nil {
		err = r.Err()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// lintForeign: checks that follow instructions say that they are unknown, and there is no verdict.
func lintForeign(t *testing.T, e *Env, bin string, k ownkernel.Kernel) {
	c := &cli{bin: bin, cache: e.Cache, release: k.Release, tree: k.Source}
	r := c.run(t, "lint", "--build-tree", k.Build, ownPatch(t, k)).want(t, exitDone)
	all := r.out + r.err
	for _, want := range []string{"note KLP201\n    unknown on this architecture", "note KLP301\n    unknown on this architecture",
		"KLP401, KLP402: needs the consistency model, no proof that it may be applied immediately"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in the report:\n%s", want, all)
		}
	}
	for _, not := range []string{"warning ", "error "} {
		if strings.Contains(all, "\n"+not) {
			t.Errorf("a harmless patch has a %s:\n%s", not, all)
		}
	}
}
