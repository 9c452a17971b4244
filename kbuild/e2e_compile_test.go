package kbuild

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// snapshot maps every file of a tree to its identity: inode, size, time, contents
// of what could plausibly be rewritten.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		st := info.Sys().(*syscall.Stat_t) // without the change time: links change it
		// And without the right to write, which a trusted makefile of another test may give
		// (docs/security.md): both use the tree of one cache.
		out[rel] = fmt.Sprint(info.Size(), info.ModTime().UnixNano(), st.Ino, info.Mode()&^0o222)
		if info.Mode().IsRegular() && !strings.HasSuffix(rel, ".c") && !strings.HasSuffix(rel, ".h") {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			out[rel] += fmt.Sprintf(" %x", sha256.Sum256(data))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func e2eWork(t *testing.T, tree *Tree) *Work {
	t.Helper()
	start := time.Now()
	w, err := tree.Work(context.Background(), WorkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("work tree in %v", time.Since(start).Round(time.Millisecond))
	t.Cleanup(func() {
		start := time.Now()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		t.Logf("closed in %v", time.Since(start).Round(time.Millisecond))
	})
	return w
}

// edit replaces old by new once in a file of the work tree.
func edit(t testing.TB, w *Work, file, old, newer string) {
	t.Helper()
	data, err := w.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte(old)) {
		t.Fatalf("%s does not hold %q", file, old)
	}
	if err := w.Write(file, bytes.Replace(data, []byte(old), []byte(newer), 1)); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRealCompile(t *testing.T) {
	tree := e2eTree(t)
	ctx := context.Background()
	snap := snapshot(t, tree.Dir)
	w := e2eWork(t, tree)
	objs := []string{"fs/proc/meminfo.o", "fs/ext4/mballoc.o", "virt/kvm/kvm_main.o", "net/ipv4/tcp_input.o", "fs/xfs/libxfs/xfs_alloc.o", "kernel/bpf/relo_core.o", "lib/crc32.o", "lib/string.o"}
	for _, obj := range objs {
		os.Remove(w.objectPath(w.objectKey(obj), ".json"))
	}
	start := time.Now()
	before, err := w.Before(ctx, objs)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("before, %d objects: %v", len(objs), time.Since(start))
	for _, b := range before {
		t.Logf("%s: source %s, %d deps, %d CRCs", b.Object, b.Source, len(b.Deps), len(b.CRCs))
	}
	start = time.Now()
	again, err := w.Before(ctx, objs)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("before, cached: %v", time.Since(start))
	for i := range again {
		if !again[i].Cached {
			t.Errorf("%s was not cached", objs[i])
		}
		if diff := cmp.Diff(before[i].Command, again[i].Command); diff != "" {
			t.Errorf("command from cache: %s", diff)
		}
	}
	start = time.Now()
	after, err := w.After(ctx, objs)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("after: %v", time.Since(start))
	for i, a := range after {
		if !bytes.Equal(mustRead(t, before[i].Path), mustRead(t, a.Path)) {
			t.Errorf("%s: the same text gives another object", a.Object)
		}
		if diff := cmp.Diff(before[i].Deps, a.Deps); diff != "" {
			t.Errorf("%s: dependencies (-before +after):\n%s", a.Object, diff)
		}
		t.Logf("%s took %v", a.Object, a.Elapsed)
	}

	start = time.Now()
	crcs, err := w.SymbolCRCs(ctx, "net/ipv4/tcp_input.o")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("CRCs: %v", time.Since(start))
	if diff := cmp.Diff(before[3].CRCs, crcs); diff != "" || len(crcs) == 0 {
		t.Errorf("CRCs (-kbuild +ours):\n%s", diff)
	}

	// In another tree, with the objects before from the cache, nothing has been
	// generated yet.
	other := e2eWork(t, tree)
	for i, obj := range objs {
		if obj != "lib/crc32.o" && obj != "kernel/bpf/relo_core.o" && obj != "fs/proc/meminfo.o" {
			continue
		}
		b, err := other.Before(ctx, []string{obj})
		if err != nil || !b[0].Cached {
			t.Fatalf("%s from the cache: %v", obj, err)
		}
		a, err := other.After(ctx, []string{obj})
		if err != nil {
			t.Errorf("after the cache: %v", err)
		} else if !bytes.Equal(mustRead(t, before[i].Path), mustRead(t, a[0].Path)) {
			t.Errorf("%s: the same text gives another object after the cache", obj)
		}
	}

	edit(t, w, "fs/proc/meminfo.c", "MemTotal:", "MEMTOTAL:")
	a, err := w.After(ctx, []string{"fs/proc/meminfo.o"})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(mustRead(t, a[0].Path), []byte("MEMTOTAL")) {
		t.Error("the change is not in the object")
	}
	edit(t, w, "fs/proc/meminfo.c", "si_meminfo(&i);", "si_meminfo(&nonsense);")
	_, err = w.After(ctx, []string{"fs/proc/meminfo.o"})
	var ce *CompileError
	if !errors.As(err, &ce) || !strings.Contains(err.Error(), "nonsense") || ce.Log == "" {
		t.Errorf("compile error: %v", err)
	}
	os.Remove(ce.Log)
	w.Close()
	if diff := cmp.Diff(snap, snapshot(t, tree.Dir)); diff != "" {
		t.Errorf("the prepared tree changed:\n%s", diff)
	}
}
