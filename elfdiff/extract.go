package elfdiff

import (
	"debug/elf"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// External is something that stays in the kernel and that carried code or data
// refers to.
type External struct {
	Name  string // in the original object; for a new reference, in the patched
	Orig  AtomID // atom of the original object, -1 when the object does not define it
	Func  bool   // code
	Local bool   // the original object defines it without external linkage
	// Original asks for the original even when a replacement travels along: a
	// function's address is taken, and its identity must not change.
	Original bool
}

// Resolver gives the final symbol for an external: a plain name for an export
// that an ordinary undefined symbol reaches, or a livepatch symbol
// ".klp.sym.<object>.<name>,<sympos>".
type Resolver func(External) (string, error)

// ExtractOptions say what to cut out.
type ExtractOptions struct {
	Unit      string   // object file, e.g. "fs/ext4/mballoc.o"; makes symbols unique
	Object    string   // "vmlinux" or the module the unit belongs to
	Functions []AtomID // patched atoms that replace their originals
	Keep      []AtomID // further patched atoms to carry as they are, e.g. callbacks
	Resolve   Resolver
}

// Extracted is the minimal object and what was found while cutting.
type Extracted struct {
	File       *elfobj.File
	NewSymbols map[AtomID]string // global symbol of each replacement
	NewFuncs   []string          // functions that are new and travel along
	NewData    []string          // variables that are new and travel along
	Externals  []string          // final symbols referred to, sorted
	Problems   []finding.Finding
}

// Extract builds an object with the replaced functions of r.Patched, what they
// need that the kernel lacks, and the entries of special sections that belong
// to them. All other references become undefined symbols named by Resolve.
func (r *Result) Extract(opt ExtractOptions) (*Extracted, error) {
	x := &extractor{r: r, p: r.Patched, opt: opt, out: &elfobj.File{
		Machine: r.Patched.File.Machine, Type: elf.ET_REL, Flags: r.Patched.File.Flags, OSABI: r.Patched.File.OSABI, BigEndian: r.Patched.File.BigEndian,
		Sections: make([]elfobj.Section, 1), Symbols: make([]elfobj.Symbol, 1)},
		replaced: map[AtomID]bool{}, place: map[AtomID]placement{}, externs: map[string]elfobj.SymID{}, blobs: map[string]elfobj.SecID{}, blobSym: map[elfobj.SecID]elfobj.SymID{}, taken: map[string]int{}, copied: map[elfobj.SecID]uint64{}, halves: map[string]elfobj.SecID{}, pool: map[string]placement{},
		res: &Extracted{NewSymbols: map[AtomID]string{}}, seenExt: map[External]string{}}
	x.res.File = x.out
	for _, a := range opt.Functions {
		x.replaced[a] = true
	}
	if err := x.close(); err != nil {
		return nil, err
	}
	for _, a := range x.order {
		if err := x.emit(a); err != nil {
			return nil, err
		}
	}
	if err := x.tables(); err != nil {
		return nil, err
	}
	for i := range x.out.Sections {
		x.out.Sections[i].SortRelocs()
	}
	x.dropUnused()
	for n := range x.externs {
		x.res.Externals = append(x.res.Externals, n)
	}
	slices.Sort(x.res.Externals)
	slices.Sort(x.res.NewFuncs)
	slices.Sort(x.res.NewData)
	return x.res, nil
}

// dropUnused removes outside symbols that only dropped table entries named.
func (x *extractor) dropUnused() {
	used := make([]bool, len(x.out.Symbols))
	for i := range x.out.Sections {
		for _, r := range x.out.Sections[i].Relocs {
			used[r.Sym] = true
		}
	}
	renumber := make([]elfobj.SymID, len(x.out.Symbols))
	kept := x.out.Symbols[:0:0]
	for i, s := range x.out.Symbols {
		if i > 0 && s.Sec == elfobj.SecUndef && !used[i] {
			delete(x.externs, s.Name)
			continue
		}
		renumber[i] = elfobj.SymID(len(kept))
		kept = append(kept, s)
	}
	x.out.Symbols = kept
	for i := range x.out.Sections {
		for k := range x.out.Sections[i].Relocs {
			r := &x.out.Sections[i].Relocs[k]
			r.Sym = renumber[r.Sym]
		}
	}
}

// placement is where an atom lies in the output.
type placement struct {
	sec elfobj.SecID
	off uint64 // of Atom.Start
	sym elfobj.SymID
	add int64 // bytes from sym to the atom's primary symbol
}

type extractor struct {
	r        *Result
	p        *Object
	opt      ExtractOptions
	out      *elfobj.File
	res      *Extracted
	replaced map[AtomID]bool
	order    []AtomID // atoms to carry, in order of discovery
	place    map[AtomID]placement
	derived  []uint32 // entries that follow from the carried code
	externs  map[string]elfobj.SymID
	seenExt  map[External]string
	blobs    map[string]elfobj.SecID
	blobSym  map[elfobj.SecID]elfobj.SymID // section symbols of blobs
	pool     map[string]placement          // strings and constants by content
	copied   map[elfobj.SecID]uint64       // bytes of each section in pool
	halves   map[string]elfobj.SecID       // of tables in two sections, by name
	taken    map[string]int                // unique names, and how often each was asked for
	asleep   map[lateKind]map[string]bool  // what stays as it is in the module, with the functions concerned
}

// carried reports whether code of this root function travels.
func (x *extractor) carried(a AtomID) bool { _, ok := x.place[a]; return ok }

// close finds everything that must travel: starting with the replaced
// functions, it follows references to what the kernel does not have. Every
// carried atom gets its section and symbol here, so that emit can refer to it.
func (x *extractor) close() error {
	for _, a := range slices.Concat(x.opt.Functions, x.opt.Keep) {
		if err := x.include(a); err != nil {
			return err
		}
	}
	done := 0
	var further map[AtomID][]uint32 // derived entries by atom, once more than the first pass needs them
	for {
		for ; done < len(x.order); done++ {
			a := x.order[done]
			if err := x.follow(a); err != nil {
				return err
			}
			if err := x.followDerived(further[a]); err != nil {
				return err
			}
		}
		if further != nil {
			return nil
		}
		in := map[elfobj.SecID]bool{}
		for a := range x.place {
			in[x.p.Atoms[a].Sec] = true
		}
		if err := x.followDerived(x.p.derivedOf(x.carried, in)); err != nil {
			return err
		}
		if done == len(x.order) {
			return nil // as it should be: what follows from code refers to that code alone
		}
		further = map[AtomID][]uint32{}
		for i := range x.p.File.Sections {
			in[elfobj.SecID(i)] = true
		}
		for _, n := range x.p.derivedOf(func(AtomID) bool { return true }, in) {
			a := x.p.entry(n).owner
			further[a] = append(further[a], n)
		}
	}
}

// followDerived takes entries along that follow from carried code.
func (x *extractor) followDerived(list []uint32) error {
	x.derived = append(x.derived, list...)
	for _, n := range list {
		e := x.p.entry(n)
		if err := x.followEntry(&e); err != nil {
			return err
		}
	}
	return nil
}

// follow includes what the atom and its table entries need.
func (x *extractor) follow(a AtomID) error {
	at := &x.p.Atoms[a]
	relocs, first := x.p.relocsIn(a)
	for k := range relocs {
		t := x.p.target(at.Sec, &relocs[k], first+k)
		if err := x.need(a, t, x.isBranch(at.Sec, &relocs[k])); err != nil {
			return err
		}
	}
	for _, n := range x.p.entriesOf(a) {
		e := x.p.entry(n)
		if err := x.followEntry(&e); err != nil {
			return err
		}
	}
	return nil
}

func (x *extractor) followEntry(e *entry) error {
	switch e.row.policy {
	case drop:
		return nil
	case refuse:
		return &finding.Finding{ID: finding.IDLoadTime, Severity: finding.Error, Symbol: x.p.Atoms[x.p.Root(e.owner)].Name, Section: x.p.File.Sections[e.sec].Name,
			Message: fmt.Sprintf("function has a %s (section %s): nothing does this for a livepatch, and the instruction would hold a placeholder",
				e.row.construct, x.p.File.Sections[e.sec].Name),
			Remedy: "write the patched function so that it reads the variable itself, or patch a function that calls it"}
	}
	for k := range e.relocs {
		if err := x.need(e.owner, x.p.target(e.sec, &e.relocs[k], e.first+k), true); err != nil {
			return err
		}
	}
	if e.altLen > 0 {
		relocs, first := x.p.pieceRelocs(e)
		for k := range relocs {
			if err := x.need(e.owner, x.p.target(e.alt, &relocs[k], first+k), x.isBranch(e.alt, &relocs[k])); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *extractor) isBranch(sec elfobj.SecID, r *elfobj.Reloc) bool {
	return x.p.code(sec) && x.p.Arch.BranchReloc(x.p.File.Sections[sec].Data, *r)
}

// need includes what t refers to, when that has to travel.
func (x *extractor) need(from AtomID, t Target, branch bool) error {
	if t.Kind != TargetAtom {
		return nil
	}
	if x.internal(from, t, branch) {
		return x.include(t.Atom)
	}
	return x.staleLabels(t.Atom)
}

// staleLabels refuses existing variables that hold places inside functions
// which are replaced: their values lead into the old code.
func (x *extractor) staleLabels(a AtomID) error {
	p := x.p
	at := &p.Atoms[a]
	if at.Class == classText {
		return nil
	}
	relocs, first := p.relocsIn(a)
	for k := range relocs {
		if t := p.target(at.Sec, &relocs[k], first+k); p.inside(t) && x.replaced[p.Root(t.Atom)] {
			return &finding.Finding{ID: finding.IDUnsupported, Severity: finding.Error, Symbol: at.Name, Section: p.File.Sections[at.Sec].Name,
				Message: fmt.Sprintf("variable holds places inside %s, which is patched", p.Atoms[p.Root(t.Atom)].Name),
				Remedy:  "make the table of labels a static const local of the function"}
		}
	}
	return nil
}

// internal decides whether a reference stays inside the livepatch.
func (x *extractor) internal(from AtomID, t Target, branch bool) bool {
	p, c := x.p, x.r.pairs
	at := &p.Atoms[t.Atom]
	if at.Class == classText {
		root := p.Root(t.Atom)
		own := from >= 0 && p.Root(from) == root
		switch {
		case p.thunk(root):
			return true
		case own && (t.Off != 0 || t.Atom != root || branch):
			return true // a label, piece or call within one function
		case x.replaced[root]:
			// The new copy for calls, and for a switch that leads inside it;
			// the original where the address is taken.
			return branch || c.toO[root] < 0 || p.inside(t)
		case c.toO[root] >= 0:
			return slices.Contains(x.opt.Keep, root)
		}
		return true
	}
	if p.contentOnly(t.Atom) {
		return true
	}
	if x.r.carry[t.Atom] {
		return true
	}
	return c.toO[t.Atom] < 0
}

func (x *extractor) include(a AtomID) error {
	if x.carried(a) {
		return nil
	}
	p := x.p
	at := &p.Atoms[a]
	sec := &p.File.Sections[at.Sec]
	root := p.Root(a)
	switch {
	case at.Class == classText && initSection(sec.Name):
		return &finding.Finding{ID: finding.IDAlreadyRun, Severity: finding.Error, Symbol: at.Name, Section: sec.Name,
			Message: "patched code refers to boot-time code that is no longer in memory", Remedy: "move what is needed out of __init"}
	case at.Class == classMeta || at.Class == classUnknown:
		g := registered{"section " + sec.Name, at.Name}
		if _, known := metaOf(sec.Name); known {
			g = p.registration(a)
		}
		return &finding.Finding{ID: finding.IDRegistration, Severity: finding.Error, Symbol: g.name, Section: sec.Name,
			Message: fmt.Sprintf("patched code uses %s, a new %s, which a livepatch cannot register", g.name, g.what), Remedy: "use an existing one, or register it from a callback"}
	case x.cutField(a):
		return &finding.Finding{ID: finding.IDUnsupported, Severity: finding.Error, Symbol: at.Name, Section: sec.Name,
			Message: "a relocated field lies across the end of the symbol", Remedy: "give the symbol in the assembly source its full size"}
	case at.Class == classText && at.Undec && x.hasPooledRef(a):
		return &finding.Finding{ID: finding.IDUnsupported, Severity: finding.Error, Symbol: at.Name, Section: sec.Name,
			Message: "function holds an instruction that the decoder does not know", Remedy: "report the instruction; the function cannot be carried safely"}
	case at.Class == classText && root != a && !x.carried(root):
		// Entered through a piece; carry the function it belongs to.
		if err := x.include(root); err != nil {
			return err
		}
	}
	if p.adjoins(a) {
		x.adjoin(a)
		return nil
	}
	name := sec.Name
	if at.Class == classText {
		name = textSection(sec.Name, at)
	}
	align := alignedAt(sec.Align, int64(at.Start))
	if at.Class == classText && align < 16 && at.Name != "" {
		align = 16
	}
	id := elfobj.SecID(len(x.out.Sections))
	x.out.Sections = append(x.out.Sections, elfobj.Section{Name: name, Type: sec.Type, Flags: sec.Flags &^ (elf.SHF_MERGE | elf.SHF_STRINGS | elf.SHF_GROUP | elf.SHF_LINK_ORDER),
		Align: align, Size: p.room(a)})
	pl := placement{sec: id}
	if at.Name == "" {
		pl.sym, pl.add = x.symbol(elfobj.Symbol{Type: elf.STT_SECTION, Sec: id}), int64(at.Base-at.Start)
	} else {
		s := p.File.Symbols[at.Sym]
		isNew := x.r.pairs.toO[a] < 0 && !p.thunk(a)
		global := isNew && s.Bind != elf.STB_LOCAL
		s.Bind = elf.STB_LOCAL
		if global {
			s.Bind = elf.STB_GLOBAL
		}
		s.Sec, s.Value, s.Size = id, at.Base-at.Start, at.Size
		pl.sym = x.symbol(s)
		if x.replaced[a] || slices.Contains(x.opt.Keep, a) {
			g := s
			g.Name, g.Bind = x.uniqueName(at.Name), elf.STB_GLOBAL
			x.symbol(g)
			x.res.NewSymbols[a] = g.Name
		} else if at.Class == classText && at.Parent < 0 && isNew {
			x.res.NewFuncs = append(x.res.NewFuncs, at.Name)
		} else if variable(p, a) {
			x.res.NewData = append(x.res.NewData, at.Name)
		}
	}
	x.place[a] = pl
	x.order = append(x.order, a)
	return nil
}

// cutField reports whether the last relocated field reaches behind the atom.
func (x *extractor) cutField(a AtomID) bool {
	relocs, _ := x.p.relocsIn(a)
	if len(relocs) == 0 {
		return false
	}
	last := relocs[len(relocs)-1]
	return last.Off+uint64(x.p.Arch.Width(last.Type)) > x.p.Atoms[a].End
}

// hasPooledRef reports whether the atom has PC-relative references whose exact
// target depends on knowing where the instruction ends.
func (x *extractor) hasPooledRef(a AtomID) bool {
	at := &x.p.Atoms[a]
	relocs, first := x.p.relocsIn(a)
	for k := range relocs {
		if !x.p.Arch.PCRelative(relocs[k].Type) || x.isBranch(at.Sec, &relocs[k]) {
			continue
		}
		if t := x.p.target(at.Sec, &relocs[k], first+k); t.Kind != TargetExtern {
			return true
		}
	}
	return false
}

// textSection names the section of one carried function. Code of bundled
// sections gets a section of its own.
func textSection(sec string, at *Atom) string {
	n := at.Name
	if n == "" || strings.HasSuffix(sec, "."+n) {
		return sec
	}
	if base, ok := fragmentParent(n); ok && strings.HasSuffix(sec, "."+base) {
		return sec
	}
	return ".text." + n
}

func (x *extractor) uniqueName(fn string) string {
	clean := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
				return r
			}
			return '_'
		}, s)
	}
	name := "klp_" + clean(strings.TrimSuffix(x.opt.Unit, ".o")) + "__" + clean(fn)
	for base := name; x.taken[name] > 0; {
		x.taken[base]++
		name = fmt.Sprintf("%s_%d", base, x.taken[base])
	}
	x.taken[name] = 1
	return name
}

func (x *extractor) symbol(s elfobj.Symbol) elfobj.SymID {
	x.out.Symbols = append(x.out.Symbols, s)
	return elfobj.SymID(len(x.out.Symbols) - 1)
}

// emit copies the bytes and relocations of one atom.
func (x *extractor) emit(a AtomID) error {
	at := &x.p.Atoms[a]
	pl := x.place[a]
	if d := x.p.bytes(a); d != nil {
		s := &x.out.Sections[pl.sec]
		s.Data = append(append(s.Data, make([]byte, pl.off-uint64(len(s.Data)))...), d...)
	}
	relocs, first := x.p.relocsIn(a)
	for k := range relocs {
		r := relocs[k]
		nr, err := x.reloc(a, at.Sec, &r, first+k, x.isBranch(at.Sec, &r))
		if err != nil {
			return err
		}
		nr.Off = r.Off - at.Start + pl.off
		if err := x.outside(a, &r, nr); err != nil {
			return err
		}
		if x.p.Arch.Width(r.Type) == 1 {
			if nr, err = x.lengthen(a, &x.out.Sections[pl.sec], nr); err != nil {
				return err
			}
		}
		x.clear(pl.sec, nr)
		x.out.Sections[pl.sec].Relocs = append(x.out.Sections[pl.sec].Relocs, nr)
	}
	return nil
}

// outside refuses a reference of the atom's code that leads out of the module and
// whose instruction cannot. r is the relocation, nr what it becomes.
func (x *extractor) outside(a AtomID, r *elfobj.Reloc, nr elfobj.Reloc) error {
	at, s := &x.p.Atoms[a], &x.out.Symbols[nr.Sym]
	if at.Class != classText || s.Sec != elfobj.SecUndef || nr.Sym == 0 || x.p.Arch.ByName(s.Name) {
		return nil
	}
	why := x.p.Arch.Outside(x.p.File.Sections[at.Sec].Data, *r)
	if why == nil {
		return nil
	}
	to := s.Name
	if symbol, err := elfobj.ParseKlpSymbol(to); err == nil {
		to = symbol.Name
	}
	return &finding.Finding{ID: finding.IDUnsupported, Severity: finding.Error, Symbol: x.p.Atoms[x.p.Root(a)].Name, Section: x.p.File.Sections[at.Sec].Name,
		Message: fmt.Sprintf("the code at +%#x refers to %s, which stays in the kernel: %v", r.Off-at.Base, to, why),
		Remedy:  x.p.Arch.OutsideRemedy()}
}

// clear zeroes the field that a relocation will fill. The kernel refuses a late
// relocation over a value (apply_relocate_add, arch/x86/kernel/module.c, v6.1),
// and a reference that the assembler had resolved left one.
func (x *extractor) clear(sec elfobj.SecID, r elfobj.Reloc) {
	if d := x.out.Sections[sec].Data; d != nil {
		x.p.Arch.Clear(d[r.Off:r.Off+uint64(x.p.Arch.Width(r.Type))], r.Type)
	}
}

// lengthen leads a short jump to another function over a near jump behind the
// code: in a section of its own the function is out of reach, and the module
// loader knows no relocation of one byte. r is the short field's relocation.
func (x *extractor) lengthen(a AtomID, s *elfobj.Section, r elfobj.Reloc) (elfobj.Reloc, error) {
	stub, typ := x.p.Arch.NearJump()
	dist := len(s.Data) - int(r.Off) - 1
	if dist > 127 || len(stub) == 0 {
		return r, &finding.Finding{ID: finding.IDUnsupported, Severity: finding.Error, Symbol: x.p.Atoms[a].Name, Section: s.Name,
			Message: "function leaves by a short jump to another one, which its copy cannot reach",
			Remedy:  "take at least one of the two functions out of their common section"}
	}
	s.Data[r.Off] = byte(dist)
	near := elfobj.Reloc{Off: uint64(len(s.Data) + len(stub) - 4), Type: typ, Sym: r.Sym, Addend: r.Addend + 1 - 4}
	s.Data = append(s.Data, stub...)
	return near, nil
}

// reloc rewrites one relocation for the output. from is the atom in whose code
// it lies or to whose table entry it belongs.
func (x *extractor) reloc(from AtomID, sec elfobj.SecID, r *elfobj.Reloc, idx int, branch bool) (elfobj.Reloc, error) {
	p := x.p
	t := p.target(sec, r, idx)
	nr := *r
	sym := &p.File.Symbols[r.Sym]
	// What lies between the addend and the offset that is meant: the distance
	// to the end of the instruction for PC-relative fields in code, else 0.
	skew := p.location(sec, r, idx) - int64(sym.Value) - r.Addend
	if t.Slot {
		pl, err := x.slot(from, t)
		if err != nil {
			return nr, err
		}
		nr.Sym, nr.Addend = pl.sym, int64(pl.off)-skew
		return nr, nil
	}
	if x.sharedTable(sec, r, t) {
		return nr, &finding.Finding{ID: finding.IDUnsupported, Severity: finding.Error, Symbol: p.Atoms[from].Name, Section: p.File.Sections[t.Sec].Name,
			Message: "a table of jumps, whose distances count from the table's start, leads into a section that holds several functions",
			Remedy:  "take the patched function out of the section that it shares with others"}
	}
	switch t.Kind {
	case TargetNone, TargetAbs:
		nr.Sym = 0
		if t.Kind == TargetAbs {
			nr.Sym = x.symbol(elfobj.Symbol{Name: sym.Name, Sec: elfobj.SecAbs, Value: sym.Value, Type: sym.Type})
		}
	case TargetExtern:
		s, err := x.extern(External{Name: t.Name, Orig: -1, Func: branch})
		if err != nil {
			return nr, err
		}
		nr.Sym = s
	case TargetString, TargetConst:
		if t.Text == nil {
			return nr, fmt.Errorf("%s+%#x: reference outside %s", p.File.Sections[sec].Name, r.Off, p.File.Sections[t.Sec].Name)
		}
		pl, err := x.pooled(t)
		if err != nil {
			return nr, err
		}
		nr.Sym, nr.Addend = pl.sym, int64(pl.off)+t.Skip-skew
	case TargetAtom:
		if x.internal(from, t, branch) {
			a := t.Atom
			pl, ok := x.place[a]
			if !ok {
				return nr, fmt.Errorf("internal: %s refers to %s, which was not carried", p.Atoms[from].Name, p.Atoms[a].Name)
			}
			nr.Sym, nr.Addend = pl.sym, pl.add+t.Off-skew
			return nr, nil
		}
		s, off, err := x.original(t)
		if err != nil {
			return nr, err
		}
		nr.Sym, nr.Addend = s, off-skew
	default:
		return nr, &finding.Finding{ID: finding.IDUnknownSection, Severity: finding.Error, Symbol: p.Atoms[from].Name, Section: p.File.Sections[sec].Name,
			Message: fmt.Sprintf("reference into section %s, whose layout is not known", p.File.Sections[t.Sec].Name)}
	}
	return nr, nil
}

// sharedTable reports a distance in constant data to a nameless place of code in a
// section of several functions. In the table of a switch such distances count
// from the start of the table, which nothing tells, so that the function meant is
// not known.
func (x *extractor) sharedTable(sec elfobj.SecID, r *elfobj.Reloc, t Target) bool {
	p := x.p
	return p.class[sec] == classROData && p.Arch.PCRelative(r.Type) && t.Kind == TargetAtom && !t.Slot &&
		p.Atoms[t.Atom].Class == classText && len(p.atomsIn(t.Sec)) > 1 && p.symAtom[r.Sym] < 0
}

// original returns the symbol of the running kernel for an atom that stays
// there, and the offset from it.
func (x *extractor) original(t Target) (elfobj.SymID, int64, error) {
	o := x.r.Orig
	a := x.r.pairs.toO[t.Atom]
	at := &o.Atoms[a]
	root := o.Root(a)
	if at.Class == classText && root != a {
		return 0, 0, &finding.Finding{ID: finding.IDUnsupported, Severity: finding.Error, Symbol: at.Name, Message: "patched code jumps into a piece of an unpatched function"}
	}
	if p := &x.p.Atoms[t.Atom]; p.Class == classText && p.Size > 0 && t.Off >= int64(p.Size) {
		return 0, 0, &finding.Finding{ID: finding.IDUnsupported, Severity: finding.Error, Symbol: p.Name, Section: x.p.Section(t.Atom),
			Message: "patched code refers to out-of-line code behind this function, where that of all functions of the section lies",
			Remedy:  "take the patched function out of the section that it shares with others"}
	}
	if initSection(o.File.Sections[at.Sec].Name) {
		return 0, 0, &finding.Finding{ID: finding.IDAlreadyRun, Severity: finding.Error, Symbol: at.Name, Section: o.File.Sections[at.Sec].Name,
			Message: "patched code refers to boot-time code or data that is no longer in memory", Remedy: "move what is needed out of __init"}
	}
	s, err := x.extern(External{Name: at.Name, Orig: a, Func: at.Class == classText, Local: o.Local(a), Original: x.replaced[t.Atom]})
	return s, t.Off, err
}

func (x *extractor) extern(e External) (elfobj.SymID, error) {
	name, ok := x.seenExt[e]
	if !ok && e.Orig < 0 && x.p.Arch.ByName(e.Name) {
		name, ok = e.Name, true
	}
	if !ok {
		var err error
		if name, err = x.opt.Resolve(e); err != nil {
			return 0, err
		}
		x.seenExt[e] = name
	}
	if s, ok := x.externs[name]; ok {
		return s, nil
	}
	s := x.symbol(elfobj.Symbol{Name: name, Bind: elf.STB_GLOBAL})
	x.externs[name] = s
	return s, nil
}

// slot copies an entry of a table of addresses that the code of from looks up.
func (x *extractor) slot(from AtomID, t Target) (placement, error) {
	src := &x.p.File.Sections[t.SlotSec]
	relocs := x.p.relocs(t.SlotSec)
	key := fmt.Sprintf("slot/%d/%x", t.SlotSec, src.Data[t.SlotOff:t.SlotOff+slotSize])
	var nr elfobj.Reloc
	k := searchOff(relocs, t.SlotOff)
	filled := k < len(relocs) && relocs[k].Off == t.SlotOff
	if filled {
		var err error
		// What stands in a table is an address that the code may keep.
		if nr, err = x.reloc(from, t.SlotSec, &relocs[k], k, false); err != nil {
			return placement{}, err
		}
		key = fmt.Sprintf("slot/%d/%d/%d/%d", t.SlotSec, nr.Type, nr.Sym, nr.Addend)
	}
	if pl, ok := x.pool[key]; ok {
		return pl, nil
	}
	id := x.blob(src.Name, src.Align, src.Flags&^elf.SHF_GROUP)
	s := &x.out.Sections[id]
	pl := placement{sec: id, off: uint64(len(s.Data)), sym: x.blobSym[id]}
	s.Data = append(s.Data, src.Data[t.SlotOff:t.SlotOff+slotSize]...)
	s.Size = uint64(len(s.Data))
	if filled {
		nr.Off = pl.off
		x.clear(id, nr)
		s.Relocs = append(s.Relocs, nr)
	}
	x.pool[key] = pl
	return pl, nil
}

// maxPool bounds the copies of strings and constants, as a multiple of the
// section they come from; only references into the middle of strings, which
// compilers do not make, give copies that overlap in the source.
const maxPool = 16

// maxPieceAlign bounds the alignment of strings and constants, bytes. Compilers
// ask for no more than a vector register.
const maxPieceAlign = 4096

// pooled copies a string or constant once.
func (x *extractor) pooled(t Target) (placement, error) {
	src := &x.p.File.Sections[t.Sec]
	if src.Align > maxPieceAlign {
		return placement{}, &finding.Finding{ID: finding.IDUnknownSection, Severity: finding.Error, Section: src.Name,
			Message: fmt.Sprintf("section of strings or constants is aligned to %d bytes", src.Align), Remedy: "compile the object with a supported compiler"}
	}
	align := alignedAt(src.Align, t.Off-t.Skip)
	key := fmt.Sprintf("%d/%d/%s", align, t.Kind, t.Text)
	if pl, ok := x.pool[key]; ok {
		return pl, nil
	}
	if x.copied[t.Sec] += uint64(len(t.Text)); x.copied[t.Sec] > maxPool*src.Size {
		return placement{}, &finding.Finding{ID: finding.IDUnknownSection, Severity: finding.Error, Section: src.Name,
			Message: "section of strings is referred to in too many places", Remedy: "compile the object with a supported compiler"}
	}
	name := ".rodata.klpforge.str"
	if t.Kind == TargetConst {
		name = ".rodata.klpforge.cst"
	}
	id := x.blob(name, align, elf.SHF_ALLOC)
	s := &x.out.Sections[id]
	off := alignTo(uint64(len(s.Data)), align)
	s.Data = append(s.Data, make([]byte, off-uint64(len(s.Data)))...)
	s.Data = append(s.Data, t.Text...)
	s.Size = uint64(len(s.Data))
	pl := placement{sec: id, off: off, sym: x.blobSym[id]}
	x.pool[key] = pl
	return pl, nil
}

// alignedAt returns to how many bytes a place is aligned that lies off bytes into a
// section aligned to align: what its user may rely on.
func alignedAt(align uint64, off int64) uint64 {
	align = max(align, 1)
	if off != 0 {
		align = min(align, uint64(off&-off))
	}
	return align
}

func alignTo(v, a uint64) uint64 { return (v + a - 1) / a * a }

// blob returns the output section that collects pieces of one kind.
func (x *extractor) blob(name string, align uint64, flags elf.SectionFlag) elfobj.SecID {
	return x.part(name, name, align, flags)
}

// part returns the output section of a key, which is made at the first call.
func (x *extractor) part(key, name string, align uint64, flags elf.SectionFlag) elfobj.SecID {
	if id, ok := x.blobs[key]; ok {
		x.out.Sections[id].Align = max(x.out.Sections[id].Align, align)
		return id
	}
	id := elfobj.SecID(len(x.out.Sections))
	x.out.Sections = append(x.out.Sections, elfobj.Section{Name: name, Type: elf.SHT_PROGBITS, Flags: flags, Align: align, Data: []byte{}})
	x.blobSym[id] = x.symbol(elfobj.Symbol{Type: elf.STT_SECTION, Sec: id})
	x.blobs[key] = id
	return id
}
