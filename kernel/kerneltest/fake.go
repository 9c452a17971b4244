// Package kerneltest makes small but complete kernels for tests: a linked vmlinux with
// the tables of the real one, the bzImage around it, and a module.
package kerneltest

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

// Where the parts of the made kernel lie, and its release.
const (
	Release = "6.1.0-9-test"

	Text   = 0xffffffff81000000
	Rodata = 0xffffffff82000000
	Init   = 0xffffffff83000000
)

// Section is one section of a vmlinux to be made.
type Section struct {
	Name  string
	Type  elf.SectionType
	Flags elf.SectionFlag
	Addr  uint64
	Data  []byte
	Link  uint32 // index of the linked section, counting the null section
	Ent   uint64 // entry size, bytes
}

// Symbol is one symbol of kallsyms.
type Symbol struct {
	Addr uint64
	Type byte // as nm prints it
	Name string
}

// ELF lays out a linked x86-64 vmlinux. Section headers follow the data.
func ELF(secs []Section) []byte {
	le := binary.LittleEndian
	var names bytes.Buffer
	names.WriteByte(0)

	secs = append([]Section{{}}, secs...)
	secs = append(secs, Section{Name: ".shstrtab", Type: elf.SHT_STRTAB})
	nameOff := make([]uint32, len(secs))
	for i, section := range secs {
		if i > 0 {
			nameOff[i] = uint32(names.Len())
			names.WriteString(section.Name + "\x00")
		}
	}
	secs[len(secs)-1].Data = names.Bytes()

	// The program headers come first, so their number must be known before anything is placed.
	loads := 0
	for _, section := range secs {
		if section.Flags&elf.SHF_ALLOC != 0 && section.Type != elf.SHT_NOBITS {
			loads++
		}
	}
	out := make([]byte, 64+56*loads)
	offs := make([]uint64, len(secs))
	type load struct{ off, addr, n uint64 }
	var progs []load
	for i, section := range secs {
		for len(out)%16 != 0 {
			out = append(out, 0)
		}
		offs[i] = uint64(len(out))
		if section.Type != elf.SHT_NOBITS {
			out = append(out, section.Data...)
		}
		if section.Flags&elf.SHF_ALLOC != 0 && section.Type != elf.SHT_NOBITS {
			progs = append(progs, load{offs[i], section.Addr, uint64(len(section.Data))})
		}
	}

	ph := out[64:]
	for i, segment := range progs {
		header := ph[56*i:]
		le.PutUint32(header, uint32(elf.PT_LOAD))
		le.PutUint32(header[4:], uint32(elf.PF_R|elf.PF_X))
		le.PutUint64(header[8:], segment.off)
		le.PutUint64(header[16:], segment.addr)
		le.PutUint64(header[32:], segment.n)
		le.PutUint64(header[40:], segment.n)
	}

	shoff := uint64(len(out))
	for i, section := range secs {
		var header [64]byte
		le.PutUint32(header[:], nameOff[i])
		le.PutUint32(header[4:], uint32(section.Type))
		le.PutUint64(header[8:], uint64(section.Flags))
		le.PutUint64(header[16:], section.Addr)
		le.PutUint64(header[24:], offs[i])
		le.PutUint64(header[32:], uint64(len(section.Data)))
		le.PutUint32(header[40:], section.Link)
		le.PutUint64(header[48:], 1)
		le.PutUint64(header[56:], section.Ent)
		if i == 0 {
			header = [64]byte{}
		}
		out = append(out, header[:]...)
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

// Layout is one way in which scripts/kallsyms.c has written its tables.
type Layout struct {
	Name      string
	Align     int
	MarkWidth int  // of num_syms too
	last      bool // addresses after token_index
	seqs      bool // seqs_of_names, before token_table or at the end
	Mode      string
}

// Layouts are all of them, from the oldest.
var Layouts = []Layout{
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

// Kallsyms writes the tables for syms, which are in kallsyms order, to
// go at address base.
func Kallsyms(layout Layout, base uint64, syms []Symbol) []byte {
	le := binary.LittleEndian
	out := []byte("something else in front of the tables")
	pad := func() {
		for (base+uint64(len(out)))%uint64(layout.Align) != 0 {
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
	encode := func(text string) []byte {
		var encoded []byte
	next:
		for len(text) > 0 {
			for i, p := range pairs {
				if strings.HasPrefix(text, p) {
					encoded = append(encoded, byte(i))
					text = text[len(p):]
					continue next
				}
			}
			encoded = append(encoded, text[0])
			text = text[1:]
		}
		return encoded
	}
	relBase := uint64(0)
	for _, sym := range syms {
		if sym.Type != 'A' {
			relBase = sym.Addr
			break
		}
	}
	addresses := func() {
		pad()
		for _, sym := range syms {
			switch layout.Mode {
			case "absolute":
				word(sym.Addr, 8)
			case "relative":
				word(sym.Addr-relBase, 4)
			case "place":
				word(sym.Addr-(base+uint64(len(out))), 4)
			case "percpu":
				if sym.Type == 'A' {
					word(sym.Addr, 4)
				} else {
					word(relBase-sym.Addr-1, 4)
				}
			}
		}
		if layout.Mode == "relative" || layout.Mode == "percpu" {
			pad()
			word(relBase, 8)
		}
	}
	seqs := func() {
		pad()
		out = append(out, make([]byte, 3*len(syms))...)
	}
	if !layout.last {
		addresses()
	}
	pad()
	word(uint64(len(syms)), layout.MarkWidth)
	pad()
	var marks []int
	start := len(out)
	for i, sym := range syms {
		if i%256 == 0 {
			marks = append(marks, len(out)-start)
		}
		encoded := encode(string(sym.Type) + sym.Name)
		if len(encoded) < 0x80 {
			out = append(out, byte(len(encoded)))
		} else {
			out = append(out, byte(len(encoded))|0x80, byte(len(encoded)>>7))
		}
		out = append(out, encoded...)
	}
	pad()
	for _, m := range marks {
		word(uint64(m), layout.MarkWidth)
	}
	if layout.seqs && !layout.last {
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
	if layout.last {
		addresses()
		if layout.seqs {
			seqs()
		}
	}
	return append(out, "something else behind the tables"...)
}

// Symbols are symbols in kallsyms order: per-CPU ones, when percpu, and
// text with namesakes, long names and aliases.
func Symbols(percpu bool) []Symbol {
	var syms []Symbol
	if percpu {
		syms = append(syms, Symbol{0, 'A', "fixed_percpu_data"}, Symbol{0, 'A', "__per_cpu_start"},
			Symbol{0x40, 'A', "cpu_info"})
	}
	syms = append(syms, Symbol{Text, 'T', "_stext"}, Symbol{Text, 'T', "_text"})
	for i := range 1500 {
		name := fmt.Sprintf("ext4_do_thing_%d", i)
		switch {
		case i%10 == 0:
			name = "show"
		case i == 77:
			name = strings.Repeat("long_name_of_rust_", 20)
		}
		syms = append(syms, Symbol{Text + 16 + 16*uint64(i), 't', name})
	}
	syms = append(syms, Symbol{Rodata + 0x100000, 'D', "linux_banner"}, Symbol{Init, 'd', "__start_mcount_loc"},
		Symbol{Init + 32, 'd', "__stop_mcount_loc"},
		Symbol{Init + 40, 'd', "__start_kprobe_blacklist"}, Symbol{Init + 48, 'd', "__stop_kprobe_blacklist"})
	return syms
}

// Banner is the linux_banner of the made kernel.
const Banner = "Linux version 6.1.0-9-test (someone@example.org) (gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0, GNU ld " +
	"(GNU Binutils for Debian) 2.40) #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-1 (2026-11-14)\n"

// Vmlinux is a whole image with the given tables; symtab adds .symtab.
func Vmlinux(layout Layout, syms []Symbol, symtab bool, more ...Section) []byte {
	le := binary.LittleEndian
	text := bytes.Repeat([]byte{0x90}, 16+16*1500)
	text[0x20] = 0xc3
	var init []byte
	for _, a := range []uint64{0, Text + 16 + 4, Text + 64, Text + 48, 0, Text + 32} {
		init = le.AppendUint64(init, a)
	}

	ro := Kallsyms(layout, Rodata, syms)
	secs := []Section{
		{Name: ".text", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, Addr: Text, Data: text},
		{Name: ".rodata", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC, Addr: Rodata, Data: ro},
		{Name: ".data.banner", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_WRITE, Addr: Rodata + 0x100000,
			Data: []byte(Banner + "\x00")},
		{Name: ".init.data", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_WRITE, Addr: Init, Data: init},
		{Name: ".bss", Type: elf.SHT_NOBITS, Flags: elf.SHF_ALLOC | elf.SHF_WRITE, Addr: Init + 0x1000,
			Data: make([]byte, 64)},
		{Name: ".BTF", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC, Addr: Init + 0x2000,
			Data: []byte{0x9f, 0xeb, 1, 0}},
	}
	secs = append(secs, more...)
	// In the order of names, as a linker may write it: who needs the order of addresses has to
	// sort.
	if symtab {
		var tab bytes.Buffer
		tab.Write(make([]byte, 24))
		str := []byte{0}
		shuffled := append([]Symbol(nil), syms...)
		sort.Slice(shuffled, func(i, j int) bool { return shuffled[i].Name < shuffled[j].Name })
		for _, sym := range shuffled {
			var entry [24]byte
			le.PutUint32(entry[:], uint32(len(str)))
			str = append(append(str, sym.Name...), 0)
			bind, sec := elf.STB_LOCAL, uint16(1)
			switch sym.Type {
			case 'T':
				bind = elf.STB_GLOBAL
			case 'd', 'A':
				sec = 4
			case 'D':
				bind, sec = elf.STB_GLOBAL, 3
			}
			entry[4] = elf.ST_INFO(bind, elf.STT_NOTYPE)
			le.PutUint16(entry[6:], sec)
			le.PutUint64(entry[8:], sym.Addr)
			tab.Write(entry[:])
		}
		secs = append(secs,
			Section{Name: ".symtab", Type: elf.SHT_SYMTAB, Data: tab.Bytes(), Link: uint32(len(secs) + 2), Ent: 24},
			Section{Name: ".strtab", Type: elf.SHT_STRTAB, Data: str})
	}
	return ELF(secs)
}

// BzImage wraps a vmlinux as arch/x86/boot does.
func BzImage(t testing.TB, format string, vmlinux []byte) []byte {
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

// Write writes a file of a test, with the directories above it.
func Write(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
