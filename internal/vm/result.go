package vm

import (
	"fmt"
	"strings"
	"time"

	"github.com/klpforge/klpforge/internal/vm/guest"
)

// Result is what one boot brought.
type Result struct {
	Kernel     string               // uname -r of the guest; empty when it never came that far
	Steps      []guest.StepResult   // in the order in which they ended
	Modules    []guest.ModuleResult // of all batches
	OpenModule string               // label of the batch module under way when the VM ended
	Done       bool                 // the guest came to the end of its work
	Panic      *Panic               // nil when there was none
	TimedOut   string               // why the VM was killed, or empty
	Log        string               // console and results, in the order in which they arrived
	Command    string               // shell command that boots the same thing again
	Boots      int                  // more than 1 when the kernel did not come up at first
	Boot       time.Duration        // until the guest program ran
	Total      time.Duration

	open     []guest.Event // steps that began and did not end, outermost first
	guestOK  bool
	guestErr string
}

// OpenStep returns the id, operation and label of the innermost step that was
// under way when the VM ended; the id is empty when there was none.
func (r *Result) OpenStep() (id string, op guest.Op, label string) {
	if len(r.open) == 0 {
		return "", "", ""
	}
	ev := r.open[len(r.open)-1]
	return ev.ID, ev.Op, ev.Label
}

// Step returns the last result with that label, or nil.
func (r *Result) Step(label string) *guest.StepResult {
	for i := len(r.Steps) - 1; i >= 0; i-- {
		if r.Steps[i].Label == label {
			return &r.Steps[i]
		}
	}
	return nil
}

// A FailedError says that a boot did not go as its script wanted. Error gives
// a summary and the command that reproduces it; %+v adds the log.
type FailedError struct {
	Why    string
	Result *Result
}

func (e *FailedError) Error() string {
	return fmt.Sprintf("%s; to reproduce: %s", e.Why, e.Result.Command)
}

// Format implements fmt.Formatter.
func (e *FailedError) Format(s fmt.State, verb rune) {
	fmt.Fprint(s, e.Error())
	if verb == 'v' && s.Flag('+') {
		fmt.Fprintf(s, "\n--- log of the VM\n%s", e.Result.Log)
	}
}

// Err returns nil when the script ran to its end and nothing failed that may
// not fail; otherwise a *FailedError.
func (r *Result) Err() error {
	why := ""
	switch {
	case r.Panic != nil:
		why = "kernel panic: " + r.Panic.String() + r.during()
	case r.TimedOut != "":
		why = r.TimedOut + r.during()
	case r.guestErr != "":
		why = "guest program failed: " + r.guestErr
	case !r.Done && r.Kernel == "":
		why = "the kernel did not come up: " + lastLines(r.Log, 3)
	case !r.Done:
		why = "the VM ended early" + r.during()
	case !r.guestOK:
		why = "a step failed"
		if step := r.failed(); step != nil {
			why = fmt.Sprintf("step %s (%s%s) failed: %s", step.ID, step.Op, space(step.Label), step.Err)
			for _, line := range step.Log {
				why += "\n    " + line
			}
		}
	default:
		return nil
	}
	return &FailedError{Why: why, Result: r}
}

// failed returns the innermost step that ended the script.
func (r *Result) failed() *guest.StepResult {
	if len(r.Steps) == 0 {
		return nil
	}
	// The last step to end failed, or contains the one that did, which ended right before it.
	i := len(r.Steps) - 1
	for i > 0 && r.Steps[i].Op == guest.OpRepeat && !r.Steps[i-1].OK && strings.HasPrefix(r.Steps[i-1].ID, r.Steps[i].ID+".") {
		i--
	}
	return &r.Steps[i]
}

// ExpectPanic returns nil when the VM ended in a panic at function; otherwise
// a *FailedError.
func (r *Result) ExpectPanic(function string) error {
	switch {
	case r.Panic == nil:
		if err := r.Err(); err != nil {
			return &FailedError{Why: "want a panic in " + function + ", got: " + err.(*FailedError).Why, Result: r}
		}
		return &FailedError{Why: "want a panic in " + function + ", but the script ran to its end", Result: r}
	case r.Panic.Function != function:
		return &FailedError{Why: "want a panic in " + function + ", got: " + r.Panic.String(), Result: r}
	}
	return nil
}

func (r *Result) during() string {
	id, op, label := r.OpenStep()
	if id == "" {
		return ""
	}
	text := fmt.Sprintf(", during step %s (%s%s)", id, op, space(label))
	if r.OpenModule != "" {
		text += ", module " + r.OpenModule
	}
	return text
}

func space(s string) string {
	if s == "" {
		return ""
	}
	return " " + s
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], " | ")
}
