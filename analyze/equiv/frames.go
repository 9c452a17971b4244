package equiv

import (
	"slices"

	"github.com/klpforge/klpforge/analyze/kfuncs"
)

func (w *walk) isFrame(t term) bool {
	base, _ := w.p.offset(t)
	return w.p.nodes[base].op == "frame"
}

// stackArguments compares what may be arguments on the stack of a function
// whose parameters are not known.
func (w *walk) stackArguments(s *state, f *event, at func(string, ...any) *Obstacle) error {
	var top [2]int64
	for i := range s.m {
		_, depth := w.p.offset(s.m[i].regs[stackReg])
		top[i] = int64(depth)
	}
	// Arguments lie one behind the other from the stack pointer on.
	for off := int64(0); ; off += 8 {
		var args [2]slot
		for i := range s.m {
			if args[i] = s.m[i].slots[top[i]+off]; args[i].private {
				args[i] = slot{}
			}
		}
		switch {
		case args[0].size == 0 && args[1].size == 0:
			return nil
		case args[0].size != args[1].size || !w.same(args[0].val, args[1].val):
			return at("%s may have an argument on the stack, which is not shown to be the same", f.name())
		}
		s.escaped = s.escaped || w.isFrame(args[0].val)
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
	for nth := range s.m {
		by := delta
		if nth == 1 {
			by = -delta
		}
		_, top := w.p.offset(s.m[nth].regs[stackReg])
		for _, slotOff := range s.m[nth].offsets() {
			slot := s.m[nth].slots[slotOff]
			if slot.private || slotOff >= 0 || slotOff < int64(top) {
				continue
			}
			other, ok := s.m[1-nth].slots[slotOff+by]
			if !ok || other.size != slot.size || !w.same(pick(nth == 0, slot.val, other.val), pick(nth == 0, other.val,
				slot.val)) {
				return at("a variable on the stack, whose address others have, is not shown to hold the same")
			}
		}
	}
	for i := range s.m {
		for _, slotOff := range s.m[i].offsets() {
			if !s.m[i].slots[slotOff].private && slotOff < 0 {
				delete(s.m[i].slots, slotOff)
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
	if pair, ok := taken(f.to); ok {
		if pair.bare {
			arg = w.p.constant(0)
		} else {
			if s.vague {
				return at("which locks are held where %s is called depends on the path there", f.to)
			}
			for _, hold := range s.locks {
				if kindOf(hold.take) == pair.kind && hold.lock != arg {
					return at("two locks of one kind are held together (%s): their order is not proven", f.to)
				}
			}
		}
		s.locks = append(s.locks, held{f.to, arg, -1})
		return nil
	}
	if kfuncs.GivesBack(f.to) {
		for i := len(s.locks) - 1; i >= 0; i-- {
			if hold := s.locks[i]; gaveBack(f.to, hold, arg) {
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
