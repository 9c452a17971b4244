package elfdiff

import (
	"bytes"
	"debug/elf"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// Sections in which the macros of source patches leave marks. They are
// discarded by any linker. The last is that of include/linux/livepatch_helpers.h
// (v6.19), whose variables say by their names what they register.
const (
	markPrefix      = ".discard.klpforge."
	markIgnoreFunc  = markPrefix + "ignore_function"
	markIgnoreSec   = markPrefix + "ignore_section"
	markForce       = markPrefix + "force"
	kernelCallbacks = ".discard.klp_callback_ptrs"
)

// Callback is a function that the author of a patch wants called when the
// object is patched or unpatched.
type Callback struct {
	Kind string // field of struct klp_callbacks: pre_patch, post_patch, pre_unpatch, post_unpatch
	Func AtomID // patched atom
}

var callbackKinds = []string{"pre_patch", "post_patch", "pre_unpatch", "post_unpatch"}

// marks is what the macros say about the patched object.
type marks struct {
	callbacks []Callback
	functions map[AtomID]bool // patched functions whose change shall have no effect
	sections  map[string]bool // sections in which changes shall have none
	used      map[string]bool // macros that had something to ignore
	force     []AtomID        // patched functions that may switch while they run
}

// Callbacks returns the callbacks that the patched object registers, in the
// kernel's order, those of one kind by place.
func (r *Result) Callbacks() []Callback { return r.marks.callbacks }

// Forced returns the functions, atoms of the patched object, that may switch
// while they are on a stack.
func (r *Result) Forced() []AtomID { return r.marks.force }

// readMarks collects the marks of the patched object.
func (r *Result) readMarks() {
	found := &r.marks
	found.functions, found.sections, found.used = map[AtomID]bool{}, map[string]bool{}, map[string]bool{}
	patched := r.Patched
	for i := range patched.File.Sections {
		section := &patched.File.Sections[i]
		// What a mark is about is in its section's name; the macros put pointers or names into
		// the section.
		switch id := elfobj.SecID(i); {
		case section.Name == markIgnoreSec:
			for _, name := range bytes.Split(section.Data, []byte{0}) {
				if len(name) > 0 {
					found.sections[string(name)] = true
				}
			}
		case section.Name == kernelCallbacks:
			r.kernelCallbackMarks(id)
		case strings.HasPrefix(section.Name, markPrefix):
			what := strings.TrimPrefix(section.Name, markPrefix)
			for _, fn := range r.markedFuncs(id, what) {
				switch {
				case section.Name == markIgnoreFunc:
					found.functions[fn] = true
				case section.Name == markForce:
					found.force = append(found.force, fn)
				case slices.Contains(callbackKinds, what):
					found.callbacks = append(found.callbacks, Callback{what, fn})
				default:
					r.problem(finding.IDUnknownSection, finding.Error, patched.Atoms[fn].Name, section.Name,
						unknownRemedy, "mark of unknown meaning")
				}
			}
		}
	}

	slices.SortStableFunc(found.callbacks, func(a, b Callback) int {
		return slices.Index(callbackKinds, a.Kind) - slices.Index(callbackKinds, b.Kind)
	})
}

// markedFuncs returns the functions that a section of pointers names.
func (r *Result) markedFuncs(id elfobj.SecID, what string) []AtomID {
	var out []AtomID
	relocs := r.Patched.File.Sections[id].Relocs
	for k := range relocs {
		if fn, ok := r.markedFunc(id, &relocs[k], what); ok {
			out = append(out, fn)
		}
	}
	return out
}

func (r *Result) markedFunc(id elfobj.SecID, rel *elfobj.Reloc, what string) (AtomID, bool) {
	patched := r.Patched
	sec := patched.File.Sections[id].Name
	const remedy = "name a function that the same source file defines"
	if rel.Sym <= 0 || int(rel.Sym) >= len(patched.File.Symbols) {
		r.problem(finding.IDUnknownSection, finding.Error, "", sec, remedy, "a mark refers to nothing")
		return -1, false
	}
	target := patched.target(id, rel, 0)
	if target.Kind != TargetAtom || target.Off != 0 || patched.Atoms[target.Atom].Class != classText {
		name := patched.File.Symbols[rel.Sym].Name
		r.problem(finding.IDUnknownSection, finding.Error, name, sec, remedy,
			"what is named for %s is no function of this object", strings.ReplaceAll(what, "_", " "))
		return -1, false
	}
	return target.Atom, true
}

// kernelCallbackMarks reads the marks that the kernel's own header leaves: a
// pointer in a variable __klp_<kind>_callback_<object>.
func (r *Result) kernelCallbackMarks(id elfobj.SecID) {
	patched := r.Patched
	section := &patched.File.Sections[id]
	for k := range section.Relocs {
		rel := &section.Relocs[k]
		kind := ""
		for i := range patched.File.Symbols {
			sym := &patched.File.Symbols[i]
			if sym.Sec != id || sym.Value != rel.Off || sym.Type == elf.STT_SECTION {
				continue
			}
			for _, want := range callbackKinds {
				if strings.HasPrefix(sym.Name, "__klp_"+want+"_callback_") {
					kind = want
				}
			}
		}
		if kind == "" {
			r.problem(finding.IDUnknownSection, finding.Error, "", section.Name,
				"use the kernel's macros for callbacks", "a callback of unknown kind is registered")
			continue
		}
		if fn, ok := r.markedFunc(id, rel, kind+" callback"); ok {
			r.marks.callbacks = append(r.marks.callbacks, Callback{kind, fn})
		}
	}
}

// ignoreFunctions takes the functions out of the result whose changes the
// author wants ignored, and says so.
func (r *Result) ignoreFunctions() {
	found := &r.marks
	r.Functions = slices.DeleteFunc(r.Functions, func(ch Change) bool {
		if ch.Kind != Changed {
			return false
		}
		by := r.ignoredBy(ch)
		if by != "" {
			found.used[by] = true
			r.problem(finding.IDDirective, finding.Note, ch.Name, ch.Section, "",
				"the change of this function is left out because of %s (%s)", by, strings.Join(ch.Reasons, "; "))
		}
		return by != ""
	})
}

// ignoredBy names the macro because of which a change has no effect, or "".
func (r *Result) ignoredBy(ch Change) string {
	if r.marks.functions[ch.Patched] {
		return functionMark(r.Patched.Atoms[ch.Patched].Name)
	}
	for _, sec := range []string{r.Patched.Section(ch.Patched), r.Orig.Section(ch.Orig)} {
		if r.marks.sections[sec] {
			return sectionMark(sec)
		}
	}
	return ""
}

// ignoreSections does the same for variables, and for what else was found in
// sections to ignore. Macros without an effect are named.
func (r *Result) ignoreSections() {
	found := &r.marks
	r.Data = slices.DeleteFunc(r.Data, func(ch Change) bool { return ch.Kind == Changed && r.ignoredBy(ch) != "" })
	for i := range r.Problems {
		p := &r.Problems[i]
		if by := sectionMark(p.Section); found.sections[p.Section] && p.Severity > finding.Note {
			p.Severity, p.Remedy = finding.Note, ""
			p.Message = fmt.Sprintf("left out because of %s: %s", by, p.Message)
			found.used[by] = true
		}
	}
	for fn := range found.functions {
		if by := functionMark(r.Patched.Atoms[fn].Name); !found.used[by] {
			r.problem(finding.IDDirective, finding.Note, r.Patched.Atoms[fn].Name, "",
				"take the macro out of the patch", "%s has no effect: the function does not change", by)
		}
	}
	for sec := range found.sections {
		if by := sectionMark(sec); !found.used[by] {
			r.problem(finding.IDDirective, finding.Note, "", sec, "take the macro out of the patch",
				"%s has no effect: nothing in that section changes", by)
		}
	}
}

func functionMark(name string) string { return "KPATCH_IGNORE_FUNCTION(" + name + ")" }

func sectionMark(section string) string { return fmt.Sprintf("KPATCH_IGNORE_SECTION(%q)", section) }
