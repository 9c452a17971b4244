package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
)

const fixture = "../../testdata/fixtures/jump-label-new-key/"

// TestDiffer: what is measured is the whole work, an object at its end.
func TestDiffer(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	if err := work("diff", out, []string{fixture + "before.o", fixture + "after.o"}); err != nil {
		t.Fatal(err)
	}
	f, err := elfobj.ReadFile(out + ".0")
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Sections) < 3 {
		t.Errorf("the object has %d sections", len(f.Sections))
	}
	if work("diff", out, []string{"one"}) == nil || work("nothing", out, nil) == nil {
		t.Error("bad work is done")
	}
}

// TestDistinct: copies of one object with their own names do not clash, and each
// function keeps a section of its name.
func TestDistinct(t *testing.T) {
	f, err := elfobj.ReadFile(fixture + "before.o")
	if err != nil {
		t.Fatal(err)
	}
	distinct(f, "7")
	found := false
	for _, s := range f.Symbols {
		if s.Sec > 0 && f.Sections[s.Sec].Name == ".text."+s.Name {
			found = true
			if filepath.Ext(s.Name) == "" && s.Name[len(s.Name)-2:] != "_7" {
				t.Errorf("%s has no number", s.Name)
			}
		}
	}
	if !found {
		t.Error("no function has a section of its name")
	}
	path := filepath.Join(t.TempDir(), "out.o")
	if err := writeObject(path, f); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestNumbered(t *testing.T) {
	for name, want := range map[string]string{"f": "f_3", "f.isra.0": "f_3.isra.0", "buf.12": "buf_3.12", "__pfx_f": "__pfx_f_3", ".L4": ".L4_3"} {
		if got := numbered(name, "3"); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
