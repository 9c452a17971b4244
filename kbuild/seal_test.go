package kbuild

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// alter changes a file of a prepared tree in place; with keep, its size and
// modification time stay.
func alter(t *testing.T, file string, keep bool) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if keep {
		text = bytes.ToUpper(text)
	} else {
		text = append(text, "# more\n"...)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, info.Mode().Perm()); err != nil {
		t.Fatal(err)
	}
	if keep {
		if err := os.Chtimes(file, time.Time{}, info.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestChangedTreeIsMadeAgain: whatever is altered in a prepared tree, the next run
// does not use it.
func TestChangedTreeIsMadeAgain(t *testing.T) {
	opts := fakeOptions(t)
	tree := mustPrepare(t, opts)
	if tree.Healed != "" {
		t.Fatalf("a new tree: %s", tree.Healed)
	}
	dir, key := tree.Dir, tree.Key
	tree = nil
	for _, c := range []struct {
		what, file string
		alter      func(t *testing.T, file string)
	}{
		{"a source that grew", "fs/demo/inode.c", func(t *testing.T, f string) { alter(t, f, false) }},
		{"a makefile of the same size and time", "fs/demo/Makefile", func(t *testing.T, f string) { alter(t, f, true) }},
		{"a generated file of the same size and time", ".config", func(t *testing.T, f string) { alter(t, f, true) }},
		{"a file that is gone", "fs/demo/super.c", func(t *testing.T, f string) {
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}},
		{"a new file", "fs/demo/GNUmakefile", func(t *testing.T, f string) {
			if err := os.WriteFile(f, []byte("all:\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}},
		{"a file that became a link", "fs/demo/super.c", func(t *testing.T, f string) {
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("/etc/passwd", f); err != nil {
				t.Fatal(err)
			}
		}},
		{"a seal that is damaged", "../work.seal", func(t *testing.T, f string) { alter(t, f, true); alter(t, f, false) }},
	} {
		t.Run(c.what, func(t *testing.T) {
			runtime.GC() // nobody uses the tree: it is made again at once
			file := filepath.Join(dir, c.file)
			c.alter(t, file)
			var stages []string
			o := opts
			o.Progress = func(stage string, _, _ int) { stages = append(stages, stage) }
			again := mustPrepare(t, o)
			if again.Key != key || !strings.Contains(again.Healed, strings.TrimPrefix(c.file, "../")) {
				t.Errorf("not noticed: healed %q, stages %q", again.Healed, stages)
			}
			if once := mustPrepare(t, opts); once.Healed != "" {
				t.Errorf("made again twice: %s", once.Healed)
			}
		})
	}
}

// TestTouchedTreeStays: times alone do not matter.
func TestTouchedTreeStays(t *testing.T) {
	opts := fakeOptions(t)
	tree := mustPrepare(t, opts)
	for _, f := range []string{"fs/demo/inode.c", "fs/demo/Makefile", ".config", "fs/demo"} {
		if err := os.Chtimes(filepath.Join(tree.Dir, f), time.Now(), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if again := mustPrepare(t, opts); again.Healed != "" {
		t.Errorf("made again: %s", again.Healed)
	}
}

// TestChangedHeaderIsNoticedWhenRead: a source that work trees share, altered so
// that no look at it tells.
func TestChangedHeaderIsNoticedWhenRead(t *testing.T) {
	tree := mustPrepare(t, fakeOptions(t))
	alter(t, filepath.Join(tree.Dir, "fs/demo/inode.c"), true)
	if err := tree.check(context.Background()); err != nil {
		t.Fatalf("noticed before it was read: %v", err)
	}
	err := tree.checkRead([]string{"fs/demo/super.c", "fs/demo/inode.c"})
	var changed *TreeChangedError
	if !errors.As(err, &changed) || changed.Path != "fs/demo/inode.c" {
		t.Errorf("got %v", err)
	}
}

// TestSourceWithKeptTimes: the key of a source directory notices a file that was
// written to and given its size and modification time back.
func TestSourceWithKeptTimes(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file.c")
	if err := os.WriteFile(file, []byte("int a;\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	before, err := directory(dir).identity(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // coarse clocks
	alter(t, file, true)
	after, err := directory(dir).identity(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if before == after {
		t.Error("the same identity")
	}
}
