package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// InUseError means that a livepatch module cannot be unloaded.
type InUseError struct{ Module string }

func (e *InUseError) Error() string {
	return e.Module +
		" stays loaded: it is in use, as code that tasks may still run is after a forced " +
		"transition, until the next boot"
}

// removePatience is how long a module may be held by the kernel's own work
// after its livepatch was disabled.
const removePatience = 10 * time.Second

// Unload takes a livepatch out of force and unloads its module. done is false
// when it was not loaded. The error is a *BlockedError when a transition did
// not end in time.
func (m *Machine) Unload(ctx context.Context, name string, opt Options) (done bool, err error) {
	opt = opt.withDefaults()
	unlock, err := m.begin(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()

	sys, err := m.System()
	if err != nil {
		return false, err
	}
	loaded := sys.find(name)
	if loaded == nil {
		return false, nil
	}

	// Permission first: refusing later would leave the transition half done.
	if loaded.Phase != Disabled {
		if r := forceAsked(name, &loaded.Facts, opt); r != nil {
			return false, r
		}
	}

	// The kernel has one transition at a time.
	if moving := sys.transition(); moving != nil && moving.Name != name && loaded.Phase != Disabled {
		opt.Say(fmt.Sprintf("wait for %s, whose transition is under way", moving.Name))
		_, late, err := m.ended(ctx, moving.Name, opt)
		if err != nil {
			return false, err
		}
		if late {
			blocked, err := m.blocked(moving, opt.Timeout)
			if err != nil {
				return false, err
			}
			blocked.Outcome = "it goes on, and " + name + " is still in force"
			return false, blocked
		}
	}

	if loaded.Phase != Disabled {
		opt.Say("disable " + name)
	}
	if err := m.disable(ctx, name, opt); err != nil {
		return false, err
	}
	opt.Say("remove " + name)
	return true, m.remove(ctx, name)
}

// disable takes a livepatch out of force, from whatever state it is in.
func (m *Machine) disable(ctx context.Context, name string, opt Options) error {
	loaded, ok, err := m.livepatch(name)
	if err != nil || !ok || loaded.Phase == Disabled {
		return err
	}
	if loaded.Phase != Disabling {
		err := m.Calls.Write(m.klp(name, "enabled"), "0") // during its transition this reverses it
		switch {
		case errors.Is(err, unix.EBUSY):
			return fmt.Errorf("disable %s: %w: another livepatch is in transition, or was loaded on top of it", name,
				err)
		case err != nil && gone(err):
			return nil
		case err != nil:
			return fmt.Errorf("disable %s: %w", name, err)
		}
	}
	return m.settle(ctx, name, loaded.mayForce(), opt)
}

// remove unloads the module of a disabled livepatch.
func (m *Machine) remove(ctx context.Context, name string) error {
	for start := time.Now(); ; {
		err := m.Calls.Delete(name)
		switch {
		case err == nil, errors.Is(err, unix.ENOENT):
			return nil
		case !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EBUSY):
			return fmt.Errorf("unload %s: %w", name, err)
		case time.Since(start) >= removePatience:
			return &InUseError{Module: name}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("unload %s: %w", name, errInterrupted)
		case <-time.After(pollEvery):
		}
	}
}
