package pipeline

import (
	"slices"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/all"
	"github.com/klpforge/klpforge/analyze/passes/reported"
	"github.com/klpforge/klpforge/finding"
)

// judge runs all analyzers on what is known so far. Findings of the earlier stages are
// among the result; those of the checks are also added to the problems, so that errors
// stop a build.
func judge(seen *analyze.Input, say *journal) error {
	res := say.res
	seen.Release, seen.Problems = res.Release, slices.Clone(res.Problems)
	res.Analysis = seen
	var err error
	res.Findings, err = all.Registry().Run(seen, nil)
	for _, f := range res.Findings {
		told := slices.ContainsFunc(seen.Problems, func(p finding.Finding) bool { return says(&f, &p) })
		if !told && (f.Severity > finding.Note || f.Given) {
			res.Problems = append(res.Problems, f)
		}
	}
	return err
}

// says reports whether a finding says a problem that an earlier stage found.
func says(f, p *finding.Finding) bool {
	return p.ID == f.ID && p.Symbol == f.Symbol && p.Message == f.Message && p.Object == f.Object && p.Unit == f.Unit
}

// late adds what a stage behind the analysis found to its findings too.
func (j *journal) late(f finding.Finding) {
	j.res.Problems = append(j.res.Problems, f)
	x := reported.Finding(&f)
	x.Allowed = f.Allowed
	j.res.Findings = append(j.res.Findings, x)
	finding.Sort(j.res.Findings)
}
