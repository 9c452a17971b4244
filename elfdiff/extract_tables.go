package elfdiff

import (
	"cmp"
	"debug/elf"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// tableBlob returns the output section for the entries of one special section
// that belong to owner. A section that the linker orders by the code it
// describes gets one part for each section of code: linkers refuse to mix
// ordered with unordered parts, and the module's compiled tables are ordered.
func (x *extractor) tableBlob(src *elfobj.Section, owner AtomID) elfobj.SecID {
	flags := src.Flags &^ (elf.SHF_GROUP | elf.SHF_LINK_ORDER)
	pl, ok := x.place[owner]
	if src.Flags&elf.SHF_LINK_ORDER == 0 || !ok {
		return x.blob(src.Name, src.Align, flags)
	}
	id := x.part(fmt.Sprintf("%s/%d", src.Name, pl.sec), src.Name, src.Align, flags|elf.SHF_LINK_ORDER)
	x.out.Sections[id].Link = pl.sec
	return id
}

// tables copies the special-section entries of carried code, in the order of
// the source object: alternatives of one place apply in that order.
func (x *extractor) tables() error {
	list := x.derived
	for _, a := range x.order {
		for _, n := range x.p.entriesOf(a) {
			if x.p.entry(n).row.policy == carry {
				list = append(list, n)
			}
		}
	}
	slices.Sort(list) // they are numbered in that order
	for _, n := range slices.Compact(list) {
		e := x.p.entry(n)
		if err := x.entry(&e); err != nil {
			return err
		}
	}
	x.lateNotes()
	return nil
}

func (x *extractor) entry(e *entry) error {
	src := &x.p.File.Sections[e.sec]
	relocs := make([]elfobj.Reloc, 0, len(e.relocs))
	for k := range e.relocs {
		r := e.relocs[k]
		t := x.p.target(e.sec, &r, e.first+k)
		var nr elfobj.Reloc
		var err error
		if t.Kind == TargetPiece && e.shape.alt != 0 {
			nr, err = x.piece(e, r, t, x.p.location(e.sec, &r, e.first+k)-int64(x.p.File.Symbols[r.Sym].Value)-r.Addend)
		} else {
			nr, err = x.reloc(e.owner, e.sec, &r, e.first+k, true)
		}
		if err != nil {
			return err
		}
		nr.Off = r.Off - e.off
		relocs = append(relocs, nr)
	}
	if dropIt, err := x.late(e, relocs); err != nil || dropIt {
		return err
	}
	if err := x.lateSite(e); err != nil {
		return err
	}
	id := x.tableBlob(src, e.owner)
	out := &x.out.Sections[id]
	out.EntSize = src.EntSize
	base := uint64(len(out.Data))
	out.Data = append(out.Data, x.p.whole(e)...) // others may follow
	out.Size = uint64(len(out.Data))
	for _, r := range relocs {
		r.Off += base
		x.clear(id, r)
		out.Relocs = append(out.Relocs, r)
	}
	if e.row.pair == "" {
		return nil
	}
	return x.pairEntry(e)
}

// half returns the first section of the name that holds one half of a table.
func (x *extractor) half(name string) (elfobj.SecID, bool) {
	id, ok := x.halves[name]
	if !ok {
		id = elfobj.SecID(max(0, slices.IndexFunc(x.p.File.Sections, func(s elfobj.Section) bool { return s.Name == name })))
		x.halves[name] = id
	}
	return id, id != 0
}

// pairEntry copies the other half of a parallel table's entry.
func (x *extractor) pairEntry(e *entry) error {
	index := e.off / e.shape.size
	count, _ := e.shape.count(x.p.File.Sections[e.sec].Size)
	other, ok := x.half(e.row.pair)
	if !ok {
		return &finding.Finding{ID: finding.IDUnknownSection, Severity: finding.Error, Section: e.row.pair, Message: "section is missing although " + e.row.section + " exists"}
	}
	s := &x.p.File.Sections[other]
	size := s.Size / count
	if size == 0 || s.Size%count != 0 || len(s.Relocs) > 0 || s.Data == nil {
		return &finding.Finding{ID: finding.IDUnknownSection, Severity: finding.Error, Section: s.Name, Message: fmt.Sprintf("%s does not match %s", s.Name, e.row.section)}
	}
	id := x.blob(s.Name, s.Align, s.Flags)
	out := &x.out.Sections[id]
	out.Data = append(out.Data, s.Data[index*size:(index+1)*size]...)
	out.Size = uint64(len(out.Data))
	return nil
}

// piece copies the replacement code of an alternative and returns the entry's
// relocation r to it. t and skew are those of r.
func (x *extractor) piece(e *entry, r elfobj.Reloc, t Target, skew int64) (elfobj.Reloc, error) {
	if e.altLen == 0 {
		// Nothing stands there; the section is all that the entry needs.
		src := &x.p.File.Sections[t.Sec]
		id := x.blob(src.Name, src.Align, src.Flags&^elf.SHF_GROUP)
		r.Sym, r.Addend = x.blobSym[id], -skew
		return r, nil
	}
	src := &x.p.File.Sections[e.alt]
	key := fmt.Sprintf("alt/%d/%d/%d", e.alt, e.altOff, e.altLen)
	pl, ok := x.pool[key]
	if !ok {
		id := x.blob(src.Name, src.Align, src.Flags&^elf.SHF_GROUP)
		pl = placement{sec: id, off: uint64(len(x.out.Sections[id].Data)), sym: x.blobSym[id]}
		x.pool[key] = pl
		out := &x.out.Sections[id]
		out.Data = append(out.Data, src.Data[e.altOff:e.altOff+e.altLen]...)
		out.Size = uint64(len(out.Data))
		relocs, first := x.p.pieceRelocs(e)
		for k := range relocs {
			if relocs[k].Off-e.altOff+uint64(x.p.Arch.Width(relocs[k].Type)) > e.altLen {
				return r, &finding.Finding{ID: finding.IDUnsupported, Severity: finding.Error, Symbol: x.p.Atoms[e.owner].Name, Section: src.Name,
					Message: fmt.Sprintf("relocation at %#x reaches outside the replacement code", relocs[k].Off),
					Remedy:  "report the instruction; the function cannot be carried safely"}
			}
			nr, err := x.reloc(e.owner, e.alt, &relocs[k], first+k, x.isBranch(e.alt, &relocs[k]))
			if err != nil {
				return r, err
			}
			if symbol, of := ofModule(x.out.Symbols[nr.Sym].Name); of {
				return r, &finding.Finding{ID: finding.IDLoadTime, Severity: finding.Error, Symbol: x.p.Atoms[e.owner].Name, Section: src.Name,
					Message: fmt.Sprintf("an alternative instruction refers to a symbol of module %s, which may load after the livepatch", symbol.Object),
					Remedy:  "avoid the alternative in the patched function"}
			}
			nr.Off = relocs[k].Off - e.altOff + pl.off
			x.clear(id, nr)
			x.out.Sections[id].Relocs = append(x.out.Sections[id].Relocs, nr)
		}
	}
	r.Sym, r.Addend = pl.sym, int64(pl.off)+t.Off-int64(e.altOff)-skew
	return r, nil
}

// ofModule reads the name of a livepatch symbol that a module has, not vmlinux.
func ofModule(name string) (symbol elfobj.KlpSymbol, ok bool) {
	symbol, err := elfobj.ParseKlpSymbol(name)
	return symbol, err == nil && symbol.Object != "vmlinux"
}

// late judges table entries that refer to a symbol of a module. The tables are
// processed when the livepatch loads; the module may come later. Tracepoints
// and pr_debug are then left disabled, anything else is refused.
func (x *extractor) late(e *entry, relocs []elfobj.Reloc) (dropIt bool, err error) {
	for i, r := range relocs {
		name := x.out.Symbols[r.Sym].Name
		symbol, of := ofModule(name)
		if !of {
			continue
		}
		obj, key := symbol.Object, symbol.Name
		fn := x.p.Atoms[x.p.Root(e.owner)].Name
		switch {
		case e.row.section == "__jump_table" && strings.HasPrefix(key, "__tracepoint_"):
			x.sleeps(lateKind{obj, "tracepoint"}, strings.TrimPrefix(key, "__tracepoint_"), fn)
			return true, nil
		case e.row.section == "__jump_table" && x.describesDebug(e, i):
			x.sleeps(lateKind{obj, "pr_debug"}, "", fn)
			return true, nil
		case e.row.section == ".static_call_sites":
			// Without its entry the site keeps calling the trampoline, which
			// static_call_update() keeps up to date as well (kernel/static_call_inline.c,
			// v5.10 to v6.12): the same function, one jump later.
			x.sleeps(lateKind{obj, "static call"}, strings.TrimPrefix(key, "__SCK__"), fn)
			return true, nil
		case e.row.section == "__jump_table":
			return false, &finding.Finding{ID: finding.IDModuleKey, Severity: finding.Error, Symbol: fn, Section: e.row.section,
				Message: fmt.Sprintf("static key %s is defined in module %s, which may load after the livepatch", key, obj),
				Remedy:  "use static_key_enabled(&key.key) in the patched function instead of the static branch"}
		default:
			return false, &finding.Finding{ID: finding.IDLoadTime, Severity: finding.Error, Symbol: fn, Section: e.row.section,
				Message: fmt.Sprintf("entry of %s refers to %s of module %s, which may load after the livepatch", e.row.section, key, obj)}
		}
	}
	return false, nil
}

// lateKind is a kind of construct of one module that the livepatch cannot
// take part in.
type lateKind struct{ object, what string }

// sleeps records that fn uses name, or something without one.
func (x *extractor) sleeps(k lateKind, name, fn string) {
	if x.asleep == nil {
		x.asleep = map[lateKind]map[string]bool{}
	}
	if x.asleep[k] == nil {
		x.asleep[k] = map[string]bool{}
	}
	x.asleep[k]["in "+fn] = true
	if name != "" {
		x.asleep[k][name] = true
	}
}

// lateNotes makes one note of each kind of construct and module.
func (x *extractor) lateNotes() {
	for k, names := range x.asleep {
		var what, fns []string
		for n := range names {
			if fn, ok := strings.CutPrefix(n, "in "); ok {
				fns = append(fns, fn)
			} else {
				what = append(what, n)
			}
		}
		slices.Sort(what)
		slices.Sort(fns)
		p := finding.Finding{ID: finding.IDModuleKey, Severity: finding.Note, Symbol: strings.Join(fns, ", "), Section: "__jump_table"}
		switch k.what {
		case "tracepoint":
			p.Message = fmt.Sprintf("module %s may load after the livepatch: its tracepoints stay disabled in the patched functions: %s", k.object, strings.Join(what, ", "))
		case "pr_debug":
			p.Message = fmt.Sprintf("module %s may load after the livepatch: its pr_debug messages stay disabled in the patched functions", k.object)
		default:
			p.Section = ".static_call_sites"
			p.Message = fmt.Sprintf("module %s may load after the livepatch: the patched functions reach its static calls through their trampolines: %s", k.object, strings.Join(what, ", "))
		}
		x.res.Problems = append(x.res.Problems, p)
	}
	slices.SortFunc(x.res.Problems, func(a, b finding.Finding) int { return cmp.Compare(a.Message, b.Message) })
}

// describesDebug reports whether the i-th reference of an entry goes to the description
// of a pr_debug.
func (x *extractor) describesDebug(e *entry, i int) bool {
	t := x.p.target(e.sec, &e.relocs[i], e.first+i)
	return t.Kind == TargetAtom && describesDebug(x.p.Section(t.Atom))
}

// lateSite refuses an alternative whose original instruction refers to a
// symbol of a module: the instruction may have been replaced when that
// relocation is applied.
func (x *extractor) lateSite(e *entry) error {
	if e.row.section != ".altinstructions" && e.row.section != ".parainstructions" {
		return nil
	}
	pl, ok := x.place[e.owner]
	if !ok {
		return nil
	}
	at := &x.p.Atoms[e.owner]
	start := pl.off + uint64(e.at) + at.Base - at.Start
	end := start + siteLength(e, x.p.File.Sections[e.sec].Data[e.off:e.off+e.size])
	relocs := x.out.Sections[pl.sec].Relocs
	for _, r := range relocs[searchOff(relocs, start):] {
		if r.Off >= end {
			break
		}
		if symbol, of := ofModule(x.out.Symbols[r.Sym].Name); of {
			return &finding.Finding{ID: finding.IDLoadTime, Severity: finding.Error, Symbol: at.Name, Section: e.row.section,
				Message: fmt.Sprintf("an instruction with alternatives refers to a symbol of module %s, which may load after the livepatch", symbol.Object),
				Remedy:  "avoid the alternative in the patched function"}
		}
	}
	return nil
}

// siteLength is the number of bytes that an alternative or a paravirt site
// replaces: instrlen of struct alt_instr, len of struct paravirt_patch_site.
func siteLength(e *entry, b []byte) uint64 {
	if e.row.section == ".parainstructions" {
		return uint64(b[9])
	}
	return uint64(b[e.shape.siteLen])
}
