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
func Run(ctx context.Context, o Options) (*Report, error) {
	var n names
	var err error
	if n.module, err = vm.ModuleName(o.Module); err != nil {
		return nil, err
	}
	if o.Old != "" {
		if n.old, err = vm.ModuleName(o.Old); err != nil {
			return nil, err
		}
		if n.old == n.module {
			return nil, fmt.Errorf("%s and %s have one name, %s: a kernel cannot hold both", o.Old, o.Module, n.module)
		}
	}
	r := &Report{Schema: Schema, Module: o.Module, Release: o.VM.Release}
	if o.RootFS != "" {
		o.VM.Disks = append(o.VM.Disks, vm.Disk{Path: o.RootFS, Snapshot: true})
	}
	if o.Reproducer != "" {
		res, err := boot(ctx, &o, r, o.without())
		if err != nil {
			return r, err
		}
		r.without(res)
	}
	res, err := boot(ctx, &o, r, o.with(n))
	if err != nil {
		return r, err
	}
	r.with(&o, res)
	r.Passed = true
	for i := range r.Checks {
		r.Passed = r.Passed && r.Checks[i].Outcome != Failed
	}
	return r, nil
}

func boot(ctx context.Context, o *Options, r *Report, s vm.Script) (*vm.Result, error) {
	opt := o.VM
	opt.Boots = 2 // one that says nothing takes minutes to find out
	if opt.Timeout == 0 {
		opt.Timeout = 10*time.Minute + 2*o.For + 6*o.wait() + 2*o.limit()
	}
	res, err := vm.Run(ctx, opt, s)
	if res != nil {
		r.Console += res.Log
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
	if r.Release == "" {
		r.Release = res.Kernel
	}
	return res, nil
}

func (r *Report) add(c Check) { r.Checks = append(r.Checks, c) }

// without judges the boot that has to show the fault.
func (r *Report) without(res *vm.Result) {
	c := Check{Name: stepWithout, Outcome: Passed}
	c.Text, c.Detail, c.Millis = trouble(res, stepWithout)
	if c.Text == "" {
		c.Outcome, c.Text = Failed, "it passes: it does not show what the livepatch repairs"
	} else {
		c.Text = "fails as it should: " + c.Text
	}
	r.add(c)
}

// trouble says in what way a run of the reproducer failed; "" when it did not.
func trouble(res *vm.Result, label string) (text string, detail []string, millis int64) {
	if why, lines := died(res, label); why != "" {
		return why, lines, 0
	}
	for i := range res.Steps {
		s := &res.Steps[i]
		if s.Label != label && !(label == stepWithout && s.Label == stepLog) {
			continue
		}
		millis += s.Millis
		if !s.OK && text == "" {
			text, detail = s.Err, append(lines(s.Out), s.Log...)
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
func (r *Report) with(o *Options, res *vm.Result) {
	for _, g := range groups(res.Steps) {
		label, second := strings.CutSuffix(g[0].Label, again)
		module, isModule := strings.CutPrefix(label, stepModule)
		switch {
		case label == "" || label == stepPrepare || label == stepAfter:
		case label == stepTransition:
			r.add(transition(o, g))
		case label == stepSeen:
			r.seen(&g[0], second)
		case isModule:
			r.add(moduleLoaded(module, &g[0]))
		case label == stepStress && g[0].Errno == "ETIMEDOUT":
			r.add(Check{Name: stepStress, Outcome: Passed, Text: "ran until it was ended", Millis: g[0].Millis})
		default:
			r.add(plain(g))
		}
	}
	if o.Reproducer != "" {
		if c, ok := after(res); ok {
			r.add(c)
			return
		}
	}
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
	c := Check{Name: g[0].Label, Outcome: Passed}
	for i := range g {
		s := &g[i]
		c.Millis += s.Millis
		if s.Op == guest.OpReverse {
			c.Text = "disabled " + s.Out
		}
		if !s.OK {
			c.Outcome, c.Text, c.Detail, c.Holders = Failed, s.Err, append(lines(s.Out), s.Log...), s.Holders
			break
		}
	}
	return c
}

// after judges the reproducer's run when the livepatch is gone. ok is false when the VM
// did not come that far.
func after(res *vm.Result) (c Check, ok bool) {
	c = Check{Name: stepAfter, Outcome: Passed}
	c.Text, c.Detail, c.Millis = trouble(res, stepAfter)
	switch {
	case c.Text != "":
		c.Text = "fails again: " + c.Text
	case res.Step(stepAfter) == nil:
		return c, false
	default:
		c.Outcome, c.Text = Failed, "it passes after the livepatch is gone: the livepatch leaves something behind, or the fault shows only once"
	}
	return c, true
}

// transition tells how long it took and what held it up.
func transition(o *Options, g []guest.StepResult) Check {
	c := plain(g)
	s := &g[0]
	c.Holders = s.Holders
	if s.Errno == "ETIMEDOUT" {
		c.Text = fmt.Sprintf("it did not end within %v", o.wait())
	}
	for i := range s.Holders {
		h := &s.Holders[i]
		kind := ""
		if h.Kernel {
			kind = ", a kernel thread"
		}
		c.Detail = append(c.Detail, fmt.Sprintf("waited for %s (%d%s), %s", h.Name, h.TID, kind, h.State))
		for _, p := range h.Patched {
			object, function, _ := strings.Cut(p, ":")
			text := "  it is in " + function
			if o.Predicted != nil {
				if why := o.Predicted(object, function); why != "" {
					text += ", as predicted: " + why
				} else {
					text += ", which was not predicted"
				}
			}
			c.Detail = append(c.Detail, text)
		}
		if len(h.Patched) == 0 && len(h.Stack) > 0 {
			c.Detail = append(c.Detail, "  it is in "+strings.Join(h.Stack[:min(3, len(h.Stack))], " < "))
		}
	}
	return c
}

// moduleLoaded tells whether a module that is patched could be loaded beside the
// livepatch.
func moduleLoaded(name string, s *guest.StepResult) Check {
	c := Check{Name: s.Label, Outcome: Passed, Millis: s.Millis, Text: "loaded after the livepatch"}
	switch {
	case s.OK:
	case s.Errno == "ENODEV" || s.Errno == "ENXIO":
		c.Outcome, c.Text = Unknown, name+" does not load in this VM, which has no such device: "+s.Err
	default:
		c.Outcome, c.Text, c.Detail = Failed, s.Err, s.Log
	}
	return c
}

// seen compares what the kernel shows of the livepatch with the objects that are there.
func (r *Report) seen(s *guest.StepResult, before bool) {
	if !s.OK {
		r.add(plain([]guest.StepResult{*s}))
		return
	}
	loaded := map[string]bool{}
	for i := range r.Checks {
		if name, ok := strings.CutPrefix(r.Checks[i].Name, stepModule); ok && r.Checks[i].Outcome == Passed {
			loaded[name] = true
		}
	}
	for i := range s.Livepatches {
		for _, obj := range s.Livepatches[i].Objects {
			if obj.Patched == "0" && loaded[obj.Name] {
				when := "after"
				if before {
					when = "before"
				}
				r.add(Check{Name: "patched " + obj.Name, Outcome: Failed, Text: "the module was loaded " + when + " the livepatch, and is not patched"})
			}
		}
	}
}
