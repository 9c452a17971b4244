package elfdiff

import (
	"cmp"
	"debug/elf"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// AtomID indexes Object.Atoms.
type AtomID int32

// Atom is one function, variable, or nameless piece of constant data.
type Atom struct {
	Name  string // of the primary symbol; empty for nameless data
	Start uint64 // offset of the first byte in Sec
	End   uint64 // offset after the last byte in Sec, padding included
	Base  uint64 // offset of the primary symbol in Sec; Start unless prefixed
	Size  uint64 // bytes of the primary symbol, padding excluded
	Sec   elfobj.SecID
	Sym   elfobj.SymID
	// Parent is the function of which this is a cold piece or an alternative's
	// out-of-line code; -1 otherwise.
	Parent AtomID
	Class  class
	Undec  bool // holds an instruction the decoder does not know
}

// Local reports whether the atom is visible only in its object.
func (o *Object) Local(atom AtomID) bool {
	s := o.Atoms[atom].Sym
	return s == 0 || o.File.Symbols[s].Bind == elf.STB_LOCAL
}

// Object is an object split into atoms.
type Object struct {
	File  *elfobj.File
	Arch  elfobj.Arch
	Atoms []Atom

	class   []class   // by section
	inSec   []idRange // by section: where in order its atoms are
	order   []AtomID  // those of one section by address
	symAtom []AtomID  // by symbol, -1 if none
	// by relocation of code: from its place to where a PC-relative value counts from
	bias     []int8
	biasFrom []uint32                     // by section of code: its first in bias
	refs     map[elfobj.SecID]sectionRefs // of sections where they are not the file's relocations
	dataIn   map[elfobj.SecID][]span      // by section of code: data between the instructions
	tables   []table                      // special sections
	// indices of their entries, by atom; those of atom a are owned[ownedFrom[a]:ownedFrom[a+1]]
	owned     []uint32
	ownedFrom []uint32
	traceable []bool          // by atom: has an ftrace entry
	labels    []bool          // by atom: constant table of places inside functions
	ctors     map[AtomID]bool // functions that only the loader calls, for sanitizers
	readBy    []AtomID        // those that refer to atom a are readBy[readFrom[a]:readFrom[a+1]]
	readFrom  []uint32
	inSlots   map[AtomID]bool // functions and variables that a table of addresses has
	readOnce  sync.Once
	anyTrace  bool
	spare     []bool // by atom: the compiler left room at its start; nil without such places
}

// Load splits file into atoms. The object aliases its data.
func Load(file *elfobj.File) (*Object, error) {
	arch, err := file.Arch()
	if err != nil {
		return nil, err
	}
	file = merged(file, arch)
	obj := &Object{File: file, Arch: arch}
	n := len(file.Sections)
	obj.class = make([]class, n)
	for i := 1; i < n; i++ {
		obj.class[i] = obj.classify(&file.Sections[i])
	}
	if err := obj.checkRelocs(); err != nil {
		return nil, err
	}
	obj.split()
	obj.findData()
	obj.decodeAll()
	obj.adoptCold()
	obj.splitOutOfLine()
	obj.findLabels()
	obj.findConstructors()
	if err := obj.readTables(); err != nil {
		return nil, err
	}
	obj.findTraceable()
	return obj, nil
}

// merged returns file with relocations that mean something only together made one;
// file itself when it has none of these.
func merged(file *elfobj.File, arch elfobj.Arch) *elfobj.File {
	out := file
	for i := range file.Sections {
		section := &file.Sections[i]
		if section.Flags&elf.SHF_ALLOC == 0 {
			continue // nothing is read but names and code
		}
		relocs := arch.Merge(file, elfobj.SecID(i))
		if len(relocs) == len(section.Relocs) {
			continue
		}
		if out == file {
			c := *file
			c.Sections = slices.Clone(file.Sections)
			out = &c
		}
		out.Sections[i].Relocs = relocs
	}
	return out
}

func (o *Object) code(s elfobj.SecID) bool { return o.class[s] == classText || o.class[s] == classAlt }

// idRange is a range of indices.
type idRange struct{ from, to uint32 }

// atomsIn returns the atoms of a section in order of address.
func (o *Object) atomsIn(sec elfobj.SecID) []AtomID {
	r := o.inSec[sec]
	return o.order[r.from:r.to]
}

// sectionRefs are the relocations of a section, with the distance from the place of
// each to where a PC-relative value counts from.
type sectionRefs struct {
	relocs []elfobj.Reloc
	bias   []int8
}

// relocs returns the relocations of a section: those of the file and the implied
// ones.
func (o *Object) relocs(sec elfobj.SecID) []elfobj.Reloc {
	if o.refs != nil {
		if r, ok := o.refs[sec]; ok {
			return r.relocs
		}
	}
	return o.File.Sections[sec].Relocs
}

// biasOf returns the distance from the place of a section's idx-th relocation to
// where a PC-relative value counts from.
func (o *Object) biasOf(sec elfobj.SecID, idx int) int64 {
	if o.refs != nil {
		if r, ok := o.refs[sec]; ok {
			return int64(r.bias[idx])
		}
	}
	if o.code(sec) {
		return int64(o.bias[int(o.biasFrom[sec])+idx])
	}
	return 0
}

// checkRelocs rejects what later steps would have to guess about.
func (o *Object) checkRelocs() error {
	for i := range o.File.Sections {
		section := &o.File.Sections[i]
		if o.class[i] == classIgnore {
			continue
		}
		for _, rel := range section.Relocs {
			if !o.Arch.Known(rel.Type) {
				return &finding.Finding{ID: finding.IDUnknownSection, Severity: finding.Error, Section: section.Name,
					Message: fmt.Sprintf("relocation %s at %#x is of a type that is not known for %s",
						o.Arch.RelocName(rel.Type), rel.Off, o.Arch.Name()),
					Remedy: "compile the object as the kernel's makefiles do for code that a module may hold"}
			}
			if w := uint64(o.Arch.Width(rel.Type)); rel.Off+w > section.Size || rel.Off+w < rel.Off ||
				section.Type == elf.SHT_NOBITS {
				return fmt.Errorf("section %s: relocation at %#x reaches outside the section", section.Name, rel.Off)
			}
			if rel.Sym == 0 && o.Arch.Width(rel.Type) != 0 {
				return fmt.Errorf("section %s: relocation at %#x has no symbol", section.Name, rel.Off)
			}
		}
	}
	return nil
}

// split makes the atoms of every section from its symbols.
func (o *Object) split() {
	file := o.File
	o.symAtom = make([]AtomID, len(file.Symbols))
	// The symbols that make atoms, by section.
	from := make([]uint32, len(file.Sections)+1)
	for i := range file.Symbols {
		o.symAtom[i] = -1
		if sym := &file.Symbols[i]; o.makesAtom(sym) {
			from[sym.Sec+1]++
		}
	}
	for i := 1; i < len(from); i++ {
		from[i] += from[i-1]
	}
	syms, next := make([]elfobj.SymID, from[len(file.Sections)]), slices.Clone(from)
	atoms := 0 // at most: labels are none
	for i := range file.Symbols {
		sym := &file.Symbols[i]
		if !o.makesAtom(sym) {
			continue
		}
		syms[next[sym.Sec]] = elfobj.SymID(i)
		next[sym.Sec]++
		if !isPrefix(sym.Name) {
			atoms++
		}
	}
	for i := range file.Sections {
		if o.divides(elfobj.SecID(i)) && from[i] == from[i+1] {
			atoms++
		}
	}
	pieces := o.sanitizerPieces()
	for _, starts := range pieces {
		atoms += len(starts) - 1
	}
	o.Atoms, o.order = make([]Atom, 0, atoms), make([]AtomID, 0, atoms)
	o.inSec = make([]idRange, len(file.Sections))
	prefixes := o.prefixes()
	for i := 1; i < len(file.Sections); i++ {
		id, at := elfobj.SecID(i), uint32(len(o.order))
		n, _ := slices.BinarySearchFunc(prefixes, id,
			func(p prefix, id elfobj.SecID) int { return cmp.Compare(p.sec, id) })
		prefixes = prefixes[n:]
		n, _ = slices.BinarySearchFunc(prefixes, id+1,
			func(p prefix, id elfobj.SecID) int { return cmp.Compare(p.sec, id) })
		if o.divides(id) {
			o.splitSection(id, &file.Sections[i], syms[from[i]:from[i+1]], prefixes[:n], pieces[id])
		}
		o.inSec[i] = idRange{at, uint32(len(o.order))}
	}
}

// makesAtom reports whether the symbol stands for bytes of a section.
func (o *Object) makesAtom(sym *elfobj.Symbol) bool {
	if sym.Sec <= 0 || sym.Type == elf.STT_SECTION || sym.Type == elf.STT_FILE || sym.Name == "" {
		return false
	}
	return !(strings.HasPrefix(sym.Name, ".L") && sym.Size == 0) && o.Arch.Mark(sym.Name) == elfobj.MarkNone
}

// divides reports whether the section consists of atoms.
func (o *Object) divides(sec elfobj.SecID) bool {
	switch o.class[sec] {
	case classIgnore, classTable, classString, classConst, classAlt, classSlots:
		return false
	}
	return true
}

// maxPrefix bounds what may lie before a function's symbol and belong to it, bytes.
const maxPrefix = 64

// prefix is an offset in a section where the bytes of a function begin.
type prefix struct {
	sec elfobj.SecID
	off uint64
}

// prefixes lists, in order, where bytes start that belong to the function behind
// them although no symbol says so: ftrace entries before the symbol
// (-fpatchable-function-entry=N,M), and what the architecture's relocations tell.
func (o *Object) prefixes() []prefix {
	var out []prefix
	file := o.File
	for i := range file.Sections {
		section := &file.Sections[i]
		entries := section.Name == "__patchable_function_entries"
		if o.class[i] != classText && !entries {
			continue
		}
		if entries {
			out = slices.Grow(out, len(section.Relocs))
		}
		for k := range section.Relocs {
			rel := &section.Relocs[k]
			sym := &file.Symbols[rel.Sym]
			switch {
			case entries && sym.Sec > 0:
				out = append(out, prefix{sym.Sec, sym.Value + uint64(rel.Addend)})
			case !entries && o.Arch.Prefix(rel.Type, sym.Name):
				out = append(out, prefix{elfobj.SecID(i), rel.Off})
			}
		}
	}
	slices.SortFunc(out, func(a, b prefix) int { return cmp.Or(cmp.Compare(a.sec, b.sec), cmp.Compare(a.off, b.off)) })
	return out
}

// span is a range of offsets in a section.
type span struct{ from, to uint64 }

// findData finds the data between the instructions of a section of code, by the
// symbols that assemblers leave for this purpose.
func (o *Object) findData() {
	type mark struct {
		at   uint64
		data bool
	}
	marks := map[elfobj.SecID][]mark{}
	for i := range o.File.Symbols {
		sym := &o.File.Symbols[i]
		if sym.Sec <= 0 || !o.code(sym.Sec) {
			continue
		}
		if kind := o.Arch.Mark(sym.Name); kind == elfobj.MarkCode || kind == elfobj.MarkData {
			marks[sym.Sec] = append(marks[sym.Sec], mark{sym.Value, kind == elfobj.MarkData})
		}
	}

	// A mark holds from its place to the next one.
	if len(marks) > 0 {
		o.dataIn = map[elfobj.SecID][]span{}
	}
	for sec, list := range marks {
		slices.SortStableFunc(list, func(a, b mark) int { return cmp.Compare(a.at, b.at) })
		for k, next := range list {
			end := o.File.Sections[sec].Size
			if k+1 < len(list) {
				end = list[k+1].at
			}
			if next.data && end > next.at {
				o.dataIn[sec] = append(o.dataIn[sec], span{next.at, end})
			}
		}
	}
}

// splitSection makes the atoms of one section. pieces are the offsets at which those of a
// section without symbols begin, none for one that is a single piece.
func (o *Object) splitSection(id elfobj.SecID, section *elfobj.Section, syms []elfobj.SymID, prefixes []prefix,
	pieces []uint64) {
	file := o.File
	slices.SortStableFunc(syms, func(a, b elfobj.SymID) int {
		return cmp.Compare(file.Symbols[a].Value, file.Symbols[b].Value)
	})
	add := func(a Atom) AtomID {
		atom := AtomID(len(o.Atoms))
		a.Sec, a.Class, a.Parent = id, o.class[id], -1
		o.Atoms = append(o.Atoms, a)
		o.order = append(o.order, atom)
		return atom
	}
	next := 0
	if len(syms) == 0 || file.Symbols[syms[0]].Value > section.Size {
		if len(pieces) == 0 && section.Size > 0 {
			pieces = []uint64{0}
		}
		for k, start := range pieces {
			end := section.Size
			if k+1 < len(pieces) {
				end = pieces[k+1]
			}
			add(Atom{Start: start, End: end, Base: start, Size: end - start})
		}
		return
	}
	// startOf is where the bytes of a function begin whose symbol is at base and
	// before which others end at the offset after.
	startOf := func(base, after uint64) uint64 {
		k := sort.Search(len(prefixes), func(k int) bool { return prefixes[k].off >= after })
		if k < len(prefixes) && prefixes[k].off < base && base-prefixes[k].off <= maxPrefix {
			return prefixes[k].off
		}
		return base
	}
	if first := file.Symbols[syms[0]].Value; first > 0 {
		if first = startOf(first, 0); first > 0 {
			add(Atom{End: first, Size: first})
		}
	}
	after := uint64(0) // end of the symbols seen so far
	for next < len(syms) {
		base := file.Symbols[syms[next]].Value
		if base > section.Size {
			break
		}
		start := startOf(base, after)
		behind := next
		prim := elfobj.SymID(0)
		for behind < len(syms) {
			sym := &file.Symbols[syms[behind]]
			if sym.Value == base {
				if prim == 0 || better(sym, &file.Symbols[prim]) {
					prim = syms[behind]
				}
				behind++
				continue
			}
			// A prefix symbol's bytes belong to the function behind it, and a
			// symbol inside the bytes of another is a label of that one.
			if prim != 0 && isPrefix(file.Symbols[prim].Name) && !isPrefix(sym.Name) && sym.Value-base <= 64 &&
				sym.Value <= section.Size {
				base, prim = sym.Value, 0
				continue
			}
			if p := &file.Symbols[prim]; sym.Value < p.Value+p.Size && p.Size <= section.Size && !isPrefix(sym.Name) {
				behind++
				continue
			}
			break
		}
		primary := &file.Symbols[prim]
		after = base + min(primary.Size, section.Size-base)
		end := section.Size
		if behind < len(syms) {
			end = startOf(min(file.Symbols[syms[behind]].Value, section.Size), after)
		}
		part := Atom{Name: primary.Name, Start: start, End: end, Base: base, Size: primary.Size, Sym: prim}
		if part.Size == 0 || part.Size > end-base {
			part.Size = end - base
		}
		atom := add(part)
		for k := next; k < behind; k++ {
			o.symAtom[syms[k]] = atom
		}
		next = behind
	}
}

func isPrefix(name string) bool {
	return strings.HasPrefix(name, "__pfx_") || strings.HasPrefix(name, "__cfi_")
}

// better prefers, among names of one place, typed before untyped, global
// before local, strong before weak, sized before unsized.
func better(sym, than *elfobj.Symbol) bool {
	rank := func(candidate *elfobj.Symbol) int {
		points := 0
		if candidate.Type == elf.STT_FUNC || candidate.Type == elf.STT_OBJECT {
			points += 8
		}
		if candidate.Bind == elf.STB_GLOBAL {
			points += 4
		}
		if candidate.Bind == elf.STB_WEAK {
			points += 2
		}
		if candidate.Size > 0 {
			points++
		}
		return points
	}
	return rank(sym) > rank(than)
}

// decodeAll walks the instructions of all code.
func (o *Object) decodeAll() {
	o.biasFrom = make([]uint32, len(o.File.Sections))
	total := uint32(0)
	for i := range o.File.Sections {
		if o.biasFrom[i] = total; o.code(elfobj.SecID(i)) {
			total += uint32(len(o.File.Sections[i].Relocs))
		}
	}
	o.bias = make([]int8, total)
	var mu sync.Mutex
	inParallel(len(o.File.Sections), func(from, to int) {
		for id := elfobj.SecID(from); int(id) < to; id++ {
			if !o.code(id) {
				continue
			}
			if refs := o.decode(id); refs.relocs != nil {
				mu.Lock()
				o.setRefs(id, refs)
				mu.Unlock()
			}
		}
	})
}

func (o *Object) setRefs(id elfobj.SecID, refs sectionRefs) {
	if o.refs == nil {
		o.refs = map[elfobj.SecID]sectionRefs{}
	}
	o.refs[id] = refs
}

// decode walks the instructions of a code section atom by atom. It records,
// for every relocation, how far behind its place the instruction ends, and
// returns all with relocations for branches between atoms that the assembler
// resolved itself because both lie in one section, if there are such.
func (o *Object) decode(id elfobj.SecID) sectionRefs {
	section := &o.File.Sections[id]
	atoms := o.atomsIn(id)
	bias := o.bias[o.biasFrom[id]:][:len(section.Relocs)]
	if len(atoms) == 0 {
		o.decodeRange(id, 0, section.Size, -1, bias, nil)
		return sectionRefs{}
	}
	var implied sectionRefs
	for _, atom := range atoms {
		at := &o.Atoms[atom]
		// A prefix is padding or data; instructions start at the symbol.
		if at.Base > at.Start {
			o.decodeRange(id, at.Start, at.Base, atom, bias, &implied)
		}
		o.decodeRange(id, at.Base, at.End, atom, bias, &implied)
	}
	if len(implied.relocs) == 0 {
		return sectionRefs{}
	}
	all := sectionRefs{append(slices.Clone(section.Relocs), implied.relocs...),
		append(slices.Clone(bias), implied.bias...)}
	order := make([]int32, len(all.relocs))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(x, y int32) int { return cmp.Compare(all.relocs[x].Off, all.relocs[y].Off) })
	out := sectionRefs{make([]elfobj.Reloc, len(order)), make([]int8, len(order))}
	for i, k := range order {
		out.relocs[i], out.bias[i] = all.relocs[k], all.bias[k]
	}
	return out
}

// decodeRange walks the instructions of a range of a section, which belongs to
// atom. bias is that of the section's relocations. References to other atoms that
// the assembler resolved are added to implied.
func (o *Object) decodeRange(id elfobj.SecID, start, end uint64, atom AtomID, bias []int8, implied *sectionRefs) {
	section := &o.File.Sections[id]
	lo := searchOff(section.Relocs, start)
	hi := lo + searchOff(section.Relocs[lo:], end)

	// Where no instruction is decoded, a field counts from its own place as the architecture has
	// it.
	for i := lo; i < hi; i++ {
		bias[i] = o.Arch.FieldBase()
	}
	multi := atom >= 0 && len(o.atomsIn(id)) > 1
	if lo == hi && !multi {
		return
	}

	// Data between the instructions is stepped over: decoding it would find references that are
	// none.
	next, gaps := lo, o.dataIn[id]
	for off := start; off < end; {
		for len(gaps) > 0 && gaps[0].to <= off {
			gaps = gaps[1:]
		}
		if len(gaps) > 0 && gaps[0].from <= off {
			off = gaps[0].to
			for next < hi && section.Relocs[next].Off < off {
				bias[next], next = 0, next+1
			}
			continue
		}
		in, err := o.Arch.Decode(section.Data[off:end])
		if err != nil {
			if atom >= 0 {
				o.Atoms[atom].Undec = true
			}
			break
		}

		// A PC-relative value counts from the end of the instruction, or wherever PCBase says,
		// and not from the field.
		stop := off + uint64(in.Len)
		covered := false
		for next < hi && section.Relocs[next].Off < stop {
			bias[next] = int8(int64(off) + int64(in.PCBase) - int64(section.Relocs[next].Off))
			if in.PCLen > 0 && section.Relocs[next].Off == off+uint64(in.PCOff) {
				covered = true
			}
			next++
		}

		// The assembler fills in a distance within one section and leaves no relocation. Where it
		// leads to another atom, the reference has to be made again, because the two may be laid
		// out apart.
		if multi && in.PCLen > 0 && !covered {
			dest := int64(off) + int64(in.PCBase) + in.Disp
			if to := o.atomAt(id, dest); to >= 0 && to != atom && dest >= 0 && dest < int64(section.Size) &&
				o.Atoms[to].Sym != 0 {
				place, skew := off+uint64(in.PCOff), int64(in.PCBase-in.PCOff)
				implied.relocs = append(implied.relocs, elfobj.Reloc{Off: place, Type: in.PCType, Sym: o.Atoms[to].Sym,
					Addend: dest - int64(o.Atoms[to].Base) - skew})
				implied.bias = append(implied.bias, int8(skew))
			}
		}
		off = stop
	}
}

// atomAt returns the atom of the section that holds the offset; offsets
// outside the section belong to the nearest atom. -1 if the section has none.
func (o *Object) atomAt(sec elfobj.SecID, off int64) AtomID {
	list := o.atomsIn(sec)
	if len(list) == 0 {
		return -1
	}
	i := sort.Search(len(list), func(i int) bool { return int64(o.Atoms[list[i]].Start) > off })
	if i == 0 {
		return list[0]
	}
	return list[i-1]
}

// findLabels finds the constant tables of computed gotos. Like the table of a
// switch, such a table belongs to the code it leads to.
func (o *Object) findLabels() {
	o.labels = make([]bool, len(o.Atoms))
	for i := range o.File.Sections {
		if o.class[i] != classROData {
			continue
		}
		relocs := o.relocs(elfobj.SecID(i))
		for k := range relocs {
			target, ok := o.atomTarget(elfobj.SecID(i), &relocs[k], k)
			if !ok || !o.inside(target) {
				continue
			}
			if from := o.atomAt(elfobj.SecID(i), int64(relocs[k].Off)); from >= 0 && o.Local(from) {
				o.labels[from] = true
			}
		}
	}
}

// findConstructors finds the functions that run when the object is loaded and
// when it goes. C code of the kernel has none but those that the compiler makes
// to register variables with a sanitizer (CONFIG_CONSTRUCTORS).
func (o *Object) findConstructors() {
	o.ctors = map[AtomID]bool{}
	for i := range o.File.Sections {
		if what, _ := metaOf(o.File.Sections[i].Name); what != entryConstructor && what != entryDestructor {
			continue
		}
		relocs := o.relocs(elfobj.SecID(i))
		for k := range relocs {
			if target := o.target(elfobj.SecID(i), &relocs[k], k); target.Kind == TargetAtom && target.Off == 0 &&
				o.Atoms[target.Atom].Class == classText {
				o.ctors[target.Atom] = true
			}
		}
	}
	for atom := range o.ctors {
		for _, from := range o.readers(atom) {
			if from >= 0 && o.Root(from) != atom && o.Atoms[from].Class != classMeta {
				delete(o.ctors, atom) // something else calls it as well
				break
			}
		}
	}
}

// forConstructors reports whether constructors alone refer to the variable: it
// is a sanitizer's list of variables.
func (o *Object) forConstructors(atom AtomID) bool {
	if len(o.ctors) == 0 {
		return false
	}
	from := o.readers(atom)
	return len(from) > 0 && !slices.ContainsFunc(from, func(f AtomID) bool { return f < 0 || !o.ctors[o.Root(f)] })
}

// inside reports whether target is a place in a function other than its start.
func (o *Object) inside(target Target) bool {
	return target.Kind == TargetAtom && o.Atoms[target.Atom].Class == classText &&
		(target.Off != 0 || o.Root(target.Atom) != target.Atom)
}

// Root returns the function that atom belongs to: its parent, or itself.
func (o *Object) Root(atom AtomID) AtomID {
	for range 4 {
		parent := o.Atoms[atom].Parent
		if parent < 0 {
			break
		}
		atom = parent
	}
	return atom
}

// relocsIn returns the relocations of the atom and the index of the first.
func (o *Object) relocsIn(atom AtomID) ([]elfobj.Reloc, int) {
	at := &o.Atoms[atom]
	all := o.relocs(at.Sec)
	lo := searchOff(all, at.Start)
	hi := lo + searchOff(all[lo:], at.End)
	return all[lo:hi], lo
}

// bytes returns the atom's bytes, nil for zeroed data.
func (o *Object) bytes(atom AtomID) []byte {
	at := &o.Atoms[atom]
	d := o.File.Sections[at.Sec].Data
	if d == nil {
		return nil
	}
	return d[at.Start:at.End]
}

// searchOff is the index of the first relocation at or behind off.
func searchOff(relocs []elfobj.Reloc, off uint64) int {
	return sort.Search(len(relocs), func(i int) bool { return relocs[i].Off >= off })
}
