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
	return &analyze.Analyzer{Code: true, Name: "lockeffect", Doc: analyze.PackageDoc(doc),
		Checks: analyze.Checks(finding.IDLockEffect), Run: run}
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
		for _, ch := range unit.Replace {
			x, ok := lockdiff.Of(before, before.Locks(), ch.Orig)
			y, known := lockdiff.Of(after, after.Locks(), ch.Patched)
			if ok && known {
				compare(pass, unit, ch, before, &x, &y)
			}
		}
	}
	return nil
}

func compare(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, obj *code.Object, old, newer *lockdiff.Effect) {
	if len(unit.Joined[ch.Orig]) > 0 {
		return // it is told with the function it calls
	}
	verdict := lockdiff.Compare(old, newer)
	if verdict == lockdiff.Same {
		return
	}
	found := finding.Finding{ID: finding.IDLockEffect, Severity: finding.Error,
		Remedy: "patch the callers too, up to where the locks are balanced",
		Evidence: []string{"before: it " + strings.Join(old.Full, "; or it "),
			"after: it " + strings.Join(newer.Full, "; or it ")}}
	callers, holders := obj.Callers(ch.Orig)
	var boot []string
	for _, a := range slices.Concat(callers, holders) {
		name := unit.Name(a)
		switch {
		case name == "" || unit.Replaced(a) || strings.HasPrefix(name, "__ksymtab"):
		case elfdiff.InitSection(unit.Diff.Orig.Section(a)):
			boot = append(boot, name)
		default:
			found.Who = append(found.Who, name)
		}
	}
	if len(boot) > 0 {
		found.Evidence = append(found.Evidence, "callers in initialisation code, which has run and is gone: "+
			strings.Join(boot, ", "))
	}
	out, looked := unit.Outside[ch.Orig]
	found.Who = append(append(found.Who, out.Unpatched...), out.Pointers...)
	slices.Sort(found.Who)
	found.Who = slices.Compact(found.Who)
	all := unit.Diff.Orig.Local(ch.Orig) || looked && out.Complete
	if !all {
		found.Evidence = append(found.Evidence, "other object files can call it too")
	}
	if len(out.Pointers) > 0 {
		found.Evidence = append(found.Evidence, "its address is in "+strings.Join(out.Pointers, ", ")+
			": who calls through it is not known")
	}
	joined := joinedCallers(pass, ch.Name)
	if len(joined) > 0 {
		found.Evidence = append(found.Evidence, "these callers are unchanged and switch with it: "+
			strings.Join(joined, ", "))
	}
	switch {
	case old.Unsure != "" || newer.Unsure != "":
		found.Severity, found.Unknown = finding.Warning, true
		found.Message = "the lock effect may have changed; it is not fully known"
		for _, s := range []string{old.Unsure, newer.Unsure} {
			if s != "" && !slices.Contains(found.Evidence, s) {
				found.Evidence = append(found.Evidence, s)
			}
		}
	case verdict == lockdiff.Renamed:
		found.Severity, found.Unknown = finding.Warning, true
		found.Message = "locks of the same kind are taken or released, but whether they are the same locks is not known"
	case verdict == lockdiff.Lost:
		found.Severity = finding.Note
		found.Message = "a return path that changed locks is gone; this looks like a repaired leak"
		found.Remedy = "see that no caller made up for it"
	case len(found.Who) == 0 && all:
		found.Severity = finding.Note
		found.Message = "the lock effect changed; all callers are patched with it"
		if len(boot) > 0 {
			found.Message = "the lock effect changed; all callers that can still run are patched with it"
			if len(boot) == len(callers)+len(holders) && len(joined) == 0 {
				found.Message = "the lock effect changed; only initialisation code called it, which has run"
			}
		}
		found.Remedy = ""
	case len(found.Who) == 0:
		found.Severity, found.Unknown = finding.Warning, true
		found.Message = "the lock effect changed; whether all callers, which are in other object files, are patched " +
			"is not known"
	default:
		found.Message = "the lock effect changed, and callers are not patched: during the transition a lock is " +
			"released twice or never"
	}
	pass.ReportChange(unit, ch, found)
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
