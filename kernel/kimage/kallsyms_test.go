package kimage

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/kernel/kerneltest"
)

func nmOf(s *Symbols) []kerneltest.Symbol {
	var out []kerneltest.Symbol
	for x := range s.All() {
		out = append(out, kerneltest.Symbol{Addr: x.Addr, Type: x.Type, Name: x.Name})
	}
	return out
}

func TestKallsymsLayouts(t *testing.T) {
	for _, l := range kerneltest.Layouts {
		t.Run(l.Name, func(t *testing.T) {
			want := kerneltest.Symbols(l.Mode == "percpu" || l.Mode == "absolute")
			im, err := parse("fake", kerneltest.Vmlinux(l, want, false))
			if err != nil {
				t.Fatal(err)
			}
			got, err := im.Kallsyms()
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, nmOf(got)); d != "" {
				t.Errorf("symbols differ (-want +got):\n%s", d)
			}
		})
	}
}

func TestKallsymsRefusesBrokenTables(t *testing.T) {
	l := kerneltest.Layouts[3]
	syms := kerneltest.Symbols(true)
	good := kerneltest.Kallsyms(l, kerneltest.Rodata, syms)
	for name, spoil := range map[string]func(b []byte){
		"no tables": func(b []byte) { clear(b) },
		"addresses not ascending": func(b []byte) {
			b[40+4*200] ^= 0x55
			b[40+4*200+2] ^= 0x10
		},
		"a symbol of length zero": func(b []byte) {
			n := 40 + 4*len(syms) + 4 + 8 + 8
			b[n+1] = 0
			for i := n; i < n+64; i++ {
				b[i] = 0
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := append([]byte(nil), good...)
			spoil(b)
			img := kerneltest.Vmlinux(l, syms, false)
			im, err := parse("fake", img)
			if err != nil {
				t.Fatal(err)
			}
			copy(im.Section(".rodata").data, b)
			if s, err := im.Kallsyms(); !errors.Is(err, ErrNoKallsyms) {
				t.Errorf("err = %v, symbols %v", err, s)
			}
		})
	}
}

func TestSymbols(t *testing.T) {
	b := newSymbolsBuilder(0)
	for _, s := range []nmSymbol{{0x10, 'A', "pcpu"}, {0x1000, 'T', "_stext"}, {0x1000, 'T', "first"}, {0x1010, 't', "show"}, {0x1020, 't', "show"}, {0x1030, 't', "end"}} {
		b.add(s.name, s.addr, s.typ)
	}
	s := b.finish("test", "")
	if got := s.Lookup("show"); len(got) != 2 || got[0].Pos != 1 || got[1].Pos != 2 || got[0].Count != 2 || got[1].Addr != 0x1020 || got[1].Sympos() != 2 {
		t.Errorf("Lookup(show) = %+v", got)
	}
	if got := s.Lookup("nope"); got != nil {
		t.Errorf("Lookup(nope) = %+v", got)
	}
	for _, c := range []struct {
		name string
		pos  int
		want uint64
		ok   bool
	}{{"show", 0, 0, false}, {"show", 1, 0x1010, true}, {"show", 2, 0x1020, true}, {"show", 3, 0, false}, {"first", 0, 0x1000, true}, {"first", 1, 0x1000, true}, {"nope", 0, 0, false}} {
		if got, ok := s.Resolve(c.name, c.pos); ok != c.ok || got.Addr != c.want {
			t.Errorf("Resolve(%s,%d) = %+v, %v", c.name, c.pos, got, ok)
		}
	}
	if got := s.At(0x1000); len(got) != 2 || got[0].Name != "_stext" {
		t.Errorf("At = %+v", got)
	}
	if got := s.At(0x1001); got != nil {
		t.Errorf("At = %+v", got)
	}
	if got, ok := s.Find(0x100f); !ok || got.Name != "_stext" {
		t.Errorf("Find = %+v", got)
	}
	if _, ok := s.Find(0xf); ok {
		t.Error("Find below the first symbol")
	}
	if got, ok := s.Next(0x1000); !ok || got != 0x1010 {
		t.Errorf("Next = %#x", got)
	}
	if _, ok := s.Next(0x1030); ok {
		t.Error("Next above the last symbol")
	}
	if u, ok := s.Unique("end"); !ok || u.Sympos() != 0 || u.Index != 5 {
		t.Errorf("Unique = %+v", u)
	}
}

func FuzzKallsyms(f *testing.F) {
	for _, l := range kerneltest.Layouts {
		f.Add(kerneltest.Kallsyms(l, kerneltest.Rodata, kerneltest.Symbols(l.Mode == "percpu")))
	}
	img := kerneltest.Vmlinux(kerneltest.Layouts[0], kerneltest.Symbols(true), false)
	f.Fuzz(func(t *testing.T, tables []byte) {
		im, err := parse("fake", img)
		if err != nil {
			t.Fatal(err)
		}
		im.Section(".rodata").data = tables
		s, err := im.Kallsyms()
		if (s == nil) == (err == nil) {
			t.Errorf("symbols %v, error %v", s, err)
		}
	})
}
