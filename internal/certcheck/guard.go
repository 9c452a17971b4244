package certcheck

import (
	"fmt"
	"slices"
	"strings"
)

// guard runs a new test, and, where it rejects, the way out.
func (t *trial) guard(g *event) (over bool, err error) {
	cpu := t.cpus[1]
	at := cpu.c.place(g.at)
	if g.kind != "test" {
		return false, fmt.Errorf("%s is no test", at)
	}
	var gd *guard
	old, err := t.cpus[0].run()
	if err != nil {
		return false, err
	}
	for i := range t.k.c.Guards {
		guard := &t.k.c.Guards[i]
		if guard.At == at && guard.Old == t.cpus[0].c.place(old.at) {
			gd = guard
		}
	}
	if gd == nil {
		return false, fmt.Errorf("no guard is named at %s", at)
	}
	t.cpus[0].pc = old.at
	cpu.pc = g.next
	if cpu.c.place(g.next) != gd.Exit {
		if cpu.c.place(g.alt) != gd.Exit {
			return false, fmt.Errorf("guard at %s: %s is none of its ways", at, gd.Exit)
		}
		return false, nil
	}
	t.k.guards[gd]++
	return true, t.leave(gd, old)
}

// leave follows the new function out, and compares with what the guard says.
func (t *trial) leave(gd *guard, old *event) error {
	cpu := t.cpus[1]
	if gd.Because == "faulted" {
		near := func(a access) bool { return a.addr < 4096 || a.addr > ^uint64(4095) }
		copied := *t.cpus[0]
		ok := slices.ContainsFunc(t.reads, near)
		for event := old; !ok; {
			ok = (event.kind == "store" || event.kind == "other") && near(access{event.at, event.addr})
			if ok || event.kind != "test" {
				break
			}
			copied.pc = event.next
			var err error
			if event, err = copied.run(); err != nil {
				return err
			}
			ok = slices.ContainsFunc(t.reads, near)
		}
		if !ok {
			return fmt.Errorf("guard at %s: the old code does not fault", gd.At)
		}
	}
	if gd.Because == "joins" {
		return t.sameExit(gd)
	}
	released := []string{}
	for {
		ev, err := cpu.run()
		if err != nil {
			return err
		}
		switch {
		case ev.kind == "test":
			cpu.pc = ev.next
		case ev.kind == "return":
			return t.leaves(gd, ev, released)
		case ev.kind == "call" && prints(ev.callee):
			t.clobber(cpu)
			cpu.pc = ev.next
		case ev.kind == "call" && (strings.Contains(ev.callee, "unlock") || strings.HasPrefix(ev.callee, "up_") ||
			ev.callee == "up" || ev.callee == "release_sock"):
			if !slices.Contains(gd.Releases, cpu.c.place(ev.at)) {
				return fmt.Errorf("guard at %s: %s at %s is not named", gd.At, ev.callee, cpu.c.place(ev.at))
			}
			released = append(released, cpu.c.place(ev.at))
			t.clobber(cpu)
			cpu.pc = ev.next
			if ev.tail {
				return t.leaves(gd, &event{kind: "return", val: cpu.r[rax]}, released)
			}
		default:
			return fmt.Errorf("guard at %s: its exit has a %s at %s", gd.At, ev.kind, cpu.c.place(ev.at))
		}
	}
}

func (t *trial) leaves(gd *guard, ev *event, released []string) error {
	if len(released) != len(slices.Compact(slices.Sorted(slices.Values(gd.Releases)))) {
		return fmt.Errorf("guard at %s: gives back %v, not %v", gd.At, released, gd.Releases)
	}
	if gd.Void {
		if sizes, ok := t.sizes(t.k.c.Function); !ok || sizes.Ret != 0 {
			return fmt.Errorf("guard at %s: the function has a result", gd.At)
		}
		return nil
	}
	if int64(int32(ev.val)) != gd.Value && int64(ev.val) != gd.Value {
		return fmt.Errorf("guard at %s: returns %#x, not %d", gd.At, ev.val, gd.Value)
	}
	return nil
}

// sameExit runs the old function from the place that the guard names, and the
// new one on, and compares what they do until they return.
func (t *trial) sameExit(gd *guard) error {
	pc, err := t.cpus[0].c.address(gd.Before)
	if err != nil {
		return err
	}
	t.cpus[0].pc, t.joining = pc, true
	for range 200 {
		var ev [2]*event
		for side, cpu := range t.cpus {
			for {
				if ev[side], err = cpu.run(); err != nil {
					return err
				}
				if ev[side].kind == "test" {
					cpu.pc = ev[side].next
				} else if ev[side].kind == "call" && prints(ev[side].callee) && !ev[side].tail {
					t.clobber(cpu)
					cpu.pc = ev[side].next
				} else {
					break
				}
			}
		}
		over, err := t.match(ev[0].kind, ev[0], ev[1])
		if err != nil {
			return fmt.Errorf("guard at %s does not join %s: %w", gd.At, gd.Before, err)
		}
		if over {
			return t.leaves(&guard{At: gd.At, Value: gd.Value}, ev[1], nil)
		}
	}
	return fmt.Errorf("guard at %s: its exit does not end", gd.At)
}
