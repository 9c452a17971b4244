package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klpforge/klpforge/internal/ownkernel"
	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
)

// ownKernel finds or makes a kernel of one's own.
func ownKernel(t *testing.T, e *Env, name string) ownkernel.Kernel {
	t.Helper()
	s, err := ownkernel.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	k, err := s.Make(t.Context(), string(e.Cache), func(line string) (string, error) { return e.SourceTarball(t.Context(), line) }, e.Log)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// ownPatch changes what /proc/cmdline says, which is built in, and what the module loop
// says of a device.
func ownPatch(t *testing.T, k ownkernel.Kernel) string {
	t.Helper()
	c := &cli{tree: k.Source}
	return c.patch(t,
		edit{"fs/proc/cmdline.c", "\tseq_puts(m, saved_command_line);\n", "\tseq_puts(m, \"patched \");\n\tseq_puts(m, saved_command_line);\n"},
		edit{"drivers/block/loop.c", `	return sysfs_emit(buf, "%llu\n", (unsigned long long)lo->lo_offset);`, `	return sysfs_emit(buf, "%llu\n", (unsigned long long)lo->lo_offset + 4711);`})
}

// TestOwnKernels builds a livepatch for kernels that were built here, with nothing but the
// directory that they were built in, and loads it: before the module that it patches, and
// after it.
func TestOwnKernels(t *testing.T) {
	t.Parallel()
	e := env(t)
	bin := buildCLI(t)
	for _, s := range ownkernel.Specs() {
		t.Run(s.Name, func(t *testing.T) {
			k := ownKernel(t, e, s.Name)
			loadOwn(t, e, k, buildOwn(t, e, bin, k))
		})
	}
}

// buildOwn builds a livepatch of ownPatch, and returns its path.
func buildOwn(t *testing.T, e *Env, bin string, k ownkernel.Kernel) string {
	t.Helper()
	c := &cli{bin: bin, cache: e.Cache, release: k.Release, tree: k.Source}
	patch := ownPatch(t, k)
	ko := filepath.Join(t.TempDir(), "own.ko")
	before := listing(t, k.Build)
	r := c.run(t, "build", "--build-tree", k.Build, "-o", ko, patch).want(t, exitDone)
	for _, want := range []string{"for " + k.Release, "cmdline_proc_show", "loop "} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%q is not in the summary:\n%s", want, r.out)
		}
	}
	if strings.Contains(r.err, "KLP108") {
		t.Errorf("shipped and compiled code differ:\n%s", r.err)
	}
	c.run(t, "verify", "--build-tree", k.Build, ko).want(t, exitDone)
	if after := listing(t, k.Build); before != after {
		t.Error("the build tree was written to")
	}
	return ko
}

// listing is the names, sizes and times of what a build leaves at the top of its tree.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	for _, sub := range []string{"", "init", "include/generated", "include/config", "scripts"} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if info, err := entry.Info(); err == nil {
				b.WriteString(sub + "/" + info.Name() + " " + info.ModTime().String() + "\n")
			}
		}
	}
	return b.String()
}

// loadOwn loads a livepatch of ownPatch.
func loadOwn(t *testing.T, e *Env, k ownkernel.Kernel, ko string) {
	t.Helper()
	init := filepath.Join(e.Dir, "vminit-"+k.Arch.Name)
	if _, err := os.Stat(init); err != nil {
		if err := vm.BuildInitFor(t.Context(), init, k.Arch.Name); err != nil {
			t.Fatal(err)
		}
	}
	loop, own := vm.ModuleFile(filepath.Join(k.Build, "drivers/block/loop.ko")), vm.ModuleFile(ko)
	const dev, image, offset = "/dev/loop0", "/tmp/image", "/sys/block/loop0/loop/offset"
	load := []guest.Step{guest.Insmod(own.Name, ""), guest.WaitTransition("own", time.Minute), guest.ExpectEnabled("own")}
	unload := []guest.Step{guest.Disable("own", time.Minute), guest.Rmmod("own")}
	attach := []guest.Step{guest.Insmod(loop.Name, ""), guest.LoopAttach(dev, image)}
	detach := []guest.Step{guest.LoopDetach(dev), guest.Rmmod("loop")}
	patched := []guest.Step{guest.Expect("/proc/cmdline", guest.MatchContains, "patched console="), guest.Expect(offset, guest.MatchContains, "4711")}
	original := []guest.Step{guest.Expect("/proc/cmdline", guest.MatchRegexp, "^console="), guest.Expect(offset, guest.MatchRegexp, "^0")}

	s := vm.Script{Files: []vm.File{loop, own}}
	s = s.Add(guest.WriteFile(image, 1<<20, 1))
	for _, steps := range [][]guest.Step{
		load, attach, patched, unload, original, detach, // the module comes later
		attach, original, load, patched, unload, original, detach, // the module is there
		{guest.CheckDmesg()},
	} {
		s = s.Add(steps...)
	}
	r, err := vm.Run(t.Context(), vm.Options{Kernel: k.Image(), Arch: k.Arch.Name, Init: init, Dir: t.TempDir(), Log: e.Log}, s)
	if err == nil {
		err = r.Err()
	}
	if err != nil {
		t.Fatal(err)
	}
}
