package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/internal/build"
	"github.com/klpforge/klpforge/kernel"
)

// TestKpatchOptions translates command lines in a directory with a built source
// tree (built), one that was only unpacked (src), and patches.
func TestKpatchOptions(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"a.patch", "b.diff", "a very long name of a patch, longer than a module's may be.patch", "v", "c", "out/x",
		"src/Makefile", "built/vmlinux", "built/.config", "built/Module.symvers", "built/include/generated/utsrelease.h",
		"modular/vmlinux", "modular/.config", "modular/Module.symvers", "modular/include/generated/utsrelease.h", "modular/modules.order"} {
		p := filepath.Join(dir, f)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("CACHEDIR", filepath.Join(dir, "cache"))
	long := "a very long name of a patch, longer than a module's may be.patch"
	for _, c := range []struct {
		args []string
		want build.Options
	}{
		{[]string{"-a", "6.1.0-x", "a.patch"},
			build.Options{Kernel: kernel.Options{Release: "6.1.0-x"}, Patches: []string{"a.patch"}, Name: "livepatch-a", Output: "livepatch-a.ko"}},
		{[]string{"a.patch", "--archversion=6.1.0-x", "b.diff", "--non-replace", "-j3", "-o", "out"},
			build.Options{Kernel: kernel.Options{Release: "6.1.0-x"}, Patches: []string{"a.patch", "b.diff"}, Name: "livepatch-patch", Output: "out/livepatch-patch.ko", NoReplace: true, Jobs: 3}},
		{[]string{"-a", "r", "-n", "fix 1.2", "b.diff", "--skip-gcc-check"},
			build.Options{Kernel: kernel.Options{Release: "r"}, Patches: []string{"b.diff"}, Name: "fix-1-2", NameFrom: "fix 1.2", Output: "fix-1-2.ko", AllowCompilerMismatch: true}},
		{[]string{"-a", "r", long},
			build.Options{Kernel: kernel.Options{Release: "r"}, Patches: []string{long},
				Name: "livepatch-a-very-long-name-of-a-patch--longer-th", NameFrom: "livepatch-" + strings.TrimSuffix(filepath.Base(long), ".patch"), Output: "livepatch-a-very-long-name-of-a-patch--longer-th.ko"}},
		{[]string{"-s", "src", "-c", "c", "-v", "v", "a.patch", "-t", "vmlinux", "-t", "fs/ext4/ext4.ko"},
			build.Options{Kernel: kernel.Options{Source: "src", Config: "c", Vmlinux: "v"}, Patches: []string{"a.patch"}, Name: "livepatch-a", Output: "livepatch-a.ko",
				Goals: []string{"vmlinux", "fs/ext4/ext4.ko"}}},
		{[]string{"--sourced", "built", "a.patch", "--skip-cleanup"},
			build.Options{Kernel: kernel.Options{Source: "built", Config: "built/.config", Vmlinux: "built/vmlinux", Symvers: "built/Module.symvers", Headers: "built"},
				Patches: []string{"a.patch"}, Name: "livepatch-a", Output: "livepatch-a.ko", Emit: filepath.Join(dir, "cache/tmp/livepatch-a")}},
		{[]string{"-s", "modular", "a.patch"},
			build.Options{Kernel: kernel.Options{Source: "modular", Config: "modular/.config", Vmlinux: "modular/vmlinux", Symvers: "modular/Module.symvers", Headers: "modular", ModulesDir: "modular"},
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
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got)\n%s", strings.Join(c.args, " "), d)
		}
	}
}
