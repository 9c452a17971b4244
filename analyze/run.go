package analyze

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/finding"
)

// Registry is a set of analyzers in an order that respects what each requires.
type Registry struct {
	order []*Analyzer
	byID  map[finding.ID]*Analyzer
}

var idRE = regexp.MustCompile(`^KLP[0-9]{3}$`)

// NewRegistry validates the analyzers: names and ids are unique and well
// formed, everything has a text, and requirements are complete and without
// cycles.
func NewRegistry(list ...*Analyzer) (*Registry, error) {
	registry := &Registry{byID: map[finding.ID]*Analyzer{}}
	names := map[string]bool{}
	for _, analyzer := range list {
		switch {
		case analyzer.Name == "" || names[analyzer.Name]:
			return nil, fmt.Errorf("analyzer %q: the name is empty or taken", analyzer.Name)
		case analyzer.Run == nil || strings.TrimSpace(analyzer.Doc) == "" || len(analyzer.Checks) == 0:
			return nil, fmt.Errorf("analyzer %s: no Run, no Doc or no Checks", analyzer.Name)
		}
		names[analyzer.Name] = true
		for _, check := range analyzer.Checks {
			if !idRE.MatchString(string(check.ID)) || check.Title == "" {
				return nil, fmt.Errorf("analyzer %s: check %q is malformed or has no title", analyzer.Name, check.ID)
			}
			if other := registry.byID[check.ID]; other != nil {
				return nil, fmt.Errorf("analyzer %s: check %s belongs to %s", analyzer.Name, check.ID, other.Name)
			}
			registry.byID[check.ID] = analyzer
		}
	}

	// Those that an analyzer requires run before it; otherwise the order is that of the list.
	const open, done = 1, 2
	state := map[*Analyzer]int{}
	var visit func(a *Analyzer) error
	visit = func(analyzer *Analyzer) error {
		switch state[analyzer] {
		case done:
			return nil
		case open:
			return fmt.Errorf("analyzer %s requires itself", analyzer.Name)
		}
		state[analyzer] = open
		for _, q := range analyzer.Requires {
			if !slices.Contains(list, q) {
				return fmt.Errorf("analyzer %s requires %s, which is not registered", analyzer.Name, q.Name)
			}
			if err := visit(q); err != nil {
				return err
			}
		}
		state[analyzer] = done
		registry.order = append(registry.order, analyzer)
		return nil
	}

	for _, a := range list {
		if err := visit(a); err != nil {
			return nil, err
		}
	}
	return registry, nil
}

// Analyzers returns the analyzers in the order in which they run.
func (r *Registry) Analyzers() []*Analyzer { return slices.Clone(r.order) }

// Checks returns all checks by id.
func (r *Registry) Checks() []Check {
	var out []Check
	for _, a := range r.order {
		for _, c := range a.Checks {
			c.Doc = cmp.Or(c.Doc, a.Doc)
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b Check) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Check finds a check by id.
func (r *Registry) Check(id finding.ID) (Check, bool) {
	a := r.byID[id]
	if a == nil {
		return Check{}, false
	}
	c := a.Checks[slices.IndexFunc(a.Checks, func(c Check) bool { return c.ID == id })]
	c.Doc = cmp.Or(c.Doc, a.Doc)
	return c, true
}

// Select turns lists of ids and analyzer names into the set of ids to report.
// Nothing to run means everything. The error names what is not known.
func (r *Registry) Select(run, not []string) (map[finding.ID]bool, error) {
	ids := map[finding.ID]bool{}
	if len(run) == 0 {
		for id := range r.byID {
			ids[id] = true
		}
	}
	set := func(list []string, to bool) error {
		for _, word := range list {
			count := 0
			for id, a := range r.byID {
				if string(id) == word || a.Name == word {
					ids[id] = to
					count++
				}
			}
			if count == 0 {
				return fmt.Errorf("no check or analyzer is called %q", word)
			}
		}
		return nil
	}
	return ids, errors.Join(set(run, true), set(not, false))
}

// Run executes all analyzers and returns the findings of the selected ids,
// sorted. All analyzers run in any case, since verdicts rest on the findings
// of the others; nil selects all. On an error the findings are those of the
// analyzers before.
func (r *Registry) Run(in *Input, selected map[finding.ID]bool) ([]finding.Finding, error) {
	found := map[*Analyzer][]finding.Finding{}
	var all []finding.Finding
	var failed error
	for _, analyzer := range r.order {
		pass := &Pass{Input: in, Analyzer: analyzer, found: found}
		if name := in.Unmodelled(); name != "" && analyzer.Code {
			pass.unknownHere(name)
		} else if err := analyzer.Run(pass); err != nil {
			failed = fmt.Errorf("analyzer %s: %w", analyzer.Name, err)
			break
		}
		for i := range pass.out {
			f := &pass.out[i]
			if r.byID[f.ID] != analyzer {
				return all, fmt.Errorf("analyzer %s reports %s, which it does not list", analyzer.Name, f.ID)
			}
			in.complete(f)
		}
		finding.Sort(pass.out)
		found[analyzer] = pass.out
		for _, f := range pass.out {
			if selected == nil || selected[f.ID] {
				all = append(all, f)
			}
		}
	}
	finding.Sort(all)
	return all, failed
}

// complete fills in what every finding has.
func (in *Input) complete(f *finding.Finding) {
	if f.Old == (finding.Position{}) && f.New == (finding.Position{}) {
		f.Old, f.New = in.Locate(f.Unit, f.Symbol)
	}
	if f.Severity > finding.Note || !f.Given {
		f.Allowed = in.Allow[f.ID]
	}
}
