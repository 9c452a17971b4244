package kbuild

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestPruneTree(t *testing.T) {
	opts := fakeOptions(t)
	tree := mustPrepare(t, opts)
	one := func() CachedTree {
		t.Helper()
		list, err := CachedTrees(t.Context(), opts.Cache)
		if err != nil || len(list) != 1 {
			t.Fatalf("%+v, %v", list, err)
		}
		return list[0]
	}
	got := one()
	if got.Key != tree.Key || got.Release != "6.1.0-fake" || !got.Complete || !got.InUse || got.Bytes == 0 || time.Since(got.Used) > time.Minute {
		t.Errorf("%+v", got)
	}
	if err := PruneTree(opts.Cache, tree.Key); !errors.Is(err, ErrTreeInUse) {
		t.Fatalf("a tree in use: %v", err)
	}
	if _, err := mustWork(t, tree).Before(context.Background(), []string{"lib/str.o"}); err != nil {
		t.Fatal(err)
	}
	if err := tree.use.Close(); err != nil { // as when its process ends
		t.Fatal(err)
	}
	if one().InUse {
		t.Error("still in use")
	}
	old := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(tree.base+".use", old, old); err != nil {
		t.Fatal(err)
	}
	if used := one().Used; !used.Equal(old.Truncate(time.Microsecond)) && used.Sub(old).Abs() > time.Second {
		t.Errorf("used %v, want %v", used, old)
	}
	again := mustPrepare(t, opts)
	if got := one(); !got.InUse || time.Since(got.Used) > time.Minute {
		t.Errorf("used again: %+v", got)
	}
	again.use.Close()
	if err := PruneTree(opts.Cache, tree.Key); err != nil {
		t.Fatal(err)
	}
	if exists(tree.base) {
		t.Error("the tree is still there")
	}
	if list, err := CachedTrees(t.Context(), opts.Cache); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	if fresh := mustPrepare(t, opts); fresh.Key != tree.Key || !exists(fresh.Dir) {
		t.Errorf("made again: %+v", fresh)
	}
	if err := os.MkdirAll(filepath.Join(opts.Cache, "trees", "sums"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"", ".", "..", "../trees", "none", "sums"} {
		if err := PruneTree(opts.Cache, key); err == nil {
			t.Errorf("removed %q", key)
		}
	}
}

// TestSweep leaves what writers leave that were killed, and what one holds that
// still writes.
func TestSweep(t *testing.T) {
	opts := fakeOptions(t)
	tree := mustPrepare(t, opts)
	dir := filepath.Join(opts.Cache, "objects", "00")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	file := func(name string) string {
		p := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(p, []byte("half"), 0o600), os.Chtimes(p, old, old)); err != nil {
			t.Fatal(err)
		}
		return p
	}
	dead, alive, object := file(".tmp-1"), file(".tmp-2"), file("00aa.o")
	f, err := os.Open(alive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	mustWork(t, tree)
	if exists(dead) {
		t.Error("what a dead writer left is still there")
	}
	if !exists(alive) || !exists(object) {
		t.Error("removed what is in use")
	}
}
