package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/pipeline"
)

// answer is what the checks make of one patch.
type answer string

// Answers: the first three are about hazards, the next two about harmless patches.
const (
	found   answer = "found"   // a finding with the right id, warning or error
	noted   answer = "note"    // only as a note
	silent  answer = "silent"  // nothing with the right id
	passed  answer = "passed"  // nothing at warning or above
	flagged answer = "flagged" // something at warning or above
	unfit   answer = "unfit"   // it is no case: it does not apply, compile or change code, or cannot be patched at all
)

// outcome is what became of one patch.
type outcome struct {
	truth
	Answer  answer
	Verdict bool              // KLP401 or KLP402 was given
	Says    []finding.Finding // those of the case's id, and what else is a warning or an error, without verdicts
	Fault   string            // why it is unfit
	Seconds float64
}

// wrong reports whether the outcome is one that must not be: something
// harmless is held up, or a hazard is said to be safe.
func (o *outcome) wrong() bool {
	return o.Answer == flagged || o.Answer == unfit || o.Kind == hazard && o.Verdict
}

// judge holds what the pipeline said of a patch against what is true of it.
func judge(one truth, res *pipeline.Result, err error) outcome {
	out := outcome{truth: one}
	var refusal *pipeline.Refusal
	if err != nil && !errors.As(err, &refusal) {
		out.Answer, out.Fault = unfit, err.Error()
		return out
	}
	worst, said := finding.Note, false
	for _, f := range res.Findings {
		switch {
		case f.ID.IsVerdict():
			out.Verdict = out.Verdict || f.Given
			continue
		case f.Severity == finding.Error && f.ID.Group() == finding.Feasibility && f.ID != one.Check:
			out.Answer, out.Fault = unfit, fmt.Sprintf("cannot be patched: %s", f.Line())
		case f.ID == one.Check:
			worst, said = max(worst, f.Severity), true
		case f.Severity == finding.Note:
			continue
		}
		out.Says = append(out.Says, f)
	}
	atWarning := slices.ContainsFunc(out.Says, func(f finding.Finding) bool { return f.Severity >= finding.Warning })
	switch {
	case out.Answer == unfit:
	case one.Kind == harmless && atWarning:
		out.Answer = flagged
	case one.Kind == harmless:
		out.Answer = passed
	case !said:
		out.Answer = silent
	case worst == finding.Note:
		out.Answer = noted
	default:
		out.Answer = found
	}
	return out
}
