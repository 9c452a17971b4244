package facts

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/pack"
	"github.com/klpforge/klpforge/elfobj"
)

func fixture(t testing.TB) (*model.Model, *locks.Result) {
	t.Helper()
	f, err := elfobj.ReadFile("../../analyze/locks/testdata/effects.o")
	if err != nil {
		t.Fatal(err)
	}
	p, err := model.FromObject(f, model.ObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m := model.Build(p)
	return m, locks.Analyze(m, locks.Options{})
}

func TestStore(t *testing.T) {
	m, l := fixture(t)
	s := store{dir: filepath.Join(t.TempDir(), "facts")}
	if _, _, err := s.load("key", m.Prog); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("an empty store gives error %v", err)
	}
	// Several programs may save the same facts at once.
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { s.save("key", m, l) })
	}
	wg.Wait()
	m2, l2, err := s.load("key", m.Prog)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encode(m, l), encode(m2, l2)) {
		t.Error("what comes back from the store is something else")
	}
	list, err := os.ReadDir(s.dir)
	if err != nil || len(list) != 1 {
		t.Errorf("the store holds %d files (error %v), want 1", len(list), err)
	}
}

func TestCorrupt(t *testing.T) {
	m, l := fixture(t)
	whole := encode(m, l)
	if _, _, err := decode(whole, m.Prog); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		b    []byte
	}{
		{"empty", nil},
		{"cut", whole[:len(whole)-1]},
		{"longer", append(bytes.Clone(whole), 0)},
		{"other version", append([]byte("klpforge facts 0\n"), whole[len(magic):]...)},
		{"flipped bit", func() []byte { b := bytes.Clone(whole); b[len(b)/2] ^= 4; return b }()},
	} {
		if _, _, err := decode(c.b, m.Prog); !errors.Is(err, pack.ErrCorrupt) {
			t.Errorf("%s: error %v", c.name, err)
		}
	}
}

func TestPrune(t *testing.T) {
	m, l := fixture(t)
	s := store{dir: t.TempDir()}
	for i := range maxFiles + 3 {
		s.save(string(rune('a'+i)), m, l)
	}
	list, err := os.ReadDir(s.dir)
	if err != nil || len(list) != maxFiles {
		t.Errorf("the store holds %d files (error %v), want %d", len(list), err, maxFiles)
	}
	if _, _, err := s.load(string(rune('a'+maxFiles+2)), m.Prog); err != nil {
		t.Errorf("the file saved last is gone: %v", err)
	}
}
