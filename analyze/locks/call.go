package locks

import (
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// target finds what a call site calls: the function's effect or primitive
// when it has one, and the registers it changes.
func (w *walker) target(s *state, site uint64) (id model.FuncID, name string) {
	c := w.calls[site]
	if c == nil {
		return model.NoFunc, ""
	}
	id = c.Target
	if id == model.NoFunc && c.Via != model.NoFunc {
		// A retpoline: perhaps the register's value is known.
		if n := convention.Callee(w.m.Func(c.Via).Name).Via; n != machine.NoReg {
			if a, ok := w.t.isConst(s.regs[n]); ok {
				id = w.m.Entry(uint64(a))
			}
		}
	}
	if id == model.NoFunc || c.Interior {
		return model.NoFunc, ""
	}
	return id, w.m.Func(id).Name
}

// call executes a call and returns the states in which it may return.
func (w *walker) call(s *state, in *machine.Inst) []*state {
	id, name := w.target(s, in.Addr)
	out := w.apply(s, in.Addr, id, name, 0)
	for _, o := range out {
		o.flags = flags{}
	}
	return out
}

// apply has the effect of a function happen to a state. It may change s.
// Arguments on the stack begin above bytes above the stack pointer.
func (w *walker) apply(s *state, site uint64, id model.FuncID, name string, above int64) []*state {
	c := w.enter(s, site, name, above)
	if p, ok := w.a.prim(id); ok {
		return w.applyPrim(s, site, p, c.args, c.leave)
	}

	// A callee of which nothing is known takes and releases nothing.
	var e *Effect
	if id != model.NoFunc {
		e = w.a.effect(id)
	}
	if e == nil || len(e.Outcomes) == 0 && e.Unknown == 0 {
		if e != nil && w.m.Func(id).Flags&model.FuncNoReturn != 0 {
			return nil
		}
		c.leave(s)
		return []*state{s}
	}

	// One of its outcomes is what happens.
	if e.Unknown&^WhyCallee != 0 {
		w.why |= WhyCallee
	}
	outcomes := e.Outcomes
	c.guessed = e.Unknown&WhyAmbiguous != 0
	if c.guessed && len(outcomes) > maxAmbiguous {
		outcomes = outcomes[:maxAmbiguous]
	}
	if e.Assumed {
		s.assumed = true
	}
	var out []*state
	for i := range outcomes {
		if after := c.outcome(s, &outcomes[i]); after != nil {
			out = append(out, after)
		}
	}
	return out
}

// calling is a call that is carried out.
type calling struct {
	w    *walker
	site uint64
	args args
	// clobber are the registers that it changes. kept says that it is one of the functions
	// that change nothing else.
	clobber machine.RegSet
	kept    bool
	guessed bool // nothing tells the caller which outcome it is
}

// enter reads the arguments, and notes what the callee may write to from now on. above
// is where the arguments on the stack begin.
func (w *walker) enter(s *state, site uint64, name string, above int64) *calling {
	t := &w.t
	c := &calling{w: w, site: site, clobber: convention.Scratch}
	for i := range c.args {
		if i < len(argReg) {
			c.args[i] = s.regs[argReg[i]]
			continue
		}
		base, off := t.split(s.regs[stackReg])
		if v, _, ok := s.get(base, off+above+int64(8*(i-len(argReg))), 1); ok {
			c.args[i] = v
		} else {
			c.args[i] = t.opaque(site, int32(200+i), w.age)
		}
	}
	if changed, special := keeps[name]; special {
		c.clobber, c.kept = changed, true
		return c
	}
	for _, v := range c.args {
		if w.isStackAddr(v) {
			_, off := t.split(v)
			s.esc = min(s.esc, off)
		}
	}
	return c
}

// leave makes of a state what is known once the callee has returned, but for locks.
func (c *calling) leave(s *state) {
	t := &c.w.t
	for r := range c.clobber.All {
		s.regs[r] = t.opaque(c.site, int32(r), c.w.age)
	}
	if c.clobber != 0 {
		s.regs[retReg] = t.ret(c.site, c.w.age)
	}
	if c.kept {
		return
	}
	if c.w.strict {
		c.w.clobberHeap(s, c.site)
	}
	c.w.clobberStack(s, c.site)
}

// outcome gives the state after one outcome of the callee; nil when it cannot be the one.
func (c *calling) outcome(s *state, o *Outcome) *state {
	t := &c.w.t
	s = s.clone()
	// What does not add up later was not the one.
	s.guessed = s.guessed || c.guessed
	for _, k := range o.When {
		if !t.assume(s, c.args[k.Arg], k.Size, k.In) {
			return nil
		}
	}
	c.leave(s)
	ret, ok := c.returned(s, o)
	if !ok {
		return nil
	}

	for k, l := range o.Dropped {
		name := c.w.instantiate(s, l.Path, c.args, ret, c.site, 50+k)
		// One that the caller cannot name is taken to be its own.
		if name < 0 || !t.precise(name) || c.guessed || c.w.holds(s, l.Kind, name) {
			continue
		}
		s.drop(held{kind: l.Kind, name: name, n: droppedByCallee})
	}
	// Releases first, so that a lock passed on is matched.
	for _, acquires := range []bool{false, true} {
		for k := range o.Changes {
			if ch := &o.Changes[k]; (ch.Delta > 0) == acquires {
				c.change(s, ch, ret, k)
			}
		}
	}
	return s
}

// returned puts what the callee returns in its place. ok is false when it cannot return
// that.
func (c *calling) returned(s *state, o *Outcome) (ret vid, ok bool) {
	t := &c.w.t
	ret = t.ret(c.site, c.w.age)
	if o.RetArg >= 0 {
		ret = c.args[o.RetArg]
	}
	if v, ok := o.Ret.B8.Single(); ok {
		ret = t.constant(v)
	}
	s.regs[retReg] = ret
	ok = true
	for _, f := range []struct {
		size uint8
		set  Set
	}{{8, o.Ret.B8}, {4, o.Ret.B4}, {1, o.Ret.B1}} {
		if f.set != nil && !t.assume(s, ret, f.size, f.set) {
			ok = false
		}
	}
	return ret, ok
}

// change takes or releases what the callee does, under the caller's name.
func (c *calling) change(s *state, ch *Change, ret vid, k int) {
	t := &c.w.t
	name := vid(0)
	if ch.Path.Root != RootNone {
		name = c.w.instantiate(s, ch.Path, c.args, ret, c.site, k)
	}
	if name < 0 {
		return // a lock in the callee's own frame
	}
	if ch.Delta > 0 && ch.Path.Root == RootArg && len(ch.Path.Offs) == 1 {
		c.w.notNull(s, t.addImm(c.args[ch.Path.Arg], ch.Path.Offs[0]))
	}
	for range ch.Delta {
		t.change(s, ch.Kind, name, 1)
	}
	for range -ch.Delta {
		t.change(s, ch.Kind, name, -1)
	}
}

// holds reports whether a lock that a callee releases for a while was taken by
// this function: under this name, or under one that may mean the same.
func (w *walker) holds(s *state, k Kind, name vid) bool {
	t := &w.t
	off, fixed := t.fieldOffset(name)
	for i := range s.locks {
		h := &s.locks[i]
		if h.kind != k || h.n <= 0 {
			continue
		}
		o, f := t.fieldOffset(h.name)
		if h.name == name || !t.precise(name) || !t.precise(h.name) || f && fixed && o == off {
			if h.name != name {
				s.assumed = true
			}
			return true
		}
	}
	return false
}

func (w *walker) applyPrim(s *state, site uint64, p *prim, args args, after func(*state)) []*state {
	t := &w.t
	irq := s.irq()
	do := func(s *state) {
		for _, st := range p.steps {
			name := args[max(st.arg, 0)]
			if p.global != "" {
				name = t.constant(int64(globalAddr(w.m.Prog, p.global)))
			}
			if w.isStackAddr(name) && !st.kind.Context() {
				continue // a lock on the own stack
			}
			if !st.kind.Context() {
				w.notNull(s, name)
			}
			t.change(s, st.kind, name, st.delta)
		}
	}
	if p.on == always {
		do(s)
		if p.restores != 0 {
			w.restore(s, args[max(p.restores, 0)])
		}
		after(s)
		if p.saves {
			s.regs[retReg] = t.flags(site, irq, w.age)
		}
		return []*state{s}
	}
	hit, miss := s.clone(), s
	after(hit)
	after(miss)
	do(hit)
	hitSet, missSet := p.on.sets()
	r := t.ret(site, w.age)
	var out []*state
	if t.assume(hit, r, 4, hitSet) {
		out = append(out, hit)
	}
	if t.assume(miss, r, 4, missSet) {
		out = append(out, miss)
	}
	for _, o := range out {
		// Some callers test the low byte only.
		if v, ok := t.known(o, r, 4).Single(); ok {
			o.setFact(r, 1, single(v))
		}
	}
	return out
}

// instantiate gives the caller's name for a lock that a callee's path means;
// -1 for one that the caller cannot mean.
func (w *walker) instantiate(s *state, p Path, args args, ret vid, site uint64, k int) vid {
	t := &w.t
	var v vid
	switch p.Root {
	case RootGlobal:
		v = t.constant(int64(p.Addr))
	case RootArg:
		v = args[p.Arg]
	case RootRet:
		v = ret
	case RootCurrent:
		v = t.load(t.constant(int64(w.a.currentTask)), 8, true, 0, -1, site, w.age)
	case RootPercpu:
		off := t.load(t.constant(int64(w.a.thisCPUOff)), 8, true, 0, -1, site, w.age)
		v = t.addImm(off, int64(p.Addr))
	default:
		v = t.opaque(site, 100+int32(k), w.age)
	}
	for i, o := range p.Offs {
		if i > 0 {
			b, off := t.split(v)
			if x, exact, ok := s.get(b, off, 8); ok && exact {
				v = x
			} else {
				v = t.load(v, 8, false, 0, -1, site, w.age)
			}
		}
		v = t.addImm(v, o)
	}
	if w.isStackAddr(v) {
		return -1
	}
	if c, ok := t.isConst(v); ok && uint64(c) < 1<<32 {
		return -1 // a field of NULL: not on this way
	}
	return t.stripped(v)
}

// tail leaves the function by a jump to another one.
func (w *walker) tail(s *state, site uint64) {
	id, name := model.NoFunc, ""
	if c := w.calls[site]; c != nil && !c.Interior {
		id = c.Target
		if id != model.NoFunc {
			name = w.m.Func(id).Name
		}
	}
	for _, o := range w.apply(s.clone(), site, id, name, 8) {
		w.exit(o)
	}
}

func (w *walker) indirectTail(s *state, site uint64) {
	id, name := w.target(s, site)
	for _, o := range w.apply(s, site, id, name, 8) {
		w.exit(o)
	}
}

// notNull notes that the object a lock lies in exists: no pointer that the
// lock's address is a field of, or is reached through, is NULL or an error
// code.
func (w *walker) notNull(s *state, name vid) {
	t := &w.t
	some := Set{{-4095, 0}}.complement(8) // neither NULL nor an error code
	for range maxPath {
		base, off := t.split(name)
		if base == 0 || w.isStack(base) {
			return
		}
		mark := func(v vid) {
			if b, o := t.split(v); b == base && off-o >= 0 && off-o < 1<<16 {
				t.assume(s, v, 8, some)
			}
		}
		for _, v := range s.regs {
			mark(v)
		}
		for _, c := range s.mem {
			if c.size == 8 {
				mark(c.val)
			}
		}
		if off >= 0 && off < 1<<16 {
			t.assume(s, base, 8, some)
		}
		n := t.n(base)
		if n.op != opLoad || n.k == 1 {
			return
		}
		name = n.a // what the pointer was read from exists, too
	}
}
