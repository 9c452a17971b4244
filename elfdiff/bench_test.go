package elfdiff

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/klpforge/klpforge/elfobj"
)

func benchmarkPair(b *testing.B, before, after string) {
	load := func(path string) []byte {
		data, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		return data
	}
	x, y := load(before), load(after)
	size := int64(len(x) + len(y))
	read := func(b *testing.B, data []byte) *elfobj.File {
		f, err := elfobj.Read(data)
		if err != nil {
			b.Fatal(err)
		}
		return f
	}
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(len(y)))
		b.ReportAllocs()
		for b.Loop() {
			read(b, y)
		}
	})
	b.Run("load", func(b *testing.B) {
		f := read(b, y)
		b.SetBytes(int64(len(y)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Load(f); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("diff", func(b *testing.B) {
		f, g := read(b, x), read(b, y)
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Diff(f, g); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("extract", func(b *testing.B) {
		r, err := Diff(read(b, x), read(b, y))
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := extractAll(r); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkFixture(b *testing.B) {
	benchmarkPair(b, casePath("jump-label-new-key", "before.o"), casePath("jump-label-new-key", "after.o"))
}

func BenchmarkReal(b *testing.B) {
	for _, p := range realPairs(b) {
		b.Run(filepath.Base(p), func(b *testing.B) { benchmarkPair(b, p+".orig.o", p+".patched.o") })
	}
}

// manyFunctions makes an object of n functions, each with a switch table, a
// numbered static local, a string and calls to its neighbours.
func manyFunctions(n int, seed byte) *elfobj.File {
	f := &elfobj.File{Machine: elf.EM_X86_64, Type: elf.ET_REL, Sections: make([]elfobj.Section, 1), Symbols: make([]elfobj.Symbol, 1)}
	section := func(s elfobj.Section) elfobj.SecID {
		s.Size = uint64(len(s.Data))
		f.Sections = append(f.Sections, s)
		return elfobj.SecID(len(f.Sections) - 1)
	}
	symbol := func(s elfobj.Symbol) elfobj.SymID {
		f.Symbols = append(f.Symbols, s)
		return elfobj.SymID(len(f.Symbols) - 1)
	}
	text := make([]elfobj.SymID, n)
	secs := make([]elfobj.SecID, n)
	strs := section(elfobj.Section{Name: ".rodata.str1.1", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_MERGE | elf.SHF_STRINGS, EntSize: 1, Align: 1, Data: []byte("a\x00text\x00")})
	strSym := symbol(elfobj.Symbol{Type: elf.STT_SECTION, Sec: strs})
	for i := range n {
		name := fmt.Sprintf("function_%d", i)
		// call; mov $str; mov tab; call; ret
		code := append([]byte{0xe8, 0, 0, 0, 0, 0x48, 0xc7, 0xc7, 0, 0, 0, 0, 0x8b, 0x05, 0, 0, 0, 0, 0x8b, 0x05, 0, 0, 0, 0, 0xe8, 0, 0, 0, 0, 0xb8}, seed, byte(i), 0, 0, 0xc3)
		secs[i] = section(elfobj.Section{Name: ".text." + name, Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, Align: 16, Data: code})
		text[i] = symbol(elfobj.Symbol{Name: name, Bind: elf.STB_GLOBAL, Type: elf.STT_FUNC, Sec: secs[i], Size: uint64(len(code))})
	}
	for i := range n {
		tab := section(elfobj.Section{Name: fmt.Sprintf(".rodata.tab%d", i), Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC, Align: 4, Data: []byte{seed, byte(i), 0, 0}})
		tabSym := symbol(elfobj.Symbol{Name: fmt.Sprintf("table.%d", i), Type: elf.STT_OBJECT, Sec: tab, Size: 4})
		cnt := section(elfobj.Section{Name: fmt.Sprintf(".data.count%d", i), Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_WRITE, Align: 4, Data: make([]byte, 4)})
		cntSym := symbol(elfobj.Symbol{Name: fmt.Sprintf("count.%d", i+int(seed)), Type: elf.STT_OBJECT, Sec: cnt, Size: 4})
		pc32, abs := uint32(elf.R_X86_64_PC32), uint32(elf.R_X86_64_32S)
		f.Sections[secs[i]].Relocs = []elfobj.Reloc{
			{Off: 1, Type: pc32, Addend: -4, Sym: text[(i+1)%n]},
			{Off: 8, Type: abs, Addend: 2, Sym: strSym},
			{Off: 14, Type: pc32, Addend: -4, Sym: tabSym},
			{Off: 20, Type: pc32, Addend: -4, Sym: cntSym},
			{Off: 25, Type: pc32, Addend: -4, Sym: text[(i+7)%n]},
		}
	}
	return f
}

func BenchmarkSize(b *testing.B) {
	for _, n := range []int{1000, 4000, 16000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			x, y := manyFunctions(n, 1), manyFunctions(n, 2)
			b.ReportAllocs()
			for b.Loop() {
				r, err := Diff(x, y)
				if err != nil || len(r.Functions) != n {
					b.Fatal(len(r.Functions), err)
				}
				if _, err := extractAll(r); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/function")
		})
	}
}

// TestLinear compares the processor time of one size with that of eight times
// the size, where every function and table changed. A quadratic step would show
// as a factor of 64.
func TestLinear(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // all work on this thread, but for half of the splitting
	run := func(n int) time.Duration {
		x, y := manyFunctions(n, 1), manyFunctions(n, 2)
		best := time.Hour
		for range 4 {
			start := cpuTime(t, rusageThread)
			r, err := Diff(x, y)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Functions) != n {
				t.Fatalf("%d of %d functions changed", len(r.Functions), n)
			}
			if _, err := extractAll(r); err != nil {
				t.Fatal(err)
			}
			best = min(best, cpuTime(t, rusageThread)-start)
		}
		return best
	}
	small, large := run(1000), run(8000)
	t.Logf("1000 functions: %v, 8000 functions: %v", small, large)
	if large > 40*small {
		t.Errorf("8 times the size takes %.1f times as long", float64(large)/float64(small))
	}
}

// Whose processor time to ask for (getrusage(2)); package syscall lacks them.
const (
	rusageSelf   = 0
	rusageThread = 1
)

// cpuTime is the processor time that this process or thread has used: other work
// on the machine does not count.
func cpuTime(t testing.TB, who int) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
