package pipeline

import (
	"errors"
	"fmt"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/plan"
)

// Stage is the time one stage took.
type Stage struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// Result is what a build found and made. It is also filled as far as known
// when Run returns a Refusal.
type Result struct {
	Release  string
	Plan     plan.Plan
	NewFuncs []string // new functions that the module carries
	NewData  []string
	// Problems are what stands against the module, or what its author must know of it:
	// warnings and errors of all stages, and notes of those before the analysis.
	Problems []finding.Finding
	// Findings is what the analyzers say, the problems of earlier stages
	// included; Analysis is what they looked at.
	Findings     []finding.Finding
	Analysis     *analyze.Input
	Suppressions []Suppression
	Notes        []finding.Remark // what was left out of the patch, and why; how it was applied
	Units        []string         // object files compiled
	// Same are those of Units that the patches leave the same code, without a comparison, for one
	// of their owners each.
	Same []*analyze.Unit
	// Broken are the objects that do not compile, with Options.KeepGoing.
	Broken  []*kbuild.CompileError
	Stages  []Stage
	Module  string // path of the finished module; "" if none was made
	Emitted string
	Bytes   int // size of the module
	// CompileSeconds is the sum of pure compile times, before and after.
	CompileSeconds float64
}

// Refusal means that the patch cannot become a livepatch for this kernel. Its
// problems are those of severity error that were not allowed.
type Refusal struct {
	Problems []finding.Finding
}

func (r *Refusal) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the patch cannot become a livepatch: %d error(s)", len(r.Problems))
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "\n  %s", p.Text())
	}
	return b.String()
}

// ErrNothing means that the patches change no code of the target.
var ErrNothing = errors.New("empty change: the patches alter no compiled code of the target")

// PatchError wraps what is wrong with the patches themselves.
type PatchError struct{ Err error }

func (e *PatchError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *PatchError) Unwrap() error { return e.Err }
