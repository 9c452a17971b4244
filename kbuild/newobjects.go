package kbuild

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/finding"
)

// NewObjects finds the objects of new source files that patched makefiles build. rules
// are all changed files that Withheld names; with trusted, they are in the work tree,
// and are run. The selection has the objects, what only running the rules would tell,
// and the sources that nothing builds.
func (w *Work) NewObjects(ctx context.Context, a *Affected, rules map[string]RuleChange,
	trusted bool) (*Selection, error) {
	selected := &Selection{Objects: map[string]Owner{}}
	var sources []string
	for _, f := range a.Files {
		if f.Class == ClassNewSource {
			sources = append(sources, f.Path)
		}
	}
	switch {
	case len(sources) == 0:
		return selected, nil
	case trusted:
		return selected, selected.evaluate(ctx, w, sources)
	}
	return selected, selected.understand(ctx, w, sources, rules)
}

// evaluate runs the patched makefiles.
func (s *Selection) evaluate(ctx context.Context, work *Work, sources []string) error {
	var dirs []string
	for _, source := range sources {
		dirs = append(dirs, path.Dir(source))
	}
	slices.Sort(dirs)
	found, err := work.Owners(ctx, slices.Compact(dirs))
	if err != nil {
		return err
	}
	for _, source := range sources {
		object := strings.TrimSuffix(source, ".c") + ".o"
		if o, ok := found[object]; ok && (o.Kind == KindVmlinux || o.Kind == KindModule) {
			s.Objects[object] = o
		} else {
			s.notBuilt(source)
		}
	}
	return nil
}

// understand reads the patched makefiles, and runs nothing.
func (s *Selection) understand(ctx context.Context, w *Work, sources []string, rules map[string]RuleChange) error {
	found, unknown, err := w.Understand(ctx, sources, rules)
	if err != nil {
		return err
	}
	for _, source := range sources {
		if o, ok := found[source]; ok {
			s.Objects[o.Object] = o.Owner
			s.Notes = append(s.Notes, finding.Remarkf(finding.RemarkPlain, "%s: compiled as %s is, by the line of "+
				"the makefile that lists it; no changed build rule is run", source, o.Like))
		} else if e := unknown[source]; e != nil {
			s.Found = append(s.Found, e.FindingAt(source))
		} else {
			s.notBuilt(source)
		}
	}
	return nil
}

func (s *Selection) notBuilt(source string) {
	s.leftOut(source, "no makefile of the patched tree builds it")
}

// BuildObjects compiles the objects of NewObjects, which was called with the same trusted.
func (w *Work) BuildObjects(ctx context.Context, objects []string, trusted bool) ([]Built, error) {
	if trusted {
		return w.BuildNew(ctx, objects)
	}
	return w.BuildDerived(ctx, objects)
}

// Finding is a finding about a changed file that builds of a module outside of the
// tree would run or act on.
func (h Withholding) Finding(file string) finding.Finding {
	e := &RulesError{Object: file, Problems: []*RuleProblem{{File: file, Why: h.Why}}}
	return e.Finding()
}
