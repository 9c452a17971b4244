package elfobj

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var fixtures = []string{"small.o", "groups.o", "insns.o"}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parse(t testing.TB, data []byte) *File {
	t.Helper()
	f, err := Read(data)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// realObjects lists kernel objects kept for tests that need real input.
func realObjects(t testing.TB) []string {
	t.Helper()
	dir := os.Getenv("KLPFORGE_E2E_CACHE")
	if dir == "" {
		t.Skip("KLPFORGE_E2E_CACHE is not set: no real kernel objects")
	}
	list, err := filepath.Glob(filepath.Join(dir, "pairs", "*.o"))
	if err != nil || len(list) == 0 {
		t.Skipf("no objects in %s/pairs", dir)
	}
	return list
}

func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

// roundTrip writes f and reads it back.
func roundTrip(t testing.TB, f *File) ([]byte, *File) {
	t.Helper()
	out, err := f.Write()
	if err != nil {
		t.Fatalf("write: %v", err)
	}
	back, err := Read(out)
	if err != nil {
		t.Fatalf("read back: %v", err)
	}
	return out, back
}

// wantSame compares two models; nil and empty slices are the same.
func wantSame(t testing.TB, want, got *File) {
	t.Helper()
	a, b := normal(want), normal(got)
	if reflect.DeepEqual(a, b) {
		return
	}
	if d := cmp.Diff(a, b); d != "" {
		t.Fatalf("model changed on the way (-before +after):\n%s", d)
	}
}

// normal copies f with locals first, as Write orders symbols, and without the
// difference between nil and empty.
func normal(f *File) *File {
	n := *f
	pos := make([]SymID, len(f.Symbols))
	n.Symbols = nil
	for _, local := range []bool{true, false} {
		for i, s := range f.Symbols {
			if (i == 0 || s.Bind == 0) == local {
				pos[i] = SymID(len(n.Symbols))
				n.Symbols = append(n.Symbols, s)
			}
		}
	}
	renumber := func(in []Reloc) []Reloc {
		out := []Reloc{}
		for _, r := range in {
			r.Sym = pos[r.Sym]
			out = append(out, r)
		}
		return out
	}
	n.Sections = nil
	for _, s := range f.Sections {
		s.Relocs = renumber(s.Relocs)
		klp := []KlpRelocs{}
		for _, k := range s.KlpRelocs {
			klp = append(klp, KlpRelocs{k.Name, renumber(k.Relocs)})
		}
		s.KlpRelocs = klp
		s.Group = pos[s.Group]
		s.Members = append([]SecID{}, s.Members...)
		s.Data = append([]byte{}, s.Data...)
		if s.Align == 0 {
			s.Align = 1
		}
		n.Sections = append(n.Sections, s)
	}
	n.Sections[0].Align = 0
	return &n
}

//go:generate testdata/regen.sh

// TestFixturesFresh makes the fixtures again, where the compiler is the one
// that made them: they must be the same.
func TestFixturesFresh(t *testing.T) {
	out, err := exec.Command("gcc", "-dumpfullversion").Output()
	if v := strings.TrimSpace(string(out)); err != nil || v != "12.2.0" {
		t.Skipf("the fixtures are made by gcc 12.2.0, here is %q (%v)", v, err)
	}
	dir := t.TempDir()
	cmd := exec.Command("testdata/regen.sh")
	cmd.Env = append(os.Environ(), "OUT="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("regen.sh: %v\n%s", err, out)
	}
	for _, name := range []string{"insns.o", "insns.len", "small.o", "groups.o"} {
		want, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join("testdata", name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is stale: run testdata/regen.sh (error %v)", name, err)
		}
	}
}
