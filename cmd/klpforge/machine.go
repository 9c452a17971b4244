package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/deploy"
)

// rootFlag adds the flag that says which machine is looked at.
func rootFlag(cmd *cobra.Command, m *deploy.Machine) {
	cmd.Flags().StringVar(&m.Root, "root", "/", "`DIR` with the sys, proc, lib and var to look at, as if it were /")
}

func placesFlags(cmd *cobra.Command, p *deploy.Places) {
	cmd.Flags().StringVar(&p.Modules, "modules-dir", deploy.ModulesDir,
		"`DIR` whose subdirectory RELEASE has the modules to load at boot")
	cmd.Flags().StringVar(&p.State, "state-dir", deploy.StateDir, "`DIR` to keep in mind what failed at boot")
}

func policyFlag(cmd *cobra.Command, policy *string) {
	cmd.Flags().StringVar(policy, "policy", string(deploy.Auto), "what to do about livepatches in force: "+policyList())
}

func policyList() string {
	var out []string
	for _, p := range deploy.Policies() {
		out = append(out, string(p))
	}
	return strings.Join(out, ", ")
}

func parsePolicy(s string) (deploy.Policy, error) {
	if !slices.Contains(deploy.Policies(), deploy.Policy(s)) {
		return "", usageError("unknown --policy %q: %s", s, policyList())
	}
	return deploy.Policy(s), nil
}

// transitionFlags are about transitions that do not end.
type transitionFlags struct {
	timeout   time.Duration
	onTimeout string
	force     string
}

func (t *transitionFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.DurationVar(&t.timeout, "timeout", deploy.DefaultTimeout, "how long a transition may take")
	flags.StringVar(&t.onTimeout, "on-timeout", string(deploy.Reverse), "then: reverse, leave or force")
	flags.StringVar(&t.force, "force", "",
		"`WORDS` without which no module is forced that does not carry verdict KLP402 and a verified "+
			"signature:\n\"give up consistency for NAME\"")
}

func (t *transitionFlags) options(cli *app) (deploy.Options, *transitionLine, error) {
	if t.timeout <= 0 {
		return deploy.Options{}, nil, usageError("--timeout %v: want more than nothing", t.timeout)
	}
	on := deploy.OnTimeout(t.onTimeout)
	if !slices.Contains([]deploy.OnTimeout{deploy.Reverse, deploy.Leave, deploy.Force}, on) {
		return deploy.Options{}, nil, usageError("unknown --on-timeout %q: reverse, leave or force", t.onTimeout)
	}
	if t.force != "" && on != deploy.Force {
		return deploy.Options{}, nil, usageError("--force has a meaning only with --on-timeout force")
	}
	l := &transitionLine{w: cli.err, terminal: isTerminal(cli.err)}
	return deploy.Options{Timeout: t.timeout, OnTimeout: on, ForceWords: t.force, Progress: l.progress,
		Say: l.say}, l, nil
}

// transitionLine shows progress: on a terminal one line that changes, elsewhere
// a line every logEvery.
type transitionLine struct {
	w        io.Writer
	terminal bool
	shown    bool
	logged   time.Duration
}

const logEvery = 10 * time.Second

func (l *transitionLine) progress(step deploy.Progress) {
	text := fmt.Sprintf("%s %s: %d of %d tasks left, %v", step.Phase, step.Module, step.Left, step.Total,
		step.Elapsed.Round(time.Second))
	if l.terminal {
		fmt.Fprintf(l.w, "\r%s\x1b[K", text)
		l.shown = true
		return
	}
	if step.Elapsed < l.logged {
		l.logged = 0 // another transition
	}
	if step.Elapsed >= l.logged+logEvery {
		l.logged = step.Elapsed
		fmt.Fprintln(l.w, text)
	}
}

func (l *transitionLine) say(text string) {
	l.done()
	fmt.Fprintln(l.w, text)
}

func (l *transitionLine) done() {
	if l.shown {
		fmt.Fprint(l.w, "\r\x1b[K")
		l.shown = false
	}
}

// machineError gives an error of package deploy its exit code, and prints the
// tasks that hold up a transition.
func (a *app) machineError(err error) error {
	blocked := new(deploy.BlockedError)
	if errors.As(err, &blocked) {
		fmt.Fprint(a.err, blocked.Report())
		return &exitError{code: exitFindings, err: err}
	}
	var refusal *deploy.Refusal
	var refused *deploy.RefusedError
	var inUse *deploy.InUseError
	if errors.As(err, &refusal) || errors.As(err, &refused) || errors.As(err, &inUse) {
		return &exitError{code: exitFindings, err: err}
	}
	return err
}
