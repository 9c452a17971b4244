package kmod

import (
	"debug/elf"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/internal/regular"
	"github.com/klpforge/klpforge/internal/unpack"
	"github.com/klpforge/klpforge/kernel/karch"
)

// Module is one shipped .ko. Its symbols are at section offsets: a module has
// no link-time addresses.
type Module struct {
	Name string // as the kernel knows it
	Path string
	File *elfobj.File
	// Signed says that a signature was appended (and cut off).
	Signed bool
	Info   Modinfo

	syms   []Symbol
	byName map[string][]int32
	locs   []Loc
	arch   karch.Arch
}

// Symbol is a defined symbol of a module as the kernel's kallsyms shows it.
type Symbol struct {
	Name string
	Type byte // as /proc/kallsyms prints it (elf_type, kernel/module/kallsyms.c), never upper case
	Sym  elfobj.SymID
	Sec  elfobj.SecID
	Off  uint64 // from the start of Sec, bytes
	Size uint64 // bytes
	// Init says that the symbol is gone once the module is initialised.
	Init bool
	// Pos and Count are the sympos, from 1, and the number of namesakes
	// while the module loads: then the whole symbol table counts. That is
	// what a livepatch sees that was loaded before the module.
	Pos, Count int
	// CorePos and CoreCount are the same once the module is initialised,
	// when only core symbols are kept; 0 for a symbol that is not kept. That
	// is what a livepatch sees that is loaded after the module.
	CorePos, CoreCount int
}

// SymposStable reports whether the symbol has one position whenever the
// livepatch is loaded.
func (s Symbol) SymposStable() bool { return s.Pos == s.CorePos && s.Count == s.CoreCount }

// Sympos is the position to write into a livepatch: 0 for a unique symbol,
// otherwise Pos. It holds before and after initialisation only when
// SymposStable.
func (s Symbol) Sympos() int {
	if s.Count == 1 {
		return 0
	}
	return s.Pos
}

// Loc is a place in a module.
type Loc struct {
	Sec elfobj.SecID
	Off uint64 // from the start of Sec, bytes
}

// Read reads a .ko, plain or compressed with gzip, xz or zstd, with or
// without an appended signature. Symbol positions assume
// CONFIG_KALLSYMS_ALL and CONFIG_MODULE_UNLOAD.
func Read(path string) (*Module, error) { return read(path, rulesOf(nil)) }

func read(path string, rules rules) (*Module, error) {
	raw, err := regular.Read(path, unpack.MaxFile)
	if err != nil {
		return nil, fmt.Errorf("read module: %w", err)
	}
	m, err := parse(path, raw, rules)
	if err != nil {
		return nil, fmt.Errorf("read module %s: %w", path, err)
	}
	return m, nil
}

func parse(path string, raw []byte, rules rules) (*Module, error) {
	raw, err := unpack.File(path, raw)
	if err != nil {
		return nil, err
	}
	data, signed, err := StripSignature(raw)
	if err != nil {
		return nil, err
	}

	file, err := elfobj.Read(data)
	if err != nil {
		return nil, err
	}
	arch, ok := karch.Of(file.Machine)
	if !ok {
		return nil, fmt.Errorf("architecture %v is not supported", file.Machine)
	}

	// The name in .modinfo is what the kernel goes by; a file may be called otherwise.
	module := &Module{Name: Name(path), Path: path, File: file, Signed: signed, arch: arch}
	for _, section := range file.Sections {
		if section.Name == ".modinfo" {
			module.Info = append(module.Info, ParseModinfo(section.Data)...)
		}
	}
	if n := module.Info.Get("name"); n != "" {
		module.Name = n
	}
	module.symbols(rules)
	module.ftrace()
	return module, nil
}

// symbols lists what module_kallsyms_on_each_symbol walks: the symbol table
// in its order without undefined symbols; and, once initialised, of those
// only the core ones (add_kallsyms and is_core_symbol in
// kernel/module/kallsyms.c, v6.1).
func (m *Module) symbols(rules rules) {
	file := m.File
	m.byName = map[string][]int32{}
	core := map[string]int{}
	for id := 1; id < len(file.Symbols); id++ {
		sym := &file.Symbols[id]
		if sym.Sec == elfobj.SecUndef || sym.Name == "" {
			continue
		}
		ms := Symbol{Name: sym.Name, Sym: elfobj.SymID(id), Sec: sym.Sec, Off: sym.Value, Size: sym.Size,
			Type: m.elfType(sym)}
		isCore := false
		if sym.Sec > 0 {
			sec := &file.Sections[sym.Sec]
			ms.Init = strings.HasPrefix(sec.Name, ".init") || !rules.unload && strings.HasPrefix(sec.Name, ".exit")
			switch {
			case sec.Name == ".data..percpu":
				isCore = rules.all
			case sec.Name == ".modinfo" || sec.Name == "__versions": // the loader clears SHF_ALLOC
			default:
				isCore = sec.Flags&elf.SHF_ALLOC != 0 && !ms.Init && (rules.all || sec.Flags&elf.SHF_EXECINSTR != 0)
			}
		}
		ms.Pos = len(m.byName[sym.Name]) + 1
		if isCore {
			core[sym.Name]++
			ms.CorePos = core[sym.Name]
		}
		m.byName[sym.Name] = append(m.byName[sym.Name], int32(len(m.syms)))
		m.syms = append(m.syms, ms)
	}
	for i := range m.syms {
		sym := &m.syms[i]
		sym.Count = len(m.byName[sym.Name])
		if sym.CorePos > 0 {
			sym.CoreCount = core[sym.Name]
		}
	}
}

// elfType mirrors elf_type.
func (m *Module) elfType(sym *elfobj.Symbol) byte {
	// The order of the tests is the kernel's: weak before absolute, per-CPU before what the flags
	// say.
	if sym.Bind == elf.STB_WEAK {
		if sym.Type == elf.STT_OBJECT {
			return 'v'
		}
		return 'w'
	}
	if sym.Sec == elfobj.SecAbs {
		return 'a'
	}
	if sym.Sec < 0 {
		return '?'
	}
	sec := &m.File.Sections[sym.Sec]
	switch {
	case sec.Name == ".data..percpu":
		return 'a'
	case sec.Flags&elf.SHF_EXECINSTR != 0:
		return 't'
	case sec.Type == elf.SHT_NOBITS:
		return 'b'
	case sec.Flags&elf.SHF_ALLOC != 0 && sec.Flags&elf.SHF_WRITE == 0:
		return 'r'
	case sec.Flags&elf.SHF_ALLOC != 0:
		return 'd'
	case strings.HasPrefix(sec.Name, ".debug"):
		return 'n'
	}
	return '?'
}

// Symbols returns all defined, named symbols in kallsyms order. The caller
// must not change the slice.
func (m *Module) Symbols() []Symbol { return m.syms }

// Lookup returns the symbols of a name in sympos order.
func (m *Module) Lookup(name string) []Symbol {
	ids := m.byName[name]
	if len(ids) == 0 {
		return nil
	}
	out := make([]Symbol, len(ids))
	for i, id := range ids {
		out[i] = m.syms[id]
	}
	return out
}

// At returns the symbols at exactly that place, in kallsyms order.
func (m *Module) At(l Loc) []Symbol {
	var out []Symbol
	for _, sym := range m.syms {
		if sym.Sec == l.Sec && sym.Off == l.Off {
			out = append(out, sym)
		}
	}
	return out
}

// ftrace collects the places that the module's ftrace section names through
// its relocations.
func (m *Module) ftrace() {
	for i := range m.File.Sections {
		section := &m.File.Sections[i]
		if !slices.Contains(m.arch.McountSections, section.Name) {
			continue
		}
		for _, rel := range section.Relocs {
			sym := &m.File.Symbols[rel.Sym]
			if sym.Sec > 0 {
				m.locs = append(m.locs, Loc{sym.Sec, sym.Value + uint64(rel.Addend)})
			}
		}
	}
	slices.SortFunc(m.locs, cmpLoc)
}

func cmpLoc(left, right Loc) int {
	if left.Sec != right.Sec {
		return int(left.Sec) - int(right.Sec)
	}
	switch {
	case left.Off < right.Off:
		return -1
	case left.Off > right.Off:
		return 1
	}
	return 0
}

// FtraceLocs returns the module's ftrace locations, sorted. The caller must
// not change the slice.
func (m *Module) FtraceLocs() []Loc { return m.locs }

// Traceable reports whether the function at l, size bytes long, has an ftrace
// location at its entry.
func (m *Module) Traceable(l Loc, size uint64) bool {
	first := Loc{l.Sec, l.Off - min(m.arch.FtraceBefore, l.Off)}
	i, _ := slices.BinarySearchFunc(m.locs, first, cmpLoc)
	return i < len(m.locs) && m.locs[i].Sec == l.Sec && m.arch.AtEntry(m.locs[i].Off, l.Off, size)
}
