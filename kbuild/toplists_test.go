package kbuild

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// oldTop are the lines of a top Makefile that lists directories itself, as until v6.0.
const oldTop = `core-y := init/ kernel/ fs/
drivers-y := drivers/
build-dirs := $(patsubst %/,%,$(core-y) $(drivers-y) $(libs-y))
KBUILD_VMLINUX_OBJS := $(patsubst %/,%/built-in.a,$(core-y) $(libs-y) $(drivers-y)) lib/lib.a
`

// oldDescend hands a goal to the one directory that has it.
const oldDescend = `%.o: prepare
	@$(MAKE) -f ./scripts/Makefile.build obj=$(firstword $(subst /, ,$@)) need-builtin=1 need-modorder=1 $@
`

// oldLayout is fakeOptions with a source whose top Makefile lists the first directories.
// edit changes the files of the source, by name.
func oldLayout(t *testing.T, edit func(name, text string) string) PrepareOptions {
	t.Helper()
	opts := fakeOptions(t)
	dir := filepath.Join(t.TempDir(), "linux")
	if err := os.CopyFS(dir, os.DirFS(opts.Source)); err != nil {
		t.Fatal(err)
	}
	opts.Source = dir
	for _, name := range []string{"Makefile", "Kbuild"} {
		path := filepath.Join(dir, name)
		text := string(mustRead(t, path))
		switch name {
		case "Kbuild":
			text = "always-y := include/generated/bounds.h\n"
		case "Makefile":
			text = strings.Replace(text, "KBUILD_VMLINUX_OBJS := ./built-in.a lib/lib.a\nbuild-dir := .\n", oldTop, 1)
			before, after, _ := strings.Cut(text, "%.o: . ;\n")
			_, after, found := strings.Cut(after, "$(MAKECMDGOALS)\n")
			if text = before + oldDescend + after; !found {
				t.Fatal("the fake Makefile has no rule for single objects")
			}
		}
		if edit != nil {
			text = edit(name, text)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return opts
}

// TestTopMakefileLists compares owners and commands of a tree whose top Makefile lists
// the first directories with those of one whose Kbuild does.
func TestTopMakefileLists(t *testing.T) {
	ctx := context.Background()
	now, old := mustPrepare(t, fakeOptions(t)), mustPrepare(t, oldLayout(t, nil))
	want, err := now.Objects()
	if err != nil {
		t.Fatal(err)
	}
	got, err := old.Objects()
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("objects (-Kbuild +Makefile): %v\n%s", err, diff)
	}
	for _, obj := range append(want, "fs/demo/acl.o", "drivers/demo/lost.o") {
		w, err := now.Owner(obj)
		if err != nil {
			t.Fatal(err)
		}
		o, err := old.Owner(obj)
		if diff := cmp.Diff(w, o); diff != "" || err != nil {
			t.Errorf("%s (-Kbuild +Makefile): %v\n%s", obj, err, diff)
		}
	}

	a, b := mustWork(t, now), mustWork(t, old)
	wantCommands, err := a.Commands(ctx, want)
	if err != nil {
		t.Fatal(err)
	}
	commands, err := b.Commands(ctx, want)
	if err != nil {
		t.Fatal(err)
	}
	for obj, c := range wantCommands {
		if got := strings.ReplaceAll(commands[obj], b.Dir, a.Dir); got != c {
			t.Errorf("%s: compiled by\n%s\nwant\n%s", obj, got, c)
		}
	}
	built, err := b.Before(ctx, []string{"drivers/demo/nested/deep/deep.o", "init/main.o"})
	if err != nil || len(built) != 2 {
		t.Fatalf("build: %v", err)
	}
}

// TestImplausibleOwners has makefiles that lead to next to nothing.
func TestImplausibleOwners(t *testing.T) {
	for name, edit := range map[string]func(name, text string) string{
		"nothing listed": func(_, text string) string {
			return strings.Replace(text, "build-dirs := $(patsubst %/,%,$(core-y) $(drivers-y) $(libs-y))\n", "", 1)
		},
		"without init": func(_, text string) string { return strings.ReplaceAll(text, "core-y := init/ ", "core-y := ") },
	} {
		t.Run(name, func(t *testing.T) {
			mustPrepare(t, fakeOptions(t)) // skips without a toolchain
			_, err := Prepare(context.Background(), oldLayout(t, edit))
			if err == nil || !strings.Contains(err.Error(), "init/main.o") {
				t.Errorf("error: %v, want one that misses init/main.o", err)
			}
		})
	}
}

func TestPlausible(t *testing.T) {
	objects := func(vmlinux, modules int) *ownerDB {
		db := &ownerDB{Objects: map[string]objectFact{"init/main.o": {Vmlinux: true}}}
		for i := range vmlinux - 1 {
			db.Objects[strings.Repeat("v", i+1)+".o"] = objectFact{Vmlinux: true}
		}
		for i := range modules {
			name := strings.Repeat("m", i+1)
			db.Objects[name+".o"] = objectFact{Modules: []string{name + ".ko"}}
		}
		return db
	}
	options := func(y, m int) map[string]string {
		out := map[string]string{"CONFIG_MODULES": "y"}
		for i := range y - 1 {
			out["CONFIG_Y"+strings.Repeat("Y", i)] = "y"
		}
		for i := range m {
			out["CONFIG_M"+strings.Repeat("M", i)] = "m"
		}
		return out
	}
	for _, c := range []struct {
		name        string
		db          *ownerDB
		values      map[string]string
		implausible bool
	}{
		{"as the cloud configuration of 6.1, to scale", objects(37, 11), options(23, 12), false},
		{"no modules wanted", objects(40, 0), options(23, 0), false},
		{"few options", objects(2, 0), options(5, 0), false},
		{"far fewer objects than options", objects(20, 5), options(400, 10), true},
		{"far fewer modules than options", objects(300, 3), options(200, 100), true},
	} {
		if err := c.db.plausible(c.values); (err != nil) != c.implausible {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
