package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/klpforge/klpforge/internal/regular"
)

// Outcome is what Load did.
type Outcome struct {
	Module   string
	Did      []Action      // in order; empty when the livepatch was in force
	Notes    []string      // of the plan, and what is left over
	Duration time.Duration // from the call that loaded it, or picked it up, until it was in force
}

// Load brings a livepatch into force. It plans, does the first step, and plans
// again from what the kernel then says, until nothing is left to do. The error
// is a *Refusal when the policy or the module forbids it, and a *BlockedError
// when a transition did not end in time.
func (m *Machine) Load(ctx context.Context, mod *Module, opt Options) (*Outcome, error) {
	opt = opt.withDefaults()
	unlock, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return m.load(ctx, mod, opt)
}

// begin checks that the process may change the kernel, and takes the lock.
func (m *Machine) begin(ctx context.Context) (unlock func(), err error) {
	if err := m.Calls.Privileged(); err != nil {
		return nil, err
	}
	return m.lock(ctx)
}

func (m *Machine) load(ctx context.Context, mod *Module, opt Options) (*Outcome, error) {
	out := &Outcome{Module: mod.Name}
	kept := map[string]bool{} // modules that could not be removed
	for steps := 0; ; steps++ {
		plan, err := m.Plan(mod, opt.Policy)
		if err != nil {
			return out, err
		}
		if steps == 0 {
			// The plan has looked at who vouches for the module's note.
			if r := forceAsked(mod.Name, &mod.Facts, opt); r != nil {
				return out, r
			}
			out.Notes = append(out.Notes, plan.Notes...)
		}
		if plan.Refusal != nil {
			return out, plan.Refusal
		}
		for len(plan.Actions) > 0 && plan.Actions[0].Op == OpRemove && kept[plan.Actions[0].Module] {
			plan.Actions = plan.Actions[1:]
		}
		if len(plan.Actions) == 0 {
			return out, nil
		}
		const tooMany = 100 // each step brings the kernel nearer; another program undoes it
		if steps == tooMany {
			return out, fmt.Errorf("load %s: after %d steps the next is still to %s %s; another program changes "+
				"livepatches at the same time",
				mod.File, steps, plan.Actions[0].Op, plan.Actions[0].Module)
		}
		do := plan.Actions[:1]
		if len(plan.Actions) > 1 && do[0].Op == OpDisable && plan.Actions[1].Op == OpRemove &&
			plan.Actions[1].Module == do[0].Module {
			do = plan.Actions[:2]
		}
		for _, action := range do {
			if err := m.step(ctx, action, mod, opt, out); err != nil {
				inUse := new(InUseError)
				if errors.As(err, &inUse) && action.Module != mod.Name {
					kept[action.Module] = true
					out.Notes = append(out.Notes, inUse.Error())
					continue
				}
				return out, leftover(err, out)
			}
		}
	}
}

// step does one action and keeps account of it.
func (m *Machine) step(ctx context.Context, action Action, mod *Module, o Options, out *Outcome) error {
	o.Say(fmt.Sprintf("%s %s: %s", action.Op, action.Module, action.Reason))
	start := time.Now()
	if err := m.act(ctx, action, mod, o); err != nil {
		return err
	}
	if action.Module == mod.Name && action.Op != OpRemove {
		out.Duration = time.Since(start)
	}
	out.Did = append(out.Did, action)
	return nil
}

// leftover adds to an error what is no longer in force because of what was
// done before.
func leftover(err error, out *Outcome) error {
	var gone []string
	for _, action := range out.Did {
		if action.Op == OpDisable {
			gone = append(gone, action.Module)
		}
	}
	if len(gone) == 0 {
		return err
	}
	return fmt.Errorf("%w; disabled before that, and not in force any more: %s", err, strings.Join(gone, ", "))
}

// act does one step and waits for its end.
func (m *Machine) act(ctx context.Context, action Action, mod *Module, opt Options) error {
	switch action.Op {
	case OpWait:
		if action.Module == mod.Name {
			return m.watchOwn(ctx, mod, opt)
		}
		// Another livepatch's transition holds the kernel's only place. Giving up here leaves
		// both as they are.
		loaded, late, err := m.ended(ctx, action.Module, opt)
		if err != nil || !late {
			return err
		}
		blocked, err := m.blocked(loaded, opt.Timeout)
		if err != nil {
			return err
		}
		blocked.Outcome = "it goes on, and " + mod.Name + " was not loaded"
		return blocked
	case OpResume:
		if err := m.Calls.Write(m.klp(action.Module, "enabled"), "1"); err != nil {
			return fmt.Errorf("stop disabling %s: %w", action.Module, err)
		}
		return m.watchOwn(ctx, mod, opt)
	case OpDisable:
		return m.disable(ctx, action.Module, opt)
	case OpRemove:
		return m.remove(ctx, action.Module)
	case OpDependency:
		dep, err := ReadModule(action.File)
		if err == nil {
			err = m.insert(dep)
		}
		if err != nil {
			return fmt.Errorf("load %s for %s: %w", action.Module, mod.Name, err)
		}
		return nil
	case OpLoad:
		if err := m.insert(mod); err != nil {
			return err
		}
		return m.watchOwn(ctx, mod, opt)
	}
	return fmt.Errorf("unknown operation %q", action.Op)
}

// watchOwn waits for the module's own transition. When it was reversed, the
// module has no use any more.
func (m *Machine) watchOwn(ctx context.Context, mod *Module, o Options) error {
	err := m.settle(ctx, mod.Name, mod.Facts.mayForce(), o)
	blocked := new(BlockedError)
	if err != nil && !errors.As(err, &blocked) {
		return err
	}
	loaded, ok, stateErr := m.livepatch(mod.Name)
	if err == nil && stateErr == nil && (!ok || loaded.Phase != Enabled) {
		return fmt.Errorf("load %s: the module was loaded, and its livepatch is not in force", mod.File)
	}
	if err == nil || stateErr != nil {
		return errors.Join(err, stateErr)
	}
	if ok && loaded.Phase == Disabled {
		if rmErr := m.remove(ctx, mod.Name); rmErr != nil {
			return errors.Join(err, rmErr)
		}
		blocked.Outcome += " and unloaded"
	}
	return blocked
}

// insert loads a module file.
func (m *Machine) insert(mod *Module) error {
	mark := m.Calls.LogMark()
	var err error
	if mod.file == nil {
		err = m.Calls.Init(mod.data, "")
	} else if err = mod.unchanged(); err == nil {
		err = m.Calls.Finit(mod.file, "")
	}
	if err == nil {
		mod.ours = true
		return nil
	}
	errno, ok := err.(unix.Errno) // an error of the file is of another type
	switch {
	case !ok:
		return fmt.Errorf("load %s: %w", mod.File, err)
	case errno == unix.EEXIST: // by another program, meanwhile
		return nil
	}
	return &RefusedError{Module: mod.Name, File: mod.File, Errno: errno, Log: m.Calls.LogSince(mark)}
}

// unchanged makes sure that the open file still has the bytes that were read,
// and that were planned with. A new file under its name is of no concern.
func (mod *Module) unchanged() error {
	now, err := regular.ReadFrom(mod.file, maxModule)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, mod.data) {
		return errors.New("the file was changed after it was read; nothing was loaded")
	}
	return nil
}

// RefusedError means that the kernel did not take a module.
type RefusedError struct {
	Module, File string
	Errno        unix.Errno
	Log          []string // kernel messages meanwhile
}

func (e *RefusedError) Error() string {
	text := fmt.Sprintf("the kernel refused %s: %v", e.File, e.Errno)
	why := e.explain()
	if why == "" {
		why = map[unix.Errno]string{
			unix.EBUSY:        "another livepatch is in transition",
			unix.ENOEXEC:      "the module does not fit this kernel",
			unix.EINVAL:       "a function was not found, or a system state is not compatible",
			unix.ENOENT:       "a symbol is missing",
			unix.EKEYREJECTED: "its signature is not from a key that the kernel trusts",
			unix.EPERM:        "modules must not be loaded (lockdown, or kernel.modules_disabled)",
		}[e.Errno]
	}
	if why != "" {
		text += ": " + why
	}
	return text
}

func (e *RefusedError) Unwrap() error { return e.Errno }

// explain picks the kernel messages that speak of the module or of livepatching.
func (e *RefusedError) explain() string {
	var out []string
	for _, l := range e.Log {
		if strings.Contains(l, e.Module) || strings.HasPrefix(l, "livepatch: ") {
			out = append(out, l)
		}
	}
	return strings.Join(out, "; ")
}

// lockPoll is how often the lock is tried.
const lockPoll = 100 * time.Millisecond
