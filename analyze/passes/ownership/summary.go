package ownership

import (
	"maps"
	"slices"
	"sync"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
)

// The table of names is where knowledge of owners begins: a wrapper around a put is
// a put as well. What a function does to the objects of its arguments is found from
// its code: counters of references that it changes, and what it gives to functions of
// which that is known.

// Bounds of what is looked at for one callee.
const (
	maxWrapped = 3  // calls below it
	maxBlocks  = 60 // of a function, else nothing is said of it
)

// effect is what a function does to the object of one argument.
type effect struct {
	arg  int8
	kind kind
}

// kind is a way to deal with an object. Freeing and giving up a reference are two: who
// gives up the last one then frees.
type kind int8

const (
	takes kind = iota + 1
	drops
	frees
)

func (k kind) String() string {
	return [...]string{takes: "takes a reference to ", drops: "gives up ", frees: "frees "}[k]
}

// program is a model with the means to look into its functions.
type program struct {
	model  *model.Model
	events func(model.FuncID) *locks.Events
	known  map[asked][]effect
}

// asked is a function, so many calls below the one that is asked about: what is found of it
// there goes less deep than at the top.
type asked struct {
	id    model.FuncID
	depth int
}

// newProgram remembers what it found.
func newProgram(m *model.Model, events func(model.FuncID) *locks.Events) *program {
	found := map[model.FuncID]*locks.Events{}
	return &program{m, func(id model.FuncID) *locks.Events {
		if known, ok := found[id]; ok {
			return known
		}
		found[id] = events(id)
		return found[id]
	}, map[asked][]effect{}}
}

// summaries tell what functions do to the objects of their arguments.
type summaries struct {
	own    *program
	others func() []*program // those that define what the object leaves undefined, found once
}

func newSummaries(pass *analyze.Pass, unit *analyze.Unit, obj *code.Object) *summaries {
	return &summaries{own: newProgram(obj.Model, obj.Events),
		others: sync.OnceValue(func() []*program { return programs(pass, unit) })}
}

// beside is the same for another object of the unit, and shares what is found of the target.
func (s *summaries) beside(obj *code.Object) *summaries {
	return &summaries{own: newProgram(obj.Model, obj.Events), others: s.others}
}

// programs are the module that the object is a part of, and the kernel.
func programs(pass *analyze.Pass, unit *analyze.Unit) (list []*program) {
	if pass.Kernel == nil {
		return nil
	}
	kernel, err := pass.Kernel()
	if err != nil {
		return nil // other checks say that the kernel cannot be had
	}
	add := func(m *model.Model, known *locks.Result) {
		if m != nil {
			list = append(list, newProgram(m, locks.NewProber(m, known).Events))
		}
	}
	if kernel.Module != nil && unit.Owner != "vmlinux" {
		add(kernel.Module(unit.Owner), nil)
	}
	add(kernel.Model, kernel.Locks)
	return list
}

// of tells what a call of a function of the object does; nil where nothing is known.
func (s *summaries) of(id model.FuncID) []effect {
	if id == model.NoFunc {
		return nil
	}
	return s.in(s.own, id, 0)
}

func (s *summaries) in(prog *program, id model.FuncID, depth int) []effect {
	if known, ok := byName(code.Name(prog.model.Func(id).Name)); ok {
		return []effect{known}
	}
	at := asked{id, depth}
	if known, ok := prog.known[at]; ok {
		return known
	}
	prog.known[at] = s.find(prog, id, depth)
	return prog.known[at]
}

// table is what names alone tell.
var table = kfuncs.Counts()

func byName(name string) (effect, bool) {
	count, ok := table[name]
	if arg, last := kfuncs.Released(name); last {
		return effect{int8(arg), frees}, true
	}
	switch arg, free := kfuncs.Freed(name); {
	case kfuncs.CountsDown(name):
		return effect{0, drops}, true
	case free:
		return effect{int8(arg), frees}, true
	case !ok:
		return effect{}, false
	case count.Delta > 0:
		return effect{count.Arg, takes}, true
	}
	return effect{count.Arg, drops}, true
}

func (s *summaries) find(prog *program, id model.FuncID, depth int) []effect {
	f := prog.model.Func(id)
	switch {
	case depth > maxWrapped || kfuncs.IsLock(f.Name) || f.Flags&model.FuncNoReturn != 0:
		return nil
	case f.Flags&model.FuncExtern != 0 || len(prog.model.Blocks(id)) == 0:
		if prog == s.own {
			return s.outside(f.Name, depth)
		}
		return nil
	case len(prog.model.Blocks(id)) > maxBlocks:
		return nil
	}
	events := prog.events(id)
	if events == nil {
		return nil
	}

	did := map[int8][]kind{} // by argument
	note := func(object *locks.Expr, how kind) {
		if arg := int8(object.Imm); object.Op == locks.ExprArg && !slices.Contains(did[arg], how) {
			did[arg] = append(did[arg], how)
		}
	}
	for i := range events.List {
		ev := &events.List[i]
		if how := counted(prog.model, events, ev); how != 0 {
			object, _ := ev.Place.Base()
			note(object, how)
		}
		if ev.Kind != locks.EventCall || ev.Callee == model.NoFunc {
			continue
		}
		for _, does := range s.in(prog, ev.Callee, depth+1) {
			if int(does.arg) < len(ev.Args) {
				object, _ := ev.Args[does.arg].Base()
				note(object, does.kind)
			}
		}
	}

	// What is taken and given up again is as it was; who counts down and then frees gives up a
	// reference.
	var out []effect
	for _, arg := range slices.Sorted(maps.Keys(did)) {
		took, dropped := slices.Contains(did[arg], takes), slices.Contains(did[arg], drops)
		switch {
		case took && dropped:
		case took:
			out = append(out, effect{arg, takes})
		case dropped:
			out = append(out, effect{arg, drops})
		default:
			out = append(out, effect{arg, frees})
		}
	}
	return out
}

// outside looks a function up that the object leaves undefined.
func (s *summaries) outside(name string, depth int) []effect {
	for _, prog := range s.others() {
		if ids := prog.model.Lookup(name); len(ids) == 1 && prog.model.Func(ids[0]).Flags&model.FuncExtern == 0 {
			return s.in(prog, ids[0], depth+1)
		}
	}
	return nil
}

// counted tells whether an event takes or drops a reference by its counter: one whose
// overflow is looked for (refcount_t, lib/refcount.c, v6.1). It is 0 for neither.
func counted(m *model.Model, events *locks.Events, ev *locks.Event) kind {
	by := step(ev)
	if by != 1 && by != -1 {
		return 0
	}
	if by > 0 && ev.Kind == locks.EventWrite {
		return takes // unless it is zero, which is how references are taken, also by an atomic_t
	}
	for i := range events.List {
		other := &events.List[i]
		if other.Kind == locks.EventCall && other.Callee != model.NoFunc && len(other.Args) > 0 &&
			kfuncs.Overflows(m.Func(other.Callee).Name) && other.Args[0].String() == ev.Place.String() {
			if by > 0 {
				return takes
			}
			return drops
		}
	}
	return 0
}

// step is the constant that an event adds to memory for all CPUs at once, 0 if none: also as
// the new value of a comparison with the one that was read, as refcount_inc_not_zero() does
// (include/linux/refcount.h, v6.1).
func step(ev *locks.Event) int64 {
	if ev.Kind == locks.EventAdd {
		return ev.By
	}
	if ev.Kind != locks.EventWrite || !ev.Atomic || ev.Value.Op != locks.ExprCompute || ev.Value.Text != "cmpxchg" {
		return 0
	}
	was, is := whole(ev.Value.Args[0]), whole(ev.Value.Args[1])
	if is.Op == locks.ExprSum && whole(is.Args[0]).String() == was.String() && was.Known() {
		return is.Imm
	}
	return 0
}

// whole is an expression without the limit to its low bytes.
func whole(e *locks.Expr) *locks.Expr {
	for e.Op == locks.ExprLow {
		e = e.Args[0]
	}
	return e
}

// Summary is what a function does to the object of one argument, from 0.
type Summary struct {
	Arg   int
	Takes bool // a reference to it
	Drops bool // a reference to it, or frees it
}

// Summaries finds what functions of a kernel do to the objects of their arguments, for who
// holds that against another truth.
func Summaries(m *model.Model, known *locks.Result) func(model.FuncID) []Summary {
	prog := newProgram(m, locks.NewProber(m, known).Events)
	all := &summaries{own: prog, others: func() []*program { return nil }}
	return func(id model.FuncID) []Summary {
		var out []Summary
		for _, does := range all.of(id) {
			out = append(out, Summary{int(does.arg), does.kind == takes, does.kind != takes})
		}
		return out
	}
}
