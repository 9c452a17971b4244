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
	x, i := w.p.offset(a)
	y, j := w.p.offset(b)
	if w.p.nodes[x].op != "frame" || w.p.nodes[y].op != "frame" || x == y {
		return false
	}
	delta := int64(j) - int64(i)
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
	f, g := e[0], e[1]
	at := func(format string, args ...any) *Obstacle {
		o := refuse(g.at(), format, args...)
		o.side = 1
		o.Why += " (before: " + f.at().String() + ")"
		return o
	}
	if f.kind != g.kind {
		return false, at("%s, where the old code %s", g.words(w.p), f.words(w.p))
	}
	switch f.kind {
	case evStore, evLoad, evOther:
		if f.what != g.what || f.size != g.size {
			return false, at("%s, where the old code %s", g.words(w.p), f.words(w.p))
		}
		if (f.addr != 0 || g.addr != 0) && !w.same(f.addr, g.addr) {
			return false, at("%s: not the address that the old code uses, %s", g.words(w.p), w.p.text(f.addr))
		}
		if f.kind == evStore && !w.agree(s, f.size*8, f.val, g.val) {
			return false, at("a stored value is computed otherwise: %s before, %s after", w.p.text(f.val),
				w.p.text(g.val))
		}
		if len(f.args) != len(g.args) {
			return false, at("%s, where the old code %s", g.words(w.p), f.words(w.p))
		}
		for i := range f.args {
			if !w.same(f.args[i], g.args[i]) {
				return false, at("%s: an operand is computed otherwise: %s before, %s after", g.what,
					w.p.text(f.args[i]), w.p.text(g.args[i]))
			}
		}
		for _, v := range append(f.args, f.val) {
			s.escaped = s.escaped || v != 0 && w.isFrame(v)
		}
		if err := w.frames(s, at); err != nil {
			return false, err
		}
		s.epoch = w.p.cons(node{op: "mem", k: f.size, a: s.epoch, b: max(f.addr, 0), s: fmt.Sprint(f.kind,
			f.what, f.at(), g.at()), c: f.val})
		s.clean = s.clean && f.kind == evOther && (f.what == "pause" || strings.HasSuffix(f.what, "FENCE") ||
			f.what == "barrier")
		w.cands = nil
		for i, ev := range e {
			m := &s.m[i]
			for k, r := range ev.outs {
				if ev.kind == evLoad {
					m.regs[r] = w.p.unknownAt("read", i, ev.at(), s.epoch)
					continue
				}
				if k < len(f.outs) {
					m.regs[r] = w.p.cons(node{op: "out", k: uint64(k), a: s.epoch})
				}
			}
			if ev.kind == evOther {
				m.flags = w.p.cons(node{op: "out", k: 99, a: s.epoch})
			}
			ws[i].at = ev.next
		}
	case evCall:
		return w.matchCall(s, ws, e, at)
	case evTrap:
		if f.what != g.what {
			return false, at("a warning or a stop of another kind")
		}
		w.cands = nil
		const warning = 1 // BUGFLAG_WARNING, include/linux/bug.h, v6.1
		text, _ := strings.CutPrefix(f.what, "__bug_table")
		if flags, err := hex.DecodeString(text); err != nil || len(flags) != 2 || flags[0]&warning == 0 {
			return true, nil
		}
		ws[0].at, ws[1].at = f.next, g.next
	case evReturn:
		for r := range convention.Saved.All {
			a, b := s.m[0].regs[r], s.m[1].regs[r]
			if r == stackReg { // both frames begin at the same place: the return address
				x, i := w.p.offset(a)
				y, j := w.p.offset(b)
				if w.p.nodes[x].op == "frame" && w.p.nodes[y].op == "frame" && i == j {
					continue
				}
			}
			if r == stackReg || !w.same(a, b) {
				return false, at("%s, which a caller relies on, is not shown to be the same", regName(r))
			}
		}
		a, b := s.m[0].regs[retReg], s.m[1].regs[retReg]
		width := uint64(64)
		if w.own != nil {
			if w.own.Ret == 0 {
				return true, nil
			}
			width = uint64(w.own.Ret) * 8
		}
		if !w.agree(s, width, a, b) {
			return false, at("the value returned is computed otherwise: %s before, %s after", w.p.text(a), w.p.text(b))
		}
		if c, d := s.m[0].regs[pairReg], s.m[1].regs[pairReg]; w.own == nil && !w.agree(s, 64, c, d) && !(w.left(c) &&
			w.left(d)) {
			return false, at("the size of the result is not known, and rdx, which may be its second half, is not shown to be the same")
		}
		w.returns(w.known(s, a), f.at())
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
	f, g := e[0], e[1]
	if f.to != g.to {
		return false, at("%s, where the old code %s", g.words(w.p), f.words(w.p))
	}
	if f.to == "" && f.val != g.val {
		return false, at("the function called through a pointer may be another one")
	}
	own := kfuncs.OwnConvention(f.to)
	if kfuncs.Preserves(f.to) {
		return false, w.preserved(s, ws, e, at)
	}
	proto := w.parameters(f.to)
	m := [2]*half{&s.m[0], &s.m[1]}
	switch {
	case own:
		for _, r := range []machine.Num{machine.RAX, machine.RCX, machine.RDX, machine.RDI, machine.RSI} {
			if !w.same(m[0].regs[r], m[1].regs[r]) {
				return false, at("%s: what it is given in %s is not shown to be the same", f.to, regName(r))
			}
			s.escaped = s.escaped || w.isFrame(m[0].regs[r])
		}
	case proto != nil && !proto.Variadic:
		for i, size := range proto.Args {
			a, b := w.argument(ws[0], i), w.argument(ws[1], i)
			if w.left(a) && w.left(b) {
				continue // a parameter that is not used
			}
			if !w.agree(s, uint64(size)*8, a, b) {
				return false, at("argument %d of %s is computed otherwise: %s before, %s after", i+1, f.to,
					w.p.text(a), w.p.text(b))
			}
			s.escaped = s.escaped || w.isFrame(a)
		}
		if proto.Registers {
			if err := w.stackArguments(s, f, at); err != nil {
				return false, err
			}
		}
	default: // every register that may be an argument
		for i, r := range argRegs {
			a, b := m[0].regs[r], m[1].regs[r]
			if w.left(a) && w.left(b) {
				continue // what a call left there is given to no other
			}
			if !w.agree(s, 64, a, b) {
				if proto != nil && i < len(proto.Args) {
					return false, at("argument %d of %s is computed otherwise: %s before, %s after", i+1,
						f.name(), w.p.text(a), w.p.text(b))
				}
				return false, at("argument %d of %s, if it has one, is computed otherwise: %s before, %s after",
					i+1, f.name(), w.p.text(a), w.p.text(b))
			}
			s.escaped = s.escaped || w.isFrame(a)
		}
		if err := w.stackArguments(s, f, at); err != nil {
			return false, err
		}
	}
	if err := w.frames(s, at); err != nil {
		return false, err
	}
	if err := w.lock(s, f, m[0].regs[firstArg], at); err != nil {
		return false, err
	}
	s.epoch = w.p.cons(node{op: "mem", a: s.epoch, s: "call " + f.at().String() + g.at().String()})
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
		w.afterSpecial(s, ws, m)
	}
	ret := w.p.cons(node{op: "ret", a: s.epoch, s: f.name()})
	if !own {
		m[0].regs[retReg], m[1].regs[retReg] = ret, ret
	}
	if n := len(s.locks); n > 0 && s.locks[n-1].ret == -1 {
		s.locks[n-1].ret = ret
	}
	if kfuncs.NoReturn(f.to) {
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
	f, g := e[0], e[1]
	if f.tail || g.tail {
		return at("a jump to %s", f.to)
	}
	s.epoch = w.p.cons(node{op: "mem", a: s.epoch, s: "call " + f.at().String() + g.at().String()})
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
	k, ok := x.frame(x.m().regs[stackReg])
	if !ok {
		return 0
	}
	return x.loadSlot(k+8*int64(i-len(argRegs)), 8)
}

// left reports whether a value is what a call left in a register.
func (w *walk) left(t term) bool {
	n := &w.p.nodes[t]
	return n.op == "var" && strings.HasPrefix(n.s, "left ")
}

// afterCall forgets what a call may have changed.
func (w *walk) afterCall(m *half, side int, ev *event, epoch term, own bool) {
	if !own {
		for r := range convention.Scratch.All {
			m.regs[r] = w.p.unknownAt("left by a call in "+regName(r), side, ev.at(), epoch)
		}
	}
	m.flags = w.p.unknownAt("flags", side, ev.at(), epoch)
}

// afterSpecial treats registers after a function with a convention of its own:
// those that were equal are, whatever it does with them.
func (w *walk) afterSpecial(s *state, ws *[2]*walker, m [2]*half) {
	for r := range convention.Scratch.All {
		if m[0].regs[r] == m[1].regs[r] && m[0].regs[r] != 0 {
			t := w.p.cons(node{op: "out", k: uint64(r), a: s.epoch})
			m[0].regs[r], m[1].regs[r] = t, t
			continue
		}
		for i := range m {
			m[i].regs[r] = w.p.unknownAt("left by a call in "+regName(r), i, ws[i].at, s.epoch)
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
