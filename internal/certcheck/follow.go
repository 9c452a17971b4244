package certcheck

import (
	"fmt"
	"slices"
	"strings"
)

// step does what the certificate says comes next, and checks that it is so.
func (t *trial) step(kind, before, after string) (over bool, err error) {
	var ev [2]*event
	for side, want := range []string{before, after} {
		if want == "" {
			continue
		}
		if side == 0 {
			t.reads = nil
		}
		if kind == "read" {
			if t.cpus[side].stop, err = t.cpus[side].c.address(want); err != nil {
				return false, err
			}
		}
		ev[side], err = t.cpus[side].run()
		t.cpus[side].stop = 0
		if err != nil {
			return false, err
		}
		got := t.cpus[side].c.place(ev[side].at)
		if ev[side].left {
			got = "left" + got
		}
		if got != want {
			return false, fmt.Errorf("%s at %s expected, the code comes to a %s at %s", kind, want, ev[side].kind, got)
		}
	}
	old, g := ev[0], ev[1]
	if old == nil && g == nil || (kind == "match" || kind == "return" || kind == "read") && (old == nil || g == nil) {
		return false, fmt.Errorf("step %s names no place", kind)
	}
	switch kind {
	case "message":
		for side, event := range ev {
			if event == nil {
				continue
			}
			if event.kind != "call" || t.k.c.Messages[side][t.cpus[side].c.place(event.at)] != event.callee ||
				!prints(event.callee) {
				return false, fmt.Errorf("%s is no message", t.cpus[side].c.place(event.at))
			}
			t.clobber(t.cpus[side])
			t.cpus[side].pc = event.next
			if event.tail {
				t.cpus[side].returned = event.at
			}
		}
	case "decided":
		for side, event := range ev {
			if event != nil {
				if event.kind != "test" {
					return false, fmt.Errorf("%s is no test", t.cpus[side].c.place(event.at))
				}
				t.cpus[side].pc = event.next
				if seen := t.k.way; seen != nil {
					key := fmt.Sprint(t.from.Before, t.from.After, side, event.at, len(t.trail))
					if old, ok := seen[key]; ok && old != event.next {
						return false, fmt.Errorf("the test at %s is not decided", t.cpus[side].c.place(event.at))
					}
					seen[key] = event.next
				}
			}
		}
	case "guard":
		return t.guard(g)
	case "match", "return", "read":
		return t.match(kind, old, g)
	case "test":
		return true, t.divide(old, g)
	default:
		return false, fmt.Errorf("%q is no step", kind)
	}
	t.trail = append(t.trail, kind)
	return false, nil
}

// clobber is what a call does to registers that are not preserved.
func (t *trial) clobber(m *cpu) {
	for _, reg := range []int{rax, rcx, rdx, rsi, rdi, 8, 9, 10, 11} {
		m.r[reg], m.left[reg] = t.k.r.Uint64(), true
	}
	noise := t.k.r.Uint64()
	m.cf, m.zf, m.sf, m.of, m.pf = noise&1 != 0, noise&2 != 0, noise&4 != 0, noise&8 != 0, noise&16 != 0
}

// equal compares numbers; addresses in the frame are those of the same variable.
func (t *trial) equal(a, b uint64) bool {
	if t.cpus[0].own(a) && t.cpus[1].own(b) {
		return a+uint64(t.k.c.Frame) == b || a == b && a >= stackTop
	}
	return a == b
}

// match checks that two events are the same, and does what follows from them.
func (t *trial) match(kind string, f, g *event) (over bool, err error) {
	at := t.cpus[1].c.place(g.at)
	switch {
	case f.kind != g.kind || f.kind == "test" || kind == "return" && f.kind != "return":
		return false, fmt.Errorf("%s: %s and %s do not match", at, f.kind, g.kind)
	case f.callee != g.callee || f.what != g.what || f.size != g.size || len(f.args) != len(g.args):
		return false, fmt.Errorf("%s: another %s", at, f.kind)
	case f.kind == "return":
		place := t.cpus[0].c.place(f.at)
		if f.left {
			place = "left" + place
		}
		if t.k.returned[place] == nil {
			t.k.returned[place] = map[int64]bool{}
		}
		t.k.returned[place][int64(f.val)], t.k.returned[place][int64(int32(f.val))] = true, true
		size := 8
		if sizes, ok := t.sizes(t.k.c.Function); ok {
			size = sizes.Ret
		}
		for _, reg := range []int{rbx, rsp, rbp, 12, 13, 14, 15} {
			// Where an exit is joined, the old processor did not come there by itself.
			if old, now := t.cpus[0].r[reg], t.cpus[1].r[reg]; old != now && !t.joining {
				return false, fmt.Errorf("%s: returns with %s %#x, not %#x", at, names[reg], now, old)
			}
		}
		if size > 0 && trim(f.val, size) != trim(g.val, size) {
			return false, fmt.Errorf("%s: returns %#x, not %#x", at, g.val, f.val)
		}
		return true, nil
	case !t.equal(f.addr, g.addr) || f.kind == "store" && !t.equal(f.val, g.val):
		return false, fmt.Errorf("%s: %s of another address or value: %#x=%#x, not %#x=%#x", at, f.kind, g.addr,
			g.val, f.addr, f.val)
	}
	for i := range f.args {
		if !t.equal(f.args[i], g.args[i]) {
			return false, fmt.Errorf("%s: operand %d is %#x, not %#x", at, i, g.args[i], f.args[i])
		}
	}
	if f.kind == "call" {
		if err := t.arguments(f, at); err != nil {
			return false, err
		}
	}
	t.epoch = hash(t.epoch, f.addr, f.val, uint64(len(f.callee)))
	for i, ev := range []*event{f, g} {
		cpu := t.cpus[i]
		switch ev.kind {
		case "trap":
			cpu.pc = ev.next
			if ev.next == 0 {
				return true, nil
			}
			over = !t.continues(cpu, ev)
		case "call":
			if strings.Contains(ev.callee, "preempt_schedule") {
				break // keeps all registers
			}
			t.clobber(cpu)
		}
		for j, reg := range ev.sets {
			cpu.r[reg], cpu.left[reg] = hash(t.epoch, uint64(j)), false
		}
		if ev.kind == "other" {
			noise := hash(t.epoch, 77)
			cpu.cf, cpu.zf, cpu.sf, cpu.of, cpu.pf = noise&1 != 0, noise&2 != 0, noise&4 != 0, noise&8 != 0,
				noise&16 != 0
		}
		cpu.pc = ev.next
		if ev.tail {
			cpu.returned = ev.at
		}
	}
	if f.kind == "call" && !strings.Contains(f.callee, "preempt_schedule") {
		ret := t.x.any(t.k.r)
		t.cpus[0].r[rax], t.cpus[1].r[rax] = ret, ret
		t.cpus[0].left[rax], t.cpus[1].left[rax] = false, false
		if _, known := t.sizes(f.callee); !known { // rdx may be the second half of the result
			half := t.x.any(t.k.r)
			t.cpus[0].r[rdx], t.cpus[1].r[rdx] = half, half
			t.cpus[0].left[rdx], t.cpus[1].left[rdx] = false, false
		}
		over = over || f.callee == "__stack_chk_fail" || f.callee == "panic"
	}
	return over, nil
}

// continues reports whether control comes back from a stop: a warning.
func (t *trial) continues(m *cpu, e *event) bool {
	file := m.c.f
	for i := range file.Sections {
		section := &file.Sections[i]
		if section.Name != "__bug_table" {
			continue
		}
		for _, rel := range section.Relocs {
			sym := file.Symbols[rel.Sym]
			for _, piece := range m.c.parts {
				if rel.Off%12 == 0 && sym.Sec == piece.sec &&
					sym.Value+uint64(rel.Addend)-piece.off+piece.base == e.at {
					return section.Data[rel.Off+10]&1 == 1
				}
			}
		}
	}
	return false
}

func (t *trial) sizes(name string) (Sizes, bool) {
	if t.k.opt.Sizes == nil || name == "" {
		return Sizes{}, false
	}
	return t.k.opt.Sizes(name)
}

// arguments compares what a call is given.
func (t *trial) arguments(f *event, at string) error {
	regs := []int{rdi, rsi, rdx, rcx, 8, 9}
	if strings.Contains(f.callee, "preempt_schedule") || f.callee == "__SCT__cond_resched" ||
		f.callee == "__SCT__might_resched" {
		return nil // no parameters
	}
	sizes, known := t.sizes(f.callee)
	for nth, reg := range regs {
		old, now := t.cpus[0].r[reg], t.cpus[1].r[reg]
		if t.cpus[0].left[reg] && t.cpus[1].left[reg] {
			continue // no argument, or one that is not used
		}
		if known && !sizes.Variadic {
			if nth >= len(sizes.Args) {
				break
			}
			if !t.cpus[0].own(old) {
				old, now = trim(old, sizes.Args[nth]), trim(now, sizes.Args[nth])
			}
		}
		if !t.equal(old, now) {
			return fmt.Errorf("%s: argument %d of %s is %#x, not %#x", at, nth+1, f.callee, now, old)
		}
	}
	return nil
}

// divide goes on to the next spot, and checks what is claimed of it.
func (t *trial) divide(f, g *event) error {
	at := [2]string{}
	for side, ev := range []*event{f, g} {
		cpu := t.cpus[side]
		if ev == nil {
			// This side waits before its next event.
			next, err := cpu.run()
			if err != nil {
				return err
			}
			cpu.pc = next.at
			at[side] = cpu.c.place(next.at)
			if next.left {
				at[side] = "left" + at[side]
			}
			continue
		}
		if ev.kind != "test" {
			return fmt.Errorf("%s is no test", cpu.c.place(ev.at))
		}
		cpu.pc = ev.next
		at[side] = cpu.c.place(ev.next)
	}
	sp := t.k.spots[at]
	if sp == nil {
		return fmt.Errorf("the ways lead to %s, %s, which is no spot", at[0], at[1])
	}
	return t.holds(sp)
}

// holds checks a spot's claims on the numbers that both processors have.
func (t *trial) holds(sp *spot) error {
	got := map[int]uint64{}
	where := map[int]string{}
	vals := &valuation{c: t.k.c, vars: map[int]uint64{}, memo: map[int]result{}, mem: t.x.mem}
	for _, loc := range sortedKeys(sp.State) {
		term := sp.State[loc]
		tm := &t.k.c.Terms[term]
		if strings.HasSuffix(loc, " flags") {
			continue
		}
		val := t.epoch
		if loc != "memory" {
			cpu, what, err := t.location(loc)
			if err != nil {
				return err
			}
			val = cpu.get(what)
			if tm.Op != "const" && cpu.own(val) && cpu == t.cpus[1] && val < stackTop {
				val -= uint64(t.k.c.Frame)
				if tm.Op == "frame" || tm.Op == "plus" && t.k.c.Terms[tm.Args[0]].Op == "frame" {
					val += uint64(t.k.c.Frame)
				}
			}
		}
		if old, ok := got[term]; ok && old != val {
			return fmt.Errorf("at %s, %s: %s is %#x and %s is %#x, which are said to be equal", sp.Before,
				sp.After, where[term], old, loc, val)
		}
		got[term], where[term] = val, loc
		if tm.Op == "var" {
			vals.vars[term] = val
		}
	}
	for i, val := range got {
		if want, ok := vals.eval(i); ok && want != val {
			return fmt.Errorf("at %s, %s: %s is %#x, said to be %#x (%s)", sp.Before, sp.After, where[i], val, want,
				t.k.c.Terms[i].Op)
		}
	}
	for _, known := range sp.Known {
		if val, ok := vals.eval(known.Term); ok && (val != 0) != known.Is {
			return fmt.Errorf("at %s, %s: a condition is said to be known (%v), and is not", sp.Before, sp.After,
				known.Is)
		}
	}
	return nil
}

func sortedKeys(m map[string]int) []string {
	out := make([]string, 0, len(m))
	for key := range m {
		out = append(out, key)
	}
	slices.Sort(out)
	return out
}

// get reads a location.
func (m *cpu) get(what string) uint64 {
	if reg := slices.Index(names, what); reg >= 0 {
		return m.r[reg]
	}
	var off int64
	var size int
	_, _ = fmt.Sscanf(what, "[%d:%d]", &off, &size)
	return m.read(stackTop+uint64(off), size)
}
