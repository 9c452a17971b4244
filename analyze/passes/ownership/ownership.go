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
	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Name: "ownership", Doc: analyze.PackageDoc(doc), Checks: analyze.Checks(finding.IDOwnership), Run: run}
}

func run(p *analyze.Pass) error {
	for _, u := range p.Units {
		if len(u.Replace) == 0 {
			continue
		}
		before, err := u.Before()
		if err != nil {
			continue // other checks say that the object cannot be decoded
		}
		after, err := u.After()
		if err != nil {
			continue
		}
		counted := locks.Options{Count: kfuncs.Counts()}
		old, newer := locks.Analyze(before.Model, counted), locks.Analyze(after.Model, counted)
		for _, ch := range u.Replace {
			x, ok := balanceOf(before, old, ch.Orig)
			y, known := balanceOf(after, newer, ch.Patched)
			if layoutsDiffer(u) {
				x.moved()
				y.moved()
			}
			switch {
			case !ok || !known || slices.Equal(x.ways, y.ways):
			case x.unsure+y.unsure == "":
				report(p, u, ch, before, x, y)
			default:
				unsure(p, u, ch, before, x, y)
			}
		}
	}
	return nil
}

// balance is what a function does to objects that are not its own.
type balance struct {
	ways   []string // of returning, each what it releases and keeps; a sorted set
	some   []string // what it releases or keeps on some way, with all elements of an array as one; a sorted set
	unsure string
}

// layoutsDiffer reports whether the patch moves members of types, so that offsets do
// not compare.
func layoutsDiffer(u *analyze.Unit) bool {
	return u.Types[0] != nil && u.Types[1] != nil && len(types.Compare(u.Types[0], u.Types[1])) > 0
}

var offset = regexp.MustCompile(`([+-])0x[0-9a-f]+`)

// moved takes the offsets out of names. How many objects there are of a kind
// still counts.
func (b *balance) moved() {
	for _, l := range []*[]string{&b.ways, &b.some} {
		n := map[string]int{}
		var out []string
		for _, s := range *l {
			s = offset.ReplaceAllString(s, "$1?")
			if n[s]++; n[s] > 1 {
				s = fmt.Sprintf("%s (%d)", s, n[s])
			}
			out = append(out, s)
		}
		slices.Sort(out)
		*l = out
	}
	if b.unsure == "" {
		b.unsure = "layouts of types change (KLP208), so that offsets do not compare"
	}
}

func balanceOf(o *code.Object, r *locks.Result, a elfdiff.AtomID) (balance, bool) {
	id, err := o.Func(a)
	if err != nil {
		return balance{}, false
	}
	e := r.Effect(id)
	var b balance
	some := map[int32][]locks.Path{} // by sign
	for i := range e.Outcomes {
		var way []string
		for _, c := range e.Outcomes[i].Changes {
			if c.Kind != locks.Sem || c.Path.Root != locks.RootArg && c.Path.Root != locks.RootGlobal && c.Path.Root != locks.RootPercpu {
				continue
			}
			sign := int32(1)
			if c.Delta < 0 {
				sign = -1
			}
			way = append(way, words[sign]+object(o, c.Path))
			some[sign] = append(some[sign], c.Path)
		}
		slices.Sort(way)
		s := strings.Join(way, " and ")
		if s == "" {
			s = "leaves all as it was"
		}
		b.ways = append(b.ways, s)
	}
	slices.Sort(b.ways)
	b.ways = slices.Compact(b.ways)
	clone := o.Atoms.Atoms[a].Name != code.Name(o.Atoms.Atoms[a].Name)
	for sign, paths := range some {
		for _, name := range together(o, paths, clone) {
			b.some = append(b.some, words[sign]+name)
		}
	}
	slices.Sort(b.some)
	b.some = slices.Compact(b.some)
	switch {
	case e.Unknown != 0:
		b.unsure = e.Unknown.String()
	case e.Assumed:
		b.unsure = "two expressions were taken to mean the same object"
	}
	return b, true
}

var words = map[int32]string{1: "takes a reference to ", -1: "gives up "}

// stride is how many objects in steps of the same size make an array: what a
// loop leads to that is executed a few times.
const stride = 4

// together names what paths lead to. Elements of an array are one object, and so
// are all objects on a list, which are found by following the same member again
// and again. In a clone arguments have no numbers, as the compiler shifts them.
func together(o *code.Object, paths []locks.Path, clone bool) []string {
	var out []string
	for _, p := range paths {
		p.Offs = slices.Clone(p.Offs)
		array := -1
		for i := range p.Offs {
			var steps []int64
			for _, q := range paths {
				if q.Root == p.Root && q.Arg == p.Arg && q.Addr == p.Addr && len(q.Offs) == len(p.Offs) &&
					slices.Equal(q.Offs[:i], p.Offs[:i]) && slices.Equal(q.Offs[i+1:], p.Offs[i+1:]) {
					steps = append(steps, q.Offs[i])
				}
			}
			slices.Sort(steps)
			if steps = slices.Compact(steps); regular(steps) {
				array, p.Offs[i] = i, steps[0]
			}
		}
		if array < 0 {
			p.Offs = slices.Compact(p.Offs)
		}
		name := object(o, p)
		if array >= 0 {
			name = "each of " + name + " and so on"
		}
		if clone && p.Root == locks.RootArg {
			name = strings.Replace(name, fmt.Sprintf("argument %d", p.Arg), "an argument", 1)
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
func object(o *code.Object, p locks.Path) string {
	if p.Root == locks.RootArg {
		return strings.Replace(p.String(), "arg", "argument ", 1)
	}
	s, off, ok := o.Model.Prog.SymbolAt(p.Addr)
	if !ok {
		return p.String()
	}
	rest := p
	rest.Root, rest.Arg = locks.RootArg, 0
	base := s.Name
	if off != 0 {
		base = fmt.Sprintf("%s+%#x", s.Name, off)
	}
	return strings.Replace(rest.String(), "arg0", base, 1)
}

// unsure reports functions of which not all ways can be told apart, so that
// their lists are not worth comparing: what may be given up or taken at all is.
func unsure(p *analyze.Pass, u *analyze.Unit, ch elfdiff.Change, o *code.Object, old, newer balance) {
	less := func(a, b []string) []string {
		return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
	}
	f := finding.Finding{ID: finding.IDOwnership, Severity: finding.Note, Unknown: true, Remedy: remedy,
		Message: "what the function frees, puts or keeps may have changed; not all of its ways could be told apart"}
	for _, side := range []struct {
		word string
		list []string
	}{{"only before, on some way it ", less(old.some, newer.some)}, {"only after, on some way it ", less(newer.some, old.some)}} {
		if len(side.list) > 0 {
			f.Evidence = append(f.Evidence, side.word+strings.Join(side.list, ", "))
		}
	}
	if len(f.Evidence) == 0 {
		return // the same objects; which ways lead there is not known on either side
	}
	who(u, ch, o, &f)
	f.Evidence = append(f.Evidence, slices.Compact(slices.DeleteFunc([]string{old.unsure, newer.unsure}, func(s string) bool { return s == "" }))...)
	p.ReportChange(u, ch, f)
}

const remedy = "see that every caller agrees with the new balance, and patch those that do not with it"

func report(p *analyze.Pass, u *analyze.Unit, ch elfdiff.Change, o *code.Object, old, newer balance) {
	f := finding.Finding{ID: finding.IDOwnership, Severity: finding.Warning, Remedy: remedy,
		Evidence: []string{"before: it " + strings.Join(old.ways, "; or it "), "after: it " + strings.Join(newer.ways, "; or it ")}}
	if local := who(u, ch, o, &f); local && len(f.Who) == 0 {
		f.Severity, f.Remedy = finding.Note, ""
		f.Message = "who owns an object changed; all callers in the object file are patched with it"
	} else {
		f.Message = "the function frees, puts or keeps an object of its caller's on other ways than before"
	}
	p.ReportChange(u, ch, f)
}

// who adds the callers that are not patched, and reports whether there can be
// no others.
func who(u *analyze.Unit, ch elfdiff.Change, o *code.Object, f *finding.Finding) (local bool) {
	callers, holders := o.Callers(ch.Orig)
	for _, a := range slices.Concat(callers, holders) {
		if name := u.Name(a); name != "" && !u.Replaced(a) && !strings.HasPrefix(name, "__ksymtab") {
			f.Who = append(f.Who, name)
		}
	}
	if local = u.Diff.Orig.Local(ch.Orig); !local {
		f.Evidence = append(f.Evidence, "other object files can call it too")
	}
	return local
}
