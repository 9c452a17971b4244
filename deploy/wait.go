package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Progress is how far a transition is.
type Progress struct {
	Module  string
	Phase   Phase // Enabling or Disabling
	Total   int   // tasks
	Left    int   // of them, not switched yet
	Elapsed time.Duration
}

// OnTimeout says what to do with a transition that does not end in time.
type OnTimeout string

// What to do.
const (
	Reverse OnTimeout = "reverse" // back to what was before
	Leave   OnTimeout = "leave"   // it may still end
	Force   OnTimeout = "force"   // give up consistency
)

// Options say how to change what is loaded.
type Options struct {
	Policy    Policy        // default Auto
	Timeout   time.Duration // for each transition; default DefaultTimeout
	OnTimeout OnTimeout     // default Reverse
	// ForceWords must be ForceWords(name) to force a livepatch that does not
	// carry the verdict that it is safe to force.
	ForceWords string

	Progress func(Progress) // called now and then during a transition; nil for no calls
	Say      func(string)   // told what is being done, a line each; nil for no calls
}

// DefaultTimeout is longer than two rounds of the signals that the kernel sends
// to tasks that do not switch, every 15 s (SIGNALS_TIMEOUT in
// kernel/livepatch/transition.c, v6.1).
const DefaultTimeout = 60 * time.Second

// minSettle is the least that is waited after a transition was reversed or forced:
// the kernel looks at its tasks once a second, and a short Timeout says only how
// long the way forth may take.
const minSettle = 30 * time.Second

func (o Options) withDefaults() Options {
	if o.Policy == "" {
		o.Policy = Auto
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.OnTimeout == "" {
		o.OnTimeout = Reverse
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if o.Say == nil {
		o.Say = func(string) {}
	}
	return o
}

// ForceWords is what must be said to force a transition of a livepatch that is
// not known to be safe to force.
func ForceWords(name string) string { return "give up consistency for " + name }

// BlockedError means that a transition did not end in time.
type BlockedError struct {
	Module  string
	Phase   Phase // of the transition that did not end
	Timeout time.Duration
	Tasks   []Task // that had not switched when the time was over
	Hidden  bool   // the states of tasks cannot be read
	Outcome string // what was done about it
}

func (e *BlockedError) Error() string {
	what := map[Phase]string{Enabling: "bringing %s into force", Disabling: "disabling %s"}[e.Phase]
	text := fmt.Sprintf(what+" did not end within %v", e.Module, e.Timeout)
	switch count := len(e.Tasks); {
	case e.Hidden:
		text += ", and the states of tasks cannot be read"
	case count == 0:
		text += "; no task that procfs shows holds it up, so that it is an idle CPU, or it ended just now"
	case count == 1:
		text += ": 1 task has not switched"
	default:
		text += fmt.Sprintf(": %d tasks have not switched", count)
	}
	return text + "; " + e.Outcome
}

// Report describes the blocking tasks, with their stacks.
func (e *BlockedError) Report() string {
	var b strings.Builder
	for _, t := range e.Tasks {
		b.WriteString(t.String())
	}
	return b.String()
}

// String describes the task in several lines.
func (t *Task) String() string {
	var out strings.Builder
	kind := "process"
	if t.Kernel {
		kind = "kernel thread"
	}
	fmt.Fprintf(&out, "  %s (pid %d", t.Name, t.PID)
	if t.TID != t.PID {
		fmt.Fprintf(&out, ", thread %d", t.TID)
	}
	fmt.Fprintf(&out, ", %s, %s)", kind, t.State)
	switch patched := t.Patched(); {
	case len(t.Stack) == 0:
		out.WriteString(": its stack cannot be seen\n")
	case len(patched) == 0:
		out.WriteString(": no patched function is on its stack now; it switches when the kernel next looks at it\n")
	default:
		fmt.Fprintf(&out, " is in %s\n", strings.Join(patched, ", "))
	}
	for _, frame := range t.Stack {
		mark := "    "
		if frame.Patched != "" {
			mark = "  > "
		}
		fmt.Fprintf(&out, "  %s%s\n", mark, frame.Text)
	}
	return out.String()
}

var errInterrupted = errors.New("interrupted")

const (
	pollEvery  = 50 * time.Millisecond // at first
	pollMax    = 500 * time.Millisecond
	countEvery = 500 * time.Millisecond
)

// ended waits until a livepatch has no transition under way, and returns its
// last state, nil when it is not loaded any more. late is true when the time
// was over before.
func (m *Machine) ended(ctx context.Context, name string, opt Options) (l *Livepatch, late bool, err error) {
	start := time.Now()
	var counted time.Time
	for {
		got, ok, err := m.livepatch(name)
		if err != nil {
			return nil, false, fmt.Errorf("watch the transition of %s: %w", name, err)
		}
		if !ok {
			return nil, false, nil
		}
		if !got.inTransition() {
			return &got, false, nil
		}
		now := time.Now()
		if now.Sub(start) >= opt.Timeout {
			return &got, true, nil
		}
		if now.Sub(counted) >= countEvery {
			counted = now
			if c, err := m.census(nil, &got, false); err == nil { // only for show
				opt.Progress(Progress{Module: name, Phase: got.Phase, Total: c.total, Left: c.left,
					Elapsed: now.Sub(start)})
			}
		}
		select {
		case <-ctx.Done():
			return &got, false, fmt.Errorf("%w while %s %s; its transition goes on: 'klpforge load' or 'klpforge "+
				"unload' picks it up",
				errInterrupted, name, map[Phase]string{Enabling: "came into force",
					Disabling: "was being disabled"}[got.Phase])
		case <-time.After(min(pollMax, pollEvery+now.Sub(start)/20)):
		}
	}
}

// blocked describes what holds up the transition of loaded.
func (m *Machine) blocked(loaded *Livepatch, timeout time.Duration) (*BlockedError, error) {
	sys, err := m.System()
	if err != nil {
		return nil, err
	}
	counted, err := m.census(sys, loaded, true)
	if err != nil {
		return nil, fmt.Errorf("find the tasks that hold up %s: %w", loaded.Name, err)
	}
	return &BlockedError{Module: loaded.Name, Phase: loaded.Phase, Timeout: timeout, Tasks: counted.blocking,
		Hidden: counted.hidden}, nil
}

// settle waits for the transition of a livepatch that we started, and does what
// the options say when it does not end in time.
func (m *Machine) settle(ctx context.Context, name string, safe bool, opt Options) error {
	loaded, late, err := m.ended(ctx, name, opt)
	if err != nil || !late {
		return err
	}
	blocked, err := m.blocked(loaded, opt.Timeout)
	if err != nil {
		return err
	}
	after := opt
	after.Timeout = max(opt.Timeout, minSettle)
	switch opt.OnTimeout {
	case Leave:
		blocked.Outcome = "it goes on"
		return blocked
	case Force:
		if !safe && opt.ForceWords != ForceWords(name) {
			break // the words were for another livepatch
		}
		opt.Say(fmt.Sprintf("force the transition of %s past %d task(s)", name, len(blocked.Tasks)))
		if err := m.Calls.Write(m.klp(name, "force"), "1"); err != nil {
			return fmt.Errorf("force the transition of %s: %w", name, err)
		}
		if _, late, err := m.ended(ctx, name, after); err != nil || !late {
			return err
		}
		blocked.Outcome = "it was forced and still goes on"
		return blocked
	}
	opt.Say(fmt.Sprintf("reverse the transition of %s", name))
	back := "1"
	if loaded.Phase == Enabling {
		back = "0"
	}
	if err := m.Calls.Write(m.klp(name, "enabled"), back); err != nil {
		return fmt.Errorf("reverse the transition of %s: %w", name, err)
	}
	_, late, err = m.ended(ctx, name, after)
	switch {
	case err != nil:
		return err
	case late:
		blocked.Outcome = "it was reversed, and the way back has not ended either; it goes on"
	case loaded.Phase == Enabling:
		blocked.Outcome = "it was reversed"
	default:
		blocked.Outcome = "it was reversed, " + name + " is in force again"
	}
	return blocked
}
