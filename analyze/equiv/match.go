package equiv

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/analyze/machine"
)

// Proto is what is known of a function's parameters.
type Proto struct {
	Args     []uint8 // size of each, bytes; 8 for one that is not known
	Ret      uint8   // size of the result, bytes; 0 for none
	Variadic bool
	// Registers says that Args is what the code reads of registers: there may be
	// arguments on the stack besides.
	Registers bool
	setsPair  bool // on each path to its return, the code sets the register of a result's second half
}

// same reports whether values of the two sides are equal. Addresses in the frame
// are, when the frames lie in the same way to each other everywhere.
func (w *walk) same(a, b term) bool {
	if a == 0 || b == 0 {
		return false
	}
	if a == b {
		return true
	}
	leftBase, leftOff := w.p.offset(a)
	rightBase, rightOff := w.p.offset(b)
	if w.p.nodes[leftBase].op != "frame" || w.p.nodes[rightBase].op != "frame" || leftBase == rightBase {
		return false
	}
	delta := int64(rightOff) - int64(leftOff)
	if w.delta == nil {
		w.delta = &delta
	}
	return *w.delta == delta
}

// agree reports whether the lower bits of two values are equal, also by what is
// known of them.
func (w *walk) agree(s *state, width uint64, a, b term) bool {
	if w.isFrame(a) || w.isFrame(b) {
		return w.same(a, b)
	}
	if a == 0 || b == 0 {
		return false
	}
	a, b = w.p.low(width, a), w.p.low(width, b)
	return a == b || w.known(s, a) == w.known(s, b)
}

// match compares what both sides do next and takes the step in both. The
// obstacle says in what they differ. over is set when neither goes on.
func (w *walk) match(s *state, ws *[2]*walker, e *[2]*event) (over bool, err error) {
	before, after := e[0], e[1]
	at := func(format string, args ...any) *Obstacle {
		obstacle := refuse(after.at(), format, args...)
		obstacle.side = 1
		obstacle.Why += " (before: " + before.at().String() + ")"
		return obstacle
	}
	if before.kind != after.kind {
		return false, at("%s, where the old code %s", after.words(w.p), before.words(w.p))
	}
	switch before.kind {
	case evStore, evLoad, evOther:
		if before.what != after.what || before.size != after.size {
			return false, at("%s, where the old code %s", after.words(w.p), before.words(w.p))
		}
		if (before.addr != 0 || after.addr != 0) && !w.same(before.addr, after.addr) {
			return false, at("%s: not the address that the old code uses, %s", after.words(w.p), w.p.text(before.addr))
		}
		if before.kind == evStore && !w.agree(s, before.size*8, before.val, after.val) {
			return false, at("a stored value is computed otherwise: %s before, %s after", w.p.text(before.val),
				w.p.text(after.val))
		}
		if len(before.args) != len(after.args) {
			return false, at("%s, where the old code %s", after.words(w.p), before.words(w.p))
		}
		for i := range before.args {
			if !w.same(before.args[i], after.args[i]) {
				return false, at("%s: an operand is computed otherwise: %s before, %s after", after.what,
					w.p.text(before.args[i]), w.p.text(after.args[i]))
			}
		}
		for _, val := range append(before.args, before.val) {
			s.escaped = s.escaped || val != 0 && w.isFrame(val)
		}
		if err := w.frames(s, at); err != nil {
			return false, err
		}
		s.epoch = w.p.cons(node{op: "mem", k: before.size, a: s.epoch, b: max(before.addr, 0), c: before.val,
			s: fmt.Sprint(before.kind, before.what, before.at(), after.at())})
		s.clean = s.clean && before.kind == evOther &&
			(before.what == "pause" || strings.HasSuffix(before.what, "FENCE") || before.what == "barrier")
		w.cands = nil
		for nth, ev := range e {
			half := &s.m[nth]
			for at, reg := range ev.outs {
				if ev.kind == evLoad {
					half.regs[reg] = w.p.unknownAt("read", nth, ev.at(), s.epoch)
					continue
				}
				if at < len(before.outs) {
					half.regs[reg] = w.p.cons(node{op: "out", k: uint64(at), a: s.epoch})
				}
			}
			if ev.kind == evOther {
				half.flags = w.p.cons(node{op: "out", k: 99, a: s.epoch})
			}
			ws[nth].at = ev.next
		}
	case evCall:
		return w.matchCall(s, ws, e, at)
	case evTrap:
		if before.what != after.what {
			return false, at("a warning or a stop of another kind")
		}
		w.cands = nil
		const warning = 1 // BUGFLAG_WARNING, include/linux/bug.h, v6.1
		text, _ := strings.CutPrefix(before.what, "__bug_table")
		if flags, err := hex.DecodeString(text); err != nil || len(flags) != 2 || flags[0]&warning == 0 {
			return true, nil
		}
		ws[0].at, ws[1].at = before.next, after.next
	case evReturn:
		for reg := range convention.Saved.All {
			old, now := s.m[0].regs[reg], s.m[1].regs[reg]
			if reg == stackReg { // both frames begin at the same place: the return address
				leftBase, leftOff := w.p.offset(old)
				rightBase, rightOff := w.p.offset(now)
				if w.p.nodes[leftBase].op == "frame" && w.p.nodes[rightBase].op == "frame" && leftOff == rightOff {
					continue
				}
			}
			if reg == stackReg || !w.same(old, now) {
				return false, at("%s, which a caller relies on, is not shown to be the same", regName(reg))
			}
		}
		old, now := s.m[0].regs[retReg], s.m[1].regs[retReg]
		width := uint64(64)
		if w.own != nil {
			if w.own.Ret == 0 {
				return true, nil
			}
			width = uint64(w.own.Ret) * 8
		}
		if !w.agree(s, width, old, now) {
			return false, at("the value returned is computed otherwise: %s before, %s after", w.p.text(old),
				w.p.text(now))
		}
		oldHigh, newHigh := s.m[0].regs[pairReg], s.m[1].regs[pairReg]
		if w.own == nil && !w.agree(s, 64, oldHigh, newHigh) && !(w.left(oldHigh) && w.left(newHigh)) {
			return false, at("the size of the result is not known, and rdx, which may be its second half, is not shown to be the same")
		}
		w.returns(w.known(s, old), before.at())
		return true, nil
	}
	e[0], e[1] = nil, nil
	return false, nil
}

// pairArg is the argument whose register also returns the second half of a result.
var pairArg = func() int {
	n, _ := convention.ArgOf(pairReg)
	return n
}()

// matchCall compares two calls.
func (w *walk) matchCall(s *state, ws *[2]*walker, e *[2]*event, at func(string, ...any) *Obstacle) (over bool,
	err error) {
	before, after := e[0], e[1]
	if before.to != after.to {
		return false, at("%s, where the old code %s", after.words(w.p), before.words(w.p))
	}
	if before.to == "" && before.val != after.val {
		return false, at("the function called through a pointer may be another one")
	}
	own := kfuncs.OwnConvention(before.to)
	if kfuncs.Preserves(before.to) {
		return false, w.preserved(s, ws, e, at)
	}
	proto := w.parameters(before.to)
	halves := [2]*half{&s.m[0], &s.m[1]}
	switch {
	case own:
		for _, reg := range []machine.Num{machine.RAX, machine.RCX, machine.RDX, machine.RDI, machine.RSI} {
			if !w.same(halves[0].regs[reg], halves[1].regs[reg]) {
				return false, at("%s: what it is given in %s is not shown to be the same", before.to, regName(reg))
			}
			s.escaped = s.escaped || w.isFrame(halves[0].regs[reg])
		}
	case proto != nil && !proto.Variadic:
		for nth, size := range proto.Args {
			old, now := w.argument(ws[0], nth), w.argument(ws[1], nth)
			if w.left(old) && w.left(now) {
				continue // a parameter that is not used
			}
			if !w.agree(s, uint64(size)*8, old, now) {
				return false, at("argument %d of %s is computed otherwise: %s before, %s after", nth+1, before.to,
					w.p.text(old), w.p.text(now))
			}
			s.escaped = s.escaped || w.isFrame(old)
		}
		if proto.Registers {
			if err := w.stackArguments(s, before, at); err != nil {
				return false, err
			}
		}
	default: // every register that may be an argument
		for nth, reg := range argRegs {
			old, now := halves[0].regs[reg], halves[1].regs[reg]
			if w.left(old) && w.left(now) {
				continue // what a call left there is given to no other
			}
			if !w.agree(s, 64, old, now) {
				if proto != nil && nth < len(proto.Args) {
					return false, at("argument %d of %s is computed otherwise: %s before, %s after", nth+1,
						before.name(), w.p.text(old), w.p.text(now))
				}
				return false, at("argument %d of %s, if it has one, is computed otherwise: %s before, %s after",
					nth+1, before.name(), w.p.text(old), w.p.text(now))
			}
			s.escaped = s.escaped || w.isFrame(old)
		}
		if err := w.stackArguments(s, before, at); err != nil {
			return false, err
		}
	}
	if err := w.frames(s, at); err != nil {
		return false, err
	}
	if err := w.lock(s, before, halves[0].regs[firstArg], at); err != nil {
		return false, err
	}
	s.epoch = w.p.cons(node{op: "mem", a: s.epoch, s: "call " + before.at().String() + after.at().String()})
	w.cands = nil
	for i, ev := range e {
		w.afterCall(&s.m[i], i, ev, s.epoch, own)
		if !own && (proto == nil || proto.Registers && (len(proto.Args) > pairArg || proto.setsPair)) {
			// Perhaps the second half of a result; if not, nobody reads it. Where it was not
			// compared, and is not surely set, it may be what the function was given there.
			s.m[i].regs[pairReg] = w.p.cons(node{op: "out", k: uint64(pairReg), a: s.epoch})
		}
	}
	if own {
		w.afterSpecial(s, ws, halves)
	}
	ret := w.p.cons(node{op: "ret", a: s.epoch, s: before.name()})
	if !own {
		halves[0].regs[retReg], halves[1].regs[retReg] = ret, ret
	}
	if count := len(s.locks); count > 0 && s.locks[count-1].ret == -1 {
		s.locks[count-1].ret = ret
	}
	if kfuncs.NoReturn(before.to) {
		return true, nil
	}
	for i, ev := range e {
		ws[i].at, e[i] = ev.next, nil
		if ev.tail {
			ws[i].at = ev.at().left()
		}
	}
	return false, nil
}

// preserved is the call of a function that keeps all registers: the scheduler's.
func (w *walk) preserved(s *state, ws *[2]*walker, e *[2]*event, at func(string, ...any) *Obstacle) error {
	if err := w.frames(s, at); err != nil {
		return err
	}
	before, after := e[0], e[1]
	if before.tail || after.tail {
		return at("a jump to %s", before.to)
	}
	s.epoch = w.p.cons(node{op: "mem", a: s.epoch, s: "call " + before.at().String() + after.at().String()})
	s.clean, w.cands = false, nil
	for i, ev := range e {
		s.m[i].flags = w.p.unknownAt("flags", i, ev.at(), s.epoch)
		ws[i].at, e[i] = ev.next, nil
	}
	return nil
}

// argument is the value of a parameter at a call.
func (w *walk) argument(x *walker, i int) term {
	if i < len(argRegs) {
		return x.m().regs[argRegs[i]]
	}
	slotOff, ok := x.frame(x.m().regs[stackReg])
	if !ok {
		return 0
	}
	return x.loadSlot(slotOff+8*int64(i-len(argRegs)), 8)
}

// left reports whether a value is what a call left in a register.
func (w *walk) left(t term) bool {
	expr := &w.p.nodes[t]
	return expr.op == "var" && strings.HasPrefix(expr.s, "left ")
}

// afterCall forgets what a call may have changed.
func (w *walk) afterCall(m *half, side int, ev *event, epoch term, own bool) {
	if !own {
		for reg := range convention.Scratch.All {
			m.regs[reg] = w.p.unknownAt("left by a call in "+regName(reg), side, ev.at(), epoch)
		}
	}
	m.flags = w.p.unknownAt("flags", side, ev.at(), epoch)
}

// afterSpecial treats registers after a function with a convention of its own:
// those that were equal are, whatever it does with them.
func (w *walk) afterSpecial(s *state, ws *[2]*walker, m [2]*half) {
	for reg := range convention.Scratch.All {
		if m[0].regs[reg] == m[1].regs[reg] && m[0].regs[reg] != 0 {
			out := w.p.cons(node{op: "out", k: uint64(reg), a: s.epoch})
			m[0].regs[reg], m[1].regs[reg] = out, out
			continue
		}
		for i := range m {
			m[i].regs[reg] = w.p.unknownAt("left by a call in "+regName(reg), i, ws[i].at, s.epoch)
		}
	}
}

func (e *event) at() place { return e.in.at }

func (e *event) name() string {
	if e.to == "" {
		return "a function called through a pointer"
	}
	return e.to
}

// words says what happens, as "calls f".
func (e *event) words(p *pool) string {
	switch e.kind {
	case evBranch:
		return "tests " + p.text(e.cond)
	case evStore:
		return fmt.Sprintf("stores %d bytes at %s", e.size, p.text(e.addr))
	case evLoad:
		return "reads " + p.text(e.addr) + " without use of the value"
	case evCall:
		return "calls " + e.name()
	case evReturn:
		return "returns"
	case evTrap:
		return "warns or stops (ud2)"
	}
	return "has the instruction " + e.what
}
