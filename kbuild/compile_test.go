package kbuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAsShipped: an object as the kernel's build makes it has no section for each function, comes from
// the unchanged source, and is not taken for the object of Before, nor that one for it.
func TestAsShipped(t *testing.T) {
	ctx := context.Background()
	tree := mustPrepare(t, fakeOptions(t))
	w := mustWork(t, tree)
	edit(t, w, "init/main.c", "DEMO_VALUE", "DEMO_VALUE * 3")
	objs := []string{"init/main.o"}
	before, err := w.Before(ctx, objs)
	if err != nil {
		t.Fatal(err)
	}
	for _, cached := range []bool{false, true} {
		shipped, err := w.AsShipped(ctx, objs)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(shipped[0].Command, "-sections") || strings.Contains(shipped[0].Command, "-section-anchors") || shipped[0].Cached != cached {
			t.Errorf("cached %v: %s", shipped[0].Cached, shipped[0].Command)
		}
		if mine, other := mustRead(t, shipped[0].Path), mustRead(t, before[0].Path); bytes.Contains(mine, []byte(".text.")) || !bytes.Contains(other, []byte(".text.")) {
			t.Error("sections of functions are in the wrong object")
		}
	}
	again, err := w.Before(ctx, objs)
	if err != nil || again[0].Path != before[0].Path {
		t.Errorf("%v, %v; want %s", again, err, before[0].Path)
	}
}

// TestSectionFlags: where compilers reach several variables over one address, objects are compiled without that.
func TestSectionFlags(t *testing.T) {
	for name, want := range map[string]bool{"x86": false, "arm64": true, "s390": false} {
		tree := &Tree{Arch: name, Dir: t.TempDir()}
		if got := strings.Contains(tree.kcflags(false), "-fno-section-anchors"); got != want {
			t.Errorf("%s: %s", name, tree.kcflags(false))
		}
		if flags := tree.kcflags(true); strings.Contains(flags, "section") {
			t.Errorf("%s, as shipped: %s", name, flags)
		}
	}
}

func TestBeforeAndAfter(t *testing.T) {
	ctx := context.Background()
	tree := mustPrepare(t, fakeOptions(t))
	snap := snapshot(t, tree.Dir)
	w := mustWork(t, tree)
	objs := []string{"fs/demo/super.o", "init/main.o", "drivers/demo/sub/b.o"}
	before, err := w.Before(ctx, objs)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"fs/demo/impl.c", "fs/demo/super.c", "include/linux/demo.h", "include/linux/value.h"}, withoutSystem(before[0].Deps)); diff != "" {
		t.Errorf("dependencies (-want +got):\n%s", diff)
	}
	if !strings.Contains(before[0].Command, `-DNAME='"super"' -c -o fs/demo/super.o fs/demo/super.c`) || !strings.Contains(before[0].Command, "-ffunction-sections -fdata-sections -g -fno-var-tracking") {
		t.Errorf("command: %s", before[0].Command)
	}
	after, err := w.After(ctx, objs)
	if err != nil {
		t.Fatal(err)
	}
	for i := range objs {
		if !bytes.Equal(mustRead(t, before[i].Path), mustRead(t, after[i].Path)) {
			t.Errorf("%s: the same text gives another object", objs[i])
		}
		if diff := cmp.Diff(before[i].Deps, after[i].Deps); diff != "" {
			t.Errorf("%s: dependencies (-before +after):\n%s", objs[i], diff)
		}
	}

	edit(t, w, "init/main.c", "DEMO_VALUE", "DEMO_VALUE * 3")
	changed, err := w.After(ctx, objs[1:2])
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(mustRead(t, before[1].Path), mustRead(t, changed[0].Path)) {
		t.Error("the change is not in the object")
	}
	// Another work tree, changed already, still gets the object of unchanged text,
	// from the cache and without.
	other := mustWork(t, tree)
	edit(t, other, "init/main.c", "DEMO_VALUE", "DEMO_VALUE * 5")
	cached, err := other.Before(ctx, objs[1:2])
	if err != nil {
		t.Fatal(err)
	}
	if !cached[0].Cached {
		t.Error("the object was not cached")
	}
	want := mustRead(t, before[1].Path)
	os.Remove(other.objectPath(other.objectKey(objs[1]), ".json"))
	if cached, err = other.Before(ctx, objs[1:2]); err != nil {
		t.Fatal(err)
	}
	if cached[0].Cached || !bytes.Equal(want, mustRead(t, cached[0].Path)) {
		t.Error("a changed tree gives another object for the unchanged text")
	}
	w.Close()
	other.Close()
	if diff := cmp.Diff(snap, snapshot(t, tree.Dir)); diff != "" {
		t.Errorf("the prepared tree changed:\n%s", diff)
	}
}

// TestShareAfter: an object compiled after a change is taken by another run that
// made the same changes, and by no other.
func TestShareAfter(t *testing.T) {
	ctx := context.Background()
	tree := mustPrepare(t, fakeOptions(t))
	obj := []string{"init/main.o"}
	after := func(share bool, value, also string) Built {
		t.Helper()
		w, err := tree.Work(ctx, WorkOptions{ShareAfter: share})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.Close() })
		edit(t, w, "init/main.c", "DEMO_VALUE", value)
		if also != "" {
			if err := w.Write("kernel/new.c", []byte(also)); err != nil {
				t.Fatal(err)
			}
		}
		b, err := w.After(ctx, obj)
		if err != nil {
			t.Fatal(err)
		}
		return b[0]
	}
	first := after(false, "DEMO_VALUE * 3", "")
	if again := after(true, "DEMO_VALUE * 3", ""); first.Cached || again.Cached {
		t.Error("an object was kept that nobody asked to keep")
	}
	same := after(false, "DEMO_VALUE * 3", "")
	if !same.Cached || !bytes.Equal(mustRead(t, first.Path), mustRead(t, same.Path)) {
		t.Errorf("not taken from the cache: %+v", same)
	}
	if diff := cmp.Diff(first.Deps, same.Deps); diff != "" {
		t.Errorf("dependencies (-compiled +cached):\n%s", diff)
	}
	if other := after(false, "DEMO_VALUE * 5", ""); other.Cached || bytes.Equal(mustRead(t, first.Path), mustRead(t, other.Path)) {
		t.Error("another text gets this object")
	}
	if other := after(false, "DEMO_VALUE * 3", "int x;\n"); other.Cached {
		t.Error("another change elsewhere gets this object")
	}
}

// TestKeepAfter: an object compiled after a change is taken again by a run in which all
// that it read is the same, whatever else is changed, and by no other.
func TestKeepAfter(t *testing.T) {
	ctx := context.Background()
	tree := mustPrepare(t, fakeOptions(t))
	after := func(files map[string]string) Built {
		t.Helper()
		w, err := tree.Work(ctx, WorkOptions{KeepAfter: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.Close() })
		edit(t, w, "init/main.c", "DEMO_VALUE", "DEMO_VALUE * 3")
		for name, text := range files {
			if err := w.Write(name, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		b, err := w.After(ctx, []string{"init/main.o"})
		if err != nil {
			t.Fatal(err)
		}
		return b[0]
	}
	header := string(mustRead(t, filepath.Join(tree.Dir, "include/linux/value.h")))
	first := after(nil)
	if first.Cached {
		t.Error("the first is in the cache")
	}
	tests := []struct {
		name  string
		files map[string]string
		taken bool
	}{
		{"the same", nil, true},
		{"a source that it does not read", map[string]string{"kernel/core.c": "int x;\n"}, true},
		{"a header that it reads", map[string]string{"include/linux/value.h": header + "extern int more;\n"}, false},
		{"that header again", map[string]string{"include/linux/value.h": header + "extern int more;\n", "kernel/core.c": "int x;\n"}, true},
		{"that header otherwise", map[string]string{"include/linux/value.h": header + "extern int other;\n"}, false},
		{"without it", nil, true},
		{"a new header, which could hide another", map[string]string{"include/asm/value.h": "\n"}, false},
		{"a file that only an assembler could read", map[string]string{"kernel/data.bin": "x"}, false},
	}
	for _, tt := range tests {
		if got := after(tt.files); got.Cached != tt.taken {
			t.Errorf("%s: taken from the cache %v, want %v", tt.name, got.Cached, tt.taken)
		} else if tt.files == nil && !bytes.Equal(mustRead(t, first.Path), mustRead(t, got.Path)) {
			t.Errorf("%s: another object", tt.name)
		}
	}
}

// TestAfterEach: objects that do not compile are named, the others are there.
func TestAfterEach(t *testing.T) {
	ctx := context.Background()
	w := mustWork(t, mustPrepare(t, fakeOptions(t)))
	edit(t, w, "init/main.c", "DEMO_VALUE", "UNKNOWN_THING")
	out, failed, err := w.AfterEach(ctx, []string{"kernel/core.o", "init/main.o"})
	if err != nil {
		t.Fatal(err)
	}
	if failed[0] != nil || failed[1] == nil || failed[1].Object != "init/main.o" || out[0].Path == "" || out[1].Path != "" {
		t.Errorf("%+v, %+v", out, failed)
	}
}

func withoutSystem(deps []string) []string {
	var out []string
	for _, d := range deps {
		if !strings.HasPrefix(d, "/") {
			out = append(out, d)
		}
	}
	return out
}

func TestCompileError(t *testing.T) {
	ctx := context.Background()
	w := mustWork(t, mustPrepare(t, fakeOptions(t)))
	edit(t, w, "init/main.c", "DEMO_VALUE", "UNKNOWN_THING")
	_, err := w.After(ctx, []string{"kernel/core.o", "init/main.o"})
	var ce *CompileError
	if !errors.As(err, &ce) || ce.Object != "init/main.o" || !strings.Contains(err.Error(), "UNKNOWN_THING") {
		t.Fatalf("error: %v", err)
	}
	if !strings.Contains(string(mustRead(t, ce.Log)), "UNKNOWN_THING") {
		t.Error("the log lacks the error")
	}
	if err := w.Write("kernel/new.c", []byte("int x = BAD;\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.BuildNew(ctx, []string{"kernel/new.o"}); !errors.As(err, &ce) || ce.Object != "kernel/new.o" {
		t.Errorf("new object: %v", err)
	}
	if _, err := w.Before(ctx, []string{"kernel/nothing.o"}); !errors.As(err, &ce) {
		t.Errorf("object without source: %v", err)
	}
}

func TestObjectsDoNotDependOnTheCache(t *testing.T) {
	var got [2][]byte
	for i := range got {
		opts := fakeOptions(t)
		tree := mustPrepare(t, opts)
		w, err := tree.Work(context.Background(), WorkOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		b, err := w.Before(context.Background(), []string{"fs/demo/super.o"})
		if err != nil {
			t.Fatal(err)
		}
		got[i] = mustRead(t, b[0].Path)
		if bytes.Contains(got[i], []byte(opts.Cache)) {
			t.Error("the object names the cache")
		}
	}
	if !bytes.Equal(got[0], got[1]) {
		t.Error("the object depends on where the cache is")
	}
}

func TestThin(t *testing.T) {
	ctx := context.Background()
	w := mustWork(t, mustPrepare(t, fakeOptions(t)))
	objs := []string{"fs/demo/inode.o", "init/main.o", "kernel/core.o"}
	hash, err := w.Preprocess(ctx, "init/main.o")
	if err != nil || len(hash) != 64 {
		t.Fatalf("hash %q, %v", hash, err)
	}
	edit(t, w, "include/linux/value.h", "#define", "/* a comment */\n#define")
	thin, err := w.Thin(ctx, objs)
	if err != nil || len(thin) != 0 {
		t.Errorf("after a comment: %v, %v", thin, err)
	}
	edit(t, w, "fs/demo/demo.h", "#define LOCAL 1", "extern int local;")
	if thin, err = w.Thin(ctx, objs); err != nil || len(thin) != 0 {
		t.Errorf("after a declaration that nothing uses: %v, %v", thin, err)
	}
	edit(t, w, "fs/demo/demo.h", "extern int local;", "static int local = 1;")
	if thin, err = w.Thin(ctx, objs); err != nil || !cmp.Equal(thin, objs[:1]) {
		t.Errorf("after a variable: %v, %v", thin, err)
	}
	edit(t, w, "include/linux/value.h", "42", "43")
	if thin, err = w.Thin(ctx, objs); err != nil || !cmp.Equal(thin, objs) {
		t.Errorf("after a value: %v, %v", thin, err)
	}
	if err := w.Write("kernel/core.c", []byte("#error no\n")); err != nil {
		t.Fatal(err)
	}
	if thin, err = w.Thin(ctx, objs[2:]); err != nil || len(thin) != 1 {
		t.Errorf("text that cannot be preprocessed: %v, %v", thin, err)
	}
}

// TestThinOtherKernel: the text of one kernel, kept in a cache that another shares,
// is not taken for the other's. Here the one is what the change makes of the other.
func TestThinOtherKernel(t *testing.T) {
	ctx := context.Background()
	const obj, header, old, changed = "init/main.o", "include/linux/value.h", "42", "43"
	one := fakeOptions(t)
	two := one
	two.Source = filepath.Join(t.TempDir(), "kernel")
	if err := os.CopyFS(two.Source, os.DirFS(one.Source)); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(two.Source, header)
	text := bytes.Replace(mustRead(t, name), []byte(old), []byte(changed), 1)
	if err := os.WriteFile(name, text, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, opts := range []PrepareOptions{two, one} {
		w := mustWork(t, mustPrepare(t, opts))
		if opts.Source == one.Source {
			edit(t, w, header, old, changed)
		} else {
			edit(t, w, header, changed, changed+" /* the same */")
		}
		thin, err := w.Thin(ctx, []string{obj})
		if err != nil || (len(thin) == 1) != (opts.Source == one.Source) {
			t.Errorf("%s: %v, %v", opts.Source, thin, err)
		}
	}
}

// TestBatchesStay covers that what was compiled before a failure is not compiled again.
func TestBatchesStay(t *testing.T) {
	ctx := context.Background()
	opts := fakeOptions(t)
	defer func(n int) { beforeBatch = n }(beforeBatch)
	beforeBatch = 2
	tree := mustPrepare(t, opts)
	var seen []string
	w, err := tree.Work(ctx, WorkOptions{Progress: func(stage string, done, total int) {
		seen = append(seen, fmt.Sprintf("%s %d/%d", stage, done, total))
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	objects := []string{"lib/str.o", "fs/demo/super.o", "init/main.o", "fs/demo/inode.o", "no/such.o"}
	var broken *CompileError
	if _, err := w.Before(ctx, objects); !errors.As(err, &broken) || broken.Object != "no/such.o" {
		t.Fatalf("an object without a rule: %v", err)
	}
	if diff := cmp.Diff([]string{"compile before 0/5", "compile before 2/5", "compile before 4/5"}, seen); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	again, err := mustWork(t, tree).Before(ctx, objects[:4])
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range again {
		if !b.Cached || b.Object != objects[i] {
			t.Errorf("%s: got %s, in the cache: %v", objects[i], b.Object, b.Cached)
		}
	}
}

func TestBuildModule(t *testing.T) {
	tree := mustPrepare(t, fakeOptions(t))
	snap := snapshot(t, tree.Dir)
	var got [2][]byte
	for i := range got {
		dir := t.TempDir()
		if err := os.WriteFile(dir+"/main.c", []byte("const char *name = __FILE__;\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		if err := BuildModule(context.Background(), ModuleOptions{Tree: tree, Dir: dir, Log: &log}); err != nil {
			t.Fatal(err)
		}
		got[i] = mustRead(t, dir+"/main.ko")
	}
	if !bytes.Equal(got[0], got[1]) {
		t.Error("the module depends on the name of its directory")
	}
	if diff := cmp.Diff(snap, snapshot(t, tree.Dir)); diff != "" {
		t.Errorf("the prepared tree changed:\n%s", diff)
	}
	var re *RunError
	if err := BuildModule(context.Background(), ModuleOptions{Tree: tree, Dir: t.TempDir()}); !errors.As(err, &re) {
		t.Errorf("empty directory: %v", err)
	}
}
