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
	// Along: ftrace has no entry in the function. It travels with its callers, which
	// are on the list too, and must not be registered.
	Along bool
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
	o, p, err := loadBoth(orig, patched)
	if err != nil {
		return nil, err
	}
	r := &Result{Orig: o, Patched: p, carry: map[AtomID]bool{},
		pairs: newComparer(correlate(o, p))}
	r.pairs.compareAhead()
	r.readMarks()
	r.functions()
	r.lineNumbers(opt.CountLines)
	r.ignoreFunctions()
	r.along()
	r.data()
	r.registrations()
	r.sites()
	r.unknownTables()
	r.statics()
	r.successors()
	r.exports()
	r.patchability()
	r.ignoreSections()
	r.sort()
	return r, nil
}

// loadBoth splits both objects at the same time.
func loadBoth(orig, patched *elfobj.File) (o, p *Object, err error) {
	var oerr, perr error
	together(func() { o, oerr = Load(orig) }, func() { p, perr = Load(patched) })
	if oerr != nil {
		return nil, nil, fmt.Errorf("original object: %w", oerr)
	}
	if perr != nil {
		return nil, nil, fmt.Errorf("patched object: %w", perr)
	}
	return o, p, nil
}

func (r *Result) problem(id finding.ID, sev finding.Severity, sym, sec, remedy, format string, args ...any) {
	r.Problems = append(r.Problems, finding.Finding{ID: id, Severity: sev, Symbol: sym, Section: sec,
		Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (r *Result) functions() {
	o, p, c := r.Orig, r.Patched, r.pairs
	reasons := map[AtomID][]string{} // by patched root
	for i := range p.Atoms {
		b := AtomID(i)
		at := &p.Atoms[b]
		if at.Class != classText || at.Name == "" || p.thunk(b) {
			continue
		}
		root := p.Root(b)
		a := c.toO[b]
		if a < 0 {
			if root != b && c.toO[root] >= 0 {
				reasons[root] = append(reasons[root], "gained the piece "+at.Name)
			}
			continue
		}
		if why := c.differ(a, b); why != equal {
			if root != b {
				why = "piece " + at.Name + ": " + why
			}
			reasons[root] = append(reasons[root], why)
		}
	}
	for i := range o.Atoms {
		a := AtomID(i)
		at := &o.Atoms[a]
		if at.Class != classText || at.Name == "" || c.toP[a] >= 0 || o.thunk(a) {
			continue
		}
		root := o.Root(a)
		switch {
		case root == a:
			r.Functions = append(r.Functions, Change{Name: at.Name, Kind: Removed, Section: o.File.Sections[at.Sec].Name, Orig: a, Patched: -1,
				Init: o.InitOnly(a)})
		case c.toP[root] >= 0:
			b := c.toP[root]
			reasons[b] = append(reasons[b], "lost the piece "+at.Name)
		}
	}
	for i := range p.Atoms {
		b := AtomID(i)
		at := &p.Atoms[b]
		if at.Class != classText || at.Name == "" || p.Root(b) != b || p.thunk(b) {
			continue
		}
		sec := p.File.Sections[at.Sec].Name
		ch := Change{Name: at.Name, Section: sec, Orig: c.toO[b], Patched: b, Reasons: reasons[b], Init: p.InitOnly(b)}
		switch {
		case ch.Orig < 0:
			ch.Kind = New
		case len(reasons[b]) > 0:
			ch.Kind = Changed
			// The kernel knows the function by its name before the patch.
			ch.Name = o.Atoms[ch.Orig].Name
			ch.Init = ch.Init || o.InitOnly(ch.Orig)
		default:
			continue
		}
		r.Functions = append(r.Functions, ch)
	}
}

// variable reports whether the atom is a variable that a source line names.
func variable(o *Object, a AtomID) bool {
	at := &o.Atoms[a]
	switch at.Class {
	case classData, classROData, classBSS, classUnknown:
		return !o.contentOnly(a)
	}
	return false
}

func (r *Result) data() {
	o, p, c := r.Orig, r.Patched, r.pairs
	for i := range p.Atoms {
		b := AtomID(i)
		at := &p.Atoms[b]
		sec := p.File.Sections[at.Sec].Name
		a := c.toO[b]
		switch {
		case at.Class == classMeta:
			continue
		case at.Class == classUnknown && a < 0 && at.Name != "":
			r.unknown(a, b)
		case at.Class == classText && at.Name == "" && len(p.atomsIn(at.Sec)) == 1 && !outOfLine(sec) && !initSection(sec):
			r.unknown(a, b) // code without any symbol
		}
		if !variable(p, b) || a < 0 && p.forConstructors(b) {
			continue
		}
		if a < 0 {
			r.Data = append(r.Data, Change{Name: at.Name, Kind: New, Section: sec, Orig: -1, Patched: b})
			continue
		}
		why := c.differ(a, b)
		if why == equal {
			continue
		}
		if harmlessData(o, a) || o.forConstructors(a) && p.forConstructors(b) {
			continue
		}
		r.Data = append(r.Data, Change{Name: o.Atoms[a].Name, Kind: Changed, Section: sec, Orig: a, Patched: b, Reasons: []string{why}})
		r.changedData(a, b, why)
	}
	for i := range o.Atoms {
		a := AtomID(i)
		if !variable(o, a) || c.toP[a] >= 0 {
			continue
		}
		at := &o.Atoms[a]
		r.Data = append(r.Data, Change{Name: at.Name, Kind: Removed, Section: o.File.Sections[at.Sec].Name, Orig: a, Patched: -1})
		if at.Class == classUnknown {
			r.problem(finding.IDUnknownSection, finding.Error, at.Name, o.Section(a), unknownRemedy, "section %s of unknown meaning loses this", o.Section(a))
		}
	}
	r.unknownBits()
}

// unknownBits judges what has no name in sections of no known kind.
func (r *Result) unknownBits() {
	list := func(o *Object) map[string][]bit {
		out := map[string][]bit{}
		for i := range o.Atoms {
			if at := &o.Atoms[i]; at.Class == classUnknown && at.Name == "" {
				sec := o.Section(AtomID(i))
				out[sec] = append(out[sec], bit{sec: at.Sec, from: at.Start, to: at.End, atom: -1})
			}
		}
		return out
	}
	for _, ch := range r.pairs.changed(list(r.Orig), list(r.Patched)) {
		what := map[ChangeKind]string{New: "is new", Removed: "loses an entry", Changed: "changed (" + ch.why + ")"}[ch.kind]
		r.problem(finding.IDUnknownSection, finding.Error, "", ch.section, unknownRemedy, "section %s of unknown meaning %s", ch.section, what)
	}
}

// unknown judges what is new in a section of no known kind, and code without a name. Changed variables of such sections are judged with the others.
func (r *Result) unknown(a, b AtomID) {
	at := &r.Patched.Atoms[b]
	sec := r.Patched.File.Sections[at.Sec].Name
	what := "is new"
	if a >= 0 {
		why := r.pairs.differ(a, b)
		if why == equal {
			return
		}
		what = "changed (" + why + ")"
	}
	r.problem(finding.IDUnknownSection, finding.Error, at.Name, sec, unknownRemedy, "section %s of unknown meaning %s", sec, what)
}

const unknownRemedy = "leave the construct that fills this section out of the patch, or set its effect from a callback"

// unknownTables refuses entries of unknown tables that point into functions
// which travel: they may describe the code as exception tables do.
func (r *Result) unknownTables() {
	p := r.Patched
	travel := map[AtomID]bool{}
	for _, ch := range r.Functions {
		if ch.Kind != Removed && !ch.Init {
			travel[ch.Patched] = true
		}
	}
	seen := map[[2]AtomID]bool{}
	for i := range p.File.Sections {
		if p.class[i] != classUnknown {
			continue
		}
		id := elfobj.SecID(i)
		relocs := p.relocs(id)
		for k := range relocs {
			rel := &relocs[k]
			t := p.target(id, rel, k)
			if t.Kind != TargetAtom || p.Atoms[t.Atom].Class != classText || !travel[p.Root(t.Atom)] {
				continue
			}
			from := p.atomAt(id, int64(rel.Off))
			if t.Off == 0 && p.Root(t.Atom) == t.Atom && from >= 0 && p.Atoms[from].Name != "" {
				continue // a pointer to the function in a variable
			}
			root := p.Root(t.Atom)
			if key := [2]AtomID{root, AtomID(i)}; !seen[key] {
				seen[key] = true
				sec := p.File.Sections[i].Name
				r.problem(finding.IDUnknownSection, finding.Error, p.Atoms[root].Name, sec, unknownRemedy, "section %s of unknown meaning has an entry for this function", sec)
			}
		}
	}
}

// harmlessData is data whose initial value describes the source line it stands
// on, or that is only used for one-time messages.
func harmlessData(o *Object, a AtomID) bool {
	sec := o.File.Sections[o.Atoms[a].Sec].Name
	base, marks := stem(o.Atoms[a].Name)
	known := rowOf(sec)
	return known != nil && known.harmless != "" || marks != "" && oneShot(base, sec)
}

// changedData judges a variable whose initial value, size or section changed.
// Running kernels keep the old variable, so only constant data that nobody but
// changed functions read may travel as a copy.
func (r *Result) changedData(a, b AtomID, why string) {
	o, p := r.Orig, r.Patched
	name, sec := o.Atoms[a].Name, p.File.Sections[p.Atoms[b].Sec].Name
	if by := r.ignoredBy(Change{Orig: a, Patched: b}); by != "" {
		r.marks.used[by] = true
		r.problem(finding.IDDirective, finding.Note, name, sec, "", "the change of this variable is left out because of %s (%s)", by, why)
		return
	}
	if initSection(sec) {
		r.problem(finding.IDAlreadyRun, finding.Warning, name, sec, "nothing to do if only boot code reads it", "initial value of boot-time data changed (%s); it was used before the livepatch loads", why)
		return
	}
	if p.Atoms[b].Class == classROData && o.Atoms[a].Class == classROData && p.Local(b) && o.Local(a) && r.onlyChangedReaders(a, b) {
		r.carry[b] = true
		r.problem(finding.IDChangedData, finding.Note, name, sec, "", "constant data changed (%s); only patched functions read it, so the new value travels with them", why)
		return
	}
	if p.Atoms[b].Class == classUnknown {
		r.problem(finding.IDUnknownSection, finding.Error, name, sec, unknownRemedy,
			"data in section %s of unknown meaning changed (%s)", sec, why)
		return
	}
	if becomesConst(o.Atoms[a].Class, p.Atoms[b].Class) && r.sameContents(a, b) {
		r.problem(finding.IDChangedData, finding.Warning, name, sec, "nothing to do if no code that ran before the livepatch may have changed the value",
			"variable became constant (%s): the running kernel keeps its variable, with the value it has now", why)
		return
	}
	r.problem(finding.IDChangedData, finding.Error, name, sec, dataRemedy(sec, o.Atoms[a].Class),
		"initial value of existing data changed: %s%s", why, r.values(a, b))
}

func becomesConst(from, to class) bool {
	return to == classROData && (from == classData || from == classBSS)
}

// sameContents compares variables of one size by their initial values alone.
func (r *Result) sameContents(a, b AtomID) bool {
	x, y := &r.Orig.Atoms[a], &r.Patched.Atoms[b]
	if x.Size != y.Size {
		return false
	}
	if x.Class != classBSS {
		return r.pairs.body(a, b) == equal
	}
	relocs, _ := r.Patched.relocsIn(b)
	return len(relocs) == 0 && allZero(r.Patched.Code(b))
}

// values shows the first differing bytes of both variables.
func (r *Result) values(a, b AtomID) string {
	x, y := r.Orig.bytes(a), r.Patched.bytes(b)
	d := firstDiff(x, y, 0)
	if d < 0 {
		return ""
	}
	d &^= 7
	show := func(v []byte) string { return fmt.Sprintf("%x", v[d:min(d+8, len(v))]) }
	return fmt.Sprintf(" (at +%#x: %s -> %s)", d, show(x), show(y))
}

// onlyChangedReaders reports whether every reference to the data, before and
// after, comes from functions that change or are new.
func (r *Result) onlyChangedReaders(a, b AtomID) bool {
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
	return readersIn(r.Orig, a, r.replaced) && readersIn(r.Patched, b, r.travels)
}

// needReaders finds the readers of both objects at the same time.
func (r *Result) needReaders() { together(r.Orig.needReaders, r.Patched.needReaders) }

func readersIn(o *Object, data AtomID, ok map[AtomID]bool) bool {
	for _, from := range o.readers(data) {
		if from < 0 || o.Atoms[from].Class != classText || !ok[o.Root(from)] {
			return false
		}
	}
	return true
}

// exports notes new and vanished exports: they carry no code.
func (r *Result) exports() {
	list := func(f *elfobj.File) map[string]bool {
		m := map[string]bool{}
		for i := range f.Symbols {
			s := &f.Symbols[i]
			if n, ok := strings.CutPrefix(s.Name, "__ksymtab_"); ok && s.Sec > 0 {
				m[n] = true
			}
			if n, ok := strings.CutPrefix(s.Name, "__export_symbol_"); ok && s.Sec > 0 {
				m[n] = true
			}
		}
		return m
	}
	before, after := list(r.Orig.File), list(r.Patched.File)
	for n := range after {
		if !before[n] {
			r.problem(finding.IDRegistration, finding.Note, n, "__ksymtab", "", "new EXPORT_SYMBOL(%s): no module can link against it", n)
		}
	}
	for n := range before {
		if !after[n] {
			r.problem(finding.IDRegistration, finding.Note, n, "__ksymtab", "", "EXPORT_SYMBOL(%s) removed: the running kernel keeps exporting it", n)
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
				"the compiler's constructor or destructor %s is %s: it runs when its object is loaded, and a livepatch leaves it alone; new variables are unknown to the sanitizer", ch.Name, ch.Kind)
		case ch.Init && ch.Kind == Changed:
			sev := finding.Error
			if runtime {
				sev = finding.Warning
			}
			r.problem(finding.IDAlreadyRun, sev, ch.Name, ch.Section, "repair the effect on the running system from a callback, if needed",
				"function in %s changed: it has already run, or runs only at unload; the livepatch leaves it alone", ch.Section)
		case ch.Kind == Changed && !r.Orig.anyTrace:
			// Judged once below.
		case ch.Kind == Changed && !r.Orig.traceable[ch.Orig] && !ch.Along:
			r.problem(finding.IDNotTraceable, finding.Error, ch.Name, ch.Section, r.callersRemedy(ch.Orig), untraced+": it cannot be redirected")
		}
	}
	if !r.Orig.anyTrace && slices.ContainsFunc(r.Functions, func(c Change) bool { return c.Kind == Changed && !c.Init }) {
		r.problem(finding.IDNotTraceable, finding.Note, "", "", "", "the original object has no ftrace entries at all; whether its functions can be redirected must be checked in the target kernel")
	}
}

// callersRemedy names the traceable functions of the object that call a.
func (r *Result) callersRemedy(a AtomID) string {
	names := map[string]bool{}
	o := r.Orig
	for _, from := range o.readers(a) {
		if from >= 0 && o.Atoms[from].Class == classText && o.Root(from) != a && o.traceable[o.Root(from)] {
			names[o.Atoms[o.Root(from)].Name] = true
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
	if strings.HasPrefix(o.Atoms[a].Name, "__do_sys_") {
		// What SYSCALL_DEFINEn makes (include/linux/syscalls.h, v6.1 and v6.12).
		remedy = "define the system call with KPATCH_SYSCALL_DEFINE1 (0 to 6) of kpatch-syscall.h; or " + remedy
	}
	return remedy
}

func (r *Result) sort() {
	byName := func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Section, b.Section), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Orig, b.Orig))
	}
	slices.SortFunc(r.Functions, byName)
	slices.SortFunc(r.Data, byName)
	slices.SortFunc(r.Lines, byName)
	slices.SortFunc(r.Problems, func(a, b finding.Finding) int {
		return cmp.Or(-cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Symbol, b.Symbol), cmp.Compare(a.Message, b.Message))
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
	for _, o := range []*Object{r.Patched, r.Orig} {
		for i := range o.Atoms {
			at := &o.Atoms[i]
			if _, ok := sections[at.Name]; !ok && at.Class == classText {
				sections[at.Name] = o.File.Sections[at.Sec].Name
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
			out = append(out, Change{Name: parent, Kind: Changed, Section: sec, Reasons: []string{why}, Orig: ch.Orig, Patched: ch.Patched})
			continue
		}
		out = append(out, ch)
	}
	slices.SortFunc(out, func(a, b Change) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
