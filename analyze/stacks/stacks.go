package stacks

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/cilium/ebpf/btf"

	"github.com/klpforge/klpforge/analyze/fields"
	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/analyze/model"
)

// Reason says why a frame stays.
type Reason uint8

const (
	None      Reason = iota
	Waits            // the function itself waits
	Loops            // a thread's main function, with a loop
	Calls            // calls a function that may wait
	Pointer          // calls through a pointer that may lead to such a function
	Scheduler        // part of the scheduler's waiting functions
	Idle             // the idle loop
)

func (r Reason) String() string {
	return [...]string{"", "waits", "loops", "calls", "pointer", "scheduler", "idle"}[r]
}

// Fact is what is known of one function.
type Fact struct {
	Reason Reason
	// Next is the function that it waits in, for Waits and Calls; for Pointer
	// one that the pointer may lead to. NoFunc for the others, and for what the
	// kernel has and not the object.
	Next model.FuncID
	// Sure: direct calls lead to a wait that surely has no bound. Otherwise a
	// pointer has to lead there, or how long the wait lasts is not known.
	Sure bool
	// Detail says how: "interruptible", a thread's name, a pointer's member.
	Detail string
	// Unknown: it calls through pointers of unknown type. Reason may be None.
	Unknown bool
}

// Stays reports whether tasks may sleep on the function's frame without bound.
func (f *Fact) Stays() bool { return f.Reason != None }

// Thread is a function in which kernel threads begin.
type Thread struct {
	Func model.FuncID
	Name string // a format as "kswapd%d", "" when not seen
}

// Result holds the facts of one kernel. It is immutable.
type Result struct {
	m *model.Model
	// Facts are indexed by function.
	Facts   []Fact
	Threads []Thread                  // by function, then name
	base    *analysis                 // the kernel's, for an object
	sites   map[string][]site         // calls through pointers, by where the pointer comes from
	keys    map[model.FuncID][]string // where a function's address is kept, as in sites
	reach   []bool                    // a call of it may wait, even if its own frame is gone by then
	first   []uint32                  // 1 + the step where the path of a function to a wait begins; 0: there is none
	via     []uint32                  // the same for calls of it, whether or not its own frame stays
	sure    []bool                    // such calls surely lead to a wait that has no bound
	steps   []step
	// What objects are judged by besides.
	keyAt   map[uint64]keyed          // calls through pointers that may wait, by site
	kept    map[string][]model.FuncID // functions that may wait, by where their address is kept
	forever map[string]bool           // members that are set to a time without end
	objects map[uint64]int            // data objects by address: numbers of their types
	resume  func() (*analysis, error) // what objects are judged by; nil in an object's
}

// step is one step of a path towards a wait.
type step struct {
	text string
	next uint32 // as Result.first
}

type analysis struct {
	*Result
	t        *fields.Types // those of Options
	types    *fields.Types // with what is known of data
	prim     []primitive   // by function
	atomic   []bool        // by function: it runs where nothing may wait
	sched    model.Range   // of the scheduler's waiting functions
	idle     model.Range
	isThread map[model.FuncID]string
	states   map[model.FuncID]stateSet
	weak     map[string][]site       // calls through pointers by signature
	sigOf    map[model.FuncID]string // of functions whose address is kept elsewhere too
	mainLoop map[model.FuncID]string // main functions of threads that loop, with the thread's name
	queue    []model.FuncID
	ends     map[model.FuncID]bool // functions that call what may wait and are barred
	hz       int
	loads    map[model.FuncID]map[uint64]member
	decoded  decoded
	members  *members   // the base's, for an object
	mu       sync.Mutex // for nodes and contexts, once the result is used
	nodes    map[string]*node
	contexts map[model.FuncID]int // how many nodes a function has
	imported map[uint32]uint32    // the base's steps that were taken over, numbered as in Result.first
}

// keyed is where a call has its pointer from.
type keyed struct{ key, detail string }

// site is a call through a pointer.
type site struct {
	in   model.FuncID
	from string // "file_operations.read_iter"
	tail bool
	at   uint64
}

// Options are what Analyze knows besides the code.
type Options struct {
	Types  *fields.Types  // without them states, and calls through pointers, are unknown
	Tables *fields.Tables // without them tables in data lead nowhere
	HZ     int            // ticks a second; 0 when not known
}

// Object finds the facts of an object that belongs to a kernel with known ones;
// without them, base is nil. Functions that the object has by name only are the
// kernel's. The error is that of the options that Unpack was given.
func Object(m *model.Model, base *Result) (*Result, error) {
	an := newAnalysis(m)
	if base != nil {
		from, err := base.resume()
		if err != nil {
			return nil, err
		}
		an.base, an.t, an.hz, an.members = from, from.t, from.hz, from.members
	}
	an.prepare(nil)
	an.finish()
	return an.Result, nil
}

// Analyze finds the facts of a kernel.
func Analyze(m *model.Model, o Options) *Result {
	an := prepared(m, o)
	an.finish()
	an.resume = sync.OnceValues(func() (*analysis, error) {
		an.adopt(an.Result)
		return an, nil
	})
	return an.Result
}

// prepared is the analysis of a kernel up to where arguments count.
func prepared(m *model.Model, o Options) *analysis {
	whole := newAnalysis(m)
	whole.t, whole.hz = o.Types, o.HZ
	whole.prepare(o.Tables)
	return whole
}

func newAnalysis(m *model.Model) *analysis {
	count := len(m.Funcs)
	an := &analysis{Result: &Result{m: m, sites: map[string][]site{}, keys: map[model.FuncID][]string{},
		Facts: make([]Fact, count), keyAt: map[uint64]keyed{}, kept: map[string][]model.FuncID{},
		objects: map[uint64]int{},
		reach:   make([]bool, count), first: make([]uint32, count), via: make([]uint32, count),
		sure: make([]bool, count)},
		ends: map[model.FuncID]bool{}, mainLoop: map[model.FuncID]string{}, loads: map[model.FuncID]map[uint64]member{},
		decoded: decoded{by: map[model.FuncID]*code{}}, members: &members{by: map[string]member{}},
		nodes: map[string]*node{}, contexts: map[model.FuncID]int{}, prim: make([]primitive, count),
		atomic: make([]bool, count), isThread: map[model.FuncID]string{},
		states: map[model.FuncID]stateSet{}, weak: map[string][]site{}, sigOf: map[model.FuncID]string{},
		imported: map[uint32]uint32{}}
	for i := range an.Facts {
		an.Facts[i].Next = model.NoFunc
	}
	return an
}

// prepare finds what may wait whatever its arguments are.
func (a *analysis) prepare(tables *fields.Tables) {
	a.findPlaces()
	a.findThreads()
	a.findKept(tables)
	a.findSites()
	a.findForever()
	a.findWaits()
	a.fromBase()
	a.spread()
}

// finish judges it by the arguments.
func (a *analysis) finish() {
	a.narrow()
	a.markTables()
	for key, list := range a.kept {
		list = slices.DeleteFunc(list, func(id model.FuncID) bool { return !a.reach[id] })
		if a.kept[key] = list; len(list) == 0 {
			delete(a.kept, key)
		}
	}
}

// adopt makes a prepared analysis one that objects are judged by, with the facts
// that were found of it before. All arguments are followed anew, so that an object is
// judged alike whether these facts were just found or read back.
func (a *analysis) adopt(result *Result) {
	a.nodes, a.contexts = map[string]*node{}, map[model.FuncID]int{}
	a.Result = result
	for i := range result.reach {
		if result.reach[i] {
			visit := a.node(model.FuncID(i), context{})
			visit.begun, visit.done, visit.decided = true, true, true
			visit.reach, visit.sure, visit.at = true, result.sure[i], result.via[i]
		}
	}
}

// resumed is the analysis that a result is of, as far as objects are judged by it.
func resumed(result *Result, opts Options) *analysis {
	an := newAnalysis(result.m)
	an.t, an.hz = opts.Types, opts.HZ
	an.Result = result
	an.findPlaces()
	for _, thread := range result.Threads {
		an.isThread[thread.Func] = cmp.Or(an.isThread[thread.Func], thread.Name)
	}
	an.findMainLoops()
	an.types = an.typesWith(opts.Tables)
	an.adopt(result)
	return an
}

// findPlaces classifies functions by their names, and by where they lie.
func (a *analysis) findPlaces() {
	a.sched = a.between("__sched_text_start", "__sched_text_end")
	a.idle = a.between("__cpuidle_text_start", "__cpuidle_text_end")
	a.classify()
	a.findAtomic()
}

// typesWith are the types, with those of the data objects that tables tell.
func (a *analysis) typesWith(tables *fields.Tables) *fields.Types {
	objects := map[uint64]btf.Type{}
	for at, count := range a.objects {
		objects[at] = tables.Struct(count)
	}
	return a.t.WithObjects(objects)
}

func (a *analysis) between(from, to string) model.Range {
	start, ok1 := a.m.Prog.Lookup(from)
	end, ok2 := a.m.Prog.Lookup(to)
	if !ok1 || !ok2 {
		return model.Range{}
	}
	return model.Range{Start: start, End: end}
}

func (a *analysis) name(id model.FuncID) string { return a.m.Func(id).Name }

// classify finds the primitives.
func (a *analysis) classify() {
	for nth := range a.m.Funcs {
		fn := &a.m.Funcs[nth]
		a.prim[nth] = primitiveOf(fn.Name)
		for _, alias := range fn.Aliases {
			a.prim[nth] = max(a.prim[nth], primitiveOf(alias))
		}
		if a.prim[nth] == notPrimitive && (a.sched.Contains(fn.Addr) || bounded(fn.Name)) {
			a.prim[nth] = boundedWait
		}
	}
}

// fromBase takes over what is known of functions that are only named here.
func (a *analysis) fromBase() {
	if a.base == nil {
		return
	}
	for nth := range a.m.Funcs {
		if a.m.Funcs[nth].Flags&model.FuncExtern == 0 {
			continue
		}
		for _, id := range a.base.m.Lookup(a.m.Funcs[nth].Name) {
			if a.base.reach[id] {
				a.mayWait(model.FuncID(nth))
				break
			}
		}
	}
}

// findAtomic marks the functions that are called where nothing may wait: what
// the functions of kfuncs.Atomic call directly, up to functions that do wait,
// which then are called under a condition that is not seen.
func (a *analysis) findAtomic() {
	// What atomic code calls is atomic too, unless it waits itself: then it is meant to be called
	// from elsewhere.
	var work []model.FuncID
	add := func(id model.FuncID) {
		if !a.atomic[id] && a.prim[id] == notPrimitive && a.m.Func(id).Flags&model.FuncNoReturn == 0 {
			a.atomic[id] = true
			work = append(work, id)
		}
	}
	for _, name := range kfuncs.Atomic() {
		for _, id := range a.m.Lookup(name) {
			add(id)
		}
	}

	for len(work) > 0 {
		id := work[len(work)-1]
		work = work[:len(work)-1]
		calls := a.m.Calls(id)
		for i := range calls {
			target := calls[i].Target
			if target != model.NoFunc && a.prim[target] != notPrimitive && a.prim[target] != boundedWait {
				a.atomic[id] = false
			}
		}
		if !a.atomic[id] {
			continue
		}
		for i := range calls {
			if target := calls[i].Target; target != model.NoFunc {
				add(target)
			}
		}
	}
}

// findThreads finds functions whose address goes to a creator of threads.
func (a *analysis) findThreads() {
	for _, ref := range a.m.CodeRefs {
		if ref.Call == 0 || ref.Arg != 0 {
			continue
		}
		for _, call := range a.m.Calls(ref.In) {
			if call.Site != ref.Call || call.Target == model.NoFunc || !creates(a.name(call.Target)) {
				continue
			}
			name := ""
			if arg, ok := constArg(a.m, ref.In, call.Site, 3); ok {
				name = a.text(arg)
			}
			if _, seen := a.isThread[ref.Func]; !seen || name != "" {
				a.isThread[ref.Func] = cmp.Or(a.isThread[ref.Func], name)
			}
			a.Threads = append(a.Threads, Thread{ref.Func, name})
		}
	}
	slices.SortFunc(a.Threads, func(x, y Thread) int {
		return cmp.Or(cmp.Compare(x.Func, y.Func), cmp.Compare(x.Name, y.Name))
	})
	a.Threads = slices.Compact(a.Threads)
}

// text reads a string of the program, "" when there is none at the address.
func (a *analysis) text(addr uint64) string {
	var text []byte
	for len(text) < 64 {
		char, err := a.m.Prog.Read(addr+uint64(len(text)), 1)
		if err != nil || char[0] != 0 && (char[0] < ' ' || char[0] > '~') {
			return ""
		}
		if char[0] == 0 {
			break
		}
		text = append(text, char[0])
	}
	return string(text)
}

// Lookup returns the facts of the functions of a name.
func (r *Result) Lookup(name string) []model.FuncID { return r.m.Lookup(name) }

// Model is what the facts are about.
func (r *Result) Model() *model.Model { return r.m }

// barred reports whether it is not followed further up that a function waits.
func (a *analysis) barred(id model.FuncID) bool {
	return a.prim[id] != notPrimitive || a.atomic[id]
}

// mayWait notes that a call of a function may wait, whatever its arguments.
func (a *analysis) mayWait(id model.FuncID) {
	if a.barred(id) {
		a.ends[id] = true
	} else if !a.reach[id] {
		a.reach[id] = true
		a.queue = append(a.queue, id)
	}
}

// spread carries the property up to callers.
func (a *analysis) spread() {
	for len(a.queue) > 0 {
		id := a.queue[0]
		a.queue = a.queue[1:]
		for call := range a.m.Callers(id) {
			a.mayWait(call.Caller)
		}
		for _, key := range a.keys[id] {
			for _, site := range a.sites[key] {
				a.mayWait(site.in)
				a.keyAt[site.at] = keyed{key, site.from}
			}
			a.kept[key] = append(a.kept[key], id)
		}
		if sig, ok := a.sigOf[id]; ok {
			for _, site := range a.weak[sig] {
				if !site.tail {
					a.Facts[site.in].Unknown = true
				}
			}
			delete(a.weak, sig)
		}
		if _, ok := a.isThread[id]; ok {
			for _, creator := range a.m.Lookup("kthread") {
				a.mayWait(creator)
			}
		}
	}
}

// narrow judges what may wait whatever its arguments by those that it is given,
// and finds the paths to the waits.
func (a *analysis) narrow() {
	var list []*node
	for i := range a.m.Funcs {
		if (a.reach[i] || a.ends[model.FuncID(i)]) && a.m.Funcs[i].Flags&model.FuncExtern == 0 {
			list = append(list, a.node(model.FuncID(i), context{}))
		}
	}
	a.judge(list)
	known := map[*node]uint32{}
	for _, visit := range list {
		if visit.reach {
			a.first[visit.id] = a.step(visit, visit.frameHop(), known)
			a.via[visit.id], a.sure[visit.id] = a.step(visit, visit.via, known), visit.sure
		}
	}
	for _, visit := range list {
		a.reach[visit.id] = visit.reach && !a.barred(visit.id)
		visit.fact.Unknown = a.Facts[visit.id].Unknown
		a.Facts[visit.id] = visit.fact
	}
}

// markTables adds what is on stacks by its place in the kernel: the functions
// that waiting ends in, and the idle loop with what starts it.
func (a *analysis) markTables() {
	for nth := range a.m.Funcs {
		fn := &a.m.Funcs[nth]
		switch {
		case a.idle.Contains(fn.Addr) || kfuncs.Idle(fn.Name):
			a.Facts[nth] = Fact{Reason: Idle, Next: model.NoFunc, Unknown: a.Facts[nth].Unknown}
		case a.sched.Contains(fn.Addr):
			a.Facts[nth] = Fact{Reason: Scheduler, Next: model.NoFunc, Unknown: a.Facts[nth].Unknown}
		}
	}
}

// Path follows the facts from a function to where it waits, one step each. A
// step is the name of a function, with how the next is reached.
func (r *Result) Path(id model.FuncID) []string {
	name := r.m.Func(id).Name
	if fact := &r.Facts[id]; fact.Reason == Scheduler || fact.Reason == Idle {
		return []string{fmt.Sprintf("%s belongs to the %v", name, fact.Reason)}
	}
	var out []string
	for at := r.first[id]; at != 0 && len(out) < len(r.steps); at = r.steps[at-1].next {
		out = append(out, r.steps[at-1].text)
	}
	return out
}

// Killable reports whether the wait that a function's path leads to is one that of all signals
// only a fatal one ends.
func (r *Result) Killable(id model.FuncID) bool {
	path := r.Path(id)
	return len(path) > 0 && strings.HasSuffix(path[len(path)-1], "("+killable+")")
}

// step adds a path from a node on and returns where it begins, as Result.first
// does. known are the nodes whose own path has been added.
func (a *analysis) step(parent *node, found hop, known map[*node]uint32) uint32 {
	own := found == parent.via
	if at, ok := known[parent]; ok && own {
		return at
	}

	// A fact that was found before has its steps already.
	if parent.at != 0 {
		return a.take(parent.at)
	}

	name := parent.a.m.Func(parent.id).Name
	line := step{text: name + ", which ends in"}
	switch found.how {
	case Waits:
		line.text = fmt.Sprintf("%s waits (%s)", name, found.detail)
		if found.prim != model.NoFunc {
			line.text = fmt.Sprintf("%s waits in %s (%s)", name, parent.a.m.Func(found.prim).Name, found.detail)
		}
	case Loops:
		line.text = fmt.Sprintf("%s is the main loop of a thread%s", name, found.detail)
	case Calls:
		line.text = name
	case Pointer:
		line.text = fmt.Sprintf("%s, through %s", name, cmp.Or(found.detail, "a pointer"))
	}

	if found.next != nil {
		line.next = a.step(found.next, found.next.via, known)
	}
	a.steps = append(a.steps, line)
	at := uint32(len(a.steps))
	if own {
		known[parent] = at
	}
	return at
}

// take adds the base's steps from one on, which is numbered as the result is.
func (a *analysis) take(at uint32) uint32 {
	if at == 0 {
		return 0
	}
	if link := a.imported[at]; link != 0 {
		return link
	}
	link := a.base.steps[at-1]
	a.steps = append(a.steps, step{text: link.text})
	k := uint32(len(a.steps))
	a.imported[at] = k
	a.steps[k-1].next = a.take(link.next)
	return k
}

// maxRoots bounds the search for who gets into a function.
const maxRoots = 4000

// Roots names the kernel threads and system calls from which a function is
// reached, those next to it first, no more than limit of each.
func (r *Result) Roots(id model.FuncID, limit int) (threads, syscalls []string) {
	seen := map[model.FuncID]bool{id: true}
	work := []model.FuncID{id}
	up := func(c model.FuncID) {
		if !seen[c] && len(seen) < maxRoots {
			seen[c] = true
			work = append(work, c)
		}
	}

	// Callers level by level, with those of functions that are only called through pointers; a
	// thread's function or a system call ends the search.
	for len(work) > 0 && (len(threads) < limit || len(syscalls) < limit) {
		fn := work[0]
		work = work[1:]
		if names := r.ThreadNames(fn); len(names) > 0 {
			threads = append(threads, names...)
			continue
		}
		name := r.m.Func(fn).Name
		for _, prefix := range []string{"__x64_sys_", "__se_sys_", "__do_sys_"} {
			if call, ok := strings.CutPrefix(name, prefix); ok {
				call, _, _ = strings.Cut(call, ".")
				if !slices.Contains(syscalls, call) {
					syscalls = append(syscalls, call)
				}
				name = ""
			}
		}
		if name == "" {
			continue
		}

		for call := range r.m.Callers(fn) {
			up(call.Caller)
		}
		for _, key := range r.keys[fn] {
			for _, site := range r.sites[key] {
				up(site.in)
			}
		}
	}
	return threads[:min(len(threads), limit)], syscalls[:min(len(syscalls), limit)]
}

// ThreadNames describes the threads that begin in a function: "kswapd
// (kswapd%d)".
func (r *Result) ThreadNames(id model.FuncID) []string {
	var out []string
	for _, thread := range r.Threads {
		if thread.Func != id {
			continue
		}
		name := r.m.Func(id).Name
		if thread.Name != "" {
			name += fmt.Sprintf(" (thread %s)", thread.Name)
		}
		out = append(out, name)
	}
	return out
}

// WaitsForever reports whether a function of the scheduler is one that tasks
// wait in without bound, not just for a lock.
func (r *Result) WaitsForever(id model.FuncID) bool {
	name := r.m.Func(id).Name
	return primitiveOf(name) > boundedWait || name == "__schedule"
}

// maxDown is how far below a thread's main function it counts as waiting: what
// the loop calls to wait, not all that it may call to work.
const maxDown = 2

// ThreadsIn describes the threads whose main function is the given one or waits
// in it, by direct calls.
func (r *Result) ThreadsIn(id model.FuncID) []string {
	var out []string
	for i, thread := range r.Threads {
		if i > 0 && r.Threads[i-1].Func == thread.Func {
			continue
		}
		level := []model.FuncID{thread.Func}
		for depth := 0; depth <= maxDown && len(level) > 0; depth++ {
			if slices.Contains(level, id) && r.Facts[id].Stays() {
				out = append(out, r.ThreadNames(thread.Func)...)
				break
			}
			var next []model.FuncID
			for _, fn := range level {
				for _, call := range r.m.Calls(fn) {
					if call.Target != model.NoFunc && r.reach[call.Target] && !slices.Contains(next, call.Target) {
						next = append(next, call.Target)
					}
				}
			}
			level = next
		}
	}
	return out
}
