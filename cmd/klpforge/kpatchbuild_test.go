package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/buildtree"
	"github.com/klpforge/klpforge/pipeline"
)

func mustTree(t *testing.T, dir string) *buildtree.Tree {
	t.Helper()
	tree, err := buildtree.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// TestKpatchOptions translates command lines in a directory with a kernel that was built
// in place (built), objects of another (o), a source that was only unpacked (src) or
// configured, and patches.
func TestKpatchOptions(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"a.patch", "b.diff", "a very long name of a patch, longer than a module's may be.patch", "v", "c", "out/x",
		"src/Makefile", "configured/Makefile", "configured/.config", "built/vmlinux", "built/.config", "built/include/config/kernel.release", "built/Kbuild", "built/init/main.c",
		"o/vmlinux", "o/.config", "o/include/config/kernel.release"} {
		p := filepath.Join(dir, f)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		text := ""
		if filepath.Base(f) == "kernel.release" {
			text = "6.1.1-own\n"
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("CACHEDIR", filepath.Join(dir, "cache"))
	long := "a very long name of a patch, longer than a module's may be.patch"
	for _, c := range []struct {
		args []string
		want pipeline.Options
	}{
		{[]string{"-a", "6.1.0-x", "a.patch"},
			pipeline.Options{Kernel: kernel.Options{Release: "6.1.0-x"}, Patches: []string{"a.patch"}, Name: "livepatch-a", Output: "livepatch-a.ko"}},
		{[]string{"a.patch", "--archversion=6.1.0-x", "b.diff", "--non-replace", "-j3", "-o", "out"},
			pipeline.Options{Kernel: kernel.Options{Release: "6.1.0-x"}, Patches: []string{"a.patch", "b.diff"}, Name: "livepatch-patch", Output: "out/livepatch-patch.ko", NoReplace: true, Jobs: 3}},
		{[]string{"-a", "r", "-n", "fix 1.2", "b.diff", "--skip-gcc-check"},
			pipeline.Options{Kernel: kernel.Options{Release: "r"}, Patches: []string{"b.diff"}, Name: "fix-1-2", NameFrom: "fix 1.2", Output: "fix-1-2.ko", AllowCompilerMismatch: true}},
		{[]string{"-a", "r", long},
			pipeline.Options{Kernel: kernel.Options{Release: "r"}, Patches: []string{long},
				Name: "livepatch-a-very-long-name-of-a-patch--longer-th", NameFrom: "livepatch-" + strings.TrimSuffix(filepath.Base(long), ".patch"), Output: "livepatch-a-very-long-name-of-a-patch--longer-th.ko"}},
		{[]string{"-s", "src", "-c", "c", "-v", "v", "a.patch", "-t", "vmlinux", "-t", "fs/ext4/ext4.ko"},
			pipeline.Options{Kernel: kernel.Options{Source: "src", Config: "c", Vmlinux: "v"}, Patches: []string{"a.patch"}, Name: "livepatch-a", Output: "livepatch-a.ko",
				Goals: []string{"vmlinux", "fs/ext4/ext4.ko"}}},
		{[]string{"--sourced", "built", "a.patch", "--skip-cleanup"},
			pipeline.Options{Kernel: kernel.Options{Source: "built", Finder: mustTree(t, "built")},
				Patches: []string{"a.patch"}, Name: "livepatch-a", Output: "livepatch-a.ko", Emit: filepath.Join(dir, "cache/tmp/livepatch-a")}},
		{[]string{"-s", "src", "-c", "o/.config", "-v", "o/vmlinux", "a.patch"},
			pipeline.Options{Kernel: kernel.Options{Source: "src", Config: "o/.config", Vmlinux: "o/vmlinux", Finder: mustTree(t, "o")},
				Patches: []string{"a.patch"}, Name: "livepatch-a", Output: "livepatch-a.ko"}},
		{[]string{"-s", "src", "--build-tree", "o", "--cc", "gcc-9", "a.patch"},
			pipeline.Options{Kernel: kernel.Options{Source: "src", Finder: mustTree(t, "o")}, Toolchain: kbuild.Toolchain{CC: "gcc-9"},
				Patches: []string{"a.patch"}, Name: "livepatch-a", Output: "livepatch-a.ko"}},
		{[]string{"-s", "configured", "-v", "v", "a.patch"},
			pipeline.Options{Kernel: kernel.Options{Source: "configured", Config: "configured/.config", Vmlinux: "v"},
				Patches: []string{"a.patch"}, Name: "livepatch-a", Output: "livepatch-a.ko"}},
	} {
		var k kpatchFlags
		cmd := (&app{}).kpatchCmdFor(&k)
		args := kpatchArgs(cmd, append([]string{"/usr/bin/kpatch-build"}, c.args...))
		if err := cmd.ParseFlags(args[2:]); err != nil {
			t.Fatal(err)
		}
		got, err := k.options(cmd.Flags().Args(), cmd.Flags().Changed("jobs"))
		if err != nil {
			t.Errorf("%s: %v", strings.Join(c.args, " "), err)
		}
		if d := cmp.Diff(c.want, got, cmp.AllowUnexported(buildtree.Tree{})); d != "" {
			t.Errorf("%s (-want +got)\n%s", strings.Join(c.args, " "), d)
		}
	}
}
