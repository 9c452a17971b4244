package elfobj

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// memoryFactor bounds what reading and writing may allocate, in bytes for each
// byte of input, beside a constant for tiny inputs.
const memoryFactor = 200

// survives reads and, when that works, writes an input. A panic, both a result
// and an error, or too much memory fails the test.
func survives(t testing.TB, in []byte) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f, err := Read(in)
	runtime.ReadMemStats(&after)
	if (f == nil) == (err == nil) {
		t.Fatalf("file %v with error %v", f != nil, err)
	}
	if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(len(in))*memoryFactor+1<<16; got > limit {
		t.Fatalf("reading %d bytes allocated %d", len(in), got)
	}
	if err != nil {
		var format *FormatError
		if !errors.As(err, &format) && !errors.Is(err, ErrNotObject) {
			t.Fatalf("error of unknown kind: %v", err)
		}
		return
	}
	if _, err := f.Write(); err != nil {
		t.Fatalf("cannot write what was read: %v", err)
	}
}

func TestTruncated(t *testing.T) {
	in := fixture(t, "small.o")
	for n := range in {
		survives(t, in[:n:n])
	}
	for n := range in {
		if f, err := Read(in[:n:n]); err == nil {
			t.Fatalf("%d of %d bytes: read without error: %d sections", n, len(in), len(f.Sections))
		}
	}
}

func TestBitFlips(t *testing.T) {
	for _, name := range []string{"small.o", "groups.o"} {
		in := fixture(t, name)
		ref, err := elf.NewFile(newReaderAt(in))
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, len(in))
		flip := func(off, bit int) {
			copy(buf, in)
			buf[off] ^= 1 << bit
			survives(t, buf)
		}
		// Every bit of the header, a sample of what describes structure.
		for off := range ehdrSize {
			for bit := range 8 {
				flip(off, bit)
			}
		}
		for off := int(binary.LittleEndian.Uint64(in[40:])); off < len(in); off++ {
			flip(off, off%8)
			flip(off, 7)
		}
		for _, s := range ref.Sections {
			switch s.Type {
			case elf.SHT_SYMTAB, elf.SHT_RELA, elf.SHT_GROUP:
				for off := s.Offset; off < s.Offset+s.Size; off++ {
					flip(int(off), int(off%8))
				}
			}
		}
	}
}

func TestRandomDamage(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	in := fixture(t, "small.o")
	for range 3000 {
		buf := append([]byte(nil), in...)
		for range 1 + rng.IntN(20) {
			buf[rng.IntN(len(buf))] = byte(rng.Uint32())
		}
		survives(t, buf)
	}
}

// TestHugeCounts sets counts, sizes and offsets to extreme values.
func TestHugeCounts(t *testing.T) {
	in := fixture(t, "small.o")
	shoff := int(binary.LittleEndian.Uint64(in[40:]))
	num := int(binary.LittleEndian.Uint16(in[60:]))
	extreme := []uint64{0, 1, 7, 0x7f, 0xff, 0xffff, 0xff00, 0x10000, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, 1<<64 - 1, 1<<64 - 64}
	put := func(off, width int, v uint64) {
		buf := append([]byte(nil), in...)
		switch width {
		case 2:
			binary.LittleEndian.PutUint16(buf[off:], uint16(v))
		case 4:
			binary.LittleEndian.PutUint32(buf[off:], uint32(v))
		case 8:
			binary.LittleEndian.PutUint64(buf[off:], v)
		}
		survives(t, buf)
	}
	for _, v := range extreme {
		for _, f := range [][2]int{{16, 2}, {18, 2}, {40, 8}, {48, 4}, {52, 2}, {54, 2}, {56, 2}, {58, 2}, {60, 2}, {62, 2}} {
			put(f[0], f[1], v)
		}
		for i := range num {
			for _, f := range [][2]int{{0, 4}, {4, 4}, {8, 8}, {24, 8}, {32, 8}, {40, 4}, {44, 4}, {48, 8}, {56, 8}} {
				put(shoff+i*shdrSize+f[0], f[1], v)
			}
		}
	}
}

// TestQuadraticInput checks inputs whose parts are used many times: naive
// readers take memory with the square of their size.
func TestQuadraticInput(t *testing.T) {
	const n = 4000
	header := func(shoff, num int) []byte {
		h := make([]byte, ehdrSize)
		copy(h, elf.ELFMAG)
		h[elf.EI_CLASS], h[elf.EI_DATA], h[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1
		le := binary.LittleEndian
		le.PutUint16(h[16:], uint16(elf.ET_REL))
		le.PutUint16(h[18:], uint16(elf.EM_X86_64))
		le.PutUint64(h[40:], uint64(shoff))
		le.PutUint16(h[52:], ehdrSize)
		le.PutUint16(h[58:], shdrSize)
		le.PutUint16(h[60:], uint16(num))
		le.PutUint16(h[62:], 1)
		return h
	}
	section := func(name uint32, typ elf.SectionType, off, size int, link, info uint32, ent int) []byte {
		s := make([]byte, shdrSize)
		le := binary.LittleEndian
		le.PutUint32(s, name)
		le.PutUint32(s[4:], uint32(typ))
		le.PutUint64(s[24:], uint64(off))
		le.PutUint64(s[32:], uint64(size))
		le.PutUint32(s[40:], link)
		le.PutUint32(s[44:], info)
		le.PutUint64(s[48:], 1)
		le.PutUint64(s[56:], uint64(ent))
		return s
	}
	long := make([]byte, 100_000)
	for i := range long {
		long[i] = 'a'
	}
	long[0], long[len(long)-1] = 0, 0

	t.Run("one name for all symbols", func(t *testing.T) {
		syms := make([]byte, n*symSize)
		for i := range n {
			binary.LittleEndian.PutUint32(syms[i*symSize:], uint32(i+1))
		}
		body := append(append([]byte{}, long...), syms...)
		in := header(ehdrSize+len(body), 3)
		in = append(in, body...)
		in = append(in, make([]byte, shdrSize)...)
		in = append(in, section(0, elf.SHT_STRTAB, ehdrSize, len(long), 0, 0, 0)...)
		in = append(in, section(0, elf.SHT_SYMTAB, ehdrSize+len(long), len(syms), 1, 0, symSize)...)
		survives(t, in)
	})
	t.Run("one name for all sections", func(t *testing.T) {
		in := append(header(ehdrSize+len(long), n+2), long...)
		in = append(in, make([]byte, shdrSize)...)
		in = append(in, section(0, elf.SHT_STRTAB, ehdrSize, len(long), 0, 0, 0)...)
		for i := range n {
			in = append(in, section(uint32(i+1), elf.SHT_NOBITS, 0, 0, 0, 0, 0)...)
		}
		survives(t, in)
	})
	t.Run("one table for all sections", func(t *testing.T) {
		relas := make([]byte, 1000*relaSize)
		body := append(append([]byte{0}, relas...), make([]byte, symSize)...)
		in := append(header(ehdrSize+len(body), 3+2*n), body...)
		in = append(in, make([]byte, shdrSize)...)
		in = append(in, section(0, elf.SHT_STRTAB, ehdrSize, 1, 0, 0, 0)...)
		in = append(in, section(0, elf.SHT_SYMTAB, ehdrSize+1+len(relas), symSize, 1, 0, symSize)...)
		for i := range n {
			in = append(in, section(0, elf.SHT_PROGBITS, ehdrSize, 8, 0, 0, 0)...)
			in = append(in, section(0, elf.SHT_RELA, ehdrSize+1, len(relas), 2, uint32(3+2*i), relaSize)...)
		}
		survives(t, in)
		if _, err := Read(in); err == nil {
			t.Error("overlapping sections accepted")
		}
	})
	t.Run("large alignment of many sections", func(t *testing.T) {
		body := make([]byte, n)
		in := append(header(ehdrSize+len(body), n+1), body...)
		in = append(in, make([]byte, shdrSize)...)
		in = append(in, section(0, elf.SHT_STRTAB, ehdrSize, 1, 0, 0, 0)...)
		for i := 1; i < n; i++ {
			s := section(0, elf.SHT_PROGBITS, ehdrSize+i, 1, 0, 0, 0)
			binary.LittleEndian.PutUint64(s[48:], 1<<26)
			in = append(in, s...)
		}
		f, err := Read(in)
		if err != nil {
			t.Fatal(err)
		}
		out, err := f.Write()
		if err != nil || len(out) > 4*len(in) {
			t.Errorf("%d bytes became %d, error %v", len(in), len(out), err)
		}
	})
}

// TestRejects names what is wrong for inputs that a user may hand in.
func TestRejects(t *testing.T) {
	small := fixture(t, "small.o")
	edit := func(f func(b []byte)) []byte {
		b := append([]byte(nil), small...)
		f(b)
		return b
	}
	tests := []struct {
		name string
		in   []byte
		is   error
	}{
		{"empty", nil, ErrNotObject},
		{"text", []byte("#include <linux/module.h>\nint main(void) { return 0; } /* long enough to hold a header */\n"), ErrNotObject},
		{"32-bit", edit(func(b []byte) { b[elf.EI_CLASS] = 1 }), ErrNotObject},
		{"executable", edit(func(b []byte) { b[16] = byte(elf.ET_EXEC) }), ErrNotObject},
		{"byte order", edit(func(b []byte) { b[elf.EI_DATA] = 9 }), nil},
		{"program headers", edit(func(b []byte) { b[56] = 1 }), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Read(tt.in)
			if err == nil || f != nil {
				t.Fatal("accepted")
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("error %v, want %v", err, tt.is)
			}
		})
	}
}

func TestReadFileNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bad.o")
	if err := os.WriteFile(path, []byte("junk"), 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := ReadFile(path)
	if err == nil || !errors.Is(err, ErrNotObject) || !contains(err.Error(), path) {
		t.Errorf("error %v does not name the file", err)
	}
	if _, err := ReadFile(path + ".missing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestWriteRejects(t *testing.T) {
	base := func() *File {
		return &File{Machine: elf.EM_X86_64, Type: elf.ET_REL, Symbols: make([]Symbol, 2),
			Sections: []Section{{}, {Name: ".data", Type: elf.SHT_PROGBITS, Size: 4, Data: make([]byte, 4)}}}
	}
	tests := map[string]func(*File){
		"symbol section":    func(f *File) { f.Symbols[1].Sec = 2 },
		"negative section":  func(f *File) { f.Symbols[1].Sec = -9 },
		"relocation symbol": func(f *File) { f.Sections[1].Relocs = []Reloc{{Sym: 2}} },
		"negative symbol":   func(f *File) { f.Sections[1].Relocs = []Reloc{{Sym: -1}} },
		"group signature":   func(f *File) { f.Sections[1].Type, f.Sections[1].Group = elf.SHT_GROUP, 7 },
		"group member":      func(f *File) { f.Sections[1].Type, f.Sections[1].Members = elf.SHT_GROUP, []SecID{7} },
		"link":              func(f *File) { f.Sections[1].Link = 7 },
		"negative link":     func(f *File) { f.Sections[1].Link = -1 },
		"data in NOBITS":    func(f *File) { f.Sections[1].Type = elf.SHT_NOBITS },
		"alignment":         func(f *File) { f.Sections[1].Align = 3 },
	}
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			f := base()
			damage(f)
			if out, err := f.Write(); err == nil {
				t.Errorf("wrote %d bytes", len(out))
			}
		})
	}
	if _, err := base().Write(); err != nil {
		t.Error(err)
	}
	if _, err := (&File{}).Write(); err == nil {
		t.Error("wrote a file without the null section and symbol")
	}
}

func ExampleFormatError() {
	_, err := Read(make([]byte, 100))
	fmt.Println(err)
	// Output: not a relocatable ELF64 object: no ELF header
}
