package ownership

import (
	"slices"

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

// program is a model with the means to look into its functions.
type program struct {
	model  *model.Model
	events func(model.FuncID) *locks.Events
	known  map[model.FuncID][]kfuncs.Count
}

// summaries tell what functions do to the objects of their arguments.
type summaries struct {
	own    *program
	kernel func() []*program // those that define what the object leaves undefined
	others []*program        // the same, once asked
	asked  bool
}

func newSummaries(pass *analyze.Pass, unit *analyze.Unit, obj *code.Object) *summaries {
	return &summaries{own: &program{obj.Model, obj.Events, map[model.FuncID][]kfuncs.Count{}},
		kernel: func() []*program { return programs(pass, unit) }}
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
			list = append(list, &program{m, locks.NewProber(m, known).Events, map[model.FuncID][]kfuncs.Count{}})
		}
	}
	if kernel.Module != nil && unit.Owner != "vmlinux" {
		add(kernel.Module(unit.Owner), nil)
	}
	add(kernel.Model, kernel.Locks)
	return list
}

// of tells what a call of a function of the object does; nil where nothing is known.
func (s *summaries) of(id model.FuncID) []kfuncs.Count {
	if id == model.NoFunc {
		return nil
	}
	return s.in(s.own, id, 0)
}

func (s *summaries) in(prog *program, id model.FuncID, depth int) []kfuncs.Count {
	name := code.Name(prog.model.Func(id).Name)
	if count, ok := table[name]; ok {
		return []kfuncs.Count{count}
	}
	if known, ok := prog.known[id]; ok {
		return known
	}
	prog.known[id] = nil // for recursion
	prog.known[id] = s.find(prog, id, depth)
	return prog.known[id]
}

// table is what names alone tell.
var table = kfuncs.Counts()

func (s *summaries) find(prog *program, id model.FuncID, depth int) []kfuncs.Count {
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

	var takes, drops []int8
	note := func(object *locks.Expr, delta int) {
		if object.Op != locks.ExprArg {
			return
		}
		if list := map[bool]*[]int8{true: &takes, false: &drops}[delta > 0]; !slices.Contains(*list, int8(object.Imm)) {
			*list = append(*list, int8(object.Imm))
		}
	}
	for i := range events.List {
		ev := &events.List[i]
		if by := counted(prog.model, events, ev); by != 0 {
			object, _ := ev.Place.Base()
			note(object, by)
		}
		if ev.Kind != locks.EventCall || ev.Callee == model.NoFunc {
			continue
		}
		for _, count := range s.in(prog, ev.Callee, depth+1) {
			if int(count.Arg) < len(ev.Args) {
				object, _ := ev.Args[count.Arg].Base()
				note(object, int(count.Delta))
			}
		}
	}

	// What is taken and given up again is as it was.
	var out []kfuncs.Count
	for _, arg := range drops {
		if !slices.Contains(takes, arg) {
			out = append(out, kfuncs.Count{Arg: arg, Delta: -1})
		}
	}
	for _, arg := range takes {
		if !slices.Contains(drops, arg) {
			out = append(out, kfuncs.Count{Arg: arg, Delta: 1})
		}
	}
	return out
}

// outside looks a function up that the object leaves undefined.
func (s *summaries) outside(name string, depth int) []kfuncs.Count {
	if !s.asked {
		s.asked, s.others = true, s.kernel()
	}
	for _, prog := range s.others {
		if ids := prog.model.Lookup(name); len(ids) == 1 && prog.model.Func(ids[0]).Flags&model.FuncExtern == 0 {
			return s.in(prog, ids[0], depth+1)
		}
	}
	return nil
}

// counted tells by how much an event changes a counter of references: one whose
// overflow is looked for (refcount_t, lib/refcount.c, v6.1).
func counted(m *model.Model, events *locks.Events, ev *locks.Event) int {
	if ev.Kind != locks.EventAdd || ev.By != 1 && ev.By != -1 {
		return 0
	}
	for i := range events.List {
		other := &events.List[i]
		if other.Kind == locks.EventCall && other.Callee != model.NoFunc && len(other.Args) > 0 &&
			kfuncs.Overflows(m.Func(other.Callee).Name) && other.Args[0].String() == ev.Place.String() {
			return int(ev.By)
		}
	}
	return 0
}
