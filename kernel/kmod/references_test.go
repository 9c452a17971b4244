package kmod

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/kernel/kerneltest"
)

func openDir(t *testing.T, dir string) *Index {
	t.Helper()
	index, err := Open(dir, "r", nil)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

// A module refers to what it does not define; what it defines itself is nobody's.
func TestReferences(t *testing.T) {
	dir := t.TempDir()
	plain := kerneltest.Module(t, "r")
	for _, name := range []string{"kernel/b.ko", "kernel/a-x.ko"} {
		kerneltest.Write(t, filepath.Join(dir, name), plain)
	}
	index := openDir(t, dir)
	got, err := index.References()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(References{"printk": {"a_x", "b"}}, got); diff != "" {
		t.Error(diff)
	}
	if len(index.read) != 0 {
		t.Errorf("%d modules stay in memory", len(index.read))
	}

	kerneltest.Write(t, filepath.Join(dir, "kernel/c.ko"), plain[:len(plain)/2])
	if _, err := openDir(t, dir).References(); err == nil {
		t.Error("a module cut in half is no error")
	}
}

// TestState: whatever may change what a module is changes the state, and nothing else
// does.
func TestState(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.ko")
	kerneltest.Write(t, path, []byte("one"))
	kerneltest.Write(t, filepath.Join(dir, "b.ko"), []byte("two"))
	state := func() string {
		t.Helper()
		got, err := openDir(t, dir).State()
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	before := state()
	if kerneltest.Write(t, filepath.Join(dir, "modules.dep"), nil); state() != before {
		t.Error("a file that is no module changes the state")
	}
	for _, change := range []struct {
		what string
		do   func() error
	}{
		{"another content, with the old time set again", func() error {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			// The clock of the change time goes in steps.
			for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline) && state() == before; {
				if err := os.WriteFile(path, []byte("uno"), 0o644); err != nil {
					return err
				}
				if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
					return err
				}
			}
			return nil
		}},
		{"another file in its place", func() error {
			if err := os.WriteFile(path+".new", bytes.Repeat([]byte("x"), 3), 0o644); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		}},
		{"another name", func() error { return os.Rename(path, filepath.Join(dir, "c.ko")) }},
		{"one less", func() error { return os.Remove(filepath.Join(dir, "c.ko")) }},
	} {
		if err := change.do(); err != nil {
			t.Fatal(err)
		}
		after := state()
		if after == before {
			t.Errorf("%s: the same state", change.what)
		}
		before = after
	}
}
