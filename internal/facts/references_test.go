package facts

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/kernel/kerneltest"
	"github.com/klpforge/klpforge/kernel/kmod"
)

// References come from the cache while the modules are the same, and only then.
func TestReferences(t *testing.T) {
	dir := t.TempDir()
	k := &Kernel{store: store{filepath.Join(t.TempDir(), "facts"), "key"}}
	find := func() kmod.References {
		t.Helper()
		index, err := kmod.Open(dir, "r", nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.References(index)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	kerneltest.Write(t, filepath.Join(dir, "a.ko"), kerneltest.Module(t, "r"))
	first := find()
	if diff := cmp.Diff(kmod.References{"printk": {"a"}}, first); diff != "" {
		t.Error(diff)
	}
	kept, err := os.Stat(k.store.path(partReferences))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, find()); diff != "" {
		t.Errorf("from the cache: %s", diff)
	}
	if again, err := os.Stat(k.store.path(partReferences)); err != nil || !os.SameFile(kept, again) {
		t.Errorf("the facts were found anew (error %v)", err)
	}

	kerneltest.Write(t, filepath.Join(dir, "b.ko"), kerneltest.Module(t, "r"))
	if diff := cmp.Diff(kmod.References{"printk": {"a", "b"}}, find()); diff != "" {
		t.Errorf("after another module came: %s", diff)
	}
}
