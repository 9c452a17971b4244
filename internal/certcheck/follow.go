package certcheck

import (
	"fmt"
	"slices"
	"strings"
)

// step does what the certificate says comes next, and checks that it is so.
func (t *trial) step(kind, before, after string) (over bool, err error) {
	var ev [2]*event
	for i, want := range []string{before, after} {
		if want == "" {
			continue
		}
		if i == 0 {
			t.reads = nil
		}
		if kind == "read" {
			if t.cpus[i].stop, err = t.cpus[i].c.address(want); err != nil {
				return false, err
			}
		}
		ev[i], err = t.cpus[i].run()
		t.cpus[i].stop = 0
		if err != nil {
			return false, err
		}
		got := t.cpus[i].c.place(ev[i].at)
		if ev[i].left {
			got = "left" + got
		}
		if got != want {
			return false, fmt.Errorf("%s at %s expected, the code comes to a %s at %s", kind, want, ev[i].kind, got)
		}
	}
	f, g := ev[0], ev[1]
	if f == nil && g == nil || (kind == "match" || kind == "return" || kind == "read") && (f == nil || g == nil) {
		return false, fmt.Errorf("step %s names no place", kind)
	}
	switch kind {
	case "message":
		for i, e := range ev {
			if e == nil {
				continue
			}
			if e.kind != "call" || t.k.c.Messages[i][t.cpus[i].c.place(e.at)] != e.callee || !prints(e.callee) {
				return false, fmt.Errorf("%s is no message", t.cpus[i].c.place(e.at))
			}
			t.clobber(t.cpus[i])
			t.cpus[i].pc = e.next
			if e.tail {
				t.cpus[i].returned = e.at
			}
		}
	case "decided":
		for i, e := range ev {
			if e != nil {
				if e.kind != "test" {
					return false, fmt.Errorf("%s is no test", t.cpus[i].c.place(e.at))
				}
				t.cpus[i].pc = e.next
				if seen := t.k.way; seen != nil {
					key := fmt.Sprint(t.from.Before, t.from.After, i, e.at, len(t.trail))
					if old, ok := seen[key]; ok && old != e.next {
						return false, fmt.Errorf("the test at %s is not decided", t.cpus[i].c.place(e.at))
					}
					seen[key] = e.next
				}
			}
		}
	case "guard":
		return t.guard(g)
	case "match", "return", "read":
		return t.match(kind, f, g)
	case "test":
		return true, t.divide(f, g)
	default:
		return false, fmt.Errorf("%q is no step", kind)
	}
	t.trail = append(t.trail, kind)
	return false, nil
}

// clobber is what a call does to registers that are not preserved.
func (t *trial) clobber(m *cpu) {
	for _, r := range []int{rax, rcx, rdx, rsi, rdi, 8, 9, 10, 11} {
		m.r[r], m.left[r] = t.k.r.Uint64(), true
	}
	h := t.k.r.Uint64()
	m.cf, m.zf, m.sf, m.of, m.pf = h&1 != 0, h&2 != 0, h&4 != 0, h&8 != 0, h&16 != 0
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
		if s, ok := t.sizes(t.k.c.Function); ok {
			size = s.Ret
		}
		for _, r := range []int{rbx, rsp, rbp, 12, 13, 14, 15} {
			// Where an exit is joined, the old processor did not come there by itself.
			if a, b := t.cpus[0].r[r], t.cpus[1].r[r]; a != b && !t.joining {
				return false, fmt.Errorf("%s: returns with %s %#x, not %#x", at, names[r], b, a)
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
	for i, e := range []*event{f, g} {
		m := t.cpus[i]
		switch e.kind {
		case "trap":
			m.pc = e.next
			if e.next == 0 {
				return true, nil
			}
			over = !t.continues(m, e)
		case "call":
			if strings.Contains(e.callee, "preempt_schedule") {
				break // keeps all registers
			}
			t.clobber(m)
		}
		for j, r := range e.sets {
			m.r[r], m.left[r] = hash(t.epoch, uint64(j)), false
		}
		if e.kind == "other" {
			h := hash(t.epoch, 77)
			m.cf, m.zf, m.sf, m.of, m.pf = h&1 != 0, h&2 != 0, h&4 != 0, h&8 != 0, h&16 != 0
		}
		m.pc = e.next
		if e.tail {
			m.returned = e.at
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
	f := m.c.f
	for i := range f.Sections {
		s := &f.Sections[i]
		if s.Name != "__bug_table" {
			continue
		}
		for _, r := range s.Relocs {
			sym := f.Symbols[r.Sym]
			for _, p := range m.c.parts {
				if r.Off%12 == 0 && sym.Sec == p.sec && sym.Value+uint64(r.Addend)-p.off+p.base == e.at {
					return s.Data[r.Off+10]&1 == 1
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
	s, known := t.sizes(f.callee)
	for i, r := range regs {
		a, b := t.cpus[0].r[r], t.cpus[1].r[r]
		if t.cpus[0].left[r] && t.cpus[1].left[r] {
			continue // no argument, or one that is not used
		}
		if known && !s.Variadic {
			if i >= len(s.Args) {
				break
			}
			if !t.cpus[0].own(a) {
				a, b = trim(a, s.Args[i]), trim(b, s.Args[i])
			}
		}
		if !t.equal(a, b) {
			return fmt.Errorf("%s: argument %d of %s is %#x, not %#x", at, i+1, f.callee, b, a)
		}
	}
	return nil
}

// divide goes on to the next spot, and checks what is claimed of it.
func (t *trial) divide(f, g *event) error {
	at := [2]string{}
	for i, e := range []*event{f, g} {
		m := t.cpus[i]
		if e == nil {
			// This side waits before its next event.
			next, err := m.run()
			if err != nil {
				return err
			}
			m.pc = next.at
			at[i] = m.c.place(next.at)
			if next.left {
				at[i] = "left" + at[i]
			}
			continue
		}
		if e.kind != "test" {
			return fmt.Errorf("%s is no test", m.c.place(e.at))
		}
		m.pc = e.next
		at[i] = m.c.place(e.next)
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
	x := &valuation{c: t.k.c, vars: map[int]uint64{}, memo: map[int]result{}, mem: t.x.mem}
	for _, loc := range sortedKeys(sp.State) {
		i := sp.State[loc]
		tm := &t.k.c.Terms[i]
		if strings.HasSuffix(loc, " flags") {
			continue
		}
		v := t.epoch
		if loc != "memory" {
			m, what, err := t.location(loc)
			if err != nil {
				return err
			}
			v = m.get(what)
			if tm.Op != "const" && m.own(v) && m == t.cpus[1] && v < stackTop {
				v -= uint64(t.k.c.Frame)
				if tm.Op == "frame" || tm.Op == "plus" && t.k.c.Terms[tm.Args[0]].Op == "frame" {
					v += uint64(t.k.c.Frame)
				}
			}
		}
		if old, ok := got[i]; ok && old != v {
			return fmt.Errorf("at %s, %s: %s is %#x and %s is %#x, which are said to be equal", sp.Before,
				sp.After, where[i], old, loc, v)
		}
		got[i], where[i] = v, loc
		if tm.Op == "var" {
			x.vars[i] = v
		}
	}
	for i, v := range got {
		if w, ok := x.eval(i); ok && w != v {
			return fmt.Errorf("at %s, %s: %s is %#x, said to be %#x (%s)", sp.Before, sp.After, where[i], v, w,
				t.k.c.Terms[i].Op)
		}
	}
	for _, k := range sp.Known {
		if v, ok := x.eval(k.Term); ok && (v != 0) != k.Is {
			return fmt.Errorf("at %s, %s: a condition is said to be known (%v), and is not", sp.Before, sp.After, k.Is)
		}
	}
	return nil
}

func sortedKeys(m map[string]int) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// get reads a location.
func (m *cpu) get(what string) uint64 {
	if r := slices.Index(names, what); r >= 0 {
		return m.r[r]
	}
	var off int64
	var size int
	_, _ = fmt.Sscanf(what, "[%d:%d]", &off, &size)
	return m.read(stackTop+uint64(off), size)
}
