package kbuild

import (
	"bytes"
	"context"
	"debug/elf"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// buildCopy builds a copy of dir and returns its objects by name, and their bytes.
func buildCopy(t *testing.T, tree *Tree, dir string, opts WorkOptions) (map[string]ExternalObject, map[string][]byte) {
	t.Helper()
	x, err := tree.External(context.Background(), dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	list, err := x.Build(context.Background(), "before")
	if err != nil {
		t.Fatal(err)
	}
	objects, text := map[string]ExternalObject{}, map[string][]byte{}
	for _, o := range list {
		objects[o.Object], text[o.Object] = o, mustRead(t, o.Path)
		if bytes.Contains(text[o.Object], []byte(tree.cache)) {
			t.Errorf("%s names the cache's directory", o.Object)
		}
	}
	return objects, text
}

func TestRealExternal(t *testing.T) {
	tree := e2eTree(t)
	top := t.TempDir()
	dir, shared := filepath.Join(top, "module"), filepath.Join(top, "shared")
	for _, d := range []string{dir, filepath.Join(dir, "sub"), shared} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeModule(t, dir)
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// An object that comes with the source, a link to a directory elsewhere, and one
	// to a directory of the module.
	write(filepath.Join(top, "blob.c"), "int blob(void);\nint blob(void) { return 1; }\n")
	if out, err := exec.Command("gcc", "-c", "-o", filepath.Join(dir, "blob.o"), filepath.Join(top, "blob.c")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	write(filepath.Join(dir, ".blob.o.cmd"), "")
	write(filepath.Join(shared, "shared.h"), "#define SHARED 1\n")
	write(filepath.Join(dir, "sub", "own.h"), "#define OWN 1\n")
	for link, to := range map[string]string{"linked": shared, "again": filepath.Join(dir, "sub")} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	part := string(mustRead(t, filepath.Join(dir, "part.c")))
	write(filepath.Join(dir, "part.c"), "#include \"linked/shared.h\"\n#include \"again/own.h\"\n"+part)
	kbuild := "obj-m += hello.o\nhello-y := main.o part.o blob.o\n"
	write(filepath.Join(dir, "Kbuild"), kbuild)

	before := snapshot(t, dir)
	objects, plain := buildCopy(t, tree, dir, WorkOptions{})
	if got := slices.Sorted(maps.Keys(objects)); !slices.Equal(got, []string{"main.o", "part.o"}) {
		t.Errorf("objects %q", got)
	}
	if m := objects["part.o"].Modules; !slices.Equal(m, []string{"hello"}) {
		t.Errorf("part.o is of %q", m)
	}
	_, again := buildCopy(t, tree, dir, WorkOptions{})
	for name := range plain {
		if !bytes.Equal(plain[name], again[name]) {
			t.Errorf("%s depends on the directory of the copy", name)
		}
	}
	for name, text := range plain {
		f, err := elf.NewFile(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if f.Section(".debug_info") == nil {
			t.Errorf("%s has no debug information", name)
		}
	}
	if after := snapshot(t, dir); !maps.Equal(before, after) {
		t.Error("the module's directory was changed")
	}

	write(filepath.Join(dir, "Kbuild"), kbuild+"ccflags-y += -include "+filepath.Join(dir, "part.h")+"\n")
	x, err := tree.External(context.Background(), dir, WorkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if _, err := x.Build(context.Background(), "before"); err == nil || !strings.Contains(err.Error(), "by its absolute name") {
		t.Errorf("an absolute name: %v", err)
	}
}
