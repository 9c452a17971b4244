package trial

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
)

// Schema identifies the JSON form of Report.
const Schema = "klpforge.try/v1"

// Report is what a trial brought.
type Report struct {
	Schema  string  `json:"schema"`
	Module  string  `json:"module"`
	Release string  `json:"release"`
	Passed  bool    `json:"passed"` // every check did, or could not be made
	Checks  []Check `json:"checks"` // in the order in which they were made
	// Console is all that the kernel and the guest said, of all boots.
	Console string `json:"-"`
}

// Outcome of a check.
type Outcome string

// The outcomes. A check that could not be made is told, and fails nothing.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Unknown Outcome = "unknown"
)

// Check is one thing that a trial looks at.
type Check struct {
	Name    string         `json:"name"`
	Outcome Outcome        `json:"outcome"`
	Text    string         `json:"text,omitempty"`   // one line
	Detail  []string       `json:"detail,omitempty"` // kernel messages, output of programs
	Holders []guest.Holder `json:"holders,omitempty"`
	Millis  int64          `json:"ms"`
}

// BootError says that a kernel did not come up, so that nothing was tried.
type BootError struct{ Why string }

func (e *BootError) Error() string { return "the kernel does not boot in the VM: " + e.Why }

// Run makes the trial. The error is for what keeps it from being made.
func Run(ctx context.Context, opts Options) (*Report, error) {
	var modules names
	var err error

	// The modules' names say which steps are theirs.
	if modules.module, err = vm.ModuleName(opts.Module); err != nil {
		return nil, err
	}
	if opts.Old != "" {
		if modules.old, err = vm.ModuleName(opts.Old); err != nil {
			return nil, err
		}
		if modules.old == modules.module {
			return nil, fmt.Errorf("%s and %s have one name, %s: a kernel cannot hold both", opts.Old, opts.Module,
				modules.module)
		}
	}

	report := &Report{Schema: Schema, Module: opts.Module, Release: opts.VM.Release}
	if opts.RootFS != "" {
		opts.VM.Disks = append(opts.VM.Disks, vm.Disk{Path: opts.RootFS, Snapshot: true})
	}

	// Without the livepatch first: only there the reproducer must still show the fault.
	if opts.Reproducer != "" {
		res, err := boot(ctx, &opts, report, opts.without())
		if err != nil {
			return report, err
		}
		report.without(res)
	}
	res, err := boot(ctx, &opts, report, opts.with(modules))
	if err != nil {
		return report, err
	}
	report.with(&opts, res)

	report.Passed = true
	for i := range report.Checks {
		report.Passed = report.Passed && report.Checks[i].Outcome != Failed
	}
	return report, nil
}

func boot(ctx context.Context, o *Options, report *Report, script vm.Script) (*vm.Result, error) {
	opt := o.VM
	opt.Boots = 2 // one that says nothing takes minutes to find out
	if opt.Timeout == 0 {
		opt.Timeout = 10*time.Minute + 2*o.For + 6*o.wait() + 2*o.limit()
	}
	res, err := vm.Run(ctx, opt, script)
	if res != nil {
		report.Console += res.Log
	}
	if err != nil {
		return nil, err
	}
	if res.Kernel == "" {
		why := "it said nothing"
		switch {
		case res.Panic != nil:
			why = res.Panic.String()
		case res.TimedOut != "":
			why = res.TimedOut
		}
		if last := lines(res.Log); len(last) > 0 {
			why += "; the last of the console: " + strings.Join(last[max(0, len(last)-3):], " | ")
		}
		return nil, &BootError{why}
	}
	for i := range res.Steps {
		if s := &res.Steps[i]; s.Label == stepPrepare && !s.OK {
			return nil, fmt.Errorf("make the VM ready: %s", s.Err)
		}
	}
	if report.Release == "" {
		report.Release = res.Kernel
	}
	return res, nil
}

func (r *Report) add(c Check) { r.Checks = append(r.Checks, c) }

// without judges the boot that has to show the fault.
func (r *Report) without(res *vm.Result) {
	check := Check{Name: stepWithout, Outcome: Passed}
	check.Text, check.Detail, check.Millis = trouble(res, stepWithout)
	if check.Text == "" {
		check.Outcome, check.Text = Failed, "it passes: it does not show what the livepatch repairs"
	} else {
		check.Text = "fails as it should: " + check.Text
	}
	r.add(check)
}

// trouble says in what way a run of the reproducer failed; "" when it did not.
func trouble(res *vm.Result, label string) (text string, detail []string, millis int64) {
	if why, lines := died(res, label); why != "" {
		return why, lines, 0
	}
	for i := range res.Steps {
		result := &res.Steps[i]
		if result.Label != label && !(label == stepWithout && result.Label == stepLog) {
			continue
		}
		millis += result.Millis
		if !result.OK && text == "" {
			text, detail = result.Err, append(lines(result.Out), result.Log...)
		}
	}
	return text, detail, millis
}

// died says how the VM ended when it ended during a step.
func died(res *vm.Result, label string) (why string, detail []string) {
	if _, _, at := res.OpenStep(); at != label {
		return "", nil
	}
	switch {
	case res.Panic != nil:
		return "the kernel died: " + res.Panic.String(), res.Panic.Lines
	case res.TimedOut != "":
		return res.TimedOut, nil
	}
	return "the VM ended", nil
}

func lines(out string) []string {
	out = strings.TrimSpace(out)
	if out == "" {
		return nil
	}
	return strings.Split(out, "\n")
}

// with judges the boot with the livepatch.
func (r *Report) with(opts *Options, res *vm.Result) {
	// Each group of steps is one check; those that only prepare are none.
	for _, results := range groups(res.Steps) {
		label, second := strings.CutSuffix(results[0].Label, again)
		module, isModule := strings.CutPrefix(label, stepModule)
		switch {
		case label == "" || label == stepPrepare || label == stepAfter:
		case label == stepTransition:
			r.add(transition(opts, results))
		case label == stepSeen:
			r.seen(&results[0], second)
		case isModule:
			r.add(moduleLoaded(module, &results[0]))
		case label == stepStress && results[0].Errno == "ETIMEDOUT":
			r.add(Check{Name: stepStress, Outcome: Passed, Text: "ran until it was ended", Millis: results[0].Millis})
		default:
			r.add(plain(results))
		}
	}

	// With a reproducer, its own result after the livepatch is the last check.
	if opts.Reproducer != "" {
		if c, ok := after(res); ok {
			r.add(c)
			return
		}
	}

	// A guest that did not come to its end failed in the step that was open.
	if !res.Done {
		_, op, at := res.OpenStep()
		why, detail := died(res, at)
		if at == "" {
			at = string(op)
		}
		r.add(Check{Name: at, Outcome: Failed, Text: why, Detail: detail})
	}
}

// groups puts steps that follow each other under one label together.
func groups(steps []guest.StepResult) [][]guest.StepResult {
	var out [][]guest.StepResult
	for i := range steps {
		if n := len(out); n > 0 && out[n-1][0].Label == steps[i].Label {
			out[n-1] = append(out[n-1], steps[i])
			continue
		}
		out = append(out, steps[i:i+1:i+1])
	}
	return out
}

// plain is a check of steps that have to succeed.
func plain(g []guest.StepResult) Check {
	check := Check{Name: g[0].Label, Outcome: Passed}
	for i := range g {
		result := &g[i]
		check.Millis += result.Millis
		if result.Op == guest.OpReverse {
			check.Text = "disabled " + result.Out
		}
		if !result.OK {
			check.Outcome, check.Text, check.Detail, check.Holders = Failed, result.Err, append(lines(result.Out),
				result.Log...), result.Holders
			break
		}
	}
	return check
}

// after judges the reproducer's run when the livepatch is gone. ok is false when the VM
// did not come that far.
func after(res *vm.Result) (check Check, ok bool) {
	check = Check{Name: stepAfter, Outcome: Passed}
	check.Text, check.Detail, check.Millis = trouble(res, stepAfter)
	switch {
	case check.Text != "":
		check.Text = "fails again: " + check.Text
	case res.Step(stepAfter) == nil:
		return check, false
	default:
		check.Outcome, check.Text = Failed, "it passes after the livepatch is gone: the livepatch leaves something "+
			"behind, or the fault shows only once"
	}
	return check, true
}

// transition tells how long it took and what held it up.
func transition(opts *Options, g []guest.StepResult) Check {
	check := plain(g)
	result := &g[0]
	check.Holders = result.Holders

	if result.Errno == "ETIMEDOUT" {
		check.Text = fmt.Sprintf("it did not end within %v", opts.wait())
	}

	// Who held the transition up, and in which patched function it sat.
	for i := range result.Holders {
		holder := &result.Holders[i]
		kind := ""
		if holder.Kernel {
			kind = ", a kernel thread"
		}
		check.Detail = append(check.Detail, fmt.Sprintf("waited for %s (%d%s), %s", holder.Name, holder.TID, kind,
			holder.State))
		for _, p := range holder.Patched {
			object, function, _ := strings.Cut(p, ":")
			text := "  it is in " + function
			if opts.Predicted != nil {
				if why := opts.Predicted(object, function); why != "" {
					text += ", as predicted: " + why
				} else {
					text += ", which was not predicted"
				}
			}
			check.Detail = append(check.Detail, text)
		}
		if len(holder.Patched) == 0 && len(holder.Stack) > 0 {
			check.Detail = append(check.Detail, "  it is in "+
				strings.Join(holder.Stack[:min(3, len(holder.Stack))], " < "))
		}
	}
	return check
}

// moduleLoaded tells whether a module that is patched could be loaded beside the
// livepatch.
func moduleLoaded(name string, result *guest.StepResult) Check {
	check := Check{Name: result.Label, Outcome: Passed, Millis: result.Millis, Text: "loaded after the livepatch"}
	switch {
	case result.OK:
	case result.Errno == "ENODEV" || result.Errno == "ENXIO":
		check.Outcome, check.Text = Unknown, name+" does not load in this VM, which has no such device: "+result.Err
	default:
		check.Outcome, check.Text, check.Detail = Failed, result.Err, result.Log
	}
	return check
}

// seen compares what the kernel shows of the livepatch with the objects that are there.
func (r *Report) seen(result *guest.StepResult, before bool) {
	if !result.OK {
		r.add(plain([]guest.StepResult{*result}))
		return
	}
	loaded := map[string]bool{}
	for i := range r.Checks {
		if name, ok := strings.CutPrefix(r.Checks[i].Name, stepModule); ok && r.Checks[i].Outcome == Passed {
			loaded[name] = true
		}
	}
	for i := range result.Livepatches {
		for _, obj := range result.Livepatches[i].Objects {
			if obj.Patched == "0" && loaded[obj.Name] {
				when := "after"
				if before {
					when = "before"
				}
				r.add(Check{Name: "patched " + obj.Name, Outcome: Failed,
					Text: "the module was loaded " + when + " the livepatch, and is not patched"})
			}
		}
	}
}
