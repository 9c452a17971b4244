package facts

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/pack"
	"github.com/klpforge/klpforge/analyze/pack/packtest"
)

func fixture(t testing.TB) (*model.Model, *locks.Result) {
	t.Helper()
	m := packtest.Object(t, "../../testdata/effects/effects.o")
	return m, locks.Analyze(m, locks.Options{})
}

// effects are the model and the lock effects of the fixture, as they come back
// from a store.
type effects struct {
	m *model.Model
	l *locks.Result
}

func (e *effects) load(s store, p *model.Program) error {
	if err := s.load(partModel, func(r *pack.Reader) (err error) {
		e.m, err = model.Unpack(p, r)
		return err
	}); err != nil {
		return err
	}
	return s.load(partLocks, func(r *pack.Reader) (err error) {
		e.l, err = locks.Unpack(e.m, r)
		return err
	})
}

func TestStore(t *testing.T) {
	m, l := fixture(t)
	s := store{filepath.Join(t.TempDir(), "facts"), "key"}
	var got effects
	if err := got.load(s, m.Prog); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("an empty store gives error %v", err)
	}
	// Several programs may save the same facts at once.
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s.save(partModel, m.Pack)
			s.save(partLocks, l.Pack)
		})
	}
	wg.Wait()
	if err := got.load(s, m.Prog); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.encode(partModel, m.Pack), s.encode(partModel, got.m.Pack)) || !bytes.Equal(s.encode(partLocks, l.Pack), s.encode(partLocks, got.l.Pack)) {
		t.Error("what comes back from the store is something else")
	}
	list, err := os.ReadDir(s.dir)
	if err != nil || len(list) != 2 {
		t.Errorf("the store holds %d files (error %v), want 2", len(list), err)
	}
}

// text packs a text and reads it back.
type text string

func (x *text) pack(w *pack.Writer) { w.String(string(*x)) }

func (x *text) unpack(r *pack.Reader) error {
	*x = text(r.String())
	return r.Err()
}

func TestCorrupt(t *testing.T) {
	s := store{t.TempDir(), "key"}
	x := text("some facts")
	whole := s.encode(partModel, x.pack)
	var got text
	if err := s.decode(partModel, whole, got.unpack); err != nil || got != x {
		t.Fatalf("read %q, error %v", got, err)
	}
	for _, c := range []struct {
		name string
		s    store
		p    part
		b    []byte
	}{
		{"empty", s, partModel, nil},
		{"cut", s, partModel, whole[:len(whole)-1]},
		{"longer", s, partModel, append(bytes.Clone(whole), 0)},
		{"other version", s, partModel, append([]byte("klpforge facts 0\n"), whole[len(magic):]...)},
		{"flipped bit", s, partModel, func() []byte { b := bytes.Clone(whole); b[len(b)/2] ^= 4; return b }()},
		{"another part", s, partLocks, whole},
		{"another kernel or program", store{s.dir, "other"}, partModel, whole},
		{"not read to the end", s, partModel, s.encode(partModel, func(w *pack.Writer) { x.pack(w); w.Uint(1) })},
	} {
		if err := c.s.decode(c.p, c.b, got.unpack); !errors.Is(err, pack.ErrCorrupt) {
			t.Errorf("%s: error %v", c.name, err)
		}
	}
}

// TestProgram: the key is that of the program that runs.
func TestProgram(t *testing.T) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	id, err := program()
	if want := sha256.Sum256(b); err != nil || !bytes.Equal(id, want[:]) {
		t.Errorf("program %x, error %v; want %x", id, err, want)
	}
}

func TestPrune(t *testing.T) {
	dir := t.TempDir()
	x := text("facts")
	start := time.Now().Add(-time.Hour)
	keep := func(key string, p part, used int) {
		s := store{dir, key}
		s.save(p, x.pack)
		at := start.Add(time.Duration(used) * time.Minute)
		if err := os.Chtimes(s.path(p), at, at); err != nil {
			t.Fatal(err)
		}
	}
	for i := range maxKernels {
		keep(string(rune('a'+i)), partModel, i)
		keep(string(rune('a'+i)), partLocks, i)
	}
	keep("a", partSleeps, maxKernels) // all of a was used last
	keep("z", partModel, maxKernels+1)
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 2*maxKernels {
		t.Errorf("the store holds %d files (error %v), want %d", len(list), err, 2*maxKernels)
	}
	for _, c := range []struct {
		key  string
		p    part
		gone bool
	}{{"a", partModel, false}, {"a", partSleeps, false}, {"b", partModel, true}, {"b", partLocks, true}, {"c", partModel, false}, {"z", partModel, false}} {
		if err := (store{dir, c.key}).load(c.p, x.unpack); errors.Is(err, os.ErrNotExist) != c.gone || !c.gone && err != nil {
			t.Errorf("%s of %s: error %v", c.p, c.key, err)
		}
	}
}
