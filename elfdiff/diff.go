package elfdiff

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// ChangeKind says what happened to a function or variable.
type ChangeKind string

// Kinds of change.
const (
	Changed ChangeKind = "changed"
	New     ChangeKind = "new"
	Removed ChangeKind = "removed"
)

// Change is one function or variable that differs.
type Change struct {
	Name    string
	Kind    ChangeKind
	Section string
	Reasons []string
	Orig    AtomID // -1 when new
	Patched AtomID // -1 when removed
	Init    bool   // lives in a section that is only used while booting, loading or unloading
	// Carried: ftrace has no entry in the function. It travels with its callers, which
	// are on the list too, and must not be registered.
	Carried bool
}

// Result is what Diff found.
type Result struct {
	Orig, Patched *Object
	// Functions and Data are sorted by name. Cold pieces are folded into their
	// function; .part pieces are listed, because they are functions of their
	// own to ftrace.
	Functions []Change
	Data      []Change
	Problems  []finding.Finding
	// Lines are functions of which only line numbers differ, by name, with what they are
	// as reasons: those of WARN and BUG, and arguments of functions known to take
	// one. They are no changes, but with Options.CountLines.
	Lines []Change

	pairs *comparer
	carry map[AtomID]bool // changed constant data (patched atom) that travels as a copy
	marks marks

	travels, replaced map[AtomID]bool // functions that change at run time: patched and original atoms
}

// Options change what counts.
type Options struct {
	// CountLines makes a function changed when line numbers are all that differs.
	CountLines bool
}

// Diff compares two builds of one object. The error is for input that cannot
// be compared at all; everything else is in the result.
func Diff(orig, patched *elfobj.File) (*Result, error) { return DiffWith(orig, patched, Options{}) }

// DiffWith does what Diff does, with options.
func DiffWith(orig, patched *elfobj.File, opt Options) (*Result, error) {
	if orig.Machine != patched.Machine || orig.BigEndian != patched.BigEndian {
		return nil, fmt.Errorf("objects are of different architectures: %v and %v", orig.Machine, patched.Machine)
	}
	before, after, err := loadBoth(orig, patched)
	if err != nil {
		return nil, err
	}
	result := &Result{Orig: before, Patched: after, carry: map[AtomID]bool{},
		pairs: newComparer(correlate(before, after))}
	result.pairs.compareAhead()
	result.readMarks()
	result.functions()
	result.lineNumbers(opt.CountLines)
	result.ignoreFunctions()
	result.carryUntraceable()
	result.data()
	result.registrations()
	result.sites()
	result.unknownTables()
	result.statics()
	result.successors()
	result.exports()
	result.patchability()
	result.ignoreSections()
	result.sort()
	return result, nil
}

// loadBoth splits both objects at the same time.
func loadBoth(orig, patched *elfobj.File) (before, after *Object, err error) {
	var oerr, perr error
	together(func() { before, oerr = Load(orig) }, func() { after, perr = Load(patched) })
	if oerr != nil {
		return nil, nil, fmt.Errorf("original object: %w", oerr)
	}
	if perr != nil {
		return nil, nil, fmt.Errorf("patched object: %w", perr)
	}
	return before, after, nil
}

func (r *Result) problem(id finding.ID, sev finding.Severity, sym, sec, remedy, format string, args ...any) {
	r.Problems = append(r.Problems, finding.Finding{ID: id, Severity: sev, Symbol: sym, Section: sec,
		Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (r *Result) functions() {
	orig, patched, pairs := r.Orig, r.Patched, r.pairs
	reasons := map[AtomID][]string{} // by patched root
	for i := range patched.Atoms {
		patchedAtom := AtomID(i)
		at := &patched.Atoms[patchedAtom]
		if at.Class != classText || at.Name == "" || patched.thunk(patchedAtom) {
			continue
		}
		root := patched.Root(patchedAtom)
		origAtom := pairs.toO[patchedAtom]
		if origAtom < 0 {
			if root != patchedAtom && pairs.toO[root] >= 0 {
				reasons[root] = append(reasons[root], "gained the piece "+at.Name)
			}
			continue
		}
		if why := pairs.differ(origAtom, patchedAtom); why != equal {
			if root != patchedAtom {
				why = "piece " + at.Name + ": " + why
			}
			reasons[root] = append(reasons[root], why)
		}
	}
	for i := range orig.Atoms {
		origAtom := AtomID(i)
		at := &orig.Atoms[origAtom]
		if at.Class != classText || at.Name == "" || pairs.toP[origAtom] >= 0 || orig.thunk(origAtom) {
			continue
		}
		root := orig.Root(origAtom)
		switch {
		case root == origAtom:
			r.Functions = append(r.Functions, Change{Name: at.Name, Kind: Removed,
				Section: orig.File.Sections[at.Sec].Name, Orig: origAtom, Patched: -1,
				Init: orig.InitOnly(origAtom)})
		case pairs.toP[root] >= 0:
			patchedAtom := pairs.toP[root]
			reasons[patchedAtom] = append(reasons[patchedAtom], "lost the piece "+at.Name)
		}
	}
	for i := range patched.Atoms {
		patchedAtom := AtomID(i)
		at := &patched.Atoms[patchedAtom]
		if at.Class != classText || at.Name == "" || patched.Root(patchedAtom) != patchedAtom ||
			patched.thunk(patchedAtom) {
			continue
		}
		sec := patched.File.Sections[at.Sec].Name
		ch := Change{Name: at.Name, Section: sec, Orig: pairs.toO[patchedAtom], Patched: patchedAtom,
			Reasons: reasons[patchedAtom], Init: patched.InitOnly(patchedAtom)}
		switch {
		case ch.Orig < 0:
			ch.Kind = New
		case len(reasons[patchedAtom]) > 0:
			ch.Kind = Changed
			// The kernel knows the function by its name before the patch.
			ch.Name = orig.Atoms[ch.Orig].Name
			ch.Init = ch.Init || orig.InitOnly(ch.Orig)
		default:
			continue
		}
		r.Functions = append(r.Functions, ch)
	}
}

// variable reports whether the atom is a variable that a source line names.
func variable(obj *Object, atom AtomID) bool {
	at := &obj.Atoms[atom]
	switch at.Class {
	case classData, classROData, classBSS, classUnknown:
		return !obj.contentOnly(atom)
	}
	return false
}

func (r *Result) data() {
	orig, patched, pairs := r.Orig, r.Patched, r.pairs
	for i := range patched.Atoms {
		patchedAtom := AtomID(i)
		at := &patched.Atoms[patchedAtom]
		sec := patched.File.Sections[at.Sec].Name
		origAtom := pairs.toO[patchedAtom]
		switch {
		case at.Class == classMeta:
			continue
		case at.Class == classUnknown && origAtom < 0 && at.Name != "":
			r.unknown(origAtom, patchedAtom)
		case at.Class == classText && at.Name == "" && len(patched.atomsIn(at.Sec)) == 1 && !outOfLine(sec) &&
			!initSection(sec):
			r.unknown(origAtom, patchedAtom) // code without any symbol
		}
		if !variable(patched, patchedAtom) || origAtom < 0 && patched.forConstructors(patchedAtom) {
			continue
		}
		if origAtom < 0 {
			r.Data = append(r.Data, Change{Name: at.Name, Kind: New, Section: sec, Orig: -1, Patched: patchedAtom})
			continue
		}
		why := pairs.differ(origAtom, patchedAtom)
		if why == equal {
			continue
		}
		if harmlessData(orig, origAtom) || orig.forConstructors(origAtom) && patched.forConstructors(patchedAtom) {
			continue
		}
		r.Data = append(r.Data, Change{Name: orig.Atoms[origAtom].Name, Kind: Changed, Section: sec, Orig: origAtom,
			Patched: patchedAtom, Reasons: []string{why}})
		r.changedData(origAtom, patchedAtom, why)
	}
	for i := range orig.Atoms {
		origAtom := AtomID(i)
		if !variable(orig, origAtom) || pairs.toP[origAtom] >= 0 {
			continue
		}
		at := &orig.Atoms[origAtom]
		r.Data = append(r.Data, Change{Name: at.Name, Kind: Removed, Section: orig.File.Sections[at.Sec].Name,
			Orig: origAtom, Patched: -1})
		if at.Class == classUnknown {
			r.problem(finding.IDUnknownSection, finding.Error, at.Name, orig.Section(origAtom), unknownRemedy,
				"section %s of unknown meaning loses this", orig.Section(origAtom))
		}
	}
	r.unknownBits()
}

// unknownBits judges what has no name in sections of no known kind.
func (r *Result) unknownBits() {
	list := func(obj *Object) map[string][]bit {
		out := map[string][]bit{}
		for i := range obj.Atoms {
			if at := &obj.Atoms[i]; at.Class == classUnknown && at.Name == "" {
				sec := obj.Section(AtomID(i))
				out[sec] = append(out[sec], bit{sec: at.Sec, from: at.Start, to: at.End, atom: -1})
			}
		}
		return out
	}
	for _, ch := range r.pairs.changed(list(r.Orig), list(r.Patched)) {
		what := map[ChangeKind]string{New: "is new", Removed: "loses an entry",
			Changed: "changed (" + ch.why + ")"}[ch.kind]
		r.problem(finding.IDUnknownSection, finding.Error, "", ch.section, unknownRemedy,
			"section %s of unknown meaning %s", ch.section, what)
	}
}

// unknown judges what is new in a section of no known kind, and code without a name. Changed
// variables of such sections are judged with the others.
func (r *Result) unknown(origAtom, patchedAtom AtomID) {
	at := &r.Patched.Atoms[patchedAtom]
	sec := r.Patched.File.Sections[at.Sec].Name
	what := "is new"
	if origAtom >= 0 {
		why := r.pairs.differ(origAtom, patchedAtom)
		if why == equal {
			return
		}
		what = "changed (" + why + ")"
	}
	r.problem(finding.IDUnknownSection, finding.Error, at.Name, sec, unknownRemedy, "section %s of unknown meaning %s",
		sec, what)
}

const unknownRemedy = "leave the construct that fills this section out of the patch, or set its effect from a callback"

// unknownTables refuses entries of unknown tables that point into functions
// which travel: they may describe the code as exception tables do.
func (r *Result) unknownTables() {
	patched := r.Patched
	travel := map[AtomID]bool{}
	for _, ch := range r.Functions {
		if ch.Kind != Removed && !ch.Init {
			travel[ch.Patched] = true
		}
	}
	seen := map[[2]AtomID]bool{}
	for i := range patched.File.Sections {
		if patched.class[i] != classUnknown {
			continue
		}
		id := elfobj.SecID(i)
		relocs := patched.relocs(id)
		for k := range relocs {
			rel := &relocs[k]
			target := patched.target(id, rel, k)
			if target.Kind != TargetAtom || patched.Atoms[target.Atom].Class != classText ||
				!travel[patched.Root(target.Atom)] {
				continue
			}
			from := patched.atomAt(id, int64(rel.Off))
			if target.Off == 0 && patched.Root(target.Atom) == target.Atom && from >= 0 &&
				patched.Atoms[from].Name != "" {
				continue // a pointer to the function in a variable
			}
			root := patched.Root(target.Atom)
			if key := [2]AtomID{root, AtomID(i)}; !seen[key] {
				seen[key] = true
				sec := patched.File.Sections[i].Name
				r.problem(finding.IDUnknownSection, finding.Error, patched.Atoms[root].Name, sec, unknownRemedy,
					"section %s of unknown meaning has an entry for this function", sec)
			}
		}
	}
}

// harmlessData is data whose initial value describes the source line it stands
// on, or that is only used for one-time messages.
func harmlessData(obj *Object, atom AtomID) bool {
	sec := obj.File.Sections[obj.Atoms[atom].Sec].Name
	base, marks := stem(obj.Atoms[atom].Name)
	known := rowOf(sec)
	return known != nil && known.harmless != "" || marks != "" && oneShot(base, sec)
}

// changedData judges a variable whose initial value, size or section changed.
// Running kernels keep the old variable, so only constant data that nobody but
// changed functions read may travel as a copy.
func (r *Result) changedData(origAtom, patchedAtom AtomID, why string) {
	orig, patched := r.Orig, r.Patched
	name, sec := orig.Atoms[origAtom].Name, patched.File.Sections[patched.Atoms[patchedAtom].Sec].Name

	// What the author says goes first.
	if by := r.ignoredBy(Change{Orig: origAtom, Patched: patchedAtom}); by != "" {
		r.marks.used[by] = true
		r.problem(finding.IDDirective, finding.Note, name, sec, "",
			"the change of this variable is left out because of %s (%s)", by, why)
		return
	}
	if initSection(sec) {
		r.problem(finding.IDAlreadyRun, finding.Warning, name, sec, "nothing to do if only boot code reads it",
			"initial value of boot-time data changed (%s); it was used before the livepatch loads", why)
		return
	}

	// Nothing but patched code reads the constant: its new value can travel with that code
	// instead of changing memory under the kernel.
	if patched.Atoms[patchedAtom].Class == classROData && orig.Atoms[origAtom].Class == classROData &&
		patched.Local(patchedAtom) && orig.Local(origAtom) && r.onlyChangedReaders(origAtom, patchedAtom) {
		r.carry[patchedAtom] = true
		r.problem(finding.IDChangedData, finding.Note, name, sec, "",
			"constant data changed (%s); only patched functions read it, so the new value travels with them", why)
		return
	}

	if patched.Atoms[patchedAtom].Class == classUnknown {
		r.problem(finding.IDUnknownSection, finding.Error, name, sec, unknownRemedy,
			"data in section %s of unknown meaning changed (%s)", sec, why)
		return
	}

	// The value is the same and only the protection differs: no memory has to be written.
	if becomesConst(orig.Atoms[origAtom].Class, patched.Atoms[patchedAtom].Class) &&
		r.sameContents(origAtom, patchedAtom) {
		r.problem(finding.IDChangedData, finding.Warning, name, sec,
			"nothing to do if no code that ran before the livepatch may have changed the value",
			"variable became constant (%s): the running kernel keeps its variable, with the value it has now", why)
		return
	}
	r.problem(finding.IDChangedData, finding.Error, name, sec, dataRemedy(sec, orig.Atoms[origAtom].Class),
		"initial value of existing data changed: %s%s", why, r.values(origAtom, patchedAtom))
}

func becomesConst(from, to class) bool {
	return to == classROData && (from == classData || from == classBSS)
}

// sameContents compares variables of one size by their initial values alone.
func (r *Result) sameContents(origAtom, patchedAtom AtomID) bool {
	before, after := &r.Orig.Atoms[origAtom], &r.Patched.Atoms[patchedAtom]
	if before.Size != after.Size {
		return false
	}
	if before.Class != classBSS {
		return r.pairs.body(origAtom, patchedAtom) == equal
	}
	relocs, _ := r.Patched.relocsIn(patchedAtom)
	return len(relocs) == 0 && allZero(r.Patched.Code(patchedAtom))
}

// values shows the first differing bytes of both variables.
func (r *Result) values(origAtom, patchedAtom AtomID) string {
	before, after := r.Orig.bytes(origAtom), r.Patched.bytes(patchedAtom)
	diff := firstDiff(before, after, 0)
	if diff < 0 {
		return ""
	}
	diff &^= 7
	show := func(v []byte) string { return fmt.Sprintf("%x", v[diff:min(diff+8, len(v))]) }
	return fmt.Sprintf(" (at +%#x: %s -> %s)", diff, show(before), show(after))
}

// onlyChangedReaders reports whether every reference to the data, before and
// after, comes from functions that change or are new.
func (r *Result) onlyChangedReaders(origAtom, patchedAtom AtomID) bool {
	if r.travels == nil {
		r.needReaders()
		r.travels, r.replaced = map[AtomID]bool{}, map[AtomID]bool{}
		for _, ch := range r.Functions {
			if ch.Init {
				continue
			}
			if ch.Patched >= 0 {
				r.travels[ch.Patched] = true
			}
			if ch.Orig >= 0 {
				r.replaced[ch.Orig] = true
			}
		}
	}
	return readersIn(r.Orig, origAtom, r.replaced) && readersIn(r.Patched, patchedAtom, r.travels)
}

// needReaders finds the readers of both objects at the same time.
func (r *Result) needReaders() { together(r.Orig.needReaders, r.Patched.needReaders) }

func readersIn(obj *Object, data AtomID, ok map[AtomID]bool) bool {
	for _, from := range obj.readers(data) {
		if from < 0 || obj.Atoms[from].Class != classText || !ok[obj.Root(from)] {
			return false
		}
	}
	return true
}

// exports notes new and vanished exports: they carry no code.
func (r *Result) exports() {
	list := func(file *elfobj.File) map[string]bool {
		changed := map[string]bool{}
		for i := range file.Symbols {
			sym := &file.Symbols[i]
			if n, ok := strings.CutPrefix(sym.Name, "__ksymtab_"); ok && sym.Sec > 0 {
				changed[n] = true
			}
			if n, ok := strings.CutPrefix(sym.Name, "__export_symbol_"); ok && sym.Sec > 0 {
				changed[n] = true
			}
		}
		return changed
	}
	before, after := list(r.Orig.File), list(r.Patched.File)
	for name := range after {
		if !before[name] {
			r.problem(finding.IDRegistration, finding.Note, name, "__ksymtab", "",
				"new EXPORT_SYMBOL(%s): no module can link against it", name)
		}
	}
	for name := range before {
		if !after[name] {
			r.problem(finding.IDRegistration, finding.Note, name, "__ksymtab", "",
				"EXPORT_SYMBOL(%s) removed: the running kernel keeps exporting it", name)
		}
	}
}

// patchability judges the changed functions by what the objects show.
func (r *Result) patchability() {
	runtime := false
	for _, ch := range r.Functions {
		if !ch.Init && ch.Kind != Removed {
			runtime = true
		}
	}
	for _, ch := range r.Functions {
		switch {
		case ch.Kind == Removed:
		case r.Patched.ctors[ch.Patched]:
			r.problem(finding.IDRegistration, finding.Note, ch.Name, ch.Section, "",
				"the compiler's constructor or destructor %s is %s: it runs when its object is loaded, and a "+
					"livepatch leaves it alone; new variables are unknown to the sanitizer", ch.Name, ch.Kind)
		case ch.Init && ch.Kind == Changed:
			sev := finding.Error
			if runtime {
				sev = finding.Warning
			}
			r.problem(finding.IDAlreadyRun, sev, ch.Name, ch.Section,
				"repair the effect on the running system from a callback, if needed",
				"function in %s changed: it has already run, or runs only at unload; the livepatch leaves it alone",
				ch.Section)
		case ch.Kind == Changed && !r.Orig.anyTrace:
			// Judged once below.
		case ch.Kind == Changed && !r.Orig.traceable[ch.Orig] && !ch.Carried:
			r.problem(finding.IDNotTraceable, finding.Error, ch.Name, ch.Section, r.callersRemedy(ch.Orig),
				untraced+": it cannot be redirected")
		}
	}
	if !r.Orig.anyTrace && slices.ContainsFunc(r.Functions,
		func(c Change) bool { return c.Kind == Changed && !c.Init }) {
		r.problem(finding.IDNotTraceable, finding.Note, "", "", "",
			"the original object has no ftrace entries at all; whether its functions can be redirected must be "+
				"checked in the target kernel")
	}
}

// callersRemedy names the traceable functions of the object that call atom.
func (r *Result) callersRemedy(atom AtomID) string {
	names := map[string]bool{}
	orig := r.Orig
	for _, from := range orig.readers(atom) {
		if from >= 0 && orig.Atoms[from].Class == classText && orig.Root(from) != atom &&
			orig.traceable[orig.Root(from)] {
			names[orig.Atoms[orig.Root(from)].Name] = true
		}
	}
	if len(names) == 0 {
		return "no traceable caller in this object; patch a function that calls it elsewhere"
	}
	list := make([]string, 0, len(names))
	for n := range names {
		list = append(list, n)
	}
	slices.Sort(list)
	remedy := "change its traceable callers instead: " + strings.Join(list, ", ")
	if strings.HasPrefix(orig.Atoms[atom].Name, "__do_sys_") {
		// What SYSCALL_DEFINEn makes (include/linux/syscalls.h, v6.1 and v6.12).
		remedy = "define the system call with KPATCH_SYSCALL_DEFINE1 (0 to 6) of kpatch-syscall.h; or " + remedy
	}
	return remedy
}

func (r *Result) sort() {
	byName := func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Section, b.Section), cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(a.Orig, b.Orig))
	}
	slices.SortFunc(r.Functions, byName)
	slices.SortFunc(r.Data, byName)
	slices.SortFunc(r.Lines, byName)
	slices.SortFunc(r.Problems, func(a, b finding.Finding) int {
		return cmp.Or(-cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Symbol, b.Symbol),
			cmp.Compare(a.Message, b.Message))
	})
}

// Listed returns the functions as a report lists them: .part pieces are folded
// into their function when that exists.
func (r *Result) Listed() []Change {
	names := map[string]int{}
	var out []Change
	for _, ch := range r.Functions {
		if _, frag := fragmentParent(ch.Name); !frag {
			names[ch.Name] = len(out)
			out = append(out, ch)
		}
	}
	sections := map[string]string{} // of all functions, those of the patched object first
	for _, obj := range []*Object{r.Patched, r.Orig} {
		for i := range obj.Atoms {
			at := &obj.Atoms[i]
			if _, ok := sections[at.Name]; !ok && at.Class == classText {
				sections[at.Name] = obj.File.Sections[at.Sec].Name
			}
		}
	}
	for _, ch := range r.Functions {
		parent, frag := fragmentParent(ch.Name)
		if !frag {
			continue
		}
		why := fmt.Sprintf("piece %s %s", ch.Name, ch.Kind)
		if i, ok := names[parent]; ok {
			out[i].Reasons = append(slices.Clone(out[i].Reasons), why)
			continue
		}
		if sec, ok := sections[parent]; ok {
			names[parent] = len(out)
			out = append(out, Change{Name: parent, Kind: Changed, Section: sec, Reasons: []string{why}, Orig: ch.Orig,
				Patched: ch.Patched})
			continue
		}
		out = append(out, ch)
	}
	slices.SortFunc(out, func(a, b Change) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
