package ownership

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/elfdiff"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Name: "ownership", Doc: analyze.PackageDoc(doc), Checks: []analyze.Check{{ID: "KLP207", Title: "ownership changed"}}, Run: run}
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
		old, new := locks.Analyze(before.Model, locks.Options{Count: counted}), locks.Analyze(after.Model, locks.Options{Count: counted})
		for _, ch := range u.Replace {
			x, ok := balanceOf(before, old, ch.Orig)
			y, known := balanceOf(after, new, ch.Patched)
			if ok && known && !slices.Equal(x.ways, y.ways) {
				report(p, u, ch, before, x, y)
			}
		}
	}
	return nil
}

// balance is what a function does to objects that are not its own.
type balance struct {
	ways   []string // of returning, each what it releases and keeps; a sorted set
	unsure string
}

func balanceOf(o *code.Object, r *locks.Result, a elfdiff.AtomID) (balance, bool) {
	id, err := o.Func(a)
	if err != nil {
		return balance{}, false
	}
	e := r.Effect(id)
	var b balance
	for i := range e.Outcomes {
		var way []string
		for _, c := range e.Outcomes[i].Changes {
			if c.Kind != locks.Sem || c.Path.Root != locks.RootArg && c.Path.Root != locks.RootGlobal && c.Path.Root != locks.RootPercpu {
				continue
			}
			word := "takes a reference to "
			if c.Delta < 0 {
				word = "gives up "
			}
			way = append(way, word+object(o, c.Path))
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
	switch {
	case e.Unknown != 0:
		b.unsure = e.Unknown.String()
	case e.Assumed:
		b.unsure = "two expressions were taken to mean the same object"
	}
	return b, true
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

func report(p *analyze.Pass, u *analyze.Unit, ch elfdiff.Change, o *code.Object, old, new balance) {
	f := analyze.Finding{ID: "KLP207", Severity: analyze.Warning, Remedy: "see that every caller agrees with the new balance, and patch those that do not with it",
		Evidence: []string{"before: it " + strings.Join(old.ways, "; or it "), "after: it " + strings.Join(new.ways, "; or it ")}}
	callers, holders := o.Callers(ch.Orig)
	for _, a := range slices.Concat(callers, holders) {
		if name := u.Name(a); name != "" && !u.Replaced(a) && !strings.HasPrefix(name, "__ksymtab") {
			f.Who = append(f.Who, name)
		}
	}
	local := u.Diff.Orig.Local(ch.Orig)
	if !local {
		f.Evidence = append(f.Evidence, "other object files can call it too")
	}
	switch unsure := old.unsure + new.unsure; {
	case unsure != "":
		f.Severity, f.Unknown = analyze.Note, true
		f.Message = "what the function frees, puts or keeps may have changed; not all of its ways could be told apart"
		f.Evidence = append(f.Evidence, slices.Compact(slices.DeleteFunc([]string{old.unsure, new.unsure}, func(s string) bool { return s == "" }))...)
	case local && len(f.Who) == 0:
		f.Severity, f.Remedy = analyze.Note, ""
		f.Message = "who owns an object changed; all callers in the object file are patched with it"
	default:
		f.Message = "the function frees, puts or keeps an object of its caller's on other ways than before"
	}
	p.ReportChange(u, ch, f)
}
