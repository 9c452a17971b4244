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
	"github.com/klpforge/klpforge/plan"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Name: "selflock", Doc: analyze.PackageDoc(doc), Checks: analyze.Checks(finding.IDSelfDeadlock), Run: run}
}

func run(p *analyze.Pass) error {
	for _, u := range p.Units {
		if len(u.Replace) == 0 {
			continue
		}
		before, after, ok := u.Sides()
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
			if name := culprit(u, d); name != "" {
				by[name] = append(by[name], d)
			}
		}
		for _, ch := range u.Replace {
			if list := by[ch.Name]; len(list) > 0 {
				report(p, u, ch, list)
			} else if err := elsewhere(p, u, ch, before, after); err != nil {
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

func deadlocks(o *code.Object) []deadlock {
	var out []deadlock
	flows := o.Flows()
	for i := range o.Model.Funcs {
		f := flows.Flow(o.ID(i))
		if f == nil {
			continue
		}
		for _, a := range f.Again {
			out = append(out, deadlock{Again: a, holder: o.Model.Funcs[i].Name, lock: o.LockName(a.Lock), at: o.Place(a.Site), sure: f.Unknown == 0})
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

func report(p *analyze.Pass, u *analyze.Unit, ch elfdiff.Change, list []deadlock) {
	f := finding.Finding{ID: finding.IDSelfDeadlock, Severity: finding.Warning,
		Remedy: "take the lock out of the callers by patching them too (look for a follow-up or prerequisite of the patch), or call a variant that expects the lock to be held"}
	self := true
	for _, d := range list {
		if !d.Read && d.sure {
			f.Severity = finding.Error
		}
		way := strings.Join(append([]string{d.holder}, d.Via...), " -> ")
		line := fmt.Sprintf("%s holds %s and waits for it again at %s: %s", d.holder, d.lock, d.at, way)
		if len(d.Via) > 0 {
			if at := p.CallPlace(u, d.holder, d.Via[0]); at.Line > 0 {
				line += fmt.Sprintf(" (%s:%d)", at.File, at.Line)
			}
		}
		if d.Read {
			line += "; both times for reading"
		}
		f.Evidence = append(f.Evidence, line)
		if d.holder != ch.Name && !slices.Contains(f.Who, d.holder) {
			f.Who = append(f.Who, d.holder)
		}
		self = self && d.holder == ch.Name
	}
	switch {
	case f.Severity == finding.Warning && !slices.ContainsFunc(list, func(d deadlock) bool { return !d.Read }):
		f.Message = "newly takes a lock for reading that is already held for reading: a writer in between makes it deadlock"
	case f.Severity == finding.Warning:
		f.Unknown = true
		f.Message = "newly takes a lock that may be held already; not everything could be followed"
	case self:
		f.Message = "newly takes a lock that it holds already: it waits for itself for ever"
	default:
		f.Message = "newly takes a lock that its callers hold already: they wait for themselves for ever"
	}
	p.ReportChange(u, ch, f)
}

// elsewhere looks for callers in the rest of the kernel that hold what a
// changed function newly takes.
func elsewhere(p *analyze.Pass, u *analyze.Unit, ch elfdiff.Change, before, after *code.Object) error {
	if u.Diff.Orig.Local(ch.Orig) || u.Owner != plan.Vmlinux || p.Kernel == nil {
		return nil
	}
	old, err := before.Func(ch.Orig)
	if err != nil {
		return nil // another check says so
	}
	id, err := after.Func(ch.Patched)
	if err != nil {
		return nil
	}
	x, y := before.Flows().Flow(old), after.Flows().Flow(id)
	if x == nil || y == nil {
		return nil
	}
	var fresh []locks.Taken
	for _, t := range y.Takes {
		same := func(o locks.Taken) bool { return !o.Retaken && before.LockName(o.Lock) == after.LockName(t.Lock) }
		if !t.Retaken && !slices.ContainsFunc(x.Takes, same) && t.Kind != locks.SRCU {
			fresh = append(fresh, t)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	k, err := p.Kernel()
	if err != nil {
		return fmt.Errorf("look for callers in the kernel: %w", err)
	}
	f := finding.Finding{ID: finding.IDSelfDeadlock, Severity: finding.Error, Message: "newly takes a lock that callers elsewhere in the kernel hold already: they wait for themselves for ever",
		Remedy: "take the lock out of the callers by patching them too, or call a variant that expects the lock to be held"}
	for _, c := range k.CallsTo(ch.Name) {
		if slices.ContainsFunc(u.Replace, func(ch elfdiff.Change) bool { return ch.Name == c.Caller }) {
			continue
		}
		for _, t := range fresh {
			lock, ok := k.Translate(after, t.Lock)
			if !ok || len(t.When) > 0 {
				continue // depends on what the caller passes
			}
			for _, h := range c.As {
				if locks.Same(h, lock) && !(h.Kind.Reads() && t.Kind.Reads()) {
					f.Evidence = append(f.Evidence, fmt.Sprintf("%s holds %s at %s: %s", c.Caller, after.LockName(t.Lock), c.Place, strings.Join(append([]string{c.Caller, ch.Name}, t.Via...), " -> ")))
					f.Who = append(f.Who, c.Caller)
				}
			}
		}
	}
	if len(f.Who) > 0 {
		slices.Sort(f.Who)
		f.Who = slices.Compact(f.Who)
		p.ReportChange(u, ch, f)
	}
	return nil
}
