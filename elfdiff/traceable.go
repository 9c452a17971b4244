package elfdiff

import (
	"strings"

	"github.com/klpforge/klpforge/elfobj"
)

// fentry is what compilers call at a function's entry with -pg -mfentry, on x86 and s390.
const fentry = "__fentry__"

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
	o.entryCalls()
	if o.traceable == nil {
		o.traceable = o.spare
	}
	o.spare = nil
	if o.anyTrace = o.traceable != nil; !o.anyTrace {
		o.traceable = make([]bool, len(o.Atoms))
	}
}

// entryCalls finds the functions that call fentry, where no table of entries tells, and
// those whose call recordmcount has made a no-op that the kernel does not have.
func (o *Object) entryCalls() {
	table := o.traceable != nil
	for i := range o.File.Sections {
		if o.class[i] != classText {
			continue
		}
		relocs := o.relocs(elfobj.SecID(i))
		for k := range relocs {
			if o.File.Symbols[relocs[k].Sym].Name != fentry {
				continue
			}
			atom := o.atomAt(elfobj.SecID(i), int64(relocs[k].Off))
			if atom < 0 || o.Atoms[atom].Name == "" {
				continue
			}
			// A relocation that writes nothing marks a no-op.
			if noop := o.Arch.Width(relocs[k].Type) == 0; noop && !o.ownSection(atom) || !noop && table {
				continue
			}
			if o.traceable == nil {
				o.traceable = make([]bool, len(o.Atoms))
			}
			o.traceable[atom] = true
		}
	}
}

// ownSection reports whether -ffunction-sections gave the function a section of its own
// that would be .text or .text.unlikely without. The recordmcount of older kernels compares
// a section's whole name with a list, and makes a no-op of the call to fentry in any
// other section: scripts/recordmcount.c, v3.18 and v4.19. That of v5.10 takes all whose
// names begin with .text.
func (o *Object) ownSection(atom AtomID) bool {
	name := o.Atoms[atom].Name
	section, _ := strings.CutPrefix(o.Section(atom), ".text.")
	return section == name || section == "unlikely."+name
}
