package elfdiff

import (
	"cmp"
	"debug/elf"
	"fmt"
	"maps"
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
	for _, atom := range x.order {
		for _, n := range x.p.entriesOf(atom) {
			if x.p.entry(n).row.policy == carry {
				list = append(list, n)
			}
		}
	}
	slices.Sort(list) // they are numbered in that order
	for _, n := range slices.Compact(list) {
		if _, ok := x.sites[n]; ok {
			continue
		}
		ent := x.p.entry(n)
		if _, err := x.entry(&ent); err != nil {
			return err
		}
	}
	x.lateNotes()
	return nil
}

// site copies the entry that code refers to, which is the n-th, when it is first asked
// for, and returns its place.
func (x *extractor) site(ent *entry, n uint32) (placement, error) {
	if pl, ok := x.sites[n]; ok {
		return pl, nil
	}
	pl, err := x.entry(ent)
	if err == nil && pl.sec == 0 {
		err = &finding.Finding{ID: finding.IDUnsupported, Severity: finding.Error, Symbol: x.p.Atoms[ent.owner].Name,
			Section: ent.row.section, Message: "the code refers to an entry of the table, which cannot be carried"}
	}
	x.sites[n] = pl
	return pl, err
}

// entry copies one entry and returns its place, the zero value when it is left out.
func (x *extractor) entry(ent *entry) (placement, error) {
	src := &x.p.File.Sections[ent.sec]
	relocs := make([]elfobj.Reloc, 0, len(ent.relocs))
	for k := range ent.relocs {
		rel := ent.relocs[k]
		target := x.p.target(ent.sec, &rel, ent.first+k)
		var nr elfobj.Reloc
		var err error
		if target.Kind == TargetPiece && ent.shape.alt != 0 {
			nr, err = x.piece(ent, rel, target, x.p.location(ent.sec, &rel,
				ent.first+k)-int64(x.p.File.Symbols[rel.Sym].Value)-rel.Addend)
		} else {
			nr, err = x.reloc(ent.owner, ent.sec, &rel, ent.first+k, true)
		}
		if err != nil {
			return placement{}, err
		}
		nr.Off = rel.Off - ent.off
		relocs = append(relocs, nr)
	}
	if dropIt, err := x.late(ent, relocs); err != nil || dropIt {
		return placement{}, err
	}
	if err := x.lateSite(ent); err != nil {
		return placement{}, err
	}
	id := x.tableBlob(src, ent.owner)
	out := &x.out.Sections[id]
	out.EntSize = src.EntSize
	base := uint64(len(out.Data))
	out.Data = append(out.Data, x.p.whole(ent)...) // others may follow
	out.Size = uint64(len(out.Data))
	for _, rel := range relocs {
		rel.Off += base
		x.clear(id, rel)
		out.Relocs = append(out.Relocs, rel)
	}
	pl := placement{sec: id, off: base, sym: x.blobSym[id]}
	if ent.row.pair == "" {
		return pl, nil
	}
	return pl, x.pairEntry(ent)
}

// half returns the first section of the name that holds one half of a table.
func (x *extractor) half(name string) (elfobj.SecID, bool) {
	id, ok := x.halves[name]
	if !ok {
		id = elfobj.SecID(max(0, slices.IndexFunc(x.p.File.Sections,
			func(s elfobj.Section) bool { return s.Name == name })))
		x.halves[name] = id
	}
	return id, id != 0
}

// pairEntry copies the other half of a parallel table's entry.
func (x *extractor) pairEntry(ent *entry) error {
	index := ent.off / ent.shape.size
	count, _ := ent.shape.count(x.p.File.Sections[ent.sec].Size)
	other, ok := x.half(ent.row.pair)
	if !ok {
		return &finding.Finding{ID: finding.IDUnknownSection, Severity: finding.Error, Section: ent.row.pair,
			Message: "section is missing although " + ent.row.section + " exists"}
	}
	section := &x.p.File.Sections[other]
	size := section.Size / count
	if size == 0 || section.Size%count != 0 || len(section.Relocs) > 0 || section.Data == nil {
		return &finding.Finding{ID: finding.IDUnknownSection, Severity: finding.Error, Section: section.Name,
			Message: fmt.Sprintf("%s does not match %s", section.Name, ent.row.section)}
	}
	id := x.blob(section.Name, section.Align, section.Flags)
	out := &x.out.Sections[id]
	out.Data = append(out.Data, section.Data[index*size:(index+1)*size]...)
	out.Size = uint64(len(out.Data))
	return nil
}

// piece copies the replacement code of an alternative and returns the entry's
// relocation rel to it. target and skew are those of rel.
func (x *extractor) piece(ent *entry, rel elfobj.Reloc, target Target, skew int64) (elfobj.Reloc, error) {
	if ent.altLen == 0 {
		// Nothing stands there; the section is all that the entry needs.
		src := &x.p.File.Sections[target.Sec]
		id := x.blob(src.Name, src.Align, src.Flags&^elf.SHF_GROUP)
		rel.Sym, rel.Addend = x.blobSym[id], -skew
		return rel, nil
	}
	src := &x.p.File.Sections[ent.alt]
	key := fmt.Sprintf("alt/%d/%d/%d", ent.alt, ent.altOff, ent.altLen)
	pl, ok := x.pool[key]
	if !ok {
		id := x.blob(src.Name, src.Align, src.Flags&^elf.SHF_GROUP)
		pl = placement{sec: id, off: uint64(len(x.out.Sections[id].Data)), sym: x.blobSym[id]}
		x.pool[key] = pl
		out := &x.out.Sections[id]
		out.Data = append(out.Data, src.Data[ent.altOff:ent.altOff+ent.altLen]...)
		out.Size = uint64(len(out.Data))
		relocs, first := x.p.pieceRelocs(ent)
		for k := range relocs {
			if relocs[k].Off-ent.altOff+uint64(x.p.Arch.Width(relocs[k].Type)) > ent.altLen {
				return rel, &finding.Finding{ID: finding.IDUnsupported, Severity: finding.Error,
					Symbol: x.p.Atoms[ent.owner].Name, Section: src.Name,
					Message: fmt.Sprintf("relocation at %#x reaches outside the replacement code", relocs[k].Off),
					Remedy:  "report the instruction; the function cannot be carried safely"}
			}
			nr, err := x.reloc(ent.owner, ent.alt, &relocs[k], first+k, x.isBranch(ent.alt, &relocs[k]))
			if err != nil {
				return rel, err
			}
			if symbol, of := ofModule(x.out.Symbols[nr.Sym].Name); of {
				return rel, &finding.Finding{ID: finding.IDLoadTime, Severity: finding.Error,
					Symbol: x.p.Atoms[ent.owner].Name, Section: src.Name,
					Message: fmt.Sprintf("an alternative instruction refers to a symbol of module %s, which may load "+
						"after the livepatch", symbol.Object),
					Remedy: "avoid the alternative in the patched function"}
			}
			nr.Off = relocs[k].Off - ent.altOff + pl.off
			x.clear(id, nr)
			x.out.Sections[id].Relocs = append(x.out.Sections[id].Relocs, nr)
		}
	}
	rel.Sym, rel.Addend = pl.sym, int64(pl.off)+target.Off-int64(ent.altOff)-skew
	return rel, nil
}

// ofModule reads the name of a livepatch symbol that a module has, not vmlinux.
func ofModule(name string) (symbol elfobj.KlpSymbol, ok bool) {
	symbol, err := elfobj.ParseKlpSymbol(name)
	return symbol, err == nil && symbol.Object != "vmlinux"
}

// late judges table entries that refer to a symbol of a module. The tables are
// processed when the livepatch loads; the module may come later. Tracepoints
// and pr_debug are then left disabled, anything else is refused.
func (x *extractor) late(ent *entry, relocs []elfobj.Reloc) (dropIt bool, err error) {
	for i, rel := range relocs {
		name := x.out.Symbols[rel.Sym].Name
		symbol, of := ofModule(name)
		if !of {
			continue
		}
		obj, key := symbol.Object, symbol.Name
		fn := x.p.Atoms[x.p.Root(ent.owner)].Name
		switch {
		case ent.row.section == "__jump_table" && strings.HasPrefix(key, "__tracepoint_"):
			x.sleeps(lateKind{obj, lateTracepoint}, strings.TrimPrefix(key, "__tracepoint_"), fn)
			return true, nil
		case ent.row.section == "__jump_table" && x.describesDebug(ent, i):
			x.sleeps(lateKind{obj, lateDebug}, "", fn)
			return true, nil
		case ent.row.section == ".static_call_sites":
			// Without its entry the site keeps calling the trampoline, which
			// static_call_update() keeps up to date as well (kernel/static_call_inline.c,
			// v5.10 to v6.12): the same function, one jump later.
			x.sleeps(lateKind{obj, lateCall}, strings.TrimPrefix(key, "__SCK__"), fn)
			return true, nil
		case ent.row.section == "__jump_table":
			return false, &finding.Finding{ID: finding.IDModuleKey, Severity: finding.Error, Symbol: fn,
				Section: ent.row.section,
				Message: fmt.Sprintf("static key %s is defined in module %s, which may load after the livepatch", key,
					obj),
				Remedy: "use static_key_enabled(&key.key) in the patched function instead of the static branch"}
		default:
			return false, &finding.Finding{ID: finding.IDLoadTime, Severity: finding.Error, Symbol: fn,
				Section: ent.row.section,
				Message: fmt.Sprintf("entry of %s refers to %s of module %s, which may load after the livepatch",
					ent.row.section, key, obj)}
		}
	}
	return false, nil
}

// lateKind is a kind of construct of one module that the livepatch cannot
// take part in.
type lateKind struct {
	object string
	what   lateConstruct
}

type lateConstruct uint8

const (
	lateTracepoint lateConstruct = iota
	lateDebug                    // pr_debug
	lateCall                     // a static call
)

// late is what is used of one kind, and by which functions.
type late struct{ names, users map[string]bool }

// sleeps records that fn uses name, or something without one.
func (x *extractor) sleeps(kind lateKind, name, fn string) {
	if x.asleep == nil {
		x.asleep = map[lateKind]*late{}
	}
	if x.asleep[kind] == nil {
		x.asleep[kind] = &late{names: map[string]bool{}, users: map[string]bool{}}
	}
	x.asleep[kind].users[fn] = true
	if name != "" {
		x.asleep[kind].names[name] = true
	}
}

// lateNotes makes one note of each kind of construct and module.
func (x *extractor) lateNotes() {
	for kind, used := range x.asleep {
		what, fns := slices.Sorted(maps.Keys(used.names)), slices.Sorted(maps.Keys(used.users))

		// One note for each module and construct, so that a patch with many of them stays
		// readable.
		note := finding.Finding{ID: finding.IDModuleKey, Severity: finding.Note, Symbol: strings.Join(fns, ", "),
			Section: "__jump_table"}
		switch kind.what {
		case lateTracepoint:
			note.Message = fmt.Sprintf("module %s may load after the livepatch: its tracepoints stay disabled in the "+
				"patched functions: %s", kind.object, strings.Join(what, ", "))
		case lateDebug:
			note.Message = fmt.Sprintf("module %s may load after the livepatch: its pr_debug messages stay disabled "+
				"in the patched functions", kind.object)
		default:
			note.Section = ".static_call_sites"
			note.Message = fmt.Sprintf("module %s may load after the livepatch: the patched functions reach its "+
				"static calls through their trampolines: %s", kind.object, strings.Join(what, ", "))
		}
		x.res.Problems = append(x.res.Problems, note)
	}
	slices.SortFunc(x.res.Problems, func(a, b finding.Finding) int { return cmp.Compare(a.Message, b.Message) })
}

// describesDebug reports whether the i-th reference of an entry goes to the description
// of a pr_debug.
func (x *extractor) describesDebug(ent *entry, i int) bool {
	target := x.p.target(ent.sec, &ent.relocs[i], ent.first+i)
	return target.Kind == TargetAtom && describesDebug(x.p.Section(target.Atom))
}

// lateSite refuses an alternative whose original instruction refers to a
// symbol of a module: the instruction may have been replaced when that
// relocation is applied.
func (x *extractor) lateSite(ent *entry) error {
	if ent.row.section != ".altinstructions" && ent.row.section != ".parainstructions" {
		return nil
	}
	pl, ok := x.place[ent.owner]
	if !ok {
		return nil
	}
	at := &x.p.Atoms[ent.owner]
	start := pl.off + uint64(ent.at) + at.Base - at.Start
	end := start + siteLength(ent, x.p.File.Sections[ent.sec].Data[ent.off:ent.off+ent.size])
	relocs := x.out.Sections[pl.sec].Relocs
	for _, rel := range relocs[searchOff(relocs, start):] {
		if rel.Off >= end {
			break
		}
		if symbol, of := ofModule(x.out.Symbols[rel.Sym].Name); of {
			return &finding.Finding{ID: finding.IDLoadTime, Severity: finding.Error, Symbol: at.Name,
				Section: ent.row.section,
				Message: fmt.Sprintf("an instruction with alternatives refers to a symbol of module %s, which may "+
					"load after the livepatch", symbol.Object),
				Remedy: "avoid the alternative in the patched function"}
		}
	}
	return nil
}

// siteLength is the number of bytes that an alternative or a paravirt site
// replaces: instrlen of struct alt_instr, len of struct paravirt_patch_site.
func siteLength(ent *entry, b []byte) uint64 {
	if ent.row.section == ".parainstructions" {
		return uint64(b[9])
	}
	return uint64(b[ent.shape.siteLen])
}
