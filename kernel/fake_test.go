package kernel

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/internal/unpack/packtest"
)

// This file builds small but complete kernels for the tests.

const (
	fakeText   = 0xffffffff81000000
	fakeRodata = 0xffffffff82000000
	fakeInit   = 0xffffffff83000000
)

type fakeSection struct {
	name  string
	typ   elf.SectionType
	flags elf.SectionFlag
	addr  uint64
	data  []byte
	link  uint32
	ent   uint64
}

// fakeELF lays out a linked x86-64 vmlinux. Section headers follow the data.
func fakeELF(secs []fakeSection) []byte {
	le := binary.LittleEndian
	var names bytes.Buffer
	names.WriteByte(0)
	secs = append([]fakeSection{{}}, secs...)
	secs = append(secs, fakeSection{name: ".shstrtab", typ: elf.SHT_STRTAB})
	nameOff := make([]uint32, len(secs))
	for i, s := range secs {
		if i > 0 {
			nameOff[i] = uint32(names.Len())
			names.WriteString(s.name + "\x00")
		}
	}
	secs[len(secs)-1].data = names.Bytes()
	loads := 0
	for _, s := range secs {
		if s.flags&elf.SHF_ALLOC != 0 && s.typ != elf.SHT_NOBITS {
			loads++
		}
	}
	out := make([]byte, 64+56*loads)
	offs := make([]uint64, len(secs))
	type load struct{ off, addr, n uint64 }
	var progs []load
	for i, s := range secs {
		for len(out)%16 != 0 {
			out = append(out, 0)
		}
		offs[i] = uint64(len(out))
		if s.typ != elf.SHT_NOBITS {
			out = append(out, s.data...)
		}
		if s.flags&elf.SHF_ALLOC != 0 && s.typ != elf.SHT_NOBITS {
			progs = append(progs, load{offs[i], s.addr, uint64(len(s.data))})
		}
	}
	ph := out[64:]
	for i, p := range progs {
		h := ph[56*i:]
		le.PutUint32(h, uint32(elf.PT_LOAD))
		le.PutUint32(h[4:], uint32(elf.PF_R|elf.PF_X))
		le.PutUint64(h[8:], p.off)
		le.PutUint64(h[16:], p.addr)
		le.PutUint64(h[32:], p.n)
		le.PutUint64(h[40:], p.n)
	}
	shoff := uint64(len(out))
	for i, s := range secs {
		var h [64]byte
		le.PutUint32(h[:], nameOff[i])
		le.PutUint32(h[4:], uint32(s.typ))
		le.PutUint64(h[8:], uint64(s.flags))
		le.PutUint64(h[16:], s.addr)
		le.PutUint64(h[24:], offs[i])
		le.PutUint64(h[32:], uint64(len(s.data)))
		le.PutUint32(h[40:], s.link)
		le.PutUint64(h[48:], 1)
		le.PutUint64(h[56:], s.ent)
		if i == 0 {
			h = [64]byte{}
		}
		out = append(out, h[:]...)
	}
	copy(out, elf.ELFMAG)
	out[4], out[5], out[6] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1
	le.PutUint16(out[16:], uint16(elf.ET_EXEC))
	le.PutUint16(out[18:], uint16(elf.EM_X86_64))
	le.PutUint32(out[20:], 1)
	le.PutUint64(out[32:], 64)
	le.PutUint64(out[40:], shoff)
	le.PutUint16(out[52:], 64)
	le.PutUint16(out[54:], 56)
	le.PutUint16(out[56:], uint16(loads))
	le.PutUint16(out[58:], 64)
	le.PutUint16(out[60:], uint16(len(secs)))
	le.PutUint16(out[62:], uint16(len(secs)-1))
	return out
}

// kallsymsLayout is one way in which scripts/kallsyms.c has written its tables.
type kallsymsLayout struct {
	name      string
	align     int
	markWidth int  // of num_syms too
	last      bool // addresses after token_index
	seqs      bool // seqs_of_names, before token_table or at the end
	mode      string
}

var kallsymsLayouts = []kallsymsLayout{
	{"4.0 addresses", 8, 8, false, false, "absolute"},
	{"4.6 base-relative, percpu", 8, 8, false, false, "percpu"},
	{"5.4 base-relative", 8, 4, false, false, "relative"},
	{"6.1 base-relative, percpu", 8, 4, false, false, "percpu"},
	{"6.2 with seqs in between", 8, 4, false, true, "percpu"},
	{"6.4 addresses last", 8, 4, true, true, "percpu"},
	{"6.4 addresses last, plain", 8, 4, true, true, "relative"},
	{"6.4 absolute last", 8, 4, true, true, "absolute"},
	{"7.2 place-relative", 4, 4, true, true, "place"},
}

// encodeKallsyms writes the tables for syms, which are in kallsyms order, to
// go at address base.
func encodeKallsyms(l kallsymsLayout, base uint64, syms []nmSymbol) []byte {
	le := binary.LittleEndian
	out := []byte("something else in front of the tables")
	pad := func() {
		for (base+uint64(len(out)))%uint64(l.align) != 0 {
			out = append(out, 0)
		}
	}
	word := func(v uint64, width int) {
		if width == 8 {
			out = le.AppendUint64(out, v)
		} else {
			out = le.AppendUint32(out, uint32(v))
		}
	}
	// Characters stand for themselves; the free numbers are tokens.
	var tokens [256]string
	for c := '!'; c <= '~'; c++ {
		tokens[c] = string(c)
	}
	pairs := []string{"T_", "t_", "e_", "st", "do_", "__", "ext4", "tsys_"}
	copy(tokens[:], pairs)
	for i := range tokens {
		if tokens[i] == "" {
			tokens[i] = "__pad_token"
		}
	}
	encode := func(s string) []byte {
		var b []byte
	next:
		for len(s) > 0 {
			for i, p := range pairs {
				if strings.HasPrefix(s, p) {
					b = append(b, byte(i))
					s = s[len(p):]
					continue next
				}
			}
			b = append(b, s[0])
			s = s[1:]
		}
		return b
	}
	relBase := uint64(0)
	for _, s := range syms {
		if s.typ != 'A' {
			relBase = s.addr
			break
		}
	}
	addresses := func() {
		pad()
		for _, s := range syms {
			switch l.mode {
			case "absolute":
				word(s.addr, 8)
			case "relative":
				word(s.addr-relBase, 4)
			case "place":
				word(s.addr-(base+uint64(len(out))), 4)
			case "percpu":
				if s.typ == 'A' {
					word(s.addr, 4)
				} else {
					word(relBase-s.addr-1, 4)
				}
			}
		}
		if l.mode == "relative" || l.mode == "percpu" {
			pad()
			word(relBase, 8)
		}
	}
	seqs := func() {
		pad()
		out = append(out, make([]byte, 3*len(syms))...)
	}
	if !l.last {
		addresses()
	}
	pad()
	word(uint64(len(syms)), l.markWidth)
	pad()
	var marks []int
	start := len(out)
	for i, s := range syms {
		if i%256 == 0 {
			marks = append(marks, len(out)-start)
		}
		b := encode(string(s.typ) + s.name)
		if len(b) < 0x80 {
			out = append(out, byte(len(b)))
		} else {
			out = append(out, byte(len(b))|0x80, byte(len(b)>>7))
		}
		out = append(out, b...)
	}
	pad()
	for _, m := range marks {
		word(uint64(m), l.markWidth)
	}
	if l.seqs && !l.last {
		seqs()
	}
	pad()
	var idx []int
	start = len(out)
	for _, t := range tokens {
		idx = append(idx, len(out)-start)
		out = append(append(out, t...), 0)
	}
	pad()
	for _, i := range idx {
		out = le.AppendUint16(out, uint16(i))
	}
	if l.last {
		addresses()
		if l.seqs {
			seqs()
		}
	}
	return append(out, "something else behind the tables"...)
}

// fakeSymbols are symbols in kallsyms order: per-CPU ones, when percpu, and
// text with namesakes, long names and aliases.
func fakeSymbols(percpu bool) []nmSymbol {
	var s []nmSymbol
	if percpu {
		s = append(s, nmSymbol{0, 'A', "fixed_percpu_data"}, nmSymbol{0, 'A', "__per_cpu_start"}, nmSymbol{0x40, 'A', "cpu_info"})
	}
	s = append(s, nmSymbol{fakeText, 'T', "_stext"}, nmSymbol{fakeText, 'T', "_text"})
	for i := range 1500 {
		n := fmt.Sprintf("ext4_do_thing_%d", i)
		switch {
		case i%10 == 0:
			n = "show"
		case i == 77:
			n = strings.Repeat("long_name_of_rust_", 20)
		}
		s = append(s, nmSymbol{fakeText + 16 + 16*uint64(i), 't', n})
	}
	s = append(s, nmSymbol{fakeRodata + 0x100000, 'D', "linux_banner"}, nmSymbol{fakeInit, 'd', "__start_mcount_loc"}, nmSymbol{fakeInit + 32, 'd', "__stop_mcount_loc"},
		nmSymbol{fakeInit + 40, 'd', "__start_kprobe_blacklist"}, nmSymbol{fakeInit + 48, 'd', "__stop_kprobe_blacklist"})
	return s
}

const fakeBanner = "Linux version 6.1.0-9-test (someone@example.org) (gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40) #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-1 (2026-11-14)\n"

// fakeVmlinux is a whole image with the given tables; symtab adds .symtab.
func fakeVmlinux(l kallsymsLayout, syms []nmSymbol, symtab bool, more ...fakeSection) []byte {
	le := binary.LittleEndian
	text := bytes.Repeat([]byte{0x90}, 16+16*1500)
	text[0x20] = 0xc3
	var init []byte
	for _, a := range []uint64{0, fakeText + 16 + 4, fakeText + 64, fakeText + 48, 0, fakeText + 32} {
		init = le.AppendUint64(init, a)
	}
	ro := encodeKallsyms(l, fakeRodata, syms)
	secs := []fakeSection{
		{name: ".text", typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, addr: fakeText, data: text},
		{name: ".rodata", typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC, addr: fakeRodata, data: ro},
		{name: ".data.banner", typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC | elf.SHF_WRITE, addr: fakeRodata + 0x100000, data: []byte(fakeBanner + "\x00")},
		{name: ".init.data", typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC | elf.SHF_WRITE, addr: fakeInit, data: init},
		{name: ".bss", typ: elf.SHT_NOBITS, flags: elf.SHF_ALLOC | elf.SHF_WRITE, addr: fakeInit + 0x1000, data: make([]byte, 64)},
		{name: ".BTF", typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC, addr: fakeInit + 0x2000, data: []byte{0x9f, 0xeb, 1, 0}},
	}
	secs = append(secs, more...)
	if symtab {
		var tab bytes.Buffer
		tab.Write(make([]byte, 24))
		str := []byte{0}
		shuffled := append([]nmSymbol(nil), syms...)
		sort.Slice(shuffled, func(i, j int) bool { return shuffled[i].name < shuffled[j].name })
		for _, s := range shuffled {
			var e [24]byte
			le.PutUint32(e[:], uint32(len(str)))
			str = append(append(str, s.name...), 0)
			bind, sec := elf.STB_LOCAL, uint16(1)
			switch s.typ {
			case 'T':
				bind = elf.STB_GLOBAL
			case 'd', 'A':
				sec = 4
			case 'D':
				bind, sec = elf.STB_GLOBAL, 3
			}
			e[4] = elf.ST_INFO(bind, elf.STT_NOTYPE)
			le.PutUint16(e[6:], sec)
			le.PutUint64(e[8:], s.addr)
			tab.Write(e[:])
		}
		secs = append(secs,
			fakeSection{name: ".symtab", typ: elf.SHT_SYMTAB, data: tab.Bytes(), link: uint32(len(secs) + 2), ent: 24},
			fakeSection{name: ".strtab", typ: elf.SHT_STRTAB, data: str})
	}
	return fakeELF(secs)
}

// fakeBzImage wraps a vmlinux as arch/x86/boot does.
func fakeBzImage(t testing.TB, format string, vmlinux []byte) []byte {
	le := binary.LittleEndian
	payload := packtest.Packers[format](t, vmlinux)
	if format != "gzip" {
		payload = le.AppendUint32(payload, uint32(len(vmlinux)))
	}
	const sects = 3
	out := make([]byte, (sects+1)*512+0x40)
	out[0x1f1] = sects
	copy(out[0x202:], "HdrS")
	le.PutUint16(out[0x206:], 0x20f)
	le.PutUint32(out[0x248:], 0x40)
	le.PutUint32(out[0x24c:], uint32(len(payload)))
	le.PutUint32(out[0x260:], uint32(len(vmlinux)+1<<20))
	return append(append(out, payload...), "trailing signature"...)
}

func write(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
