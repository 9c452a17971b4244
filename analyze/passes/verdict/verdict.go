package verdict

import (
	_ "embed"
	"errors"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/equiv"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
)

//go:embed doc.go
var doc string

// New makes the analyzer. It rests on the findings of the others.
func New(requires ...*analyze.Analyzer) *analyze.Analyzer {
	return &analyze.Analyzer{Name: "verdict", Doc: analyze.PackageDoc(doc), Requires: requires, Run: run,
		Checks: analyze.Checks(finding.IDImmediate, finding.IDForce)}
}

// changed is one function that the livepatch replaces.
type changed struct {
	unit   *analyze.Unit
	change elfdiff.Change
}

func run(p *analyze.Pass) error {
	funcs := replaced(p)
	against := slices.Concat(travels(p), findings(p), registers(p))
	if len(funcs) == 0 {
		if len(against) == 0 || !anyChange(p) {
			return nil // nothing is patched
		}
	}
	var proofs []*equiv.Certificate
	if len(against) == 0 {
		proofs, against = prove(p, funcs)
	}
	for _, v := range []struct {
		id                finding.ID
		safe, not, remedy string
	}{
		{finding.IDImmediate, "safe to apply immediately",
			"needs the consistency model, no proof that it may be applied immediately",
			"set the immediate flag where the target's interface has it; the consistency model works too"},
		{finding.IDForce, "safe to force", "no proof that its transition may be forced",
			"a forced livepatch can never be unloaded: force only a transition that does not end"},
	} {
		f := finding.Finding{ID: v.id, Severity: finding.Note}
		if len(funcs) == 1 {
			f.Symbol, f.Object, f.Unit = funcs[0].change.Name, funcs[0].unit.Owner, funcs[0].unit.Object
		}
		switch {
		case len(against) == 0:
			f.Given, f.Message, f.Remedy, f.Detail = true,
				v.safe+": each function does what it did before, but for what the proof names", v.remedy, proofs
			for _, c := range proofs {
				f.Evidence = append(f.Evidence, c.Words()...)
			}
		case v.id == finding.IDImmediate:
			f.Message, f.Evidence = v.not+": "+against[0], against[1:]
		default:
			f.Message = v.not + ", for the same reasons"
		}
		p.Report(f)
	}
	return nil
}

func replaced(p *analyze.Pass) []changed {
	var out []changed
	for _, u := range p.Units {
		for _, ch := range u.Replace {
			out = append(out, changed{u, ch})
		}
	}
	return out
}

// anyChange reports whether the patches alter something at run time besides
// functions.
func anyChange(p *analyze.Pass) bool {
	return slices.ContainsFunc(p.Units, func(u *analyze.Unit) bool { return len(u.Replace) > 0 })
}

// travels lists what comes with the functions or differs beside them: a proof
// is about functions alone.
func travels(p *analyze.Pass) []string {
	var out []string
	for _, u := range p.Units {
		if u.New {
			out = append(out, "a new object file travels along: "+u.Object)
		}
		for _, ch := range slices.Concat(u.Diff.Functions, u.Diff.Data) {
			name := ch.Name
			if name == "" {
				name = "nameless data in " + ch.Section
			}
			switch {
			case ch.Init:
				// Has its own finding when it matters.
			case ch.Kind == elfdiff.New:
				out = append(out, "new code or data travels along: "+name)
			case ch.Kind == elfdiff.Removed:
				out = append(out, "code or data is gone: "+name)
			}
			if ch.Kind == elfdiff.Changed && slices.ContainsFunc(u.Diff.Data,
				func(d elfdiff.Change) bool { return d.Name == ch.Name && d.Orig == ch.Orig }) {
				out = append(out, "data changes: "+name)
			}
			if ch.Init {
				out = append(out, "code or data that is used only while booting, loading or unloading changes: "+name)
			}
		}
		if len(u.Diff.Callbacks()) > 0 {
			out = append(out, "callbacks run when the livepatch is loaded or disabled")
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// findings lists what stands against a verdict, accepted or not: warnings and
// errors of any check, all that is said about consistency, and what could not be decided.
func findings(p *analyze.Pass) []string {
	var out []string
	said := map[finding.ID]bool{}
	for _, a := range p.Analyzer.Requires {
		for _, f := range p.Found(a) {
			if f.Severity >= finding.Warning || f.Unknown || f.ID.Group() == finding.Consistency {
				out = append(out, f.Line())
				said[f.ID] = true
			}
		}
	}
	for i := range p.Problems {
		if x := &p.Problems[i]; x.Severity >= finding.Warning && !said[x.ID] {
			out = append(out, string(x.ID)+": "+x.Message)
			said[x.ID] = true
		}
	}
	return out
}

// prove looks for a certificate of each function.
func prove(p *analyze.Pass, funcs []changed) (proofs []*equiv.Certificate, against []string) {
	for _, c := range funcs {
		if names := c.unit.Joined[c.change.Orig]; len(names) > 0 {
			against = append(against, c.change.Name+": must switch together with "+strings.Join(names, ", "))
			continue
		}
		proof, err := equiv.Prove(c.unit.Diff, c.change, equiv.Options{Proto: protos(p, c.unit)})
		if err != nil {
			against = append(against, c.change.Name+obstacle(err))
			continue
		}
		proofs = append(proofs, proof)
	}
	return proofs, against
}

func obstacle(err error) string {
	var o *equiv.Obstacle
	if errors.As(err, &o) && o.At != "" {
		return err.Error()
	}
	return ": " + err.Error()
}
