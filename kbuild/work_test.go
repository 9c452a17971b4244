package kbuild

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWorkIsPrivate(t *testing.T) {
	tree := mustPrepare(t, fakeOptions(t))
	snap := snapshot(t, tree.Dir)
	w := mustWork(t, tree)
	if err := w.Write("init/main.c", []byte("int changed;\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Write("new/deep/file.c", []byte("int fresh;\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Remove("lib/str.c"); err != nil {
		t.Fatal(err)
	}
	if err := w.Remove("lib/never.c"); err != nil {
		t.Fatal(err)
	}
	// What kbuild does to files of its own: rewrite in place.
	for _, f := range []string{"scripts/.tool.cmd", "include/generated/utsrelease.h", ".config", "include/config/auto.conf"} {
		if err := os.WriteFile(filepath.Join(w.Dir, f), []byte("rewritten\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if data, err := w.Read("init/main.c"); err != nil || string(data) != "int changed;\n" {
		t.Errorf("read back %q, %v", data, err)
	}
	info, err := os.Stat(filepath.Join(w.Dir, "scripts/basic/fixdep"))
	if err != nil || info.Mode().Perm()&0o100 == 0 {
		t.Errorf("fixdep: %v, %v", info, err)
	}
	if diff := cmp.Diff(snap, snapshot(t, tree.Dir)); diff != "" {
		t.Errorf("the prepared tree changed:\n%s", diff)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if exists(w.base) {
		t.Error("Close left the tree behind")
	}
	if err := w.Write("init/main.c", nil); !errors.Is(err, ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
	if _, err := w.Before(context.Background(), []string{"init/main.o"}); !errors.Is(err, ErrClosed) {
		t.Errorf("compile after close: %v", err)
	}
}

// TestPrunedDirectories covers directories that no build touches.
func TestPrunedDirectories(t *testing.T) {
	ctx := context.Background()
	tree := mustPrepare(t, fakeOptions(t))
	snap := snapshot(t, tree.Dir)
	w := mustWork(t, tree)
	linked := func(rel string) bool {
		info, err := os.Lstat(filepath.Join(w.Dir, rel))
		return err == nil && info.Mode()&os.ModeSymlink != 0
	}
	if err := w.wide(); err != nil {
		t.Fatal(err)
	}
	if !linked("Documentation") || !linked("drivers/unused") || linked("drivers") || linked("fs/demo") {
		t.Error("another set of directories is linked")
	}
	if data, err := w.Read("Documentation/demo.rst"); err != nil || string(data) != "A document.\n" {
		t.Errorf("read %q, %v", data, err)
	}
	if err := w.Write("drivers/unused/deep/deep.c", []byte("int deeper;\n")); err != nil {
		t.Fatal(err)
	}
	if linked("drivers/unused") || !exists(filepath.Join(w.Dir, "drivers/unused/unused.h")) {
		t.Error("the directory was not made real")
	}
	w.Close()

	// A new way into such a directory, and out of it again to a changed file.
	w = mustWork(t, tree)
	edit(t, w, "include/linux/value.h", "42", "77777")
	edit(t, w, "kernel/core.c", "<linux/demo.h>", "\"../drivers/unused/unused.h\"")
	if linked("drivers/unused") {
		t.Error("a new include line did not make the directory real")
	}
	want, err := w.After(ctx, []string{"kernel/core.o"})
	if err != nil {
		t.Fatal(err)
	}
	// The same, got past Write: the compiler's dependencies tell.
	w2 := mustWork(t, tree)
	edit(t, w2, "include/linux/value.h", "42", "77777")
	if _, err := w2.Commands(ctx, []string{"kernel/core.o"}); err != nil {
		t.Fatal(err)
	}
	text := mustRead(t, filepath.Join(w.Dir, "kernel/core.c"))
	if err := os.Remove(filepath.Join(w2.Dir, "kernel/core.c")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w2.Dir, "kernel/core.c"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := w2.After(ctx, []string{"kernel/core.o"})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(mustRead(t, want[0].Path), mustRead(t, got[0].Path)) {
		t.Error("the unchanged header was compiled")
	}
	if diff := cmp.Diff(snap, snapshot(t, tree.Dir)); diff != "" {
		t.Errorf("the prepared tree changed:\n%s", diff)
	}
}

func TestWorkRefusesPathsOutside(t *testing.T) {
	tree := mustPrepare(t, fakeOptions(t))
	w := mustWork(t, tree)
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(w.Dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"", ".", "..", "../x", "a/../../x", "/etc/passwd", "a\nb"} {
		if err := w.Write(p, []byte("x")); !errors.Is(err, ErrUnsafePath) {
			t.Errorf("write %q: %v", p, err)
		}
		if err := w.Remove(p); !errors.Is(err, ErrUnsafePath) {
			t.Errorf("remove %q: %v", p, err)
		}
	}
	if err := w.Write("link/x", []byte("x")); err == nil || exists(filepath.Join(outside, "x")) {
		t.Errorf("write through a link out of the tree: %v", err)
	}
}

func TestStaleWorkIsRemoved(t *testing.T) {
	tree := mustPrepare(t, fakeOptions(t))
	mine := mustWork(t, tree)
	parent := filepath.Dir(mine.base)
	// No process has this number: pid_max is at most 2^22.
	stale := filepath.Join(parent, "4194999-000000000000")
	locked := filepath.Join(parent, "4194998-000000000000")
	for _, dir := range []string{stale, locked} {
		if err := os.MkdirAll(filepath.Join(dir, "linux", "x"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	unlock, err := lockFile(context.Background(), filepath.Join(locked, "lock"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	// A run in another container has a number that is nobody's here.
	made, release, err := PrivateDir(context.Background(), tree.cache, "module")
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	foreign := filepath.Join(parent, "4194997-module-000000000000")
	if err := os.Rename(made, foreign); err != nil {
		t.Fatal(err)
	}
	mustWork(t, tree)
	if exists(stale) {
		t.Error("a dead run's tree was kept")
	}
	if !exists(locked) || !exists(mine.base) || !exists(foreign) {
		t.Error("a live run's tree was removed")
	}
	release()
	mustWork(t, tree)
	if exists(foreign) {
		t.Error("what a dead run in another container left was kept")
	}
}
