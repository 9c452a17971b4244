package elfdiff

import (
	"debug/elf"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
)

// TestAddends changes what is added to the address of each kind of target. Each time
// the function changes, and the reason tells the two places apart.
func TestAddends(t *testing.T) {
	const strs = "a text of the kernel\x00another text here\x00"
	kinds := map[string]func(o object) elfobj.SymID{
		"outside": func(o object) elfobj.SymID {
			return o.symbol(elfobj.Symbol{Name: "outside", Bind: elf.STB_GLOBAL})
		},
		"absolute": func(o object) elfobj.SymID {
			return o.symbol(elfobj.Symbol{Name: "fixed", Bind: elf.STB_GLOBAL, Sec: elfobj.SecAbs, Value: 0x1000})
		},
		"variable": func(o object) elfobj.SymID {
			id := o.section(".data.v", elf.SHF_WRITE, make([]byte, 64))
			return o.symbol(elfobj.Symbol{Name: "v", Type: elf.STT_OBJECT, Bind: elf.STB_GLOBAL, Sec: id, Size: 64})
		},
		"per-CPU variable": func(o object) elfobj.SymID {
			id := o.section(".data..percpu", elf.SHF_WRITE, make([]byte, 64))
			return o.symbol(elfobj.Symbol{Name: "counters", Type: elf.STT_OBJECT, Bind: elf.STB_GLOBAL, Sec: id, Size: 64})
		},
		"variable by its section": func(o object) elfobj.SymID {
			id := o.section(".data", elf.SHF_WRITE, make([]byte, 64))
			o.symbol(elfobj.Symbol{Name: "v", Type: elf.STT_OBJECT, Sec: id, Size: 64})
			return o.symbol(elfobj.Symbol{Type: elf.STT_SECTION, Sec: id})
		},
		"nameless constant": func(o object) elfobj.SymID {
			id := o.section(".rodata", 0, []byte(strings.Repeat("\x07", 64)))
			return o.symbol(elfobj.Symbol{Type: elf.STT_SECTION, Sec: id})
		},
		"constant that the compiler made": func(o object) elfobj.SymID {
			id := o.section(".rodata.CSWTCH.3", 0, []byte(strings.Repeat("\x07", 64)))
			return o.symbol(elfobj.Symbol{Name: "CSWTCH.3", Type: elf.STT_OBJECT, Sec: id, Size: 64})
		},
		"function": func(o object) elfobj.SymID {
			id := o.section(".text.g", elf.SHF_EXECINSTR, []byte(strings.Repeat("\x90", 63)+"\xc3"))
			return o.symbol(elfobj.Symbol{Name: "g", Type: elf.STT_FUNC, Bind: elf.STB_GLOBAL, Sec: id, Size: 64})
		},
		"entry of a table": func(o object) elfobj.SymID {
			id := o.section("__tracepoints", elf.SHF_WRITE, make([]byte, 64))
			return o.symbol(elfobj.Symbol{Name: "__tracepoint_hit", Type: elf.STT_OBJECT, Bind: elf.STB_GLOBAL, Sec: id, Size: 64})
		},
		"string": func(o object) elfobj.SymID {
			id := o.section(".rodata.str1.1", elf.SHF_MERGE|elf.SHF_STRINGS, []byte(strs))
			o.Sections[id].EntSize = 1
			return o.symbol(elfobj.Symbol{Type: elf.STT_SECTION, Sec: id})
		},
		"string with a symbol": func(o object) elfobj.SymID {
			id := o.section(".rodata.str1.1", elf.SHF_MERGE|elf.SHF_STRINGS, []byte(strs))
			o.Sections[id].EntSize = 1
			return o.symbol(elfobj.Symbol{Name: ".LC0", Sec: id})
		},
		"pooled constant": func(o object) elfobj.SymID {
			id := o.section(".rodata.cst16", elf.SHF_MERGE, []byte("0123456789abcdef0123456789abcdef"))
			o.Sections[id].EntSize = 16
			return o.symbol(elfobj.Symbol{Type: elf.STT_SECTION, Sec: id})
		},
		"replacement code": func(o object) elfobj.SymID {
			id := o.section(".altinstr_replacement", elf.SHF_EXECINSTR, []byte(strings.Repeat("\x90", 32)))
			repl := o.symbol(elfobj.Symbol{Type: elf.STT_SECTION, Sec: id})
			fn := o.section(".text.h", elf.SHF_EXECINSTR, []byte(strings.Repeat("\x90", 31)+"\xc3"))
			h := o.symbol(elfobj.Symbol{Name: "h", Type: elf.STT_FUNC, Bind: elf.STB_GLOBAL, Sec: fn, Size: 32})
			table := o.section(".altinstructions", 0, []byte{0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 16, 16})
			o.Sections[table].Relocs = []elfobj.Reloc{{Off: 0, Type: uint32(elf.R_X86_64_PC32), Sym: h}, {Off: 4, Type: uint32(elf.R_X86_64_PC32), Sym: repl}}
			return repl
		},
	}
	for name, target := range kinds {
		t.Run(name, func(t *testing.T) {
			build := func(addend int64) *elfobj.File {
				o := newObject()
				sym := target(o)
				o.function("f", sym)
				id := elfobj.SecID(len(o.Sections) - 1)
				o.Sections[id].Relocs[0].Addend = addend
				return o.File
			}
			same, err := Diff(build(8), build(8))
			if err != nil {
				t.Fatal(err)
			}
			if got := describe(same); got[0] != "nothing" {
				t.Errorf("the same addend: %q", got)
			}
			r, err := Diff(build(8), build(12))
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Functions) != 1 || r.Functions[0].Name != "f" || len(r.Functions[0].Reasons) != 1 {
				t.Fatalf("functions %+v", r.Functions)
			}
			why := r.Functions[0].Reasons[0]
			_, places, _ := strings.Cut(why, ": ")
			if from, to, ok := strings.Cut(places, " -> "); ok && from == to {
				t.Errorf("the reason does not tell the places apart: %s", why)
			}
		})
	}
}
