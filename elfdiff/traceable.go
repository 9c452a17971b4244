package elfdiff

import "github.com/klpforge/klpforge/elfobj"

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
// serves something else: x86 has it in front of all functions (CONFIG_CALL_PADDING).
func (o *Object) findTraceable() {
	if o.traceable == nil {
		o.traceable = o.entryCalls()
	}
	if o.traceable == nil {
		o.traceable = o.spare
	}
	o.spare = nil
	if o.anyTrace = o.traceable != nil; !o.anyTrace {
		o.traceable = make([]bool, len(o.Atoms))
	}
}

// entryCalls are the functions that call fentry; nil when none does.
func (o *Object) entryCalls() []bool {
	var out []bool
	for i := range o.File.Sections {
		if o.class[i] != classText {
			continue
		}
		relocs := o.relocs(elfobj.SecID(i))
		for k := range relocs {
			if o.File.Symbols[relocs[k].Sym].Name != fentry {
				continue
			}
			if a := o.atomAt(elfobj.SecID(i), int64(relocs[k].Off)); a >= 0 && o.Atoms[a].Name != "" {
				if out == nil {
					out = make([]bool, len(o.Atoms))
				}
				out[a] = true
			}
		}
	}
	return out
}
