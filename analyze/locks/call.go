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
	t := &w.t
	var args args
	for i := range args {
		if i < len(argReg) {
			args[i] = s.regs[argReg[i]]
			continue
		}
		b, o := t.split(s.regs[stackReg])
		if v, _, ok := s.get(b, o+above+int64(8*(i-len(argReg))), 1); ok {
			args[i] = v
		} else {
			args[i] = t.opaque(site, int32(200+i), w.age)
		}
	}
	clobber := convention.Scratch
	changed, special := keeps[name]
	if special {
		clobber = changed
	} else {
		for _, v := range args {
			if w.isStackAddr(v) {
				_, off := t.split(v)
				s.esc = min(s.esc, off)
			}
		}
	}
	after := func(s *state) {
		for r := range clobber.All {
			s.regs[r] = t.opaque(site, int32(r), w.age)
		}
		if clobber != 0 {
			s.regs[retReg] = t.ret(site, w.age)
		}
		if special {
			return
		}
		if w.strict {
			w.clobberHeap(s, site)
		}
		w.clobberStack(s, site)
	}
	if p, ok := w.a.prim(id); ok {
		return w.applyPrim(s, site, p, args, after)
	}
	var e *Effect
	if id != model.NoFunc {
		e = w.a.effect(id)
	}
	if e == nil || len(e.Outcomes) == 0 && e.Unknown == 0 {
		if e != nil && w.m.Func(id).Flags&model.FuncNoReturn != 0 {
			return nil
		}
		after(s)
		return []*state{s}
	}
	if e.Unknown&^WhyCallee != 0 {
		w.why |= WhyCallee
	}
	outcomes := e.Outcomes
	if e.Unknown&WhyAmbiguous != 0 && len(outcomes) > maxAmbiguous {
		outcomes = outcomes[:maxAmbiguous]
	}
	if e.Assumed {
		s.assumed = true
	}
	var out []*state
	for i := range outcomes {
		o := &outcomes[i]
		c := s.clone()
		// Nothing tells the caller which outcome it is: what does not add up
		// later was not the one.
		c.guessed = c.guessed || e.Unknown&WhyAmbiguous != 0
		possible := true
		for _, k := range o.When {
			if !t.assume(c, args[k.Arg], k.Size, k.In) {
				possible = false
				break
			}
		}
		if !possible {
			continue
		}
		after(c)
		r := t.ret(site, w.age)
		if o.RetArg >= 0 {
			r = args[o.RetArg]
		}
		if v, ok := o.Ret.B8.Single(); ok {
			r = t.constant(v)
		}
		c.regs[retReg] = r
		for _, f := range []struct {
			size uint8
			set  Set
		}{{8, o.Ret.B8}, {4, o.Ret.B4}, {1, o.Ret.B1}} {
			if f.set != nil && !t.assume(c, r, f.size, f.set) {
				possible = false
			}
		}
		if !possible {
			continue
		}
		for k, l := range o.Dropped {
			n := w.instantiate(c, l.Path, args, r, site, 50+k)
			// One that the caller cannot name is taken to be its own.
			if n < 0 || !t.precise(n) || e.Unknown&WhyAmbiguous != 0 || w.holds(c, l.Kind, n) {
				continue
			}
			c.drop(held{kind: l.Kind, name: n, n: droppedByCallee})
		}
		for pass := range 2 { // releases first, so that a lock passed on is matched
			for k := range o.Changes {
				ch := &o.Changes[k]
				if (ch.Delta > 0) != (pass == 1) {
					continue
				}
				n := vid(0)
				if ch.Path.Root != RootNone {
					n = w.instantiate(c, ch.Path, args, r, site, k)
				}
				if n < 0 {
					continue // a lock in the callee's own frame
				}
				switch {
				case ch.Delta > 0:
					if ch.Path.Root == RootArg && len(ch.Path.Offs) == 1 {
						w.notNull(c, t.addImm(args[ch.Path.Arg], ch.Path.Offs[0]))
					}
					for range ch.Delta {
						t.change(c, ch.Kind, n, 1)
					}
				default:
					for range -ch.Delta {
						t.change(c, ch.Kind, n, -1)
					}
				}
			}
		}
		out = append(out, c)
	}
	return out
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
