package lockeffect

import (
	_ "embed"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/lockdiff"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Name: "lockeffect", Doc: analyze.PackageDoc(doc), Checks: analyze.Checks(finding.IDLockEffect), Run: run}
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
		for _, ch := range u.Replace {
			x, ok := lockdiff.Of(before, before.Locks(), ch.Orig)
			y, known := lockdiff.Of(after, after.Locks(), ch.Patched)
			if ok && known {
				compare(p, u, ch, before, &x, &y)
			}
		}
	}
	return nil
}

func compare(p *analyze.Pass, u *analyze.Unit, ch elfdiff.Change, o *code.Object, old, newer *lockdiff.Effect) {
	if len(u.Joined[ch.Orig]) > 0 {
		return // it is told with the function it calls
	}
	verdict := lockdiff.Compare(old, newer)
	if verdict == lockdiff.Same {
		return
	}
	f := finding.Finding{ID: finding.IDLockEffect, Severity: finding.Error, Remedy: "patch the callers too, up to where the locks are balanced",
		Evidence: []string{"before: it " + strings.Join(old.Full, "; or it "), "after: it " + strings.Join(newer.Full, "; or it ")}}
	callers, holders := o.Callers(ch.Orig)
	var boot []string
	for _, a := range slices.Concat(callers, holders) {
		name := u.Name(a)
		switch {
		case name == "" || u.Replaced(a) || strings.HasPrefix(name, "__ksymtab"):
		case elfdiff.InitSection(u.Diff.Orig.Section(a)):
			boot = append(boot, name)
		default:
			f.Who = append(f.Who, name)
		}
	}
	if len(boot) > 0 {
		f.Evidence = append(f.Evidence, "callers in initialisation code, which has run and is gone: "+strings.Join(boot, ", "))
	}
	out, looked := u.Outside[ch.Orig]
	f.Who = append(append(f.Who, out.Unpatched...), out.Pointers...)
	slices.Sort(f.Who)
	f.Who = slices.Compact(f.Who)
	all := u.Diff.Orig.Local(ch.Orig) || looked && out.Complete
	if !all {
		f.Evidence = append(f.Evidence, "other object files can call it too")
	}
	if len(out.Pointers) > 0 {
		f.Evidence = append(f.Evidence, "its address is in "+strings.Join(out.Pointers, ", ")+": who calls through it is not known")
	}
	joined := joinedCallers(p, ch.Name)
	if len(joined) > 0 {
		f.Evidence = append(f.Evidence, "these callers are unchanged and switch with it: "+strings.Join(joined, ", "))
	}
	switch {
	case old.Unsure != "" || newer.Unsure != "":
		f.Severity, f.Unknown = finding.Warning, true
		f.Message = "the lock effect may have changed; it is not fully known"
		for _, s := range []string{old.Unsure, newer.Unsure} {
			if s != "" && !slices.Contains(f.Evidence, s) {
				f.Evidence = append(f.Evidence, s)
			}
		}
	case verdict == lockdiff.Renamed:
		f.Severity, f.Unknown = finding.Warning, true
		f.Message = "locks of the same kind are taken or released, but whether they are the same locks is not known"
	case verdict == lockdiff.Lost:
		f.Severity = finding.Note
		f.Message = "a way of returning that changed locks is gone; this looks like a repaired leak"
		f.Remedy = "see that no caller made up for it"
	case len(f.Who) == 0 && all:
		f.Severity = finding.Note
		f.Message = "the lock effect changed; all callers are patched with it"
		if len(boot) > 0 {
			f.Message = "the lock effect changed; all callers that can still run are patched with it"
			if len(boot) == len(callers)+len(holders) && len(joined) == 0 {
				f.Message = "the lock effect changed; only initialisation code called it, which has run"
			}
		}
		f.Remedy = ""
	case len(f.Who) == 0:
		f.Severity, f.Unknown = finding.Warning, true
		f.Message = "the lock effect changed; whether all callers, which are in other object files, are patched is not known"
	default:
		f.Message = "the lock effect changed, and callers are not patched: during the transition a lock is released twice or never"
	}
	p.ReportChange(u, ch, f)
}

// joinedCallers names the functions that are on the list because they call callee.
func joinedCallers(p *analyze.Pass, callee string) []string {
	var out []string
	for _, u := range p.Units {
		for _, ch := range u.Replace {
			if slices.Contains(u.Joined[ch.Orig], callee) {
				out = append(out, ch.Name)
			}
		}
	}
	slices.Sort(out)
	return out
}
