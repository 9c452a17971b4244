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
	// Original asks for the original even when a replacement is carried: a
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
	NewFuncs   []string          // new functions that the module carries
	NewData    []string          // new variables that the module carries
	Externals  []string          // final symbols referred to, sorted
	Problems   []finding.Finding
}

// Extract builds an object with the replaced functions of r.Patched, what they
// need that the kernel lacks, and the entries of special sections that belong
// to them. All other references become undefined symbols named by Resolve.
func (r *Result) Extract(opt ExtractOptions) (*Extracted, error) {
	x := &extractor{r: r, p: r.Patched, opt: opt, out: &elfobj.File{
		Machine: r.Patched.File.Machine, Type: elf.ET_REL, Flags: r.Patched.File.Flags, OSABI: r.Patched.File.OSABI,
		BigEndian: r.Patched.File.BigEndian,
		Sections:  make([]elfobj.Section, 1), Symbols: make([]elfobj.Symbol, 1)},
		replaced: map[AtomID]bool{}, place: map[AtomID]placement{}, externs: map[string]elfobj.SymID{},
		blobs: map[string]elfobj.SecID{}, blobSym: map[elfobj.SecID]elfobj.SymID{}, taken: map[string]int{},
		copied: map[elfobj.SecID]uint64{}, halves: map[string]elfobj.SecID{}, sites: map[uint32]placement{}, pool: map[string]placement{},
		res: &Extracted{NewSymbols: map[AtomID]string{}}, seenExt: map[External]string{}}
	x.res.File = x.out

	// First everything that has to travel is found, then it is emitted: what refers to it must
	// know its place.
	for _, atom := range opt.Functions {
		x.replaced[atom] = true
	}
	if err := x.close(); err != nil {
		return nil, err
	}
	for _, atom := range x.order {
		if err := x.emit(atom); err != nil {
			return nil, err
		}
	}
	if err := x.tables(); err != nil {
		return nil, err
	}

	// Entries of tables came behind the code that owns them, which is not the order of their
	// places. Symbols that nothing refers to would only have to be resolved.
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
		for _, rel := range x.out.Sections[i].Relocs {
			used[rel.Sym] = true
		}
	}
	renumber := make([]elfobj.SymID, len(x.out.Symbols))
	kept := x.out.Symbols[:0:0]
	for i, sym := range x.out.Symbols {
		if i > 0 && sym.Sec == elfobj.SecUndef && !used[i] {
			delete(x.externs, sym.Name)
			continue
		}
		renumber[i] = elfobj.SymID(len(kept))
		kept = append(kept, sym)
	}
	x.out.Symbols = kept
	for i := range x.out.Sections {
		for k := range x.out.Sections[i].Relocs {
			rel := &x.out.Sections[i].Relocs[k]
			rel.Sym = renumber[rel.Sym]
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
	sites    map[uint32]placement          // entries of tables that code refers to, by their number
	taken    map[string]int                // unique names, and how often each was asked for
	asleep   map[lateKind]*late            // what stays as it is in the module, with the functions concerned
}

// carried reports whether code of this root function travels.
func (x *extractor) carried(a AtomID) bool { _, ok := x.place[a]; return ok }

// close finds everything that must travel: starting with the replaced
// functions, it follows references to what the kernel does not have. Every
// carried atom gets its section and symbol here, so that emit can refer to it.
func (x *extractor) close() error {
	for _, atom := range slices.Concat(x.opt.Functions, x.opt.Keep) {
		if err := x.include(atom); err != nil {
			return err
		}
	}
	done := 0
	var further map[AtomID][]uint32 // derived entries by atom, once more than the first pass needs them
	for {
		for ; done < len(x.order); done++ {
			atom := x.order[done]
			if err := x.follow(atom); err != nil {
				return err
			}
			if err := x.followDerived(further[atom]); err != nil {
				return err
			}
		}
		if further != nil {
			return nil
		}
		in := map[elfobj.SecID]bool{}
		for atom := range x.place {
			in[x.p.Atoms[atom].Sec] = true
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
			atom := x.p.entry(n).owner
			further[atom] = append(further[atom], n)
		}
	}
}

// followDerived takes entries along that follow from carried code.
func (x *extractor) followDerived(list []uint32) error {
	x.derived = append(x.derived, list...)
	for _, n := range list {
		ent := x.p.entry(n)
		if err := x.followEntry(&ent); err != nil {
			return err
		}
	}
	return nil
}

// follow includes what the atom and its table entries need.
func (x *extractor) follow(atom AtomID) error {
	at := &x.p.Atoms[atom]
	relocs, first := x.p.relocsIn(atom)
	for k := range relocs {
		target := x.p.target(at.Sec, &relocs[k], first+k)
		if err := x.need(atom, target, x.isBranch(at.Sec, &relocs[k])); err != nil {
			return err
		}
	}
	for _, n := range x.p.entriesOf(atom) {
		ent := x.p.entry(n)
		if err := x.followEntry(&ent); err != nil {
			return err
		}
	}
	return nil
}

func (x *extractor) followEntry(ent *entry) error {
	switch ent.row.policy {
	case drop:
		return nil
	case refuse:
		remedy := "patch a function that calls it"
		if ent.row.instead != "" {
			remedy = ent.row.instead + ", or " + remedy
		}
		return &finding.Finding{ID: finding.IDLoadTime, Severity: finding.Error,
			Symbol: x.p.Atoms[x.p.Root(ent.owner)].Name, Section: x.p.File.Sections[ent.sec].Name,
			Message: fmt.Sprintf("function has a %s (section %s), which %s sees to in the kernel itself; nothing does "+
				"for a livepatch", ent.row.construct, x.p.File.Sections[ent.sec].Name, ent.row.reader),
			Remedy: remedy}
	}
	for k := range ent.relocs {
		if err := x.need(ent.owner, x.p.target(ent.sec, &ent.relocs[k], ent.first+k), true); err != nil {
			return err
		}
	}
	if ent.altLen > 0 {
		relocs, first := x.p.pieceRelocs(ent)
		for k := range relocs {
			if err := x.need(ent.owner, x.p.target(ent.alt, &relocs[k], first+k),
				x.isBranch(ent.alt, &relocs[k])); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *extractor) isBranch(sec elfobj.SecID, rel *elfobj.Reloc) bool {
	return x.p.code(sec) && x.p.Arch.BranchReloc(x.p.File.Sections[sec].Data, *rel)
}

// need includes the target, when that has to travel.
func (x *extractor) need(from AtomID, target Target, branch bool) error {
	if target.Kind != TargetAtom {
		return nil
	}
	if x.internal(from, target, branch) {
		return x.include(target.Atom)
	}
	return x.staleLabels(target.Atom)
}

// staleLabels refuses existing variables that hold places inside functions
// which are replaced: their values lead into the old code.
func (x *extractor) staleLabels(atom AtomID) error {
	patched := x.p
	at := &patched.Atoms[atom]
	if at.Class == classText {
		return nil
	}
	relocs, first := patched.relocsIn(atom)
	for k := range relocs {
		if target := patched.target(at.Sec, &relocs[k], first+k); patched.inside(target) &&
			x.replaced[patched.Root(target.Atom)] {
			return &finding.Finding{ID: finding.IDUnsupported, Severity: finding.Error, Symbol: at.Name,
				Section: patched.File.Sections[at.Sec].Name,
				Message: fmt.Sprintf("variable holds places inside %s, which is patched",
					patched.Atoms[patched.Root(target.Atom)].Name),
				Remedy: "make the table of labels a static const local of the function"}
		}
	}
	return nil
}

// internal decides whether a reference stays inside the livepatch.
func (x *extractor) internal(from AtomID, target Target, branch bool) bool {
	patched, pairs := x.p, x.r.pairs
	at := &patched.Atoms[target.Atom]
	if at.Class == classText {
		root := patched.Root(target.Atom)
		own := from >= 0 && patched.Root(from) == root
		switch {
		case patched.thunk(root):
			return true
		case own && (target.Off != 0 || target.Atom != root || branch):
			return true // a label, piece or call within one function
		case x.replaced[root]:
			// The new copy for calls, and for a switch that leads inside it;
			// the original where the address is taken.
			return branch || pairs.toO[root] < 0 || patched.inside(target)
		case pairs.toO[root] >= 0:
			return slices.Contains(x.opt.Keep, root)
		}
		return true
	}
	if patched.contentOnly(target.Atom) {
		return true
	}
	if x.r.carry[target.Atom] {
		return true
	}
	return pairs.toO[target.Atom] < 0
}

func (x *extractor) include(atom AtomID) error {
	if x.carried(atom) {
		return nil
	}
	patched := x.p
	at := &patched.Atoms[atom]
	sec := &patched.File.Sections[at.Sec]
	root := patched.Root(atom)
	switch {
	case at.Class == classText && initSection(sec.Name):
		return &finding.Finding{ID: finding.IDAlreadyRun, Severity: finding.Error, Symbol: at.Name, Section: sec.Name,
			Message: "patched code refers to boot-time code that is no longer in memory",
			Remedy:  "move what is needed out of __init"}
	case at.Class == classMeta || at.Class == classUnknown:
		g := registered{entryKind("section " + sec.Name), at.Name}
		if _, known := metaOf(sec.Name); known {
			g = patched.registration(atom)
		}
		return &finding.Finding{ID: finding.IDRegistration, Severity: finding.Error, Symbol: g.name, Section: sec.Name,
			Message: fmt.Sprintf("patched code uses %s, a new %s, which a livepatch cannot register", g.name, g.what),
			Remedy:  "use an existing one, or register it from a callback"}
	case x.cutField(atom):
		return &finding.Finding{ID: finding.IDUnsupported, Severity: finding.Error, Symbol: at.Name, Section: sec.Name,
			Message: "a relocated field lies across the end of the symbol",
			Remedy:  "give the symbol in the assembly source its full size"}
	case at.Class == classText && at.Undec && x.hasPooledRef(atom):
		return &finding.Finding{ID: finding.IDUnsupported, Severity: finding.Error, Symbol: at.Name, Section: sec.Name,
			Message: "function holds an instruction that the decoder does not know",
			Remedy:  "report the instruction; the function cannot be carried safely"}
	case at.Class == classText && root != atom && !x.carried(root):
		// Entered through a piece; carry the function it belongs to.
		if err := x.include(root); err != nil {
			return err
		}
	}
	if patched.coldPart(atom) {
		x.placeColdPart(atom)
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
	x.out.Sections = append(x.out.Sections, elfobj.Section{Name: name, Type: sec.Type,
		Flags: sec.Flags &^ (elf.SHF_MERGE | elf.SHF_STRINGS | elf.SHF_GROUP | elf.SHF_LINK_ORDER),
		Align: align, Size: patched.room(atom)})
	pl := placement{sec: id}
	if at.Name == "" {
		pl.sym, pl.add = x.symbol(elfobj.Symbol{Type: elf.STT_SECTION, Sec: id}), int64(at.Base-at.Start)
	} else {
		sym := patched.File.Symbols[at.Sym]
		isNew := x.r.pairs.toO[atom] < 0 && !patched.thunk(atom)
		global := isNew && sym.Bind != elf.STB_LOCAL
		sym.Bind = elf.STB_LOCAL
		if global {
			sym.Bind = elf.STB_GLOBAL
		}
		sym.Sec, sym.Value, sym.Size = id, at.Base-at.Start, at.Size
		pl.sym = x.symbol(sym)
		if x.replaced[atom] || slices.Contains(x.opt.Keep, atom) {
			exported := sym
			exported.Name, exported.Bind = x.uniqueName(at.Name), elf.STB_GLOBAL
			x.symbol(exported)
			x.res.NewSymbols[atom] = exported.Name
		} else if at.Class == classText && at.Parent < 0 && isNew {
			x.res.NewFuncs = append(x.res.NewFuncs, at.Name)
		} else if variable(patched, atom) {
			x.res.NewData = append(x.res.NewData, at.Name)
		}
	}
	x.place[atom] = pl
	x.order = append(x.order, atom)
	return nil
}

// cutField reports whether the last relocated field reaches behind the atom.
func (x *extractor) cutField(atom AtomID) bool {
	relocs, _ := x.p.relocsIn(atom)
	if len(relocs) == 0 {
		return false
	}
	last := relocs[len(relocs)-1]
	return last.Off+uint64(x.p.Arch.Width(last.Type)) > x.p.Atoms[atom].End
}

// hasPooledRef reports whether the atom has PC-relative references whose exact
// target depends on knowing where the instruction ends.
func (x *extractor) hasPooledRef(atom AtomID) bool {
	at := &x.p.Atoms[atom]
	relocs, first := x.p.relocsIn(atom)
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
	name := at.Name
	if name == "" || strings.HasSuffix(sec, "."+name) {
		return sec
	}
	if base, ok := fragmentParent(name); ok && strings.HasSuffix(sec, "."+base) {
		return sec
	}
	return ".text." + name
}

func (x *extractor) uniqueName(fn string) string {
	clean := func(text string) string {
		return strings.Map(func(r rune) rune {
			if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
				return r
			}
			return '_'
		}, text)
	}
	name := "klp_" + clean(strings.TrimSuffix(x.opt.Unit, ".o")) + "__" + clean(fn)
	for base := name; x.taken[name] > 0; {
		x.taken[base]++
		name = fmt.Sprintf("%s_%d", base, x.taken[base])
	}
	x.taken[name] = 1
	return name
}

func (x *extractor) symbol(sym elfobj.Symbol) elfobj.SymID {
	x.out.Symbols = append(x.out.Symbols, sym)
	return elfobj.SymID(len(x.out.Symbols) - 1)
}

// emit copies the bytes and relocations of one atom.
func (x *extractor) emit(atom AtomID) error {
	at := &x.p.Atoms[atom]
	pl := x.place[atom]
	if d := x.p.bytes(atom); d != nil {
		section := &x.out.Sections[pl.sec]
		section.Data = append(append(section.Data, make([]byte, pl.off-uint64(len(section.Data)))...), d...)
	}
	relocs, first := x.p.relocsIn(atom)
	for k := range relocs {
		rel := relocs[k]
		nr, err := x.reloc(atom, at.Sec, &rel, first+k, x.isBranch(at.Sec, &rel))
		if err != nil {
			return err
		}
		nr.Off = rel.Off - at.Start + pl.off
		if err := x.outside(atom, &rel, nr); err != nil {
			return err
		}
		if x.p.Arch.Width(rel.Type) == 1 {
			if nr, err = x.lengthen(atom, &x.out.Sections[pl.sec], nr); err != nil {
				return err
			}
		}
		x.clear(pl.sec, nr)
		x.out.Sections[pl.sec].Relocs = append(x.out.Sections[pl.sec].Relocs, nr)
	}
	return nil
}

// outside refuses a reference of the atom's code that leads out of the module and
// whose instruction cannot. rel is the relocation, nr what it becomes.
func (x *extractor) outside(atom AtomID, rel *elfobj.Reloc, nr elfobj.Reloc) error {
	at, sym := &x.p.Atoms[atom], &x.out.Symbols[nr.Sym]
	if at.Class != classText || sym.Sec != elfobj.SecUndef || nr.Sym == 0 || x.p.Arch.ByName(sym.Name) {
		return nil
	}
	why := x.p.Arch.Outside(x.p.File.Sections[at.Sec].Data, *rel)
	if why == nil {
		return nil
	}
	to := sym.Name
	if symbol, err := elfobj.ParseKlpSymbol(to); err == nil {
		to = symbol.Name
	}
	return &finding.Finding{ID: finding.IDUnsupported, Severity: finding.Error, Symbol: x.p.Atoms[x.p.Root(atom)].Name,
		Section: x.p.File.Sections[at.Sec].Name,
		Message: fmt.Sprintf("the code at +%#x refers to %s, which stays in the kernel: %v", rel.Off-at.Base, to, why),
		Remedy:  x.p.Arch.OutsideRemedy()}
}

// clear zeroes the field that a relocation will fill. The kernel refuses a late
// relocation over a value (apply_relocate_add, arch/x86/kernel/module.c, v6.1),
// and a reference that the assembler had resolved left one.
func (x *extractor) clear(sec elfobj.SecID, rel elfobj.Reloc) {
	if d := x.out.Sections[sec].Data; d != nil {
		x.p.Arch.Clear(d[rel.Off:rel.Off+uint64(x.p.Arch.Width(rel.Type))], rel.Type)
	}
}

// lengthen leads a short jump to another function over a near jump behind the
// code: in a section of its own the function is out of reach, and the module
// loader knows no relocation of one byte. rel is the short field's relocation.
func (x *extractor) lengthen(atom AtomID, section *elfobj.Section, rel elfobj.Reloc) (elfobj.Reloc, error) {
	stub, typ := x.p.Arch.NearJump()
	dist := len(section.Data) - int(rel.Off) - 1
	if dist > 127 || len(stub) == 0 {
		return rel, &finding.Finding{ID: finding.IDUnsupported, Severity: finding.Error, Symbol: x.p.Atoms[atom].Name,
			Section: section.Name,
			Message: "function leaves by a short jump to another one, which its copy cannot reach",
			Remedy:  "take at least one of the two functions out of their common section"}
	}
	section.Data[rel.Off] = byte(dist)
	near := elfobj.Reloc{Off: uint64(len(section.Data) + len(stub) - 4), Type: typ, Sym: rel.Sym,
		Addend: rel.Addend + 1 - 4}
	section.Data = append(section.Data, stub...)
	return near, nil
}

// reloc rewrites one relocation for the output. from is the atom in whose code
// it lies or to whose table entry it belongs.
func (x *extractor) reloc(
	from AtomID, sec elfobj.SecID, rel *elfobj.Reloc, idx int, branch bool,
) (elfobj.Reloc, error) {
	patched := x.p
	target := patched.target(sec, rel, idx)
	nr := *rel
	sym := &patched.File.Symbols[rel.Sym]
	// What lies between the addend and the offset that is meant: the distance
	// to the end of the instruction for PC-relative fields in code, else 0.
	skew := patched.location(sec, rel, idx) - int64(sym.Value) - rel.Addend
	if ent, n, ok := patched.siteAt(target); ok && patched.Root(ent.owner) == patched.Root(from) {
		pl, err := x.site(&ent, n)
		nr.Sym, nr.Addend = pl.sym, int64(pl.off)+target.Off-int64(ent.off)-skew
		return nr, err
	}
	if target.Slot {
		pl, err := x.slot(from, target)
		if err != nil {
			return nr, err
		}
		nr.Sym, nr.Addend = pl.sym, int64(pl.off)-skew
		return nr, nil
	}
	if x.sharedTable(sec, rel, target) {
		return nr, &finding.Finding{ID: finding.IDUnsupported, Severity: finding.Error,
			Symbol: patched.Atoms[from].Name, Section: patched.File.Sections[target.Sec].Name,
			Message: "a table of jumps, whose distances count from the table's start, leads into a section that " +
				"holds several functions",
			Remedy: "take the patched function out of the section that it shares with others"}
	}
	switch target.Kind {
	case TargetNone, TargetAbs:
		nr.Sym = 0
		if target.Kind == TargetAbs {
			nr.Sym = x.symbol(elfobj.Symbol{Name: sym.Name, Sec: elfobj.SecAbs, Value: sym.Value, Type: sym.Type})
		}
	case TargetExtern:
		s, err := x.extern(External{Name: target.Name, Orig: -1, Func: branch})
		if err != nil {
			return nr, err
		}
		nr.Sym = s
	case TargetString, TargetConst:
		if target.Text == nil {
			return nr, fmt.Errorf("%s+%#x: reference outside %s", patched.File.Sections[sec].Name, rel.Off,
				patched.File.Sections[target.Sec].Name)
		}
		pl, err := x.pooled(target)
		if err != nil {
			return nr, err
		}
		nr.Sym, nr.Addend = pl.sym, int64(pl.off)+target.Skip-skew
	case TargetAtom:
		if x.internal(from, target, branch) {
			atom := target.Atom
			pl, ok := x.place[atom]
			if !ok {
				return nr, fmt.Errorf("internal: %s refers to %s, which was not carried", patched.Atoms[from].Name,
					patched.Atoms[atom].Name)
			}
			nr.Sym, nr.Addend = pl.sym, pl.add+target.Off-skew
			return nr, nil
		}
		s, off, err := x.original(target)
		if err != nil {
			return nr, err
		}
		nr.Sym, nr.Addend = s, off-skew
	default:
		return nr, &finding.Finding{ID: finding.IDUnknownSection, Severity: finding.Error,
			Symbol: patched.Atoms[from].Name, Section: patched.File.Sections[sec].Name,
			Message: fmt.Sprintf("reference into section %s, whose layout is not known",
				patched.File.Sections[target.Sec].Name)}
	}
	return nr, nil
}

// sharedTable reports a distance in constant data to a nameless place of code in a
// section of several functions. In the table of a switch such distances count
// from the start of the table, which nothing tells, so that the function meant is
// not known.
func (x *extractor) sharedTable(sec elfobj.SecID, rel *elfobj.Reloc, target Target) bool {
	p := x.p
	return p.class[sec] == classROData && p.Arch.PCRelative(rel.Type) && target.Kind == TargetAtom && !target.Slot &&
		p.Atoms[target.Atom].Class == classText && len(p.atomsIn(target.Sec)) > 1 && p.symAtom[rel.Sym] < 0
}

// original returns the symbol of the running kernel for an atom that stays
// there, and the offset from it.
func (x *extractor) original(target Target) (elfobj.SymID, int64, error) {
	orig := x.r.Orig
	atom := x.r.pairs.toO[target.Atom]
	at := &orig.Atoms[atom]
	root := orig.Root(atom)
	if at.Class == classText && root != atom {
		return 0, 0, &finding.Finding{ID: finding.IDUnsupported, Severity: finding.Error, Symbol: at.Name,
			Message: "patched code jumps into a piece of an unpatched function"}
	}
	if owner := &x.p.Atoms[target.Atom]; owner.Class == classText && owner.Size > 0 && target.Off >= int64(owner.Size) {
		return 0, 0, &finding.Finding{ID: finding.IDUnsupported, Severity: finding.Error, Symbol: owner.Name,
			Section: x.p.Section(target.Atom),
			Message: "patched code refers to out-of-line code behind this function, where that of all functions of " +
				"the section lies",
			Remedy: "take the patched function out of the section that it shares with others"}
	}
	if initSection(orig.File.Sections[at.Sec].Name) {
		return 0, 0, &finding.Finding{ID: finding.IDAlreadyRun, Severity: finding.Error, Symbol: at.Name,
			Section: orig.File.Sections[at.Sec].Name,
			Message: "patched code refers to boot-time code or data that is no longer in memory",
			Remedy:  "move what is needed out of __init"}
	}
	s, err := x.extern(External{Name: at.Name, Orig: atom, Func: at.Class == classText, Local: orig.Local(atom),
		Original: x.replaced[target.Atom]})
	return s, target.Off, err
}

func (x *extractor) extern(external External) (elfobj.SymID, error) {
	name, ok := x.seenExt[external]
	if !ok && external.Orig < 0 && x.p.Arch.ByName(external.Name) {
		name, ok = external.Name, true
	}
	if !ok {
		var err error
		if name, err = x.opt.Resolve(external); err != nil {
			return 0, err
		}
		x.seenExt[external] = name
	}
	if s, ok := x.externs[name]; ok {
		return s, nil
	}
	s := x.symbol(elfobj.Symbol{Name: name, Bind: elf.STB_GLOBAL})
	x.externs[name] = s
	return s, nil
}

// slot copies an entry of a table of addresses that the code of from looks up.
func (x *extractor) slot(from AtomID, target Target) (placement, error) {
	src := &x.p.File.Sections[target.SlotSec]
	relocs := x.p.relocs(target.SlotSec)
	key := fmt.Sprintf("slot/%d/%x", target.SlotSec, src.Data[target.SlotOff:target.SlotOff+slotSize])
	var nr elfobj.Reloc
	k := searchOff(relocs, target.SlotOff)
	filled := k < len(relocs) && relocs[k].Off == target.SlotOff
	if filled {
		var err error
		// What stands in a table is an address that the code may keep.
		if nr, err = x.reloc(from, target.SlotSec, &relocs[k], k, false); err != nil {
			return placement{}, err
		}
		key = fmt.Sprintf("slot/%d/%d/%d/%d", target.SlotSec, nr.Type, nr.Sym, nr.Addend)
	}
	if pl, ok := x.pool[key]; ok {
		return pl, nil
	}
	id := x.blob(src.Name, src.Align, src.Flags&^elf.SHF_GROUP)
	section := &x.out.Sections[id]
	pl := placement{sec: id, off: uint64(len(section.Data)), sym: x.blobSym[id]}
	section.Data = append(section.Data, src.Data[target.SlotOff:target.SlotOff+slotSize]...)
	section.Size = uint64(len(section.Data))
	if filled {
		nr.Off = pl.off
		x.clear(id, nr)
		section.Relocs = append(section.Relocs, nr)
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
func (x *extractor) pooled(target Target) (placement, error) {
	src := &x.p.File.Sections[target.Sec]
	if src.Align > maxPieceAlign {
		return placement{}, &finding.Finding{ID: finding.IDUnknownSection, Severity: finding.Error, Section: src.Name,
			Message: fmt.Sprintf("section of strings or constants is aligned to %d bytes", src.Align),
			Remedy:  "compile the object with a supported compiler"}
	}

	// Pieces are shared as the linker would share them: same bytes, same alignment.
	align := alignedAt(src.Align, target.Off-target.Skip)
	key := fmt.Sprintf("%d/%d/%s", align, target.Kind, target.Text)
	if pl, ok := x.pool[key]; ok {
		return pl, nil
	}

	// Each reference may copy a piece, so a hostile object could grow without bound.
	if x.copied[target.Sec] += uint64(len(target.Text)); x.copied[target.Sec] > maxPool*src.Size {
		return placement{}, &finding.Finding{ID: finding.IDUnknownSection, Severity: finding.Error, Section: src.Name,
			Message: "section of strings is referred to in too many places",
			Remedy:  "compile the object with a supported compiler"}
	}

	name := ".rodata.klpforge.str"
	if target.Kind == TargetConst {
		name = ".rodata.klpforge.cst"
	}
	id := x.blob(name, align, elf.SHF_ALLOC)
	section := &x.out.Sections[id]
	off := alignTo(uint64(len(section.Data)), align)
	section.Data = append(section.Data, make([]byte, off-uint64(len(section.Data)))...)
	section.Data = append(section.Data, target.Text...)
	section.Size = uint64(len(section.Data))
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
	x.out.Sections = append(x.out.Sections, elfobj.Section{Name: name, Type: elf.SHT_PROGBITS, Flags: flags,
		Align: align, Data: []byte{}})
	x.blobSym[id] = x.symbol(elfobj.Symbol{Type: elf.STT_SECTION, Sec: id})
	x.blobs[key] = id
	return id
}
