package verdict

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/equiv"
	"github.com/klpforge/klpforge/analyze/types"
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

func run(pass *analyze.Pass) error {
	funcs := replaced(pass)
	against := slices.Concat(travels(pass), findings(pass), registers(pass))
	if len(funcs) == 0 {
		if len(against) == 0 || !anyChange(pass) {
			return nil // nothing is patched
		}
	}
	if arch := pass.Unmodelled(); arch != "" {
		against = slices.Insert(against, 0, "what instructions of "+arch+" do is not known here")
	}
	var proofs []*equiv.Certificate
	if len(against) == 0 {
		proofs, against = prove(pass, funcs)
	}
	for _, verdict := range []struct {
		id                finding.ID
		safe, not, remedy string
	}{
		{finding.IDImmediate, "safe to apply immediately",
			"needs the consistency model, no proof that it may be applied immediately",
			"set the immediate flag where the target's interface has it; the consistency model works too"},
		{finding.IDForce, "safe to force", "no proof that its transition may be forced",
			"a forced livepatch can never be unloaded: force only a transition that does not end"},
	} {
		found := finding.Finding{ID: verdict.id, Severity: finding.Note}
		if len(funcs) == 1 {
			found.Symbol, found.Object, found.Unit = funcs[0].change.Name, funcs[0].unit.Owner, funcs[0].unit.Object
		}
		switch {
		case len(against) == 0:
			found.Given, found.Message, found.Remedy, found.Detail = true,
				verdict.safe+": each function does what it did before, but for what the proof names", verdict.remedy,
				proofs
			for _, c := range proofs {
				found.Evidence = append(found.Evidence, c.Words()...)
			}
		case verdict.id == finding.IDImmediate:
			found.Message, found.Evidence = verdict.not+": "+against[0], against[1:]
		default:
			found.Message = verdict.not + ", for the same reasons"
		}
		pass.Report(found)
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
	for _, unit := range p.Units {
		if unit.New {
			out = append(out, "a new object file is carried: "+unit.Object)
		}
		for _, ch := range slices.Concat(unit.Diff.Functions, unit.Diff.Data) {
			name := ch.Name
			if name == "" {
				name = "nameless data in " + ch.Section
			}
			switch {
			case ch.Init:
				// Has its own finding when it matters.
			case ch.Kind == elfdiff.New:
				out = append(out, "new code or data is carried: "+name)
			case ch.Kind == elfdiff.Removed:
				out = append(out, "code or data is gone: "+name)
			}
			if ch.Kind == elfdiff.Changed && slices.ContainsFunc(unit.Diff.Data,
				func(d elfdiff.Change) bool { return d.Name == ch.Name && d.Orig == ch.Orig }) {
				out = append(out, "data changes: "+name)
			}
			if ch.Init {
				out = append(out, "code or data that is used only while booting, loading or unloading changes: "+name)
			}
		}
		if len(unit.Diff.Callbacks()) > 0 {
			out = append(out, "callbacks run when the livepatch is loaded or disabled")
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// findings lists what stands against a verdict, accepted or not: warnings and
// errors of any check, all that is said about consistency, and what could not be decided.
func findings(pass *analyze.Pass) []string {
	var out []string
	said := map[finding.ID]bool{}
	for _, a := range pass.Analyzer.Requires {
		for _, f := range pass.Found(a) {
			if f.Severity >= finding.Warning || f.Unknown || f.ID.Group() == finding.Consistency {
				out = append(out, f.Line())
				said[f.ID] = true
			}
		}
	}
	for i := range pass.Problems {
		if x := &pass.Problems[i]; x.Severity >= finding.Warning && !said[x.ID] {
			out = append(out, string(x.ID)+": "+x.Message)
			said[x.ID] = true
		}
	}
	return out
}

// prove looks for a certificate of each function.
func prove(pass *analyze.Pass, funcs []changed) (proofs []*equiv.Certificate, against []string) {
	sources := map[*analyze.Unit]func(bool, elfdiff.AtomID, uint64) string{}
	for _, change := range funcs {
		if names := change.unit.Joined[change.change.Orig]; len(names) > 0 {
			against = append(against, change.change.Name+": must switch together with "+strings.Join(names, ", "))
			continue
		}
		if sources[change.unit] == nil {
			sources[change.unit] = source(change.unit)
		}
		proof, err := equiv.Prove(change.unit.Diff, change.change,
			equiv.Options{Proto: protos(pass, change.unit), Source: sources[change.unit]})
		if err != nil {
			against = append(against, change.change.Name+obstacle(err))
			continue
		}
		proofs = append(proofs, proof)
	}
	return proofs, against
}

// source finds places in the source by the line tables of a unit's objects, which are
// read when the first is asked for. Nothing but words depends on it: an object without
// line tables, or with broken ones, has no such places.
func source(u *analyze.Unit) func(after bool, part elfdiff.AtomID, off uint64) string {
	objects := [2]*elfdiff.Object{u.Diff.Orig, u.Diff.Patched}
	var lines [2]*types.Lines
	return func(after bool, part elfdiff.AtomID, off uint64) string {
		side := 0
		if after {
			side = 1
		}
		elfObj := objects[side]
		if lines[side] == nil {
			var err error
			if lines[side], err = types.ReadLines(elfObj.File); err != nil {
				lines[side] = &types.Lines{}
			}
		}
		file, line, ok := lines[side].At(elfObj.Atoms[part].Sec, elfObj.Atoms[part].Base+off)
		if !ok {
			return ""
		}
		return fmt.Sprintf("%s:%d", file, line)
	}
}

func obstacle(err error) string {
	var o *equiv.Obstacle
	if errors.As(err, &o) && o.At != "" {
		return err.Error()
	}
	return ": " + err.Error()
}
