package model

import (
	"debug/elf"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/elfobj"
)

// Where FromObject puts things: sections in the module area, undefined
// symbols that no base program defines above it, far enough apart that an
// offset from one does not lead to the next.
const (
	objectBase = 0xffffffffc0000000
	externBase = 0xfffffffff0000000
	externSize = 0x0e000000 // of that area
)

// ObjectOptions say how an object is bound.
type ObjectOptions struct {
	Name string // for Program.Name; "" means "object"
	// Base defines what the object leaves undefined, usually the kernel.
	// Symbols that Base defines keep their address there.
	Base *Program
}

// FromObject lays a relocatable object or module out at made-up addresses and
// applies its relocations. Undefined symbols take their address in the base
// program, else a made-up one; both become extern functions or data of the
// result. Relocations that cannot be applied are an error.
func FromObject(elfFile *elfobj.File, opts ObjectOptions) (*Program, error) {
	arch, err := machine.For(elfFile.Machine)
	if err != nil {
		return nil, fmt.Errorf("model object: %w", err)
	}
	prog := &Program{Name: opts.Name, arch: arch, base: opts.Base}
	if prog.Name == "" {
		prog.Name = "object"
	}
	addrs := make([]uint64, len(elfFile.Sections))
	next := uint64(objectBase)
	for id := range elfFile.Sections {
		section := &elfFile.Sections[id]
		if section.Flags&elf.SHF_ALLOC == 0 || section.Type == elf.SHT_NULL {
			continue
		}
		align := max(section.Align, 16)
		next = (next + align - 1) &^ (align - 1)
		addrs[id] = next
		seg := Segment{Name: section.Name, Addr: next, Size: section.Size, Exec: section.Flags&elf.SHF_EXECINSTR != 0}
		if section.Type != elf.SHT_NOBITS {
			seg.Data = slices.Clone(section.Data)
		}
		// Leave a gap, so that an address one past a section is in none.
		next += section.Size + 16
		if next-objectBase > 1<<29 {
			return nil, fmt.Errorf("model %s: sections are too large", prog.Name)
		}
		prog.segs = append(prog.segs, seg)
	}
	values, err := prog.bind(elfFile, addrs, opts.Base)
	if err != nil {
		return nil, err
	}
	if err := prog.relocate(elfFile, addrs, values); err != nil {
		return nil, err
	}
	prog.sortSegments()
	prog.sortSymbols(nil)
	table := func(name string) ([]byte, uint64) {
		for i := range prog.segs {
			if prog.segs[i].Name == name {
				return prog.segs[i].Data, prog.segs[i].Addr
			}
		}
		return nil, 0
	}
	tabs := &prog.tables
	tabs.bug, tabs.bugAt = table("__bug_table")
	tabs.extable, tabs.extableAt = table("__ex_table")
	tabs.jump, tabs.jumpAt = table("__jump_table")
	tabs.alt, tabs.altAt = table(".altinstructions")
	return prog, nil
}

// bind gives every symbol its value and lists the named ones.
func (p *Program) bind(elfFile *elfobj.File, addrs []uint64, base *Program) ([]uint64, error) {
	values := make([]uint64, len(elfFile.Symbols))

	// Symbols of other objects get addresses of their own, as far apart as the space for them
	// allows.
	externs, apart := uint64(0), uint64(1)<<16
	for count := uint64(len(elfFile.Symbols)); apart > 16 && count*apart > externSize; {
		apart /= 2
	}
	for nth := range elfFile.Symbols {
		elfSym := &elfFile.Symbols[nth]
		switch {
		case nth == 0:
		case elfSym.Sec == elfobj.SecAbs:
			values[nth] = elfSym.Value
		case elfSym.Sec == elfobj.SecUndef, elfSym.Sec == elfobj.SecLivepatch, elfSym.Sec == elfobj.SecCommon:
			name := elfSym.Name
			if klp, err := elfobj.ParseKlpSymbol(name); err == nil {
				name = klp.Name
			}
			sym := Symbol{Name: name, Extern: true}
			if base != nil {
				if addr, ok := base.Lookup(name); ok {
					sym.Addr, sym.Code = addr, base.codeAt(addr)
				}
			}
			if sym.Addr == 0 {
				sym.Addr = externBase + apart*externs
				externs++
			}
			values[nth] = sym.Addr
			p.syms = append(p.syms, sym)

		case int(elfSym.Sec) < len(addrs) && elfSym.Sec > 0:
			values[nth] = addrs[elfSym.Sec] + elfSym.Value
			if elfSym.Name == "" || elfSym.Type == elf.STT_SECTION || elfSym.Type == elf.STT_FILE ||
				addrs[elfSym.Sec] == 0 {
				continue
			}
			code := p.codeAt(values[nth]) && !strings.HasPrefix(elfSym.Name, ".L") && !padding(elfSym.Name)
			p.syms = append(p.syms, Symbol{Name: elfSym.Name, Addr: values[nth], Size: elfSym.Size, Code: code &&
				(elfSym.Type == elf.STT_FUNC || elfSym.Type == elf.STT_NOTYPE)})
		default:
			return nil, fmt.Errorf("model %s: symbol %s: section %d does not exist", p.Name, elfSym.Name, elfSym.Sec)
		}
	}
	return values, nil
}

func (p *Program) relocate(elfFile *elfobj.File, addrs, values []uint64) error {
	arch, err := elfFile.Arch()
	if err != nil {
		return fmt.Errorf("model %s: %w", p.Name, err)
	}
	segOf := map[uint64]*Segment{}
	for i := range p.segs {
		segOf[p.segs[i].Addr] = &p.segs[i]
	}
	for i := range elfFile.Sections {
		section := &elfFile.Sections[i]
		if addrs[i] == 0 || section.Type == elf.SHT_NOBITS {
			continue
		}
		seg := segOf[addrs[i]]
		apply := func(rs []elfobj.Reloc) error {
			for _, rel := range rs {
				if int(rel.Sym) >= len(values) || rel.Off > uint64(len(seg.Data)) {
					return fmt.Errorf("model %s: relocation at %s+%#x is out of range", p.Name, section.Name, rel.Off)
				}
				if noAddresses(section.Name) {
					continue
				}
				val := values[rel.Sym] + uint64(rel.Addend)
				if err := arch.Apply(seg.Data[rel.Off:], rel.Type, val, seg.Addr+rel.Off); err != nil {
					return fmt.Errorf("model %s: %s+%#x: %w", p.Name, section.Name, rel.Off, err)
				}
			}
			return nil
		}
		if err := apply(section.Relocs); err != nil {
			return err
		}
		for _, relocs := range section.KlpRelocs {
			if err := apply(relocs.Relocs); err != nil {
				return err
			}
		}
	}
	return nil
}

// noAddresses tells sections whose relocations lead nowhere that matters here: unwind
// data, and versions of exports, which in v5.10 are values of symbols that the object
// may leave undefined (CONFIG_MODVERSIONS, include/linux/export.h).
func noAddresses(section string) bool {
	return strings.HasPrefix(section, ".orc_") || strings.HasPrefix(strings.TrimPrefix(section, "_"), "__kcrctab")
}
