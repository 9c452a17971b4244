package kbuild

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// buildTree makes a directory with what builds leave behind.
func buildTree(t *testing.T, contents map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range contents {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestReadRecorded has commands as kernels saved them, shortened.
func TestReadRecorded(t *testing.T) {
	flags := []string{"-nostdinc", "-D__KERNEL__", "-O2", "-std=gnu11", `-DKBUILD_MODFILE="init/main"`, "-DKBUILD_BASENAME=\"main\""}
	const inPlace = ` -Wp,-MMD,init/.main.o.d -nostdinc -I./arch/x86/include -I./include  -include ./include/linux/kconfig.h -D__KERNEL__ -fmacro-prefix-map=./= ` +
		`-Wall -Wno-trigraphs -O2 -std=gnu11    -DKBUILD_MODFILE='"init/main"' -DKBUILD_BASENAME='"main"' -c -o init/main.o init/main.c  ; ./tools/objtool/objtool --orc init/main.o` + "\n"
	const apart = ` -Wp,-MMD,init/.main.o.d -nostdinc -I/src/arch/x86/include -I/src/include -I./include -include /src/include/linux/kconfig.h -D__KERNEL__ -fmacro-prefix-map=/src/= ` +
		`-Wall -O2 -std=gnu11 -I /src/init -I ./init -DKBUILD_MODFILE='"init/main"' -DKBUILD_BASENAME='"main"' -c -o init/main.o /src/init/main.c` + "\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  recordedBuild
	}{
		{"nothing", nil, recordedBuild{}},
		{"6.1 in place", map[string]string{
			"init/.main.o.cmd": "cmd_init/main.o := gcc-12" + inPlace + "\nsource_init/main.o := init/main.c\n",
			".vmlinux.cmd":     `cmd_vmlinux := sh scripts/link-vmlinux.sh "ld" "-m elf_x86_64 -z noexecstack" "-z max-page-size=0x200000 --build-id=sha1";  true` + "\n",
		}, recordedBuild{"gcc-12", "ld", flags}},
		{"7.2, O=, clang, ccache", map[string]string{
			"init/.main.o.cmd": "savedcmd_init/main.o := ccache clang-14" + apart,
			".vmlinux.cmd":     `savedcmd_vmlinux := sh /src/scripts/link-vmlinux.sh "ld.lld-14" "-m elf_x86_64" "" "vmlinux.unstripped"; true` + "\n",
		}, recordedBuild{"ccache clang-14", "ld.lld-14", flags}},
		{"5.10", map[string]string{
			"init/.main.o.cmd": "cmd_init/main.o := gcc" + inPlace,
			".vmlinux.cmd":     "cmd_vmlinux := sh scripts/link-vmlinux.sh ld  -m elf_x86_64  -z max-page-size=0x200000 --emit-relocs ;  true\n",
		}, recordedBuild{"gcc", "ld", flags}},
	} {
		got, err := readRecorded(buildTree(t, c.files))
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got)\n%s", c.name, err, diff)
		}
	}
	for name, text := range map[string]string{"no compiler": "cmd_init/main.o := -O2 -c x.c\n", "no flags": "cmd_init/main.o := gcc\n", "quote": "cmd_init/main.o := gcc -D'x\n"} {
		if got, err := readRecorded(buildTree(t, map[string]string{"init/.main.o.cmd": text})); err == nil {
			t.Errorf("%s: %+v without an error", name, got)
		}
	}
}

// TestRecordedFlags prepares a tree for a kernel that was built with KCFLAGS, and by
// another linker.
func TestRecordedFlags(t *testing.T) {
	opts := fakeOptions(t)
	plain := mustPrepare(t, opts)
	opts.BuildTree = buildTree(t, map[string]string{
		"init/.main.o.cmd": `cmd_init/main.o := gcc -Wp,-MMD,init/.main.o.d -I./include -O2 -march=x86-64-v2 -fno-inline -Werror -DDIR='"init"' -DNAME='"main"' -c -o init/main.o init/main.c` + "\n",
	})
	tree := mustPrepare(t, opts)
	if tree.Key == plain.Key {
		t.Error("a tree of other flags has the same key")
	}
	w := mustWork(t, tree)
	built, err := w.Before(context.Background(), []string{"fs/demo/inode.o"})
	if err != nil {
		t.Fatal(err)
	}
	if c := built[0].Command; !strings.Contains(c, " -march=x86-64-v2 -fno-inline ") || strings.Contains(c, "-Werror") {
		t.Errorf("compiled by %s", c)
	}
	if len(tree.Warnings) != 0 {
		t.Errorf("warnings: %q", tree.Warnings)
	}
	again := mustPrepare(t, opts)
	if again.kcflags(false) != tree.kcflags(false) {
		t.Errorf("flags of a tree from the cache: %s, want %s", again.kcflags(false), tree.kcflags(false))
	}

	opts.BuildTree = buildTree(t, map[string]string{"init/.main.o.cmd": `cmd_init/main.o := gcc -Os -DDIR='"init"' -DNAME='"main"' -c -o init/main.o init/main.c` + "\n"})
	if tree := mustPrepare(t, opts); len(tree.Warnings) != 1 || !strings.Contains(tree.Warnings[0], "-O2") {
		t.Errorf("warnings: %q, want one that the makefiles give -O2", tree.Warnings)
	}
}

// TestSeed lays structures out as a build tree's were.
func TestSeed(t *testing.T) {
	const seed = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	const option, script = "CONFIG_RANDSTRUCT=y\n", "scripts/gen-randstruct-seed.sh"
	prepare := func(t *testing.T, draw string, files map[string]string) (*Tree, error) {
		opts := oldLayout(t, nil) // which is a copy that can be changed
		if err := os.WriteFile(opts.Config, []byte(fakeConfig+option), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(opts.Source, script), []byte(draw), 0o755); err != nil {
			t.Fatal(err)
		}
		opts.BuildTree = buildTree(t, files)
		tree, err := Prepare(context.Background(), opts)
		var missing *MissingToolsError
		if errors.As(err, &missing) {
			t.Skipf("needs a toolchain: %v", err)
		}
		return tree, err
	}
	const draw = "#!/bin/sh\n\nSEED=$(od -A n -t x8 -N 32 /dev/urandom | tr -d ' \\n')\necho \"$SEED\" > \"$1\"\n"
	tree, err := prepare(t, draw, map[string]string{"scripts/basic/randstruct.seed": seed + "\n"})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(mustRead(t, filepath.Join(tree.Dir, script))); !strings.Contains(got, "\nSEED="+seed+"\necho") {
		t.Errorf("the tree's script: %s", got)
	}
	other, err := prepare(t, draw, map[string]string{"scripts/gcc-plugins/randomize_layout_seed.h": `const char *randstruct_seed = "` + strings.Repeat("a", 64) + "\";\n"})
	if err != nil || other.Key == tree.Key {
		t.Errorf("another seed: key %v, %v", other, err)
	}
	if _, err := prepare(t, "#!/bin/sh\n", map[string]string{"scripts/basic/randstruct.seed": seed}); err == nil {
		t.Error("a seed that nothing takes is no error")
	}
	if _, err := prepare(t, draw, map[string]string{"scripts/basic/randstruct.seed": "none\n"}); err == nil {
		t.Error("a file without a seed is no error")
	}
}
