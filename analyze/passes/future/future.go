package future

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Code: true, Name: "future", Doc: analyze.PackageDoc(doc),
		Checks: analyze.Checks(finding.IDFutureOnly),
		Run:    run}
}

// members maps members of the kernel's operation tables that run once in the
// life of an object to what already exists and is not repaired.
var members = map[string]string{
	"probe": "devices that are bound already", "probe_new": "devices that are bound already",
	"mount": "file systems that are mounted already", "get_tree": "file systems that are mounted already",
	"init_fs_context": "file systems that are mounted already", "fill_super": "file systems that are mounted already",
	"open": "files that are open already", "ndo_init": "network devices that are registered already",
	"newlink": "network links that exist already", "alloc_inode": "inodes that are in memory already",
}

type walk struct {
	in       *analyze.Input
	unit     *analyze.Unit
	object   *code.Object
	text     []byte // source before the patch
	visited  map[elfdiff.AtomID]bool
	evidence []string
	who      map[string]bool
}

func run(pass *analyze.Pass) error {
	who := map[string]bool{}
	var evidence []string
	var first *analyze.Unit
	var changes []elfdiff.Change
	for _, unit := range pass.Units {
		if len(unit.Replace) == 0 {
			continue
		}
		o, err := unit.Before()
		if err != nil {
			return nil // no proof, so no claim
		}
		search := &walk{in: pass.Input, unit: unit, object: o, visited: map[elfdiff.AtomID]bool{}, who: who}
		for i := range pass.Files {
			if pass.Files[i].Path == unit.Source {
				search.text = pass.Files[i].Old
			}
		}
		for _, ch := range unit.Replace {
			if !search.once(ch.Orig) {
				return nil
			}
			changes = append(changes, ch)
		}
		evidence = append(evidence, search.evidence...)
		if first == nil {
			first = unit
		}
	}
	if len(changes) == 0 || len(who) == 0 {
		return nil
	}
	found := finding.Finding{ID: finding.IDFutureOnly, Severity: finding.Warning, Object: first.Owner,
		Unit: first.Object, Evidence: evidence,
		Message: "every changed function runs only for what is made after the livepatch is applied; what exists " +
			"stays as it is",
		Remedy: "if they need the repair too, go over them in a post-patch callback, or make them anew"}
	if len(changes) == 1 {
		found.Symbol = changes[0].Name
	}
	for w := range who {
		found.Who = append(found.Who, w)
	}
	slices.Sort(found.Who)
	pass.Report(found)
	return nil
}

// once reports whether a function only runs when something is made.
func (w *walk) once(atom elfdiff.AtomID) bool {
	if w.visited[atom] {
		return true // decided by its other references
	}
	w.visited[atom] = true
	name := w.unit.Name(atom)
	if !w.unit.Diff.Orig.Local(atom) {
		return false
	}
	callers, holders := w.object.Callers(atom)
	if len(callers)+len(holders) == 0 {
		return false
	}
	for _, caller := range callers {
		if w.unit.Diff.Orig.InitOnly(caller) {
			w.evidence = append(w.evidence, fmt.Sprintf("%s is called by %s, which has run", name, w.unit.Name(caller)))
			w.who["what was set up while booting or loading"] = true
			continue
		}
		if !w.once(caller) {
			return false
		}
		w.evidence = append(w.evidence, name+" is called by "+w.unit.Name(caller))
	}
	for _, h := range holders {
		if w.unit.Diff.Orig.IsCode(h) || w.unit.Name(h) == "" {
			return false
		}
	}
	return len(holders) == 0 || w.assigned(name)
}

// assigned reports whether the source gives a function to members of tables
// that run once, and to nothing else.
func (w *walk) assigned(name string) bool {
	base, _, _ := strings.Cut(name, ".")
	ok, found := true, false
	analyze.Uses(w.text, base, func(line int, before2, before, after string) {
		switch {
		case after == "(" && before != "=" && before != ",": // its definition, a declaration or a call
		case before == "=" && members[before2] != "" && (after == "," || after == "}"):
			found = true
			w.who[members[before2]] = true
			w.evidence = append(w.evidence, fmt.Sprintf("%s:%d: .%s = %s", w.unit.Source, line, before2, base))
		default:
			ok = false
		}
	})
	return ok && found
}
