package elfdiff

import (
	"bytes"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
)

// traceTable is where the functions of a table are noted that tells of ftrace
// entries, or may; nil for other tables.
func (o *Object) traceTable(section string) []bool {
	switch section {
	case "__mcount_loc":
		if o.traceable == nil {
			o.traceable = make([]bool, len(o.Atoms))
		}
		return o.traceable
	case "__patchable_function_entries":
		if o.spare == nil {
			o.spare = make([]bool, len(o.Atoms))
		}
		return o.spare
	}
	return nil
}

// findTraceable finds the functions with an ftrace entry: by the table of entries; or,
// where objtool makes that only when the kernel is linked, by the calls that it makes it from;
// or by the places that the compiler left room in. Where there is one of the former, that room
// serves something else: x86 has it in front of all functions (CONFIG_CALL_PADDING). What
// recordmcount left out of the table because of -ffunction-sections counts as well.
func (o *Object) findTraceable() {
	table := o.traceable != nil
	o.entryCalls(table)
	o.entryNops(table)
	if o.traceable == nil {
		o.traceable = o.spare
	}
	o.spare = nil
	if o.anyTrace = o.traceable != nil; !o.anyTrace {
		o.traceable = make([]bool, len(o.Atoms))
	}
}

// markTraceable notes that a function has an ftrace entry.
func (o *Object) markTraceable(atom AtomID) {
	if o.traceable == nil {
		o.traceable = make([]bool, len(o.Atoms))
	}
	o.traceable[atom] = true
}

// entryCalls finds the functions that make the call for ftrace, where no table of entries
// tells; those whose call recordmcount has made a no-op that the kernel does not have; and
// those whose call it has left alone.
func (o *Object) entryCalls(table bool) {
	trace := o.Arch.Trace()
	for i := range o.File.Sections {
		if o.class[i] != classText {
			continue
		}
		relocs := o.relocs(elfobj.SecID(i))
		for k := range relocs {
			if !slices.Contains(trace.Calls, o.File.Symbols[relocs[k].Sym].Name) {
				continue
			}
			atom := o.atomAt(elfobj.SecID(i), int64(relocs[k].Off))
			if atom < 0 || o.Atoms[atom].Name == "" {
				continue
			}
			// A relocation that writes nothing marks a no-op.
			noop := o.Arch.Width(relocs[k].Type) == 0
			if (noop || table && trace.Kept) && !o.ownSection(atom) || !noop && table && !trace.Kept {
				continue
			}
			o.markTraceable(atom)
		}
	}
}

// entryNops finds the functions that begin with the no-op for ftrace and are not in the table of
// entries: those in sections of their own, and all where there is no table.
func (o *Object) entryNops(table bool) {
	nop := o.Arch.Trace().Nop
	if nop == nil {
		return
	}
	for i := range o.Atoms {
		atom, at := AtomID(i), &o.Atoms[i]
		if at.Class != classText || at.Name == "" || table && !o.ownSection(atom) {
			continue
		}
		if bytes.HasPrefix(o.File.Sections[at.Sec].Data[at.Base:at.End], nop) {
			o.markTraceable(atom)
		}
	}
}

// ownSection reports whether -ffunction-sections gave the function a section of its own
// that would be .text or .text.unlikely without. The recordmcount of older kernels compares
// a section's whole name with a list, and leaves the functions in any other section out of the
// table: scripts/recordmcount.c and recordmcount.pl, v3.18 and v4.19. That of v5.10 takes all
// whose names begin with .text.
func (o *Object) ownSection(atom AtomID) bool {
	name := o.Atoms[atom].Name
	section, _ := strings.CutPrefix(o.Section(atom), ".text.")
	return section == name || section == "unlikely."+name
}
