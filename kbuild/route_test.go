package kbuild

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRoute has drivers/Makefile lead to demo/ and to demo/nested/, as that of the
// kernel leads to block/ and block/aoe/: asked for an object in the latter, kbuild
// compiles it by both makefiles.
func TestRoute(t *testing.T) {
	ctx := context.Background()
	tree := mustPrepare(t, fakeOptions(t))
	where := map[string]string{
		"drivers/demo/a.o":                "drivers/demo",
		"drivers/demo/sub/b.o":            "drivers/demo",
		"drivers/demo/nested/n.o":         "drivers/demo/nested",
		"drivers/demo/nested/part/p.o":    "drivers/demo/nested",
		"drivers/demo/nested/deep/deep.o": "drivers/demo/nested/deep",
		"fs/demo/inode.o":                 "fs/demo",
	}
	var objs []string
	for obj := range where {
		objs = append(objs, obj)
	}
	check := func(obj, command string) {
		t.Helper()
		if !strings.Contains(command, `-DDIR='"`+where[obj]+`"'`) {
			t.Errorf("%s is compiled by the makefile of another directory than %s: %s", obj, where[obj], command)
		}
	}
	asked := mustWork(t, tree)
	dry, err := asked.Commands(ctx, objs)
	if err != nil {
		t.Fatal(err)
	}
	w := mustWork(t, tree)
	built, err := w.Before(ctx, objs)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range built {
		check(b.Object, b.Command)
		if b.Command != strings.ReplaceAll(dry[b.Object], asked.Dir, w.Dir) {
			t.Errorf("%s: the dry run says %s, the build %s", b.Object, dry[b.Object], b.Command)
		}
	}
	after, err := w.After(ctx, objs)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range after {
		check(b.Object, b.Command)
	}

	// An object that only the change brings.
	const added = "drivers/demo/nested/added.o"
	where[added] = "drivers/demo/nested"
	edit(t, w, "drivers/demo/nested/Makefile", "n.o", "n.o added.o")
	if err := w.Write("drivers/demo/nested/added.c", []byte("const char added_where[] = DIR;\n")); err != nil {
		t.Fatal(err)
	}
	fresh, err := w.BuildNew(ctx, []string{added})
	if err != nil {
		t.Fatal(err)
	}
	check(added, fresh[0].Command)

	owners, err := tree.owners()
	if err != nil {
		t.Fatal(err)
	}
	for obj, want := range map[string][]string{
		"drivers/demo/a.o":                nil,
		"drivers/demo/nested/n.o":         {"drivers", "drivers/demo/nested"},
		"drivers/demo/nested/deep/deep.o": {"drivers", "drivers/demo/nested", "drivers/demo/nested/deep"},
		"drivers/demo/nested/new/new.o":   {"drivers", "drivers/demo/nested"},
		"fs/demo/inode.o":                 nil,
		"nowhere/x.o":                     nil,
	} {
		if diff := cmp.Diff(want, owners.route(obj)); diff != "" {
			t.Errorf("route to %s (-want +got):\n%s", obj, diff)
		}
	}
}
