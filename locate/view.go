package locate

import (
	"debug/elf"
	"fmt"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/kernel/kimage"
	"github.com/klpforge/klpforge/kernel/kmod"
)

// Symbol is one symbol of a shipped object at an address of a View.
type Symbol struct {
	Name   string
	Addr   uint64
	Pos    int  // 1-based among namesakes, in the order a livepatch counts
	Count  int  // namesakes
	Global bool // external linkage
	Weak   bool // linked from a weak definition
	// Stable is false for a module's symbol whose position depends on whether
	// the module is still loading.
	Stable bool
	Init   bool // gone after init
}

// Sympos is what a livepatch writes for the symbol: 0 when it is unique.
func (s Symbol) Sympos() int {
	if s.Count == 1 {
		return 0
	}
	return s.Pos
}

// View is a shipped object with every byte at an address: vmlinux at its link
// addresses, or a module laid out at addresses of our choice.
type View interface {
	// Object is the name livepatch uses: "vmlinux" or the module.
	Object() string
	// Read returns n bytes at addr, nil when they are not all there.
	Read(addr uint64, n int) []byte
	// Lookup returns the defined symbols of a name in sympos order.
	Lookup(name string) []Symbol
	// At returns the symbols at exactly addr.
	At(addr uint64) []Symbol
	// Outside returns the address given to a symbol the object does not
	// define; false for vmlinux, which has none.
	Outside(name string) (uint64, bool)
}

// VmlinuxView shows the kernel image.
type VmlinuxView struct {
	Image   *kimage.Image
	Symbols *kimage.Symbols
}

var _ View = (*VmlinuxView)(nil)

// Object implements View.
func (v *VmlinuxView) Object() string { return "vmlinux" }

// Read implements View.
func (v *VmlinuxView) Read(addr uint64, count int) []byte {
	b, err := v.Image.Read(addr, count)
	if err != nil {
		return nil
	}
	return b
}

// Lookup implements View.
func (v *VmlinuxView) Lookup(name string) []Symbol { return convert(v.Symbols.Lookup(name)) }

// At implements View.
func (v *VmlinuxView) At(addr uint64) []Symbol { return convert(v.Symbols.At(addr)) }

// Outside implements View.
func (v *VmlinuxView) Outside(string) (uint64, bool) { return 0, false }

func convert(list []kimage.Symbol) []Symbol {
	out := make([]Symbol, len(list))
	for i, s := range list {
		out[i] = Symbol{Name: s.Name, Addr: s.Addr, Pos: s.Pos, Count: s.Count, Global: s.Type >= 'A' && s.Type <= 'Z',
			Weak: strings.ContainsRune("WwVv", rune(s.Type)), Stable: true}
	}
	return out
}

// ModuleView shows a module as if it were linked: each section at an address,
// relocations applied, outside symbols at addresses of their own.
type ModuleView struct {
	m       *kmod.Module
	base    []uint64 // by section, 0 when not laid out
	data    [][]byte
	outside map[string]uint64
	byAddr  map[uint64][]Symbol
}

var _ View = (*ModuleView)(nil)

// Addresses of the layout. All survive sign extension from 32 bits. Any two are within reach of a
// direct call: the module takes 7/16 of that, behind moduleBase, and what is outside of it a quarter,
// before it.
const moduleBase = 0xffffffffc0000000

// moduleRoom is how much of a module can be laid out, bytes.
func moduleRoom(arch elfobj.Arch) uint64 { return arch.Near() / 16 * 7 }

// outsideBase is where the symbols that the module does not define begin.
func outsideBase(arch elfobj.Arch) uint64 { return moduleBase - arch.Near()/4 }

// outsideStep is between two of them, bytes.
const outsideStep = 64

// NewModuleView lays out a module.
func NewModuleView(module *kmod.Module) (*ModuleView, error) {
	file := module.File
	arch, err := elfobj.ArchOf(file.Machine)
	if err != nil {
		return nil, err
	}
	view := &ModuleView{m: module, base: make([]uint64, len(file.Sections)), data: make([][]byte, len(file.Sections)),
		outside: map[string]uint64{}, byAddr: map[uint64][]Symbol{}}
	next := uint64(moduleBase)
	for i := 1; i < len(file.Sections); i++ {
		section := &file.Sections[i]
		if section.Flags&elf.SHF_ALLOC == 0 {
			continue
		}
		if room := moduleRoom(arch) - (next - moduleBase); room < 0x2000 || section.Size > room-0x2000 {
			return nil, fmt.Errorf("module %s is too large to lay out", module.Name)
		}
		view.base[i] = next
		view.data[i] = make([]byte, section.Size)
		copy(view.data[i], section.Data)
		next += (section.Size + 0x1fff) &^ 0xfff
	}
	ext := outsideBase(arch)
	addr := func(id elfobj.SymID) uint64 {
		sym := &file.Symbols[id]
		switch {
		case sym.Sec > 0:
			return view.base[sym.Sec] + sym.Value
		case sym.Sec == elfobj.SecAbs:
			return sym.Value
		}
		if a, ok := view.outside[sym.Name]; ok {
			return a
		}
		ext += outsideStep
		view.outside[sym.Name] = ext
		return ext
	}
	for i := range file.Sections {
		if view.base[i] == 0 {
			continue
		}
		for _, rel := range file.Sections[i].Relocs {
			if rel.Off > uint64(len(view.data[i])) {
				return nil, fmt.Errorf("module %s: relocation outside %s", module.Name, file.Sections[i].Name)
			}
			// An overflow only means that this field is not comparable.
			_ = arch.Apply(view.data[i][rel.Off:], rel.Type, addr(rel.Sym)+uint64(rel.Addend), view.base[i]+rel.Off)
		}
	}
	for _, named := range module.Symbols() {
		if named.Sec > 0 && view.base[named.Sec] != 0 {
			// not a source file's name, which an unstripped module has
			sym := view.symbol(named)
			view.byAddr[sym.Addr] = append(view.byAddr[sym.Addr], sym)
		}
	}
	return view, nil
}

func (v *ModuleView) symbol(s kmod.Symbol) Symbol {
	return Symbol{Name: s.Name, Addr: v.base[s.Sec] + s.Off, Pos: s.Pos, Count: s.Count,
		Global: v.m.File.Symbols[s.Sym].Bind != elf.STB_LOCAL, Weak: v.m.File.Symbols[s.Sym].Bind == elf.STB_WEAK,
		Stable: s.SymposStable(), Init: s.Init}
}

// Object implements View.
func (v *ModuleView) Object() string { return v.m.Name }

// Read implements View.
func (v *ModuleView) Read(addr uint64, count int) []byte {
	loc, ok := v.Loc(addr)
	// A negative count is a huge one.
	if !ok || uint64(count) > uint64(len(v.data[loc.Sec]))-loc.Off {
		return nil
	}
	return v.data[loc.Sec][loc.Off:][:count]
}

// Lookup implements View.
func (v *ModuleView) Lookup(name string) []Symbol {
	var out []Symbol
	for _, s := range v.m.Lookup(name) {
		if s.Sec > 0 && v.base[s.Sec] != 0 {
			out = append(out, v.symbol(s))
		}
	}
	return out
}

// At implements View.
func (v *ModuleView) At(addr uint64) []Symbol { return v.byAddr[addr] }

// Outside implements View.
func (v *ModuleView) Outside(name string) (uint64, bool) { a, ok := v.outside[name]; return a, ok }

// Loc translates an address of the layout back to section and offset.
func (v *ModuleView) Loc(addr uint64) (kmod.Loc, bool) {
	for i, data := range v.data {
		// Below the section this is a huge number, and what is not loaded has no bytes.
		if off := addr - v.base[i]; off < uint64(len(data)) {
			return kmod.Loc{Sec: elfobj.SecID(i), Off: off}, true
		}
	}
	return kmod.Loc{}, false
}
