package equiv

import (
	"slices"

	"github.com/klpforge/klpforge/analyze/kfuncs"
)

func (w *walk) isFrame(t term) bool {
	x, _ := w.p.offset(t)
	return w.p.nodes[x].op == "frame"
}

// stackArguments compares what may be arguments on the stack of a function
// whose parameters are not known.
func (w *walk) stackArguments(s *state, f *event, at func(string, ...any) *Obstacle) error {
	var top [2]int64
	for i := range s.m {
		_, k := w.p.offset(s.m[i].regs[stackReg])
		top[i] = int64(k)
	}
	// Arguments lie one behind the other from the stack pointer on.
	for n := int64(0); ; n += 8 {
		var v [2]slot
		for i := range s.m {
			if v[i] = s.m[i].slots[top[i]+n]; v[i].private {
				v[i] = slot{}
			}
		}
		switch {
		case v[0].size == 0 && v[1].size == 0:
			return nil
		case v[0].size != v[1].size || !w.same(v[0].val, v[1].val):
			return at("%s may have an argument on the stack, which is not shown to be the same", f.name())
		}
		s.escaped = s.escaped || w.isFrame(v[0].val)
	}
}

// frames checks, before others may look at the frame, that it holds the same on
// both sides, and forgets it.
func (w *walk) frames(s *state, at func(string, ...any) *Obstacle) error {
	if !s.escaped {
		return nil
	}
	delta := int64(0)
	if w.delta != nil {
		delta = *w.delta
	}
	for i := range s.m {
		d := delta
		if i == 1 {
			d = -delta
		}
		_, top := w.p.offset(s.m[i].regs[stackReg])
		for _, k := range s.m[i].offsets() {
			v := s.m[i].slots[k]
			if v.private || k >= 0 || k < int64(top) {
				continue
			}
			other, ok := s.m[1-i].slots[k+d]
			if !ok || other.size != v.size || !w.same(pick(i == 0, v.val, other.val), pick(i == 0, other.val, v.val)) {
				return at("a variable on the stack, whose address others have, is not shown to hold the same")
			}
		}
	}
	for i := range s.m {
		for _, k := range s.m[i].offsets() {
			if !s.m[i].slots[k].private && k < 0 {
				delete(s.m[i].slots, k)
			}
		}
	}
	return nil
}

func pick[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}

// lock keeps account of locks at a matched call.
func (w *walk) lock(s *state, f *event, arg term, at func(string, ...any) *Obstacle) error {
	if l, ok := taken(f.to); ok {
		if l.bare {
			arg = w.p.constant(0)
		} else {
			if s.vague {
				return at("which locks are held where %s is called depends on the way there", f.to)
			}
			for _, h := range s.locks {
				if kindOf(h.take) == l.kind && h.lock != arg {
					return at("two locks of one kind are held together (%s): their order is not proven", f.to)
				}
			}
		}
		s.locks = append(s.locks, held{f.to, arg, -1})
		return nil
	}
	if kfuncs.GivesBack(f.to) {
		for i := len(s.locks) - 1; i >= 0; i-- {
			if h := s.locks[i]; gaveBack(f.to, h, arg) {
				s.locks = slices.Delete(s.locks, i, i+1)
				return nil
			}
		}
		s.vague, s.locks, s.clean = true, nil, false // one that it was given, or that came another way
		return nil
	}
	if kfuncs.MayLock(f.to) {
		s.vague, s.locks = true, nil
	}
	s.clean = false
	return nil
}
