package selflock

import (
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/registered"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/plan"
)

// elsewhere looks for callers in the rest of the kernel that hold what a
// changed function newly takes: those that call it by name, and those that call it
// through a member of a structure that holds it, as an ops table does.
func elsewhere(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, before, after *code.Object) error {
	if pass.Kernel == nil {
		return nil
	}
	fresh := newlyTaken(ch, before, after)
	if len(fresh) == 0 {
		return nil
	}
	kern, err := pass.Kernel()
	if err != nil {
		return fmt.Errorf("look for callers in the kernel: %w", err)
	}
	wanted := inKernel(kern, fresh, after)
	up := climb{unit: unit, kernel: kern}
	if unit.Owner == plan.Vmlinux && !unit.Diff.Orig.Local(ch.Orig) {
		up.from(kern.CallsTo(ch.Name), ch.Name, "", wanted)
	}
	members, err := up.members(ch.Name)
	if err != nil {
		return err
	}
	for _, member := range members {
		up.from(kern.Program(plan.Vmlinux).CallsAt(up.through.Through(member)), ch.Name, member, wanted)
	}
	if len(up.found) == 0 {
		return nil
	}

	found := finding.Finding{ID: finding.IDSelfDeadlock, Severity: finding.Warning,
		Message: "newly takes a lock that callers elsewhere in the kernel hold already, on paths that lead there",
		Remedy:  "take the lock out of the callers by patching them too, or call a variant that expects the lock to be held"}
	for _, h := range up.found {
		if h.direct {
			found.Severity = finding.Error
			found.Message = "newly takes a lock that callers elsewhere in the kernel hold already: they wait for themselves " +
				"for ever"
		}
		found.Evidence = append(found.Evidence, h.text)
		found.Who = append(found.Who, h.caller)
	}
	slices.Sort(found.Who)
	found.Who = slices.Compact(found.Who)
	pass.ReportChange(unit, ch, found)
	return nil
}

// newlyTaken lists the locks that a changed function waits for now and did not before,
// whatever it is given.
func newlyTaken(ch elfdiff.Change, before, after *code.Object) []locks.Taken {
	old, id, err := code.Both(before, after, ch)
	if err != nil {
		return nil // another check says so
	}
	flow, now := before.Flows().Flow(old), after.Flows().Flow(id)
	if flow == nil || now == nil {
		return nil
	}
	var fresh []locks.Taken
	for _, t := range now.Takes {
		same := func(o locks.Taken) bool { return !o.Retaken && before.LockName(o.Lock) == after.LockName(t.Lock) }
		if !t.Retaken && !slices.ContainsFunc(flow.Takes, same) && t.Kind != locks.SRCU {
			fresh = append(fresh, t)
		}
	}
	return fresh
}

// lockOf is a lock that is newly waited for, in the kernel's terms.
type lockOf struct {
	locks.Lock
	name string
	via  []string
}

// inKernel finds what is newly taken among the kernel's locks. What depends on what the
// caller passes is left out.
func inKernel(kern *analyze.Kernel, fresh []locks.Taken, after *code.Object) []lockOf {
	var out []lockOf
	for _, taken := range fresh {
		if lock, ok := kern.Translate(after, taken.Lock); ok && len(taken.When) == 0 && !lock.Kind.Context() {
			out = append(out, lockOf{lock, after.LockName(taken.Lock), taken.Via})
		}
	}
	return out
}

// maxUp is how many calls above the one that leads to the changed function are looked at,
// and maxFound how many of those that hold the lock are told.
const (
	maxUp    = 4
	maxFound = 12
)

// holder is a function that holds the lock where it calls what leads to the second taking.
type holder struct {
	caller, text string
	direct       bool // it calls the changed function by name
}

// climb goes up the callers of a changed function in the kernel.
type climb struct {
	unit    *analyze.Unit
	kernel  *analyze.Kernel
	through *registered.Result // of the kernel; set by members
	pointer bool               // the changed function is called through a member
	found   []holder
}

// members are those that surely hold the function in the program that it is part of.
func (c *climb) members(name string) ([]string, error) {
	if c.kernel.Registered == nil {
		return nil, nil
	}
	kept, err := c.kernel.Registered(c.unit.Owner)
	if err == nil {
		c.through, err = c.kernel.Registered(plan.Vmlinux)
	}
	if err != nil {
		return nil, fmt.Errorf("look for what %s is registered as: %w", name, err)
	}
	if kept == nil || c.through == nil {
		return nil, nil
	}
	ids := kept.Model.Lookup(name)
	if len(ids) != 1 {
		return nil, nil // which of several is meant is not known
	}
	return kept.Members(ids[0]), nil
}

// from looks at the calls of a changed function, by name or through a member, and at
// those of the functions that make them.
func (c *climb) from(calls []analyze.KernelCall, name, member string, wanted []lockOf) {
	for _, lock := range wanted {
		path := append([]string{name}, lock.via...)
		if c.pointer = member != ""; c.pointer {
			path[0] += " (through " + member + ")"
		}
		c.level(calls, lock.Lock, path, lock.name, map[string]bool{}, 0)
	}
}

// level looks at calls of what waits for a lock, which is named in the callee's terms.
func (c *climb) level(calls []analyze.KernelCall, lock locks.Lock, path []string, name string, seen map[string]bool,
	depth int) {
	for i := range calls {
		call := &calls[i]
		if c.replaced(call.Caller) || len(c.found) >= maxFound {
			continue
		}
		way := append([]string{call.Caller}, path...)
		if slices.ContainsFunc(call.As, func(h locks.Lock) bool {
			return locks.Same(h, lock) && !(h.Kind.Reads() && lock.Kind.Reads())
		}) {
			c.found = append(c.found, holder{call.Caller, fmt.Sprintf("%s holds %s at %s: %s", call.Caller, name, call.Place,
				strings.Join(way, " -> ")), !c.pointer && depth == 0})
			continue
		}
		outer, ok := call.Outer(lock)
		key := call.Caller + outer.String()
		if !ok || depth == maxUp || seen[key] || c.gives(call.Caller, outer) {
			continue
		}
		seen[key] = true
		c.level(c.kernel.CallsTo(call.Caller), outer, way, name, seen, depth+1)
	}
}

func (c *climb) replaced(name string) bool {
	return slices.ContainsFunc(c.unit.Replace, func(ch elfdiff.Change) bool { return ch.Name == name })
}

// gives reports whether a function of the kernel gives back a lock of its caller's, as far as
// that could be followed.
func (c *climb) gives(name string, lock locks.Lock) bool {
	ids := c.kernel.Model.Lookup(name)
	if len(ids) != 1 {
		return true
	}
	effect := c.kernel.Locks.Effect(ids[0])
	for i := range effect.Outcomes {
		out := &effect.Outcomes[i]
		if slices.ContainsFunc(out.Changes, func(ch locks.Change) bool {
			return ch.Delta < 0 && locks.Same(ch.Lock, lock)
		}) || slices.ContainsFunc(out.Dropped, func(d locks.Drop) bool { return locks.Same(d.Lock, lock) }) {
			return true
		}
	}
	return false
}
