package equiv

import (
	"maps"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze/machine"
)

// numRegs is the number of general registers.
const numRegs = 16

// convention is how functions of the kernel call each other.
var convention = machine.X86.Convention()

var (
	argRegs  = convention.Args
	retReg   = convention.Result[0]
	pairReg  = convention.Result[1] // of a result that needs two
	stackReg = convention.StackPtr
	frameReg = convention.FramePtr
	firstArg = convention.Args[0]
)

func regName(n machine.Num) string { return machine.X86.RegName(n) }

// slot is what lies in the function's own frame.
type slot struct {
	size uint64 // bytes
	val  term
	// private: the compiler's own: a saved register or the stack protector's word.
	private bool
}

// half is one function's half of a state: terms of registers, of the last
// comparison, and of the frame by offset from the stack pointer at entry.
type half struct {
	regs  [numRegs]term
	flags term
	slots map[int64]slot
}

func (m *half) clone() half {
	c := *m
	c.slots = maps.Clone(m.slots)
	return c
}

func (m *half) offsets() []int64 { return slices.Sorted(maps.Keys(m.slots)) }

// held is a lock taken and not yet given back.
type held struct {
	take string
	lock term
	ret  term // what taking it returned, interrupt flags
}

// fact is a condition known to hold, or not to hold.
type fact struct {
	cond term
	is   bool
}

// state is what is known where both functions are at matched places.
type state struct {
	m     [2]half
	epoch term // of memory: a new one at each matched store or call
	facts []fact
	locks []held
	// clean: nothing but locks and messages happened since the entry.
	clean bool
	// vague: the locks held differ by the way here.
	vague bool
	// escaped: others may know an address in the frame.
	escaped bool
}

func (s *state) clone() *state {
	c := *s
	c.m[0], c.m[1] = s.m[0].clone(), s.m[1].clone()
	c.facts, c.locks = slices.Clone(s.facts), slices.Clone(s.locks)
	return &c
}

func (s *state) learn(p *pool, cond term, is bool) {
	for _, f := range p.implied(cond, is) {
		if !slices.Contains(s.facts, f) {
			s.facts = append(s.facts, f)
		}
		n := p.nodes[f.cond]
		if k, ok := p.isConst(n.b); ok && n.op == "eq" && f.is && uint64(p.width[n.a]) <= n.k {
			s.replace(n.a, p.constant(k))
		}
	}
}

// replace writes a constant wherever a value is that is known to be it.
func (s *state) replace(old, now term) {
	for i := range s.m {
		m := &s.m[i]
		for r, v := range m.regs {
			if v == old {
				m.regs[r] = now
			}
		}
		for k, v := range m.slots {
			if v.val == old {
				v.val = now
				m.slots[k] = v
			}
		}
	}
}

// meet joins what is known on two ways to one pair of places. Values that are
// equal in both stay; every other pair of values becomes one unknown, so that
// two locations stay equal when they are equal on both ways. changed is false
// when old knew nothing that now does not hold: then old is still right.
//
// own lists the unknowns that meets at this pair made. Such an unknown stands
// for whatever is there at the next pass, and only locations that hold the
// unknown itself refer to it; so a value that differs at such a location does
// not change the state, as long as all that share the unknown agree.
func (p *pool) meet(old, now *state, own map[term]bool) (out *state, changed bool) {
	out = old.clone()
	type pair struct{ a, b term }
	made := map[pair]term{}
	image := map[term]term{} // of an own unknown
	join := func(a, b term) term {
		switch {
		case a == 0 || b == 0:
			if a != 0 {
				changed = true
			}
			return 0
		case a == b && !own[a]:
			return a
		case own[a] && (image[a] == 0 || image[a] == b):
			image[a] = b
			return a
		}
		changed = true
		t := made[pair{a, b}]
		if t == 0 {
			t = p.unknown(p.metName(a, b))
			p.from[t] = [2]term{a, b}
			made[pair{a, b}], own[t] = t, true
		}
		return t
	}
	for side := range out.m {
		x, y := &out.m[side], &now.m[side]
		for r := range x.regs {
			x.regs[r] = join(x.regs[r], y.regs[r])
		}
		x.flags = join(x.flags, y.flags)
		for _, k := range x.offsets() {
			a, b := x.slots[k], y.slots[k]
			if a.size != b.size || a.private != b.private {
				delete(x.slots, k)
				changed = true
				continue
			}
			a.val = join(a.val, b.val)
			x.slots[k] = a
		}
	}
	out.epoch = join(out.epoch, now.epoch)
	n := len(out.facts)
	out.facts = slices.DeleteFunc(out.facts, func(f fact) bool { return !slices.Contains(now.facts, f) })
	changed = changed || len(out.facts) != n
	if out.clean && !now.clean {
		out.clean, changed = false, true
	}
	if now.escaped && !out.escaped {
		out.escaped, changed = true, true
	}
	if !out.vague && (now.vague || len(out.locks) != len(now.locks)) {
		out.vague, out.locks, changed = true, nil, true
	}
	for i := range out.locks {
		l, m := &out.locks[i], now.locks[i]
		if l.take != m.take {
			out.vague, out.locks, changed = true, nil, true
			break
		}
		l.lock, l.ret = join(l.lock, m.lock), join(l.ret, m.ret)
	}
	return out, changed
}

// metName names the unknown for a meet of two values.
func (p *pool) metName(a, b term) string {
	for _, t := range []term{a, b} {
		if n := &p.nodes[t]; n.op != "var" || !strings.HasPrefix(n.s, "left ") {
			return "value"
		}
	}
	return "left value"
}
