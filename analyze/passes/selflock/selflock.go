package selflock

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Code: true, Name: "selflock", Doc: analyze.PackageDoc(doc),
		Checks: analyze.Checks(finding.IDSelfDeadlock), Run: run}
}

func run(pass *analyze.Pass) error {
	for _, unit := range pass.Units {
		if len(unit.Replace) == 0 {
			continue
		}
		before, after, ok := unit.Sides()
		if !ok {
			continue // other checks say that the object cannot be decoded
		}
		known := map[string]bool{}
		for _, d := range deadlocks(before) {
			known[d.key()] = true
		}
		by := map[string][]deadlock{} // by changed function
		for _, d := range deadlocks(after) {
			if known[d.key()] {
				continue
			}
			if name := culprit(unit, d); name != "" {
				by[name] = append(by[name], d)
			}
		}
		for _, ch := range unit.Replace {
			if list := by[ch.Name]; len(list) > 0 {
				report(pass, unit, ch, list)
			} else if err := elsewhere(pass, unit, ch, before, after); err != nil {
				return err
			}
		}
	}
	return nil
}

// deadlock is a lock waited for while it is held.
type deadlock struct {
	locks.Again
	holder string // the function that holds it
	lock   string
	at     string
	sure   bool
}

// key is the same in both builds when nothing changed.
func (d *deadlock) key() string { return d.holder + " " + d.lock }

func deadlocks(obj *code.Object) []deadlock {
	var out []deadlock
	flows := obj.Flows()
	for i := range obj.Model.Funcs {
		f := flows.Flow(obj.ID(i))
		if f == nil {
			continue
		}
		for _, a := range f.Again {
			out = append(out, deadlock{Again: a, holder: obj.Model.Funcs[i].Name, lock: obj.LockName(a.Lock),
				at: obj.Place(a.Site), sure: f.Unknown == 0})
		}
	}
	return out
}

// culprit is the changed function that a deadlock comes about by: the last one
// on the way to the lock, or the one that holds it.
func culprit(u *analyze.Unit, d deadlock) string {
	for _, name := range slices.Backward(append([]string{d.holder}, d.Via...)) {
		if slices.ContainsFunc(u.Replace, func(ch elfdiff.Change) bool { return ch.Name == name }) {
			return name
		}
	}
	return ""
}

func report(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, list []deadlock) {
	found := finding.Finding{ID: finding.IDSelfDeadlock, Severity: finding.Warning,
		Remedy: "take the lock out of the callers by patching them too (look for a follow-up or prerequisite of the " +
			"patch), or call a variant that expects the lock to be held"}

	// One line for each function that holds the lock, with the calls that lead to the second
	// taking.
	self := true
	for _, lock := range list {
		if !lock.Read && lock.sure {
			found.Severity = finding.Error
		}
		path := strings.Join(append([]string{lock.holder}, lock.Via...), " -> ")
		line := fmt.Sprintf("%s holds %s and waits for it again at %s: %s", lock.holder, lock.lock, lock.at, path)
		if len(lock.Via) > 0 {
			if at := pass.CallPlace(unit, lock.holder, lock.Via[0]); at.Line > 0 {
				line += fmt.Sprintf(" (%s:%d)", at.File, at.Line)
			}
		}
		if lock.Read {
			line += "; both times for reading"
		}
		found.Evidence = append(found.Evidence, line)
		if lock.holder != ch.Name && !slices.Contains(found.Who, lock.holder) {
			found.Who = append(found.Who, lock.holder)
		}
		self = self && lock.holder == ch.Name
	}

	switch {
	case found.Severity == finding.Warning && !slices.ContainsFunc(list, func(d deadlock) bool { return !d.Read }):
		found.Message = "newly takes a lock for reading that is already held for reading: a writer in between makes " +
			"it deadlock"
	case found.Severity == finding.Warning:
		found.Unknown = true
		found.Message = "newly takes a lock that may be held already; not everything could be followed"
	case self:
		found.Message = "newly takes a lock that it holds already: it waits for itself for ever"
	default:
		found.Message = "newly takes a lock that its callers hold already: they wait for themselves for ever"
	}
	pass.ReportChange(unit, ch, found)
}
