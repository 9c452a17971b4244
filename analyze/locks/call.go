package locks

import (
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// target finds what a call site calls: the function's effect or primitive
// when it has one, and the registers it changes.
func (w *walker) target(s *state, site uint64) (id model.FuncID, name string) {
	call := w.calls[site]
	if call == nil {
		return model.NoFunc, ""
	}
	id = call.Target
	if id == model.NoFunc && call.Via != model.NoFunc {
		// A retpoline: perhaps the register's value is known.
		if reg := convention.Callee(w.m.Func(call.Via).Name).Via; reg != machine.NoReg {
			if addr, ok := w.t.isConst(s.regs[reg]); ok {
				id = w.m.Entry(uint64(addr))
			}
		}
	}
	if id == model.NoFunc || call.Interior {
		return model.NoFunc, ""
	}
	return id, w.m.Func(id).Name
}

// call executes a call and returns the states in which it may return.
func (w *walker) call(s *state, in *machine.Inst) []*state {
	id, name := w.target(s, in.Addr)
	out := w.apply(s, in.Addr, id, name, 0)
	for _, after := range out {
		after.flags = flags{}
	}
	return out
}

// apply has the effect of a function happen to a state. It may change s.
// Arguments on the stack begin above bytes above the stack pointer.
func (w *walker) apply(s *state, site uint64, id model.FuncID, name string, above int64) []*state {
	callee := w.enter(s, site, name, above)
	if primitive, ok := w.a.prim(id); ok {
		return w.applyPrim(s, site, primitive, callee.args, callee.leave)
	}

	// A callee of which nothing is known takes and releases nothing.
	var effect *Effect
	if id != model.NoFunc {
		effect = w.a.effect(id)
	}
	if effect == nil || len(effect.Outcomes) == 0 && effect.Unknown == 0 {
		if effect != nil && w.m.Func(id).Flags&model.FuncNoReturn != 0 {
			return nil
		}
		callee.leave(s)
		return []*state{s}
	}

	// One of its outcomes is what happens.
	if effect.Unknown&^WhyCallee != 0 {
		w.why |= WhyCallee
	}
	outcomes := effect.Outcomes
	callee.guessed = effect.Unknown&WhyAmbiguous != 0
	if callee.guessed && len(outcomes) > maxAmbiguous {
		outcomes = outcomes[:maxAmbiguous]
	}
	if effect.Assumed {
		s.assumed = true
	}
	var out []*state
	for i := range outcomes {
		if after := callee.outcome(s, &outcomes[i]); after != nil {
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
	vals := &w.t
	entered := &calling{w: w, site: site, clobber: convention.Scratch}
	for nth := range entered.args {
		if nth < len(argReg) {
			entered.args[nth] = s.regs[argReg[nth]]
			continue
		}
		base, off := vals.split(s.regs[stackReg])
		if val, _, ok := s.get(base, off+above+int64(8*(nth-len(argReg))), 1); ok {
			entered.args[nth] = val
		} else {
			entered.args[nth] = vals.opaque(site, int32(200+nth), w.age)
		}
	}
	if changed, special := keeps[name]; special {
		entered.clobber, entered.kept = changed, true
		return entered
	}
	for _, val := range entered.args {
		if w.isStackAddr(val) {
			_, off := vals.split(val)
			s.esc = min(s.esc, off)
		}
	}
	return entered
}

// leave makes of a state what is known once the callee has returned, but for locks.
func (c *calling) leave(s *state) {
	vals := &c.w.t
	for reg := range c.clobber.All {
		s.regs[reg] = vals.opaque(c.site, int32(reg), c.w.age)
	}
	if c.clobber != 0 {
		s.regs[retReg] = vals.ret(c.site, c.w.age)
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
	vals := &c.w.t
	s = s.clone()
	// What does not add up later was not the one.
	s.guessed = s.guessed || c.guessed
	for _, cond := range o.When {
		if !vals.assume(s, c.args[cond.Arg], cond.Size, cond.In) {
			return nil
		}
	}
	c.leave(s)
	ret, ok := c.returned(s, o)
	if !ok {
		return nil
	}

	for k, drop := range o.Dropped {
		name := c.w.instantiate(s, drop.Path, c.args, ret, c.site, 50+k)
		// One that the caller cannot name is taken to be its own.
		if name < 0 || !vals.precise(name) || c.guessed || c.w.holds(s, drop.Kind, name) {
			continue
		}
		s.drop(held{kind: drop.Kind, name: name, n: droppedByCallee})
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
	vals := &c.w.t
	ret = vals.ret(c.site, c.w.age)
	if o.RetArg >= 0 {
		ret = c.args[o.RetArg]
	}
	if single, ok := o.Ret.B8.Single(); ok {
		ret = vals.constant(single)
	}
	s.regs[retReg] = ret
	ok = true
	for _, part := range []struct {
		size uint8
		set  Set
	}{{8, o.Ret.B8}, {4, o.Ret.B4}, {1, o.Ret.B1}} {
		if part.set != nil && !vals.assume(s, ret, part.size, part.set) {
			ok = false
		}
	}
	return ret, ok
}

// change takes or releases what the callee does, under the caller's name.
func (c *calling) change(s *state, ch *Change, ret vid, k int) {
	vals := &c.w.t
	name := vid(0)
	if ch.Path.Root != RootNone {
		name = c.w.instantiate(s, ch.Path, c.args, ret, c.site, k)
	}
	if name < 0 {
		return // a lock in the callee's own frame
	}
	if ch.Delta > 0 && ch.Path.Root == RootArg && len(ch.Path.Offs) == 1 {
		c.w.notNull(s, vals.addImm(c.args[ch.Path.Arg], ch.Path.Offs[0]))
	}
	for range ch.Delta {
		vals.change(s, ch.Kind, name, 1)
	}
	for range -ch.Delta {
		vals.change(s, ch.Kind, name, -1)
	}
}

// holds reports whether a lock that a callee releases for a while was taken by
// this function: under this name, or under one that may mean the same.
func (w *walker) holds(s *state, k Kind, name vid) bool {
	vals := &w.t
	off, fixed := vals.fieldOffset(name)
	for i := range s.locks {
		hold := &s.locks[i]
		if hold.kind != k || hold.n <= 0 {
			continue
		}
		fieldOff, f := vals.fieldOffset(hold.name)
		if hold.name == name || !vals.precise(name) || !vals.precise(hold.name) || f && fixed && fieldOff == off {
			if hold.name != name {
				s.assumed = true
			}
			return true
		}
	}
	return false
}

func (w *walker) applyPrim(s *state, site uint64, p *prim, args args, after func(*state)) []*state {
	vals := &w.t
	irq := s.irq()
	do := func(s *state) {
		for _, st := range p.steps {
			name := args[max(st.arg, 0)]
			if p.global != "" {
				name = vals.constant(int64(globalAddr(w.m.Prog, p.global)))
			}
			if w.isStackAddr(name) && !st.kind.Context() {
				continue // a lock on the own stack
			}
			if !st.kind.Context() {
				w.notNull(s, name)
			}
			vals.change(s, st.kind, name, st.delta)
		}
	}
	if p.on == always {
		do(s)
		if p.restores != 0 {
			w.restore(s, args[max(p.restores, 0)])
		}
		after(s)
		if p.saves {
			s.regs[retReg] = vals.flags(site, irq, w.age)
		}
		return []*state{s}
	}
	hit, miss := s.clone(), s
	after(hit)
	after(miss)
	do(hit)
	hitSet, missSet := p.on.sets()
	result := vals.ret(site, w.age)
	var out []*state
	if vals.assume(hit, result, 4, hitSet) {
		out = append(out, hit)
	}
	if vals.assume(miss, result, 4, missSet) {
		out = append(out, miss)
	}
	for _, after := range out {
		// Some callers test the low byte only.
		if v, ok := vals.known(after, result, 4).Single(); ok {
			after.setFact(result, 1, single(v))
		}
	}
	return out
}

// instantiate gives the caller's name for a lock that a callee's path means;
// -1 for one that the caller cannot mean.
func (w *walker) instantiate(s *state, p Path, args args, ret vid, site uint64, k int) vid {
	vals := &w.t
	var val vid
	switch p.Root {
	case RootGlobal:
		val = vals.constant(int64(p.Addr))
	case RootArg:
		val = args[p.Arg]
	case RootRet:
		val = ret
	case RootCurrent:
		val = vals.load(vals.constant(int64(w.a.currentTask)), 8, true, 0, -1, site, w.age)
	case RootPercpu:
		off := vals.load(vals.constant(int64(w.a.thisCPUOff)), 8, true, 0, -1, site, w.age)
		val = vals.addImm(off, int64(p.Addr))
	default:
		val = vals.opaque(site, 100+int32(k), w.age)
	}
	for i, fieldOff := range p.Offs {
		if i > 0 {
			base, off := vals.split(val)
			if stored, exact, ok := s.get(base, off, 8); ok && exact {
				val = stored
			} else {
				val = vals.load(val, 8, false, 0, -1, site, w.age)
			}
		}
		val = vals.addImm(val, fieldOff)
	}
	if w.isStackAddr(val) {
		return -1
	}
	if imm, ok := vals.isConst(val); ok && uint64(imm) < 1<<32 {
		return -1 // a field of NULL: not on this way
	}
	return vals.stripped(val)
}

// tail leaves the function by a jump to another one.
func (w *walker) tail(s *state, site uint64) {
	id, name := model.NoFunc, ""
	if call := w.calls[site]; call != nil && !call.Interior {
		id = call.Target
		if id != model.NoFunc {
			name = w.m.Func(id).Name
		}
	}
	for _, after := range w.apply(s.clone(), site, id, name, 8) {
		w.exit(after)
	}
}

func (w *walker) indirectTail(s *state, site uint64) {
	id, name := w.target(s, site)
	for _, after := range w.apply(s, site, id, name, 8) {
		w.exit(after)
	}
}

// notNull notes that the object a lock lies in exists: no pointer that the
// lock's address is a field of, or is reached through, is NULL or an error
// code.
func (w *walker) notNull(s *state, name vid) {
	vals := &w.t
	some := Set{{-4095, 0}}.complement(8) // neither NULL nor an error code
	for range maxPath {
		base, off := vals.split(name)
		if base == 0 || w.isStack(base) {
			return
		}
		mark := func(v vid) {
			if root, rootOff := vals.split(v); root == base && off-rootOff >= 0 && off-rootOff < 1<<16 {
				vals.assume(s, v, 8, some)
			}
		}
		for _, val := range s.regs {
			mark(val)
		}
		for _, stored := range s.mem {
			if stored.size == 8 {
				mark(stored.val)
			}
		}
		if off >= 0 && off < 1<<16 {
			vals.assume(s, base, 8, some)
		}
		expr := vals.n(base)
		if expr.op != opLoad || expr.k == 1 {
			return
		}
		name = expr.a // what the pointer was read from exists, too
	}
}
