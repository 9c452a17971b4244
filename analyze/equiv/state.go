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
	copied := *m
	copied.slots = maps.Clone(m.slots)
	return copied
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
	// vague: the locks held differ by the path here.
	vague bool
	// escaped: others may know an address in the frame.
	escaped bool
}

func (s *state) clone() *state {
	copied := *s
	copied.m[0], copied.m[1] = s.m[0].clone(), s.m[1].clone()
	copied.facts, copied.locks = slices.Clone(s.facts), slices.Clone(s.locks)
	return &copied
}

func (s *state) learn(p *pool, cond term, is bool) {
	for _, fact := range p.implied(cond, is) {
		if !slices.Contains(s.facts, fact) {
			s.facts = append(s.facts, fact)
		}
		expr := p.nodes[fact.cond]
		if imm, ok := p.isConst(expr.b); ok && expr.op == "eq" && fact.is && uint64(p.width[expr.a]) <= expr.k {
			s.replace(expr.a, p.constant(imm))
		}
	}
}

// replace writes a constant wherever a value is that is known to be it.
func (s *state) replace(old, now term) {
	for i := range s.m {
		half := &s.m[i]
		for reg, val := range half.regs {
			if val == old {
				half.regs[reg] = now
			}
		}
		for slotOff, slot := range half.slots {
			if slot.val == old {
				slot.val = now
				half.slots[slotOff] = slot
			}
		}
	}
}

// join keeps what is known on two paths to one pair of places. Values that are
// equal in both stay; every other pair of values becomes one unknown, so that
// two locations stay equal when they are equal on both paths. changed is false
// when old knew nothing that now does not hold: then old is still right.
//
// own lists the unknowns that joins at this pair made. Such an unknown stands
// for whatever is there at the next pass, and only locations that hold the
// unknown itself refer to it; so a value that differs at such a location does
// not change the state, as long as all that share the unknown agree.
func (p *pool) join(old, now *state, own map[term]bool) (out *state, changed bool) {
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
		joined := made[pair{a, b}]
		if joined == 0 {
			joined = p.unknown(p.joinedName(a, b))
			p.from[joined] = [2]term{a, b}
			made[pair{a, b}], own[joined] = joined, true
		}
		return joined
	}
	for side := range out.m {
		mine, theirs := &out.m[side], &now.m[side]
		for reg := range mine.regs {
			mine.regs[reg] = join(mine.regs[reg], theirs.regs[reg])
		}
		mine.flags = join(mine.flags, theirs.flags)
		for _, slotOff := range mine.offsets() {
			old, now := mine.slots[slotOff], theirs.slots[slotOff]
			if old.size != now.size || old.private != now.private {
				delete(mine.slots, slotOff)
				changed = true
				continue
			}
			old.val = join(old.val, now.val)
			mine.slots[slotOff] = old
		}
	}
	out.epoch = join(out.epoch, now.epoch)
	count := len(out.facts)
	out.facts = slices.DeleteFunc(out.facts, func(f fact) bool { return !slices.Contains(now.facts, f) })
	changed = changed || len(out.facts) != count
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
		lock, other := &out.locks[i], now.locks[i]
		if lock.take != other.take {
			out.vague, out.locks, changed = true, nil, true
			break
		}
		lock.lock, lock.ret = join(lock.lock, other.lock), join(lock.ret, other.ret)
	}
	return out, changed
}

// joinedName names the unknown for a join of two values.
func (p *pool) joinedName(a, b term) string {
	for _, val := range []term{a, b} {
		if expr := &p.nodes[val]; expr.op != "var" || !strings.HasPrefix(expr.s, "left ") {
			return "value"
		}
	}
	return "left value"
}
