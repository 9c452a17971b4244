package ownership

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Code: true, Name: "ownership", Doc: analyze.PackageDoc(doc),
		Checks: analyze.Checks(finding.IDOwnership), Run: run}
}

func run(pass *analyze.Pass) error {
	for _, unit := range pass.Units {
		if len(unit.Replace) == 0 {
			continue
		}
		before, err := unit.Before()
		if err != nil {
			continue // other checks say that the object cannot be decoded
		}
		after, err := unit.After()
		if err != nil {
			continue
		}
		counted := locks.Options{Count: kfuncs.Counts()}
		old, newer := locks.Analyze(before.Model, counted), locks.Analyze(after.Model, counted)
		for _, ch := range unit.Replace {
			had, ok := balanceOf(before, old, ch.Orig)
			has, known := balanceOf(after, newer, ch.Patched)
			if unit.TypesDiffer() {
				had.moved()
				has.moved()
			}
			switch {
			case !ok || !known:
			case had.unsure+has.unsure == "" && !slices.Equal(had.paths, has.paths):
				report(pass, unit, ch, before, had, has)
			case counting(pass, unit, ch, before, after):
			case slices.Equal(had.paths, has.paths):
			default:
				unsure(pass, unit, ch, before, had, has)
			}
		}
	}
	return nil
}

// balance is what a function does to objects that are not its own.
type balance struct {
	paths  []string // of return, each what it releases and keeps; a sorted set
	some   []string // what it releases or keeps on some way, with all elements of an array as one; a sorted set
	unsure string
}

var offset = regexp.MustCompile(`([+-])0x[0-9a-f]+`)

// moved takes the offsets out of names. How many objects there are of a kind
// still counts.
func (b *balance) moved() {
	for _, list := range []*[]string{&b.paths, &b.some} {
		n := map[string]int{}
		var out []string
		for _, s := range *list {
			s = offset.ReplaceAllString(s, "$1?")
			if n[s]++; n[s] > 1 {
				s = fmt.Sprintf("%s (%d)", s, n[s])
			}
			out = append(out, s)
		}
		slices.Sort(out)
		*list = out
	}
	if b.unsure == "" {
		b.unsure = "layouts of types change (KLP208), so that offsets do not compare"
	}
}

func balanceOf(obj *code.Object, r *locks.Result, atom elfdiff.AtomID) (balance, bool) {
	id, err := obj.Func(atom)
	if err != nil {
		return balance{}, false
	}
	effect := r.Effect(id)
	var bal balance
	some := map[int32][]locks.Path{} // by sign
	for i := range effect.Outcomes {
		var given []string
		for _, change := range effect.Outcomes[i].Changes {
			if change.Kind != locks.Sem || change.Path.Root != locks.RootArg && change.Path.Root != locks.RootGlobal &&
				change.Path.Root != locks.RootPercpu {
				continue
			}
			sign := int32(1)
			if change.Delta < 0 {
				sign = -1
			}
			given = append(given, words[sign]+object(obj, change.Path))
			some[sign] = append(some[sign], change.Path)
		}
		slices.Sort(given)
		s := strings.Join(given, " and ")
		if s == "" {
			s = "leaves all as it was"
		}
		bal.paths = append(bal.paths, s)
	}
	slices.Sort(bal.paths)
	bal.paths = slices.Compact(bal.paths)
	clone := obj.Atoms.Atoms[atom].Name != code.Name(obj.Atoms.Atoms[atom].Name)
	for sign, paths := range some {
		for _, name := range together(obj, paths, clone) {
			bal.some = append(bal.some, words[sign]+name)
		}
	}
	slices.Sort(bal.some)
	bal.some = slices.Compact(bal.some)
	switch {
	case effect.Unknown != 0:
		bal.unsure = effect.Unknown.String()
	case effect.Assumed:
		bal.unsure = "two expressions were taken to mean the same object"
	}
	return bal, true
}

var words = map[int32]string{1: "takes a reference to ", -1: "gives up "}

// stride is how many objects in steps of the same size make an array: what a
// loop leads to that is executed a few times.
const stride = 4

// together names what paths lead to. Elements of an array are one object, and so
// are all objects on a list, which are found by following the same member again
// and again. In a clone arguments have no numbers, as the compiler shifts them.
func together(obj *code.Object, paths []locks.Path, clone bool) []string {
	var out []string
	for _, path := range paths {
		path.Offs = slices.Clone(path.Offs)
		array := -1

		// Paths that differ in one offset by a constant step are elements of an array.
		for i := range path.Offs {
			var steps []int64
			for _, q := range paths {
				if q.Root == path.Root && q.Arg == path.Arg && q.Addr == path.Addr && len(q.Offs) == len(path.Offs) &&
					slices.Equal(q.Offs[:i], path.Offs[:i]) && slices.Equal(q.Offs[i+1:], path.Offs[i+1:]) {
					steps = append(steps, q.Offs[i])
				}
			}
			slices.Sort(steps)
			if steps = slices.Compact(steps); regular(steps) {
				array, path.Offs[i] = i, steps[0]
			}
		}
		if array < 0 {
			path.Offs = slices.Compact(path.Offs)
		}

		name := object(obj, path)
		if array >= 0 {
			name = "each of " + name + " and so on"
		}
		if clone && path.Root == locks.RootArg {
			name = strings.Replace(name, fmt.Sprintf("argument %d", path.Arg), "an argument", 1)
		}
		out = append(out, name)
	}
	return out
}

// regular reports whether numbers are some steps of one size.
func regular(l []int64) bool {
	if len(l) < stride {
		return false
	}
	for i := 2; i < len(l); i++ {
		if l[i]-l[i-1] != l[1]-l[0] {
			return false
		}
	}
	return true
}

// object names what a path leads to, so that it compares between two builds.
func object(o *code.Object, path locks.Path) string {
	if path.Root == locks.RootArg {
		return strings.Replace(path.String(), "arg", "argument ", 1)
	}
	sym, off, ok := o.Model.Prog.SymbolAt(path.Addr)
	if !ok {
		return path.String()
	}
	rest := path
	rest.Root, rest.Arg = locks.RootArg, 0
	base := sym.Name
	if off != 0 {
		base = fmt.Sprintf("%s+%#x", sym.Name, off)
	}
	return strings.Replace(rest.String(), "arg0", base, 1)
}

// unsure reports functions of which not all paths can be told apart, so that
// their lists are not worth comparing: what may be given up or taken at all is.
func unsure(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, obj *code.Object, old, newer balance) {
	less := func(a, b []string) []string {
		return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
	}
	found := finding.Finding{ID: finding.IDOwnership, Severity: finding.Note, Unknown: true, Remedy: remedy,
		Message: "what the function frees, puts or keeps may have changed; not all of its paths could be told apart"}
	for _, side := range []struct {
		word string
		list []string
	}{{"only before, on some path it ", less(old.some, newer.some)},
		{"only after, on some path it ", less(newer.some, old.some)}} {
		if len(side.list) > 0 {
			found.Evidence = append(found.Evidence, side.word+strings.Join(side.list, ", "))
		}
	}
	if len(found.Evidence) == 0 {
		return // the same objects; which paths lead there is not known on either side
	}
	who(unit, ch, obj, &found)
	found.Evidence = append(found.Evidence, slices.Compact(slices.DeleteFunc([]string{old.unsure, newer.unsure},
		func(s string) bool { return s == "" }))...)
	pass.ReportChange(unit, ch, found)
}

const remedy = "see that every caller agrees with the new balance, and patch those that do not with it"

func report(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, o *code.Object, old, newer balance) {
	found := finding.Finding{ID: finding.IDOwnership, Severity: finding.Warning, Remedy: remedy,
		Evidence: []string{"before: it " + strings.Join(old.paths, "; or it "),
			"after: it " + strings.Join(newer.paths, "; or it ")}}
	if local := who(unit, ch, o, &found); local && len(found.Who) == 0 {
		found.Severity, found.Remedy = finding.Note, ""
		found.Message = "who owns an object changed; all callers in the object file are patched with it"
	} else {
		found.Message = "the function frees, puts or keeps an object of its caller's on other paths than before"
	}
	pass.ReportChange(unit, ch, found)
}

// who adds the callers that are not patched, and reports whether there can be
// no others.
func who(unit *analyze.Unit, ch elfdiff.Change, o *code.Object, found *finding.Finding) (local bool) {
	callers, holders := o.Callers(ch.Orig)
	for _, a := range slices.Concat(callers, holders) {
		if name := unit.Name(a); name != "" && !unit.Replaced(a) && !strings.HasPrefix(name, "__ksymtab") {
			found.Who = append(found.Who, name)
		}
	}
	if local = unit.Diff.Orig.Local(ch.Orig); !local {
		found.Evidence = append(found.Evidence, "other object files can call it too")
	}
	return local
}
