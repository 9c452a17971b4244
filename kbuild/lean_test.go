package kbuild

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLeanTree covers directories that a work tree has as links until something of them
// is wanted.
func TestLeanTree(t *testing.T) {
	ctx := context.Background()
	tree := mustPrepare(t, fakeOptions(t))
	snap := snapshot(t, tree.Dir)
	change := func(w *Work) {
		edit(t, w, "include/linux/value.h", "42", "77777")
		edit(t, w, "fs/demo/demo.h", "LOCAL 1", "LOCAL 1\n#include \"../../include/linux/value.h\"")
	}
	objects := []string{"fs/demo/inode.o", "kernel/core.o"}

	// A whole tree says what the compiler must get.
	want := mustWork(t, tree)
	if err := want.whole(); err != nil {
		t.Fatal(err)
	}
	change(want)
	whole, err := want.After(ctx, objects)
	if err != nil {
		t.Fatal(err)
	}

	lean := mustWork(t, tree)
	linked := func(rel string) bool {
		info, err := os.Lstat(filepath.Join(lean.Dir, rel))
		return err == nil && info.Mode()&os.ModeSymlink != 0
	}
	for _, dir := range []string{"kernel", "fs", "drivers", "lib"} {
		if !linked(dir) {
			t.Errorf("%s is no link in a new tree", dir)
		}
	}
	change(lean)
	got, err := lean.After(ctx, objects)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if !bytes.Equal(mustRead(t, whole[i].Path), mustRead(t, got[i].Path)) {
			t.Errorf("%s differs from that of a whole tree", objects[i])
		}
	}
	if linked("kernel") || linked("fs/demo") || !linked("lib") || !linked("drivers") {
		t.Error("what was compiled lies behind a link, or other directories do not")
	}

	// Make gets what it builds in the same way.
	before, err := mustWork(t, tree).Before(ctx, []string{"lib/str.o"})
	if err != nil || before[0].Cached {
		t.Errorf("%+v, %v", before, err)
	}
	if diff := cmp.Diff(snap, snapshot(t, tree.Dir)); diff != "" {
		t.Errorf("the prepared tree changed:\n%s", diff)
	}
}

// TestLeanElsewhere covers an object that lies in another directory than its source.
func TestLeanElsewhere(t *testing.T) {
	tree := mustPrepare(t, fakeOptions(t))
	w := mustWork(t, tree)
	graph, err := tree.graph(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := rootFile{Object: "drivers/demo/core.o", File: graph.index["kernel/core.c"]}
	graph.Roots = append(graph.Roots, elsewhere)
	slices.SortFunc(graph.Roots, func(a, b rootFile) int { return strings.Compare(a.Object, b.Object) })
	if err := w.reach(context.Background(), []string{elsewhere.Object}); err != nil {
		t.Fatal(err)
	}
	for rel, want := range map[string]bool{"drivers": false, "drivers/demo": false, "kernel": false, "fs": true} {
		info, err := os.Lstat(filepath.Join(w.Dir, rel))
		if err != nil || (info.Mode()&os.ModeSymlink != 0) != want {
			t.Errorf("%s: a link: %v, want %v (%v)", rel, !want, want, err)
		}
	}
}

// TestOpenLevel covers a directory that is made real one level at a time.
func TestOpenLevel(t *testing.T) {
	tree := mustPrepare(t, fakeOptions(t))
	snap := snapshot(t, tree.Dir)
	w := mustWork(t, tree)
	if err := w.Write("drivers/demo/sub/new/x.h", []byte("\n")); err != nil {
		t.Fatal(err)
	}
	for rel, want := range map[string]bool{"drivers": false, "drivers/demo": false, "drivers/demo/sub": false,
		"drivers/demo/sub/new": false, "drivers/demo/nested": true, "drivers/unused": true} {
		info, err := os.Lstat(filepath.Join(w.Dir, rel))
		if err != nil || (info.Mode()&os.ModeSymlink != 0) != want {
			t.Errorf("%s: a link: %v, want %v (%v)", rel, !want, want, err)
		}
	}
	for _, file := range []string{"drivers/Makefile", "drivers/demo/a.c", "drivers/demo/sub/b.c"} {
		a, err := os.Stat(filepath.Join(w.Dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.Stat(filepath.Join(tree.Dir, file)); err != nil || !os.SameFile(a, b) {
			t.Errorf("%s is not shared with the prepared tree (%v)", file, err)
		}
	}

	// Removing the tree does not follow links, not even that of the directory with most files.
	for _, w := range []*Work{w, mustWork(t, tree)} {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(snap, snapshot(t, tree.Dir)); diff != "" {
		t.Errorf("the prepared tree changed:\n%s", diff)
	}
}

// TestOpenSymlink covers a symbolic link in a directory that becomes real: it leads where it led,
// and the one of the prepared tree keeps its times.
func TestOpenSymlink(t *testing.T) {
	ctx := context.Background()
	opts := fakeOptions(t)
	source := filepath.Join(t.TempDir(), "kernel")
	if err := os.CopyFS(source, os.DirFS(opts.Source)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("unused.h", filepath.Join(source, "drivers/unused/other.h")); err != nil {
		t.Fatal(err)
	}
	opts.Source = source
	tree := mustPrepare(t, opts)
	for _, open := range []func(w *Work) error{
		func(w *Work) error { return w.Write("drivers/unused/new.h", []byte("\n")) },
		(*Work).whole,
	} {
		w := mustWork(t, tree)
		if info, err := os.Lstat(filepath.Join(w.Dir, "drivers")); err != nil || info.Mode()&os.ModeSymlink == 0 {
			t.Errorf("drivers is no link in a new tree (%v)", err)
		}
		if err := open(w); err != nil {
			t.Fatal(err)
		}
		if target, err := os.Readlink(filepath.Join(w.Dir, "drivers/unused/other.h")); err != nil || target != "unused.h" {
			t.Errorf("the link leads to %q, %v", target, err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := tree.check(ctx); err != nil {
			t.Error(err)
		}
	}
	if again := mustPrepare(t, opts); again.Healed != "" {
		t.Error(again.Healed)
	}
}

// TestNoOptionMarkers: a lean tree has the configuration, and not the empty files that stand
// for options.
func TestNoOptionMarkers(t *testing.T) {
	all := &manifest{dirs: []string{"include", "include/config", "fs"}, copies: []string{"include/config/auto.conf"},
		links: []string{"include/config/FOO", "include/a.h", "fs/b.c"}}
	lean := all.lean("x86")
	if diff := cmp.Diff([]string{"include/a.h"}, lean.links); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
	if len(all.links) != 3 || !slices.Equal(lean.copies, all.copies) {
		t.Errorf("%+v, of %+v", lean, all)
	}
}
