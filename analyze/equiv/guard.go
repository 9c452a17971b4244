package equiv

import (
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze/kfuncs"
)

// Guard is a test that only the new function has, one side of which leads to an
// exit.
type Guard struct {
	At string `json:"at"` // offset of the test in the new function
	// Source is the file and line of the test, "" if not known.
	Source string `json:"source,omitempty"`
	Exit   string `json:"exit"`  // where its rejecting side begins
	Test   string `json:"test"`  // what it asks, for a reader
	Value  int64  `json:"value"` // what the exit returns; 0 for none
	Void   bool   `json:"void,omitempty"`
	// Because says why the exit is harmless: "clean" (nothing happened before but
	// locks, which it gives back, and the value is returned elsewhere in the old
	// function), "joins" (the old function has the same exit at the same point of
	// its doing) or "faulted" (the old function would have faulted).
	Because string `json:"because"`
	// Before is the place in the old function that shows it: of a return of the
	// value, of the exit that it joins, or of the access that would have faulted.
	Before   string   `json:"before"`
	Releases []string `json:"releases,omitempty"` // calls that give back locks, by offset
	Old      string   `json:"old"`                // where the old function is meanwhile

	when, exit place
	ret        term
}

// cand is a place of the old function that it would have gone to, had a test of
// it answered otherwise: the beginning of an exit, perhaps.
type cand struct {
	at    place
	m     half
	facts []fact
}

// remember keeps both answers of a test of the old function.
func (w *walk) remember(f *event, s *state) {
	for _, is := range []bool{true, false} {
		start := cand{at: pick(is != f.not, f.yes, f.no), m: s.m[0].clone(), facts: append(slices.Clone(s.facts),
			w.p.implied(f.cond, is)...)}
		w.cands = append(w.cands, start)
	}
}

// ahead lists places behind the next tests of the old function, up to its next
// effect.
func (w *walk) ahead(x *walker, f *event, s *state, depth int) []cand {
	var out []cand
	if f.kind != evBranch || depth == 0 {
		return nil
	}
	for _, is := range []bool{true, false} {
		next := s.clone()
		next.learn(w.p, f.cond, is)
		along := &walker{p: w.p, delta: &w.delta, b: x.b, side: 0, s: next, at: pick(is != f.not, f.yes, f.no)}
		out = append(out, cand{at: along.at, m: next.m[0].clone(), facts: slices.Clone(next.facts)})
		for range 8 {
			ev, err := along.advance()
			if err != nil || ev.kind != evBranch {
				break
			}
			if is, known := w.p.decide(next.facts, ev.cond); known {
				along.at = pick(is != ev.not, ev.yes, ev.no)
				continue
			}
			out = append(out, w.ahead(along, ev, next, depth-1)...)
			break
		}
	}
	return out
}

// guard looks whether a test of the new function alone is one that leads to an
// exit. If so, the new function goes on behind it; else the obstacle says why not.
func (w *walk) guard(s *state, x, y *walker, f, g *event) *Obstacle {
	var why []string
	for _, is := range []bool{true, false} {
		exit, on := pick(is != g.not, g.yes, g.no), pick(is != g.not, g.no, g.yes)
		gd, no := w.exit(s, x, f, g, exit, is)
		if gd == nil {
			why = append(why, no.Error())
			continue
		}
		w.used.guards[guardAt{g.at(), f.at()}] = gd
		s.learn(w.p, g.cond, !is)
		y.at = on
		return nil
	}
	obstacle := refuse(g.at(), "a new test (%s) leads to no exit that is known to be harmless (%s)", w.p.text(g.cond),
		strings.Join(why, "; "))
	obstacle.side = 1
	return obstacle
}

// exit judges one side of a new test.
func (w *walk) exit(s *state, x *walker, f, g *event, at place, is bool) (*Guard, *Obstacle) {
	gd := &Guard{At: g.at().String(), Old: f.at().String(), Exit: at.String(), when: g.at(), exit: at,
		Test: w.p.text(g.cond)}
	if !is {
		gd.Test = "not " + gd.Test
	}
	with := s.clone()
	with.learn(w.p, g.cond, is)

	// The old function has this very exit, at this point of its doing.
	trace := w.trace
	w.trace = nil
	defer func() { w.trace = trace }()
	for _, cand := range append(slices.Clone(w.cands), w.ahead(x, f, s, 5)...) {
		if returned, ok := w.joins(with, cand, at); ok && returned != nil && w.errno(*returned) != 0 {
			gd.Because, gd.Before, gd.Value = "joins", cand.at.String(), w.errno(*returned)
			return gd, nil
		}
	}

	// It gives back the locks and returns.
	out := &leaving{w: w, gd: gd}
	if why := out.follow(with.clone(), at, 6); why != nil {
		return nil, why
	}
	fault, faults := w.faults(s, x, f, g.cond, is)
	switch {
	case faults:
		gd.Because, gd.Before = "faulted", fault.String()
		for _, val := range out.values {
			returned, fixed := w.value(val)
			switch {
			case fixed && (returned == 0 || w.errno(val) != 0):
				gd.Value = returned
			case w.own != nil && w.own.Ret == 0:
				gd.Void = true
			default:
				return nil, refuse(at, "what it returns (%s) is neither an error nor zero", w.p.text(val))
			}
		}
		return gd, nil
	case !s.clean:
		return nil, refuse(at,
			"the function has done something before, and no exit of the old code does the same from there")
	}
	for _, val := range out.values {
		gd.Value, gd.ret = w.errno(val), val
		if gd.Value == 0 {
			return nil, refuse(at, "it returns %s, which is no error", w.p.text(val))
		}
	}
	gd.Because = "clean"
	return gd, nil
}

// known gives the constant that a value is by what is known, else the value.
func (w *walk) known(s *state, v term) term {
	if width := w.p.width[v]; width <= 32 {
		if limits := w.p.rangeOf(s.facts, 32, v); limits.lo == limits.hi {
			return w.p.constant(limits.lo)
		}
	}
	if limits := w.p.rangeOf(s.facts, 64, v); limits.lo == limits.hi {
		return w.p.constant(limits.lo)
	}
	return v
}

// value is a returned constant, as a signed number.
func (w *walk) value(v term) (int64, bool) {
	width := uint64(32)
	if w.own != nil && w.own.Ret != 0 {
		width = uint64(w.own.Ret) * 8
	} else if imm, ok := w.p.isConst(v); ok && imm > mask(32) {
		width = 64
	}
	imm, ok := w.p.isConst(w.p.low(width, v))
	return int64(signed(width, imm)), ok
}

// errno is the negative error number that a returned value is, 0 if it is none.
func (w *walk) errno(v term) int64 {
	const most = 4095 // MAX_ERRNO, include/linux/err.h
	if code, ok := w.value(v); ok && code < 0 && code >= -most {
		return code
	}
	return 0
}

// leaving follows the new function alone to its return.
type leaving struct {
	w      *walk
	gd     *Guard
	values []term
}

func (l *leaving) follow(s *state, at place, depth int) *Obstacle {
	if depth == 0 {
		return refuse(at, "its exit path is too long")
	}
	walk := l.w
	along := &walker{p: walk.p, delta: &walk.delta, b: walk.body[1], side: 1, s: s, at: at}
	for range 50 {
		ev, err := along.advance()
		if err != nil {
			if obstacle, ok := err.(*Obstacle); ok {
				return obstacle
			}
			return refuse(at, "%v", err)
		}
		half := &s.m[1]
		switch {
		case ev.kind == evCall && kfuncs.Message(ev.to):
			walk.used.messages[1][ev.at()] = ev.to
			walk.message(half, 1, ev, s)
		case ev.kind == evBranch:
			if is, known := walk.p.decide(s.facts, ev.cond); known {
				along.at = pick(is != ev.not, ev.yes, ev.no)
				continue
			}
			for _, is := range []bool{true, false} {
				next := s.clone()
				next.learn(walk.p, ev.cond, is)
				if why := l.follow(next, pick(is != ev.not, ev.yes, ev.no), depth-1); why != nil {
					return why
				}
			}
			return nil
		case ev.kind == evCall && kfuncs.GivesBack(ev.to):
			nth := len(s.locks) - 1
			for ; nth >= 0; nth-- {
				if hold := s.locks[nth]; gaveBack(ev.to, hold, half.regs[firstArg]) {
					break
				}
			}
			if nth < 0 {
				return refuse(ev.at(), "it gives back a lock (%s) that is not known to be held", ev.to)
			}
			if hold := s.locks[nth]; hold.take[len(hold.take)-4:] == "save" && half.regs[argRegs[1]] != hold.ret {
				return refuse(ev.at(), "it gives back a lock (%s) with other interrupt flags", ev.to)
			}
			s.locks = slices.Delete(s.locks, nth, nth+1)
			l.gd.Releases = append(l.gd.Releases, ev.at().String())
			s.epoch = walk.p.cons(node{op: "mem", a: s.epoch, s: "exit " + ev.at().String()})
			walk.afterCall(half, 1, ev, s.epoch, false)
		case ev.kind == evReturn:
			return l.leave(s, ev)
		default:
			return refuse(ev.at(), "it %s", ev.words(walk.p))
		}
		if ev.tail {
			return l.leave(s, ev)
		}
		along.at = ev.next
	}
	return refuse(at, "its exit path is too long")
}

func (l *leaving) leave(s *state, ev *event) *Obstacle {
	walk := l.w
	if s.vague {
		return refuse(ev.at(), "which locks are held there depends on the path")
	}
	if len(s.locks) > 0 {
		return refuse(ev.at(), "it keeps a lock (%s)", s.locks[0].take)
	}
	l.values = append(l.values, walk.known(s, s.m[1].regs[retReg]))
	return nil
}

// joins reports whether the new function from at on does what the old one does
// from c on, up to the return, and gives the constant that both return.
func (w *walk) joins(s *state, c cand, at place) (*term, bool) {
	next := s.clone()
	next.m[0] = c.m.clone()
	keep := w.cands
	defer func() { w.cands = keep }()
	delta := w.delta
	returned, ok := w.together(next, c.facts, pairOf{c.at, at}, 6)
	if !ok {
		w.delta = delta
	}
	return returned, ok
}

// together is a walk without loops and without new tests, for an exit. What the
// old function knows there, had it gone that way, the new one does not.
func (w *walk) together(s *state, old []fact, at pairOf, depth int) (*term, bool) {
	if depth == 0 {
		return nil, false
	}
	ws := [2]*walker{{p: w.p, delta: &w.delta, b: w.body[0], side: 0, s: s, at: at.f, facts: old}, {p: w.p,
		delta: &w.delta, b: w.body[1], side: 1, s: s, at: at.g}}
	var events [2]*event
	for range 100 {
		again, err := w.alone(s, &ws, &events)
		if err != nil {
			return nil, false
		}
		if again {
			continue
		}
		before, after := events[0], events[1]
		switch {
		case before.kind == evBranch && after.kind == evBranch && before.cond == after.cond:
			var out *term
			for _, is := range []bool{true, false} {
				next := s.clone()
				next.learn(w.p, before.cond, is)
				returned, ok := w.together(next, append(slices.Clone(old), w.p.implied(before.cond, is)...),
					pairOf{pick(is != before.not, before.yes, before.no), pick(is != after.not, after.yes, after.no)},
					depth-1)
				if !ok || returned == nil || out != nil && *out != *returned {
					return nil, false
				}
				out = returned
			}
			return out, true
		case before.kind == evBranch || after.kind == evBranch:
			return nil, false
		case before.kind == evReturn && after.kind == evReturn:
			oldVal, aok := w.value(s.m[0].regs[retReg])
			newVal, bok := w.value(s.m[1].regs[retReg])
			returned := s.m[1].regs[retReg]
			return &returned, aok && bok && oldVal == newVal
		}
		over, err := w.match(s, &ws, &events)
		if err != nil || over {
			return nil, false
		}
	}
	return nil, false
}

// faults reports whether the old function, where the new test rejects, would
// have used a pointer that is NULL or an error before anything else.
func (w *walk) faults(s *state, x *walker, f *event, cond term, is bool) (place, bool) {
	expr := w.p.nodes[cond]
	imm, ok := w.p.isConst(expr.b)
	switch {
	case !ok || expr.k != 64:
		return place{}, false
	case expr.op == "eq" && imm == 0 && is:
	case expr.op == "ult" && !is && imm == ^uint64(4094): // IS_ERR
	default:
		return place{}, false
	}
	with := s.clone()
	with.learn(w.p, cond, is)
	return w.usesFirst(with, x, f, expr.a, 4)
}

// usesFirst looks for an access within a page of p, in what the old function
// read up to its event f, in f, and in all that follows on tests.
func (w *walk) usesFirst(s *state, x *walker, f *event, p term, depth int) (place, bool) {
	const page = 4096
	near := func(addr term) bool {
		base, off := w.p.offset(addr)
		return addr != 0 && base == p && off < page
	}
	for _, read := range x.reads {
		if near(read.addr) && !read.may {
			return read.at, true
		}
	}
	switch {
	case (f.kind == evStore || f.kind == evOther || f.kind == evLoad) && f.what != "gs" && near(f.addr):
		return f.at(), true
	case f.kind != evBranch || depth == 0:
		return place{}, false
	}
	var at place
	for _, is := range []bool{true, false} {
		if truth, known := w.p.decide(s.facts, f.cond); known && truth != is {
			continue
		}
		next := s.clone()
		next.learn(w.p, f.cond, is)
		along := &walker{p: w.p, delta: &w.delta, b: x.b, side: 0, s: next, at: pick(is != f.not, f.yes, f.no)}
		ev, err := along.advance()
		if err != nil {
			return place{}, false
		}
		var ok bool
		if at, ok = w.usesFirst(next, along, ev, p, depth-1); !ok {
			return place{}, false
		}
	}
	return at, true
}

// guardsReturn checks, when all returns of the old function are known, that what
// new exits return was returned before.
func (w *walk) guardsReturn() error {
	for _, gd := range w.used.guards {
		if gd.Because != "clean" {
			continue
		}
		found := false
		for val, at := range w.returned {
			if code, ok := w.value(val); ok && code == gd.Value {
				if !found || at.String() < gd.Before {
					gd.Before = at.String()
				}
				found = true
			}
		}
		if !found {
			obstacle := refuse(gd.when, "a new exit returns %d, which the old code is not seen to return", gd.Value)
			obstacle.side = 1
			return obstacle
		}
	}
	return nil
}
