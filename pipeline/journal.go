package pipeline

import (
	"cmp"
	"slices"
	"time"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/finding"
)

// journal is what every stage writes and none reads: findings, notes, and how long it
// took. It fills the result.
type journal struct {
	res      *Result
	allow    map[finding.ID]string // findings that are accepted, with the reason
	progress func(stage string, done, total int)
	stage    string
	began    time.Time
}

// enter ends the current stage and begins the next; "" only ends.
func (j *journal) enter(stage string) {
	now := time.Now()
	if j.stage != "" {
		j.res.Stages = append(j.res.Stages, Stage{Name: j.stage, Seconds: now.Sub(j.began).Seconds()})
	}
	j.stage, j.began = stage, now
	if stage != "" {
		j.progress(stage, 0, 0)
	}
}

// note tells the user what is no finding, nor something that was left out.
func (j *journal) note(format string, args ...any) {
	j.notes(finding.Remarkf(finding.RemarkPlain, format, args...))
}

// leftOut tells the user what the livepatch does without, and why; the text says so.
func (j *journal) leftOut(format string, args ...any) {
	j.notes(finding.Remarkf(finding.RemarkLeftOut, format, args...))
}

// notes takes over the notes of another package.
func (j *journal) notes(list ...finding.Remark) { j.res.Notes = append(j.res.Notes, list...) }

// found adds findings, each once.
func (j *journal) found(list ...finding.Finding) {
	for _, f := range list {
		if f.Severity == finding.Error {
			f.Allowed = j.allow[f.ID]
		}
		if !slices.ContainsFunc(j.res.Problems, func(have finding.Finding) bool { return finding.Same(have, f) }) {
			j.res.Problems = append(j.res.Problems, f)
		}
	}
}

// about adds findings about a unit.
func (j *journal) about(u *analyze.Unit, list ...finding.Finding) {
	for _, f := range list {
		f.Object, f.Unit = u.Owner, u.Object
		j.found(f)
	}
}

// errors lists the findings that forbid a module: errors that are not accepted.
func (j *journal) errors() []finding.Finding {
	var errs []finding.Finding
	for _, f := range j.res.Problems {
		if f.Severity == finding.Error && f.Allowed == "" {
			errs = append(errs, f)
		}
	}
	return errs
}

// forbidden reports whether one of the errors has one of the ids.
func (j *journal) forbidden(ids ...finding.ID) bool {
	return slices.ContainsFunc(j.errors(), func(f finding.Finding) bool { return slices.Contains(ids, f.ID) })
}

// refuse returns a refusal with all errors so far.
func (j *journal) refuse() error { return &Refusal{j.errors()} }

// verdict refuses when errors remain, and says so when nothing is left to patch.
func (j *journal) verdict() error {
	if len(j.errors()) > 0 {
		return j.refuse()
	}
	if len(j.res.Plan.Objects) == 0 {
		return ErrNothing
	}
	return nil
}

// sort brings the problems into the order in which they are told.
func (j *journal) sort() {
	slices.SortStableFunc(j.res.Problems, func(a, b finding.Finding) int {
		return cmp.Or(-cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Unit, b.Unit),
			cmp.Compare(a.Symbol, b.Symbol))
	})
}
