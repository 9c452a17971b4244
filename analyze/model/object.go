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
func FromObject(f *elfobj.File, o ObjectOptions) (*Program, error) {
	arch, err := machine.For(f.Machine)
	if err != nil {
		return nil, fmt.Errorf("model object: %w", err)
	}
	p := &Program{Name: o.Name, arch: arch, base: o.Base}
	if p.Name == "" {
		p.Name = "object"
	}
	addrs := make([]uint64, len(f.Sections))
	next := uint64(objectBase)
	for i := range f.Sections {
		s := &f.Sections[i]
		if s.Flags&elf.SHF_ALLOC == 0 || s.Type == elf.SHT_NULL {
			continue
		}
		align := max(s.Align, 16)
		next = (next + align - 1) &^ (align - 1)
		addrs[i] = next
		seg := Segment{Name: s.Name, Addr: next, Size: s.Size, Exec: s.Flags&elf.SHF_EXECINSTR != 0}
		if s.Type != elf.SHT_NOBITS {
			seg.Data = slices.Clone(s.Data)
		}
		// Leave a gap, so that an address one past a section is in none.
		next += s.Size + 16
		if next-objectBase > 1<<29 {
			return nil, fmt.Errorf("model %s: sections are too large", p.Name)
		}
		p.segs = append(p.segs, seg)
	}
	values, err := p.bind(f, addrs, o.Base)
	if err != nil {
		return nil, err
	}
	if err := p.relocate(f, addrs, values); err != nil {
		return nil, err
	}
	p.sortSegments()
	p.sortSymbols(nil)
	table := func(name string) ([]byte, uint64) {
		for i := range p.segs {
			if p.segs[i].Name == name {
				return p.segs[i].Data, p.segs[i].Addr
			}
		}
		return nil, 0
	}
	t := &p.tables
	t.bug, t.bugAt = table("__bug_table")
	t.extable, t.extableAt = table("__ex_table")
	t.jump, t.jumpAt = table("__jump_table")
	t.alt, t.altAt = table(".altinstructions")
	return p, nil
}

// bind gives every symbol its value and lists the named ones.
func (p *Program) bind(f *elfobj.File, addrs []uint64, base *Program) ([]uint64, error) {
	values := make([]uint64, len(f.Symbols))
	externs, apart := uint64(0), uint64(1)<<16
	for n := uint64(len(f.Symbols)); apart > 16 && n*apart > externSize; {
		apart /= 2
	}
	for i := range f.Symbols {
		s := &f.Symbols[i]
		switch {
		case i == 0:
		case s.Sec == elfobj.SecAbs:
			values[i] = s.Value
		case s.Sec == elfobj.SecUndef, s.Sec == elfobj.SecLivepatch, s.Sec == elfobj.SecCommon:
			name := s.Name
			if k, err := elfobj.ParseKlpSymbol(name); err == nil {
				name = k.Name
			}
			sym := Symbol{Name: name, Extern: true}
			if base != nil {
				if a, ok := base.Lookup(name); ok {
					sym.Addr, sym.Code = a, base.codeAt(a)
				}
			}
			if sym.Addr == 0 {
				sym.Addr = externBase + apart*externs
				externs++
			}
			values[i] = sym.Addr
			p.syms = append(p.syms, sym)
		case int(s.Sec) < len(addrs) && s.Sec > 0:
			values[i] = addrs[s.Sec] + s.Value
			if s.Name == "" || s.Type == elf.STT_SECTION || s.Type == elf.STT_FILE || addrs[s.Sec] == 0 {
				continue
			}
			code := p.codeAt(values[i]) && !strings.HasPrefix(s.Name, ".L") && !padding(s.Name)
			p.syms = append(p.syms, Symbol{Name: s.Name, Addr: values[i], Size: s.Size, Code: code && (s.Type == elf.STT_FUNC || s.Type == elf.STT_NOTYPE)})
		default:
			return nil, fmt.Errorf("model %s: symbol %s: section %d does not exist", p.Name, s.Name, s.Sec)
		}
	}
	return values, nil
}

func (p *Program) relocate(f *elfobj.File, addrs, values []uint64) error {
	segOf := map[uint64]*Segment{}
	for i := range p.segs {
		segOf[p.segs[i].Addr] = &p.segs[i]
	}
	for i := range f.Sections {
		s := &f.Sections[i]
		if addrs[i] == 0 || s.Type == elf.SHT_NOBITS {
			continue
		}
		seg := segOf[addrs[i]]
		apply := func(rs []elfobj.Reloc) error {
			for _, r := range rs {
				if int(r.Sym) >= len(values) || r.Off > uint64(len(seg.Data)) {
					return fmt.Errorf("model %s: relocation at %s+%#x is out of range", p.Name, s.Name, r.Off)
				}
				if noAddresses(s.Name) {
					continue
				}
				v := values[r.Sym] + uint64(r.Addend)
				if err := x86.Apply(seg.Data[r.Off:], r.Type, v, seg.Addr+r.Off); err != nil {
					return fmt.Errorf("model %s: %s+%#x: %w", p.Name, s.Name, r.Off, err)
				}
			}
			return nil
		}
		if err := apply(s.Relocs); err != nil {
			return err
		}
		for _, k := range s.KlpRelocs {
			if err := apply(k.Relocs); err != nil {
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

// x86 applies the relocations of objects.
var x86 = func() elfobj.Arch {
	a, err := elfobj.ArchOf(elf.EM_X86_64)
	if err != nil {
		panic(err)
	}
	return a
}()
