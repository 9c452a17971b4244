package layout

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Name: "layout", Doc: analyze.PackageDoc(doc), Checks: analyze.Checks(finding.IDLayout),
		Run: run}
}

// found is one changed type with what all units say of it.
type found struct {
	change types.Change
	unit   *analyze.Unit
	share  types.Sharing
	open   []string // functions that handle the type and are not replaced
}

func run(pass *analyze.Pass) error {
	// One finding for each layout, however many units have the type.
	var order []string
	all := map[string]*found{}
	for _, unit := range pass.Units {
		if unit.TypesErr != nil {
			pass.Report(finding.Finding{ID: finding.IDLayout, Severity: finding.Warning, Unknown: true,
				Object: unit.Owner, Unit: unit.Object, Evidence: []string{unit.TypesErr.Error()},
				Message: "the patch touches definitions of types, and whether a layout changes could not be found"})
			continue
		}
		if unit.Types == nil {
			continue
		}
		for _, change := range unit.Types.Changes {
			if change.Because != "" {
				continue
			}
			item := all[change.Before.Name]
			if item == nil {
				item = &found{change: change, unit: unit}
				all[change.Before.Name] = item
				order = append(order, change.Before.Name)
			}
			for _, sharing := range unit.Types.Sharing[change.Before.Name] {
				item.add(unit, sharing)
			}
		}
	}

	slices.Sort(order)
	for _, name := range order {
		if f := all[name]; !f.share.Private() {
			pass.Report(f.finding())
		}
	}
	return nil
}

func (f *found) add(unit *analyze.Unit, sharing types.Sharing) {
	join := func(to *[]string, from []string) {
		*to = append(*to, from...)
		slices.Sort(*to)
		*to = slices.Compact(*to)
	}
	join(&f.share.Globals, sharing.Globals)
	join(&f.share.Members, sharing.Members)
	join(&f.share.Functions, sharing.Functions)
	join(&f.share.Stack, sharing.Stack)
	join(&f.share.Links, sharing.Links)
	join(&f.share.Heads, sharing.Heads)
	replaced := func(name string) bool {
		return slices.ContainsFunc(unit.Replace, func(ch elfdiff.Change) bool {
			base, _, _ := strings.Cut(ch.Name, ".")
			return base == name
		})
	}
	for _, fn := range sharing.Functions {
		// An inlined function has no code of its own: it is where it was inlined.
		own := slices.ContainsFunc(unit.Diff.Orig.Atoms, func(a elfdiff.Atom) bool { return a.Name == fn })
		if own && !replaced(fn) {
			join(&f.open, []string{fn})
		}
	}
}

func (f *found) finding() finding.Finding {
	change := &f.change
	out := finding.Finding{ID: finding.IDLayout, Severity: finding.Error, Object: f.unit.Owner, Unit: f.unit.Object,
		Detail:   []types.Change{*change},
		Message:  fmt.Sprintf("the layout of %s changes, and objects of the old layout exist when the livepatch is applied", change.Before.Name),
		Evidence: change.Words(), Remedy: "leave " + change.Before.Name +
			" as it is and keep what is new in a shadow variable attached to the object (klp_shadow_alloc)"}

	// Who could hold an object of the old layout, each list cut to what can be read.
	list := func(what string, l []string) {
		if n := len(l); n > 8 {
			out.Evidence = append(out.Evidence, fmt.Sprintf("%s: %s and %d more", what, strings.Join(l[:8], ", "), n-8))
		} else if n > 0 {
			out.Evidence = append(out.Evidence, what+": "+strings.Join(l, ", "))
		}
	}
	list("variables", f.share.Globals)
	list("other structures lead to it", f.share.Members)
	list("objects are linked by", f.share.Links)
	list("objects may be linked by", f.share.Heads)
	list("on the stacks of", f.share.Stack)
	list("not patched, and handle it", f.open)
	out.Who = append(out.Who, "every "+change.Before.Name+" that exists already")
	out.Who = append(out.Who, f.open[:min(len(f.open), 8)]...)

	// How bad it is depends on whether an object can exist outside of the functions that change.
	switch {
	case change.Filled():
		out.Severity = finding.Warning
		out.Message = fmt.Sprintf("%s gets new members where it had padding: in objects that exist already nothing "+
			"has set them", change.Before.Name)
		out.Remedy = "see that the new code works with whatever is there, which is 0 where objects are allocated " +
			"zeroed; otherwise use a shadow variable"
	case len(f.share.Globals)+len(f.share.Members)+len(f.share.Links) > 0:
	case len(f.share.Heads) > 0:
		out.Severity, out.Unknown = finding.Warning, true
		out.Message = fmt.Sprintf("the layout of %s changes; its objects are on stacks, but others may reach them by a list", change.Before.Name)
		out.Remedy = "see that " + strings.Join(f.share.Heads, ", ") +
			" is the head of a list, not what puts the object into one; else use a shadow variable"
	default:
		out.Severity, out.Unknown = finding.Warning, true
		out.Message = fmt.Sprintf("the layout of %s changes; where its objects live is not seen, only that functions "+
			"get pointers to them", change.Before.Name)
	}
	return out
}
