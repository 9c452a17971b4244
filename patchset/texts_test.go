package patchset

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// TestFromTexts: a patch made of texts, rendered and read again, makes the new texts of
// the old ones.
func TestFromTexts(t *testing.T) {
	list := []TextChange{
		{"a/edit.c", []byte("1\n2\n3\n4\n5\n6\n7\n8\n9\n"), []byte("1\n2\nthree\n4\n5\n6\n7\n8\n9\n10\n")},
		{"a/fresh.c", nil, []byte("new\n")},
		{"a/gone.c", []byte("old\nlines\n"), nil},
		{"a/same.c", []byte("same\n"), []byte("same\n")},
		{"no-newline.c", []byte("a\nb"), []byte("a\nc")},
	}
	made, err := FromTexts("id", "subject", list)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "x.patch")
	if err := os.WriteFile(file, []byte(made.Diff()), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := Read([]string{file}, ReadOptions{})
	if err != nil {
		t.Fatalf("%v\n%s", err, made.Diff())
	}
	tree := fstest.MapFS{}
	for _, text := range list {
		if text.Old != nil {
			tree[text.Path] = &fstest.MapFile{Data: text.Old}
		}
	}
	for name, series := range map[string]*Series{"made": {Patches: []*Patch{made}}, "read again": again} {
		overlay, err := series.Apply(tree, ApplyOptions{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, text := range list[:3] {
			if got := overlay.Files[text.Path]; got == nil || !slices.Equal(got.New, text.New) {
				t.Errorf("%s: %s is %+v", name, text.Path, got)
			}
		}
		if len(overlay.Files) != 4 {
			t.Errorf("%s: changed %v", name, overlay.Paths())
		}
	}
	if _, err := FromTexts("id", "", []TextChange{{"../out.c", nil, []byte("x\n")}}); err == nil {
		t.Error("a path that leads out of the tree is accepted")
	}
}

func TestEdits(t *testing.T) {
	got := Edits([]byte("1\n2\n3\n4\n5\n"), []byte("0\n1\ntwo\n2b\n3\n5\n"))
	want := []Range{{0, 0, 1, 1}, {2, 1, 3, 2}, {4, 1, 5, 0}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestCompareDirs: changed, new, gone and binary files; links and what is no source are
// not looked at.
func TestCompareDirs(t *testing.T) {
	dirs := [2]string{t.TempDir(), t.TempDir()}
	for i, files := range []map[string]string{
		{"same.c": "s", "a/edit.c": "old", "gone.c": "x", "empty.c": "", "bin": "a\x00", ".git/HEAD": "1"},
		{"same.c": "s", "a/edit.c": "new", "fresh.c": "", "empty.c": "", "bin": "b\x00", ".git/HEAD": "2", "b.c~": "x"},
	} {
		for name, text := range files {
			p := filepath.Join(dirs[i], name)
			if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dirs[1], "link.c")); err != nil {
		t.Fatal(err)
	}
	changes, binary, err := CompareDirs(dirs[0], dirs[1])
	if err != nil {
		t.Fatal(err)
	}
	want := []TextChange{{"a/edit.c", []byte("old"), []byte("new")}, {"fresh.c", nil, []byte{}}, {"gone.c", []byte("x"), nil}}
	if diff := cmp.Diff(want, changes); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"bin"}, binary); diff != "" {
		t.Error(diff)
	}
	if _, _, err := CompareDirs(dirs[0], filepath.Join(dirs[1], "absent")); err == nil {
		t.Error("a tree that is not there is accepted")
	}
}
