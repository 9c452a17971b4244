package elfdiff

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// memoryFactor bounds what a comparison and a cut may allocate in total, in
// bytes for each byte of input, beside a constant.
const (
	memoryFactor = 1000
	memoryBase   = 8 << 20
)

// survives compares two objects and cuts all changed functions. It fails on a
// panic, on both or neither of result and error, and on too much memory.
func survives(t testing.TB, before, after *elfobj.File, size int) {
	t.Helper()
	var m0, m1 runtime.MemStats
	runtime.ReadMemStats(&m0)
	r, err := Diff(before, after)
	if (r == nil) == (err == nil) {
		t.Fatalf("result %v with error %v", r != nil, err)
	}
	if err == nil {
		r.Listed()
		r.NewGlobals()
		checkFlat(t, r)
		x, err := extractAll(r)
		if (x == nil) == (err == nil) {
			t.Fatalf("extraction %v with error %v", x != nil, err)
		}
		if err == nil {
			out, err := x.File.Write()
			if err != nil {
				t.Fatalf("cannot write what was cut: %v", err)
			}
			if _, err := elfobj.Read(out); err != nil {
				t.Fatalf("cannot read what was cut: %v", err)
			}
		}
	}
	runtime.ReadMemStats(&m1)
	if got, limit := m1.TotalAlloc-m0.TotalAlloc, uint64(size)*memoryFactor+memoryBase; got > limit {
		t.Fatalf("%d bytes of input made %d of memory", size, got)
	}
}

// checkFlat: what is found equal ahead is equal, and what counts for itself alone
// is found so.
func checkFlat(t testing.TB, r *Result) {
	t.Helper()
	same := make([]bool, len(r.Patched.Atoms))
	r.pairs.compareFlat(0, same)
	c := newComparer(r.pairs.pairing)
	for i, s := range same {
		b := AtomID(i)
		if !s {
			continue
		}
		if why := c.differ(c.toO[b], b); why != equal {
			t.Fatalf("%s is found equal ahead, but differs: %s", r.Patched.Atoms[b].Name, why)
		}
	}
}

func FuzzDiff(f *testing.F) {
	for _, fx := range append(fixtures(f), crossFixtures(f)...) {
		before, err := os.ReadFile(fx.path("before"))
		if err != nil {
			f.Fatal(err)
		}
		after, err := os.ReadFile(fx.path("after"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(before, after)
	}
	f.Fuzz(func(t *testing.T, before, after []byte) {
		a, errA := elfobj.Read(before)
		b, errB := elfobj.Read(after)
		if errA != nil || errB != nil {
			return
		}
		survives(t, a, b, len(before)+len(after))
	})
}

// FuzzExtract damages the model of a fixture instead of its bytes, so that
// every execution gets past the reader. Each 12 bytes of script are one edit.
func FuzzExtract(f *testing.F) {
	cases := append(fixtures(f), crossFixtures(f)...)
	for i := range cases {
		f.Add(uint16(i), []byte{})
		f.Add(uint16(i), []byte("abcdefghijklmnopqrstuvwxyz0123456789"))
	}
	f.Fuzz(func(t *testing.T, pick uint16, script []byte) {
		if len(script) > 600 {
			return
		}
		fx := cases[int(pick)%len(cases)]
		sides := [2]*elfobj.File{readObject(t, fx.path("before")), readObject(t, fx.path("after"))}
		size := 0
		for len(script) >= 12 {
			op := script[:12]
			script = script[12:]
			mutate(sides[op[0]&1], op[1:])
		}
		// Only what the reader lets through may arrive.
		for i, s := range sides {
			raw, err := s.Write()
			if err != nil {
				return
			}
			if sides[i], err = elfobj.Read(raw); err != nil {
				return
			}
			size += len(raw)
		}
		survives(t, sides[0], sides[1], size)
	})
}

// mutate makes one edit of a model from 11 bytes.
func mutate(f *elfobj.File, op []byte) {
	which := int(binary.LittleEndian.Uint16(op[1:]))
	val := int64(int32(binary.LittleEndian.Uint32(op[3:])))
	switch op[10] & 3 {
	case 0:
		val &= 0xff
	case 1:
		val = 1 << (val & 63)
	}
	if len(f.Sections) < 2 || len(f.Symbols) < 2 {
		return
	}
	sec := &f.Sections[1+which%(len(f.Sections)-1)]
	sym := &f.Symbols[1+which%(len(f.Symbols)-1)]
	var rel *elfobj.Reloc
	if len(sec.Relocs) > 0 {
		rel = &sec.Relocs[int(op[7])%len(sec.Relocs)]
	}
	switch op[0] % 20 {
	case 0:
		sym.Value = uint64(val)
	case 1:
		sym.Size = uint64(val)
	case 2:
		sym.Sec = elfobj.SecID(int(op[7]) % len(f.Sections))
	case 3:
		sym.Type, sym.Bind = elf.SymType(op[7]&15), elf.SymBind(op[8]&3)
	case 4:
		sym.Name = f.Symbols[int(op[7])%len(f.Symbols)].Name
	case 5:
		sym.Name += []string{".cold", ".0", ".part.1", ".isra.0", ""}[op[7]%5]
	case 6:
		sym.Name = "__pfx_" + sym.Name
	case 7:
		if rel != nil {
			rel.Off = uint64(val)
		}
	case 8:
		if rel != nil {
			rel.Addend = val
		}
	case 9:
		if rel != nil {
			rel.Sym = elfobj.SymID(int(op[8]) % len(f.Symbols))
		}
	case 10:
		if rel != nil {
			rel.Type = uint32(op[8] & 63)
		}
	case 11:
		if n := len(sec.Data); n > 0 {
			sec.Data = append([]byte(nil), sec.Data...)
			sec.Data[int(op[7])%n] = op[8]
		}
	case 12:
		sec.Data = sec.Data[:int(op[7])%(len(sec.Data)+1)]
	case 13:
		sec.Name = f.Sections[int(op[7])%len(f.Sections)].Name
	case 14:
		sec.Flags ^= elf.SectionFlag(1 << (op[7] & 31))
	case 15:
		sec.EntSize = uint64(val)
	case 16:
		sec.Align = 1 << (op[7] & 31)
	case 17:
		if sec.Type == elf.SHT_PROGBITS {
			sec.Type, sec.Size, sec.Data = elf.SHT_NOBITS, uint64(val)&0xffff, nil
		}
	case 18:
		if len(sec.Relocs) > 0 {
			sec.Relocs = sec.Relocs[:int(op[7])%len(sec.Relocs)]
		}
	case 19:
		row := siteRows[int(op[7])%len(siteRows)]
		sec.Name = row.section
	}
	sec.SortRelocs()
}

// TestErrorsAreProblems: what Extract refuses is a finding unless the input is
// malformed.
func TestErrorsAreProblems(t *testing.T) {
	r := diffCase(t, "computed-goto-writable")
	_, err := extractAll(r)
	var p *finding.Finding
	if !errors.As(err, &p) {
		t.Fatalf("error %v", err)
	}
	r = diffCase(t, "one-line")
	x, err := r.Extract(ExtractOptions{Unit: "u.o", Functions: replaceable(r), Resolve: func(External) (string, error) { return "", errNoSymbol }})
	if !errors.Is(err, errNoSymbol) || x != nil {
		t.Errorf("the resolver's error became %v", err)
	}
}

var errNoSymbol = errors.New("no such symbol")
