package equiv

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/elfdiff"
)

// Options say what is known besides the two objects.
type Options struct {
	// Proto returns what is known of a function's parameters; nil for nothing.
	Proto func(name string) (Proto, bool)
	// Source gives the place in the source, "fs/xattr.c:570", of an instruction of the
	// old or the new object: the part of the function and the offset in it. It returns
	// "" where it does not know; nil knows nothing.
	Source func(after bool, part elfdiff.AtomID, off uint64) string
}

// Bounds of the work on one function. What reaches them is not proven.
const (
	maxPairs = 4000
	maxSteps = 400_000
)

// pairOf places is where both functions are.
type pairOf struct{ f, g place }

// spot is a pair of places that the walk reached behind a test, and what is
// known whenever it is there.
type spot struct {
	at   pairOf
	s    *state
	own  map[term]bool // unknowns that joins here made
	from []pairOf      // where paths here begin
	// cands are exits of the old function that were passed since the last effect;
	// nil when there are several paths here.
	cands  []cand
	queued bool
	out    []path
	steps  []Step // from here on, of the certificate
}

// path is one from a spot to another.
type path struct {
	to    pairOf
	moved [2]bool // which side passed a test
}

// walk is the comparison of one function with its replacement.
type walk struct {
	p     *pool
	opt   Options
	arity map[string]*Proto // by name, of functions of the object
	body  [2]*body
	own   *Proto // of the function itself
	spots map[pairOf]*spot
	queue []*spot
	delta *int64 // from a place in the old frame to the same in the new one
	cands []cand
	steps int
	// returned are the values that the old function returns, by place.
	returned map[term]place
	used     *notes
	refused  *Obstacle // the first new test that is no guard
	trace    *[]Step   // where steps are written down; nil for not at all
}

// notes are the allowed differences that were used on the way.
type notes struct {
	guards   map[guardAt]*Guard
	messages [2]map[place]string
}

// guardAt is a new test, and where the old function is meanwhile.
type guardAt struct{ at, old place }

func newNotes() *notes {
	return &notes{guards: map[guardAt]*Guard{}, messages: [2]map[place]string{{}, {}}}
}

// Prove compares a function before and after a patch. It returns a certificate
// when the new function does what the old one did, but for the differences that
// the package allows; else the obstacle.
func Prove(d *elfdiff.Result, ch elfdiff.Change, opt Options) (*Certificate, error) {
	whole := &walk{p: newPool(), opt: opt, arity: map[string]*Proto{}, spots: map[pairOf]*spot{},
		returned: map[term]place{}, used: newNotes()}
	whole.body[0] = load(d.Orig, ch.Orig, func(a elfdiff.AtomID) bool {
		patched := d.PatchedOf(a)
		return patched >= 0 && d.Patched.Atoms[patched].Name == d.Orig.Atoms[a].Name
	})
	whole.body[1] = load(d.Patched, ch.Patched, func(b elfdiff.AtomID) bool {
		atom := d.OrigOf(b)
		return atom >= 0 && d.Patched.Atoms[b].Name == d.Orig.Atoms[atom].Name
	})
	whole.own = whole.proto(ch.Name)
	if err := whole.run(); err != nil {
		whole.locate(err)
		if whole.refused != nil && err != error(whole.refused) {
			whole.locate(whole.refused)
			err = fmt.Errorf("%w; and with both its branches followed, %s", whole.refused, err)
		}
		return nil, err
	}
	return whole.certificate(ch.Name)
}

// locate adds the place in the source to an obstacle.
func (w *walk) locate(err error) {
	if obstacle, ok := err.(*Obstacle); ok {
		obstacle.Source = w.source(obstacle.side, obstacle.where)
	}
}

// source is the place in the source of a place in one of the functions, "" if it is
// not known.
func (w *walk) source(side int, at place) string {
	body := w.body[side]
	if w.opt.Source == nil || at.piece < 0 || at.piece >= len(body.atoms) {
		return ""
	}
	return w.opt.Source(side == 1, body.atoms[at.piece], at.off)
}

// entry is the state at the entry: all registers are the caller's.
func (w *walk) entry() *state {
	now := &state{clean: true}
	now.epoch = w.p.cons(node{op: "var", s: "memory"})
	for nth := range now.m {
		half := &now.m[nth]
		half.slots = map[int64]slot{}
		for r := range half.regs {
			reg := machine.Num(r)
			name := "argument " + regName(reg)
			if convention.Saved.Has(reg) {
				name = "saved " + regName(reg)
			}
			half.regs[r] = w.p.cons(node{op: "var", s: name})
		}
		half.regs[stackReg] = w.p.cons(node{op: "frame", k: uint64(nth)})
		half.flags = w.p.cons(node{op: "var", s: "flags"})
	}
	return now
}

// run walks both functions at once until nothing new is learned.
func (w *walk) run() error {
	w.arrive(pairOf{}, pairOf{}, w.entry(), [2]bool{true, true})
	for len(w.queue) > 0 {
		sp := w.queue[0]
		w.queue = w.queue[1:]
		sp.queued = false
		if err := w.from(sp); err != nil {
			return err
		}
		if len(w.spots) > maxPairs || w.steps > maxSteps {
			return &Obstacle{Why: "the function is too large to be compared"}
		}
	}
	if err := w.noLonelyLoop(); err != nil {
		return err
	}
	// Once more over what is now known, to collect what the certificate needs.
	w.used, w.returned = newNotes(), map[term]place{}
	for _, sp := range w.sorted() {
		if err := w.from(sp); err != nil {
			return err
		}
		if len(w.queue) > 0 {
			return fmt.Errorf("compare %s: the walk is not stable", w.body[0].name)
		}
	}
	return w.guardsReturn()
}

func (w *walk) sorted() []*spot {
	var out []*spot
	for _, sp := range w.spots {
		out = append(out, sp)
	}
	slices.SortFunc(out, func(a, b *spot) int { return comparePair(a.at, b.at) })
	return out
}

func comparePair(a, b pairOf) int {
	return cmp.Or(cmp.Compare(a.f.piece, b.f.piece), cmp.Compare(a.f.off, b.f.off), cmp.Compare(a.g.piece,
		b.g.piece), cmp.Compare(a.g.off, b.g.off))
}

// arrive notes that both sides are at a pair of places, and queues it when less
// is known there than before.
func (w *walk) arrive(from, to pairOf, s *state, moved [2]bool) {
	sp := w.spots[to]
	if sp == nil {
		sp = &spot{at: to, s: s, own: map[term]bool{}, from: []pairOf{from}, cands: slices.Clone(w.cands), queued: true}
		w.spots[to] = sp
		w.queue = append(w.queue, sp)
	} else {
		cands := sp.cands
		if !slices.Contains(sp.from, from) {
			sp.from = append(sp.from, from)
		}
		if len(sp.from) > 1 {
			sp.cands = nil
		} else {
			sp.cands = slices.Clone(w.cands)
		}
		joined, changed := w.p.join(sp.s, s, sp.own)
		if changed || len(cands) > 0 && sp.cands == nil {
			sp.s = joined
			if !sp.queued {
				sp.queued = true
				w.queue = append(w.queue, sp)
			}
		}
	}
	if src := w.spots[from]; src != nil && !slices.Contains(src.out, path{to, moved}) {
		src.out = append(src.out, path{to, moved})
	}
}

// from goes on at a spot until both sides return or a test divides the ways.
func (w *walk) from(sp *spot) error {
	now := sp.s.clone()
	w.cands = slices.Clone(sp.cands)
	sp.steps, w.trace = nil, &sp.steps
	defer func() { w.trace = nil }()
	ws := [2]*walker{{p: w.p, delta: &w.delta, b: w.body[0], side: 0, s: now, at: sp.at.f}, {p: w.p,
		delta: &w.delta, b: w.body[1], side: 1, s: now, at: sp.at.g}}
	defer func() { w.steps += ws[0].steps + ws[1].steps }()
	var events [2]*event
	const maxEvents = 3000
	for range maxEvents {
		if again, err := w.alone(now, &ws, &events); err != nil {
			return err
		} else if again {
			continue
		}
		before, after := events[0], events[1]
		moved := [2]bool{true, true}
		switch {
		case before.kind == evBranch && after.kind == evBranch && before.cond == after.cond:
			w.remember(before, now)
		case after.kind == evBranch:
			why := w.guard(now, ws[0], ws[1], before, after)
			if why == nil {
				w.note("guard", nil, after)
				events[1] = nil
				continue
			}
			// Perhaps its ways come together again: then each must do what the old
			// code does.
			if w.refused == nil {
				w.refused = why
			}
			moved[0] = false
		case before.kind == evBranch:
			moved[1] = false
			w.remember(before, now)
		default:
			over, err := w.match(now, &ws, &events)
			if err == nil {
				w.note(map[eventKind]string{evReturn: "return", evLoad: "read"}[before.kind], before, after)
			}
			if err != nil || over {
				return err
			}
			ws[0].reads, ws[1].reads = nil, nil
			continue
		}
		w.note("test", pick(moved[0], before, nil), pick(moved[1], after, nil))
		w.divide(sp, now, &ws, events, moved)
		return nil
	}
	obstacle := refuse(ws[1].at, "a loop without a test")
	obstacle.side = 1
	return obstacle
}

// alone lets each side get to its next event, and passes what it may pass
// alone: messages, and tests whose answer is known.
func (w *walk) alone(s *state, ws *[2]*walker, e *[2]*event) (again bool, err error) {
	for nth, alone := range ws {
		if e[nth] == nil {
			if e[nth], err = alone.advance(); err != nil {
				if obstacle, ok := err.(*Obstacle); ok {
					obstacle.side = nth
				}
				return false, err
			}
		}
		ev := e[nth]
		switch {
		case ev.kind == evCall && kfuncs.Message(ev.to):
			w.used.messages[nth][ev.at()] = ev.to
			w.note("message", pick(nth == 0, ev, nil), pick(nth == 1, ev, nil))
			w.message(&s.m[nth], nth, ev, s)
			alone.at, e[nth] = ev.next, nil
			if ev.tail {
				alone.at = ev.at().left()
			}
			return true, nil
		case ev.kind == evBranch:
			facts := s.facts
			if alone.facts != nil {
				facts = alone.facts
			}
			if is, known := w.p.decide(facts, ev.cond); known {
				w.note("decided", pick(nth == 0, ev, nil), pick(nth == 1, ev, nil))
				alone.at, e[nth] = pick(is != ev.not, ev.yes, ev.no), nil
				return true, nil
			}
		}
	}
	return false, nil
}

// note writes down a step for the certificate.
func (w *walk) note(kind string, f, g *event) {
	if w.trace == nil {
		return
	}
	if kind == "" {
		kind = "match"
	}
	st := Step{Kind: kind}
	if f != nil {
		st.Before = f.at().String()
	}
	if g != nil {
		st.After = g.at().String()
	}
	*w.trace = append(*w.trace, st)
}

// message is the effect of a call that prints: registers are lost.
func (w *walk) message(m *half, side int, ev *event, s *state) {
	w.afterCall(m, side, ev, s.epoch, false)
}

// divide follows both answers of a test.
func (w *walk) divide(sp *spot, s *state, ws *[2]*walker, e [2]*event, moved [2]bool) {
	cond := e[0].cond
	if !moved[0] {
		cond = e[1].cond
	}
	for _, is := range []bool{true, false} {
		next := s.clone()
		if w.p.nodes[cond].op != "key" {
			next.learn(w.p, cond, is)
		}
		to := pairOf{ws[0].at, ws[1].at}
		if moved[0] {
			to.f = pick(is != e[0].not, e[0].yes, e[0].no)
		}
		if moved[1] {
			to.g = pick(is != e[1].not, e[1].yes, e[1].no)
		}
		w.arrive(sp.at, to, next, moved)
	}
}

// noLonelyLoop makes sure that neither side can go round without the other: it
// would wait where the other does not.
func (w *walk) noLonelyLoop() error {
	for side := range 2 {
		state := map[pairOf]int{}
		var visit func(pairOf) error
		visit = func(at pairOf) error {
			switch state[at] {
			case 1:
				obstacle := refuse(pick(side == 0, at.f, at.g), "a loop that only the %s code has", pick(side == 0,
					"old", "new"))
				obstacle.side = side
				return obstacle
			case 2:
				return nil
			}
			state[at] = 1
			for _, st := range w.spots[at].out {
				if st.moved[side] && !st.moved[1-side] {
					if err := visit(st.to); err != nil {
						return err
					}
				}
			}
			state[at] = 2
			return nil
		}
		for _, sp := range w.sorted() {
			if err := visit(sp.at); err != nil {
				return err
			}
		}
	}
	return nil
}

// returns notes a value that the old function returns.
func (w *walk) returns(v term, at place) {
	seen := map[term]bool{}
	var walk func(term)
	walk = func(t term) {
		if seen[t] {
			return
		}
		seen[t] = true
		expr := w.p.nodes[t]
		if _, ok := w.returned[t]; !ok && expr.op == "const" {
			w.returned[t] = at
		}
		if from, ok := w.p.from[t]; ok {
			walk(from[0])
			walk(from[1])
		}
		switch expr.op {
		case "low":
			walk(expr.a)
		case "ite":
			walk(expr.b)
			walk(expr.c)
		}
	}
	walk(v)
}
