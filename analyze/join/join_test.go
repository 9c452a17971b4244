package join_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/join"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/internal/checktest"
	"github.com/klpforge/klpforge/locate"
	"github.com/klpforge/klpforge/plan"
)

// linked decodes an object as linked code.
func linked(t *testing.T, file string) *join.Code {
	t.Helper()
	checktest.Compile(t, filepath.Join("testdata", filepath.Dir(file)))
	f, err := elfobj.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	p, err := model.FromObject(f, model.ObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m := model.Build(p)
	return &join.Code{Model: m, Locks: sync.OnceValue(func() *locks.Result { return locks.Analyze(m, locks.Options{}) })}
}

// kernel is a target.
type kernel struct {
	code    map[string]*join.Code
	exports []string
	users   map[string][]string
	broken  error
}

func (k *kernel) Code(owner string) *join.Code { return k.code[owner] }

func (k *kernel) Exported(symbol string) bool { return slices.Contains(k.exports, symbol) }

func (k *kernel) Users(symbol, owner string) ([]string, error) {
	return k.users[symbol], k.broken
}

// queue is the patched object of testdata/queue, located in the kernel; only some of
// its functions count as changed.
func queue(t *testing.T, k *kernel, owner string, changed ...string) *analyze.Unit {
	t.Helper()
	u := checktest.Load(t, filepath.Join("testdata", "queue")).Units[0]
	u.Owner = owner
	u.Replace = slices.DeleteFunc(u.Replace, func(ch elfdiff.Change) bool { return !slices.Contains(changed, ch.Name) })
	if len(u.Replace) != len(changed) {
		t.Fatalf("changed are %+v, want %q", u.Replace, changed)
	}
	place(u, k)
	return u
}

// user is the object of testdata/user, which no patch changes.
func user(t *testing.T, k *kernel, owner string) *analyze.Unit {
	t.Helper()
	f, err := elfobj.ReadFile(filepath.Join("testdata", "user", "before.o"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := elfdiff.Diff(f, f)
	if err != nil {
		t.Fatal(err)
	}
	u := &analyze.Unit{Object: "dir/user.o", Owner: owner, Diff: d}
	place(u, k)
	return u
}

// place locates all functions of a unit where the linked code has those names.
func place(u *analyze.Unit, k *kernel) {
	u.Place = &locate.Placement{Funcs: map[elfdiff.AtomID]locate.Place{}}
	c := k.code[u.Owner]
	for i := range u.Diff.Orig.Atoms {
		a := elfdiff.AtomID(i)
		if name := u.Name(a); u.Diff.Orig.IsCode(a) && c != nil && len(c.Model.Lookup(name)) == 1 {
			addr := c.Model.Func(c.Model.Lookup(name)[0]).Addr
			u.Place.Funcs[a] = locate.Place{Symbol: locate.Symbol{Name: name, Addr: addr}}
		}
	}
}

// joins lists who joins, as "caller because of callee, callee".
func joins(d *join.Decision) []string {
	var out []string
	for _, j := range d.Joins {
		out = append(out, j.Name+" because of "+strings.Join(j.Because, ", "))
	}
	slices.Sort(out)
	return out
}

// outside is what is known of the callers of one function elsewhere.
func outside(t *testing.T, d *join.Decision, name string) analyze.Outside {
	t.Helper()
	for f, o := range d.Outside {
		if f.Unit.Name(f.Orig) == name {
			return o
		}
	}
	t.Fatalf("nobody looked for callers of %s", name)
	return analyze.Outside{}
}

func decide(t *testing.T, in join.Input) *join.Decision {
	t.Helper()
	d, err := join.Decide(in)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// builtIn is a kernel with both objects in vmlinux.
func builtIn(t *testing.T) *kernel {
	return &kernel{code: map[string]*join.Code{plan.Vmlinux: linked(t, "queue/kernel.o")}}
}

// Callers join up to where the locks are balanced, in the same object file and in
// others.
func TestCallersJoin(t *testing.T) {
	k := builtIn(t)
	u := queue(t, k, plan.Vmlinux, "queue_begin", "queue_end")
	d := decide(t, join.Input{Units: []*analyze.Unit{u, user(t, k, plan.Vmlinux)}, Shipped: k})

	want := []string{
		"hooked_use because of queue_begin, queue_end",
		"hooked_user because of hooked_use", // an instruction of hooked_use is not known
		"queue_close because of queue_end",
		"queue_open because of queue_begin",
		"queue_session because of queue_open, queue_close", // as these two keep or lose a lock
		"queue_use because of queue_begin, queue_end",      // queue_user stays: it sees no lock
		"user_use because of queue_begin, queue_end",
	}
	if diff := cmp.Diff(want, joins(d)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]join.Gone{{Caller: "queue_setup", Callee: "queue_begin"}, {Caller: "queue_setup", Callee: "queue_end"}}, d.Gone); diff != "" {
		t.Errorf("initialisation code (-want +got)\n%s", diff)
	}
	if len(d.Wanted) > 0 {
		t.Errorf("wanted %v", d.Wanted)
	}
	// Who calls through a stored address is not known.
	if diff := cmp.Diff(analyze.Outside{Complete: true, Pointers: []string{"user_picks", "user_table"}}, outside(t, d, "queue_begin")); diff != "" {
		t.Errorf("queue_begin (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(analyze.Outside{Complete: true}, outside(t, d, "queue_end")); diff != "" {
		t.Errorf("queue_end (-want +got)\n%s", diff)
	}

	// The input is as it was.
	if len(u.Replace) != 2 || u.Joined != nil || u.Outside != nil {
		t.Errorf("the unit was changed: %+v", u)
	}
	ch := d.Joins[0].Change()
	if ch.Name != d.Joins[0].Name || ch.Kind != elfdiff.Changed || ch.Section != ".text."+ch.Name || ch.Orig != d.Joins[0].Orig ||
		ch.Patched != u.Diff.PatchedOf(ch.Orig) || len(ch.Reasons) != 1 || !strings.Contains(ch.Reasons[0], "switches with "+strings.Join(d.Joins[0].Because, ", ")+", which it calls") {
		t.Errorf("change %+v", ch)
	}
}

// Nobody joins for a function that gives back every lock that it takes, or for one
// that did not change.
func TestNobodyJoins(t *testing.T) {
	k := builtIn(t)
	// A repaired leak is no change either, and what is not certain, before or after, is not taken for one.
	for _, changed := range [][]string{{"peek"}, {"leak"}, {"vague_begin"}, {"vague_end"}, nil} {
		d := decide(t, join.Input{Units: []*analyze.Unit{queue(t, k, plan.Vmlinux, changed...), user(t, k, plan.Vmlinux)}, Shipped: k})
		if len(d.Joins)+len(d.Outside)+len(d.Wanted)+len(d.Gone) > 0 {
			t.Errorf("%q: %+v", changed, d)
		}
	}
}

// A new object has no callers in the running kernel.
func TestNewObject(t *testing.T) {
	k := builtIn(t)
	u := queue(t, k, plan.Vmlinux, "queue_begin")
	u.New = true
	if d := decide(t, join.Input{Units: []*analyze.Unit{u}, Shipped: k}); len(d.Joins)+len(d.Outside)+len(d.Wanted) > 0 {
		t.Errorf("%+v", d)
	}
}

// A caller that is on the list already, because its own code changed, joins nothing
// and counts as patched.
func TestReplacedCaller(t *testing.T) {
	k := builtIn(t)
	u, other := queue(t, k, plan.Vmlinux, "queue_begin"), user(t, k, plan.Vmlinux)
	for i := range other.Diff.Orig.Atoms {
		if a := elfdiff.AtomID(i); other.Name(a) == "user_use" {
			other.Replace = append(other.Replace, elfdiff.Change{Name: "user_use", Kind: elfdiff.Changed, Orig: a, Patched: a})
		}
	}
	for _, look := range []bool{false, true} {
		d := decide(t, join.Input{Units: []*analyze.Unit{u, other}, Shipped: k, LookOnly: look})
		if slices.ContainsFunc(joins(d), func(s string) bool { return strings.HasPrefix(s, "user_use") }) {
			t.Errorf("look only %v: %q", look, joins(d))
		}
		if o := outside(t, d, "queue_begin"); len(o.Unpatched) > 0 {
			t.Errorf("look only %v: unpatched %q", look, o.Unpatched)
		}
	}
}

// A static function is called by its own object file alone.
func TestStaticFunction(t *testing.T) {
	k := builtIn(t)
	d := decide(t, join.Input{Units: []*analyze.Unit{queue(t, k, plan.Vmlinux, "own_begin")}, Shipped: k, Lost: map[join.Caller]bool{{Owner: plan.Vmlinux, Name: "user_own"}: true}})
	if diff := cmp.Diff([]string{"own_use because of own_begin"}, joins(d)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for f := range d.Outside {
		if name := f.Unit.Name(f.Orig); name != "own_use" {
			t.Errorf("callers of %s were looked for elsewhere", name)
		}
	}
	// That of own_use cannot join.
	if diff := cmp.Diff([]string{"user_own [vmlinux]"}, outside(t, d, "own_use").Unpatched); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Without the object file of a caller the decision asks for it; when it is lost, the
// caller is told as one that stays behind.
func TestWanted(t *testing.T) {
	k := builtIn(t)
	caller := join.Caller{Owner: plan.Vmlinux, Name: "user_use"}
	in := join.Input{Units: []*analyze.Unit{queue(t, k, plan.Vmlinux, "queue_begin", "queue_end")}, Shipped: k}
	if d := decide(t, in); len(d.Wanted) != 1 || d.Wanted[0] != caller {
		t.Errorf("wanted %v", d.Wanted)
	}
	in.Lost = map[join.Caller]bool{caller: true}
	d := decide(t, in)
	if len(d.Wanted) > 0 || !slices.Equal(outside(t, d, "queue_begin").Unpatched, []string{"user_use [vmlinux]"}) || !slices.Equal(outside(t, d, "queue_end").Unpatched, []string{"user_use [vmlinux]"}) {
		t.Errorf("wanted %v, outside %+v", d.Wanted, d.Outside)
	}
}

// Asked only to look, nobody joins, and callers in other files are named.
func TestLookOnly(t *testing.T) {
	k := builtIn(t)
	d := decide(t, join.Input{Units: []*analyze.Unit{queue(t, k, plan.Vmlinux, "queue_begin", "queue_end"), user(t, k, plan.Vmlinux)}, Shipped: k, LookOnly: true})
	if len(d.Joins)+len(d.Gone) > 0 {
		t.Errorf("joins %q, gone %v", joins(d), d.Gone)
	}
	if o := outside(t, d, "queue_begin"); !slices.Equal(o.Unpatched, []string{"user_use [vmlinux]"}) || !o.Complete {
		t.Errorf("outside %+v", o)
	}
}

// The callers of an exported function are in modules too, those of another in none.
func TestModules(t *testing.T) {
	k := &kernel{code: map[string]*join.Code{plan.Vmlinux: linked(t, "queue/before.o"), "user": linked(t, "user/before.o")},
		exports: []string{"queue_begin"}, users: map[string][]string{"queue_begin": {"user"}, "queue_end": {"user"}}}
	in := join.Input{Units: []*analyze.Unit{queue(t, k, plan.Vmlinux, "queue_begin", "queue_end"), user(t, k, "user")}, Shipped: k}
	d := decide(t, in)
	if got := joins(d); !slices.Contains(got, "user_use because of queue_begin") {
		t.Errorf("joins %q", got)
	}
	// Addresses of functions in a module's data are no pointers of vmlinux.
	if o := outside(t, d, "queue_begin"); !o.Complete || len(o.Pointers)+len(o.Unpatched) > 0 {
		t.Errorf("outside %+v", o)
	}

	// A module that cannot be decoded may hold more callers.
	k.users["queue_begin"] = []string{"user", "garbage"}
	if o := outside(t, decide(t, in), "queue_begin"); o.Complete {
		t.Errorf("outside %+v", o)
	}
	k.broken = errors.New("no such file")
	if _, err := join.Decide(in); !errors.Is(err, k.broken) {
		t.Errorf("error %v", err)
	}
}

// What a module's own functions are called by is found by name: the addresses of a
// module mean nothing.
func TestModuleOfItsOwn(t *testing.T) {
	k := &kernel{code: map[string]*join.Code{"mod": linked(t, "queue/kernel.o")}}
	u, other := queue(t, k, "mod", "queue_begin"), user(t, k, "mod")
	for a, p := range u.Place.Funcs {
		p.Addr += 0x100000
		u.Place.Funcs[a] = p
	}
	d := decide(t, join.Input{Units: []*analyze.Unit{u, other}, Shipped: k})
	if got := joins(d); !slices.Contains(got, "user_use because of queue_begin") {
		t.Errorf("joins %q", got)
	}
}

// Which function of vmlinux it is tells the address at which it was located; without one
// its name, if only one has that.
func TestLocatedFunction(t *testing.T) {
	k := builtIn(t)
	u := queue(t, k, plan.Vmlinux, "queue_begin")
	in := join.Input{Units: []*analyze.Unit{u, user(t, k, plan.Vmlinux)}, Shipped: k}
	var end elfdiff.AtomID
	for a := range u.Place.Funcs {
		if u.Name(a) == "queue_end" {
			end = a
		}
	}
	begin, there := u.Replace[0].Orig, u.Place.Funcs[end]
	u.Place.Funcs[begin] = there
	if o := outside(t, decide(t, in), "queue_begin"); !o.Complete || len(o.Pointers) > 0 {
		t.Errorf("it lies where queue_end is, whose address nobody takes: %+v", o)
	}
	for _, place := range []*locate.Placement{nil, {Funcs: map[elfdiff.AtomID]locate.Place{}}} {
		u.Place = place
		if o := outside(t, decide(t, in), "queue_begin"); !o.Complete || len(o.Pointers) != 2 {
			t.Errorf("found by name: %+v", o)
		}
	}
}

// Without the linked code, or with two functions of the name, callers elsewhere are
// not known, and no caller is known to be balanced.
func TestUnknownCode(t *testing.T) {
	none := &kernel{}
	k := builtIn(t)
	for name, shipped := range map[string]*kernel{"not decoded": none, "not placed": k} {
		u := queue(t, k, "vmlinux", "queue_begin")
		if name == "not placed" {
			// Neither its place nor a unique name tells which function it is.
			u.Owner = "mod"
			shipped = &kernel{code: map[string]*join.Code{"mod": linked(t, "user/before.o")}}
			u.Place.Funcs = map[elfdiff.AtomID]locate.Place{}
		}
		d := decide(t, join.Input{Units: []*analyze.Unit{u}, Shipped: shipped, Lost: map[join.Caller]bool{{Owner: "mod", Name: "user_use"}: true}})
		if o := outside(t, d, "queue_begin"); o.Complete && name == "not decoded" {
			t.Errorf("%s: outside %+v", name, o)
		}
		if o := outside(t, d, "queue_open"); o.Complete || len(o.Unpatched)+len(o.Pointers) > 0 {
			t.Errorf("%s: queue_open, which the linked code does not have: outside %+v", name, o)
		}
		if got := joins(d); !slices.Contains(got, "queue_user because of queue_use") {
			t.Errorf("%s: joins %q: queue_use is not known to be balanced", name, got)
		}
	}
}

// A shipped function is held by the unit in which it was located, if that is certain.
func TestHolds(t *testing.T) {
	k := builtIn(t)
	u := user(t, k, plan.Vmlinux)
	a, ok := join.Holds(u, join.Caller{Owner: plan.Vmlinux, Name: "user_use"})
	if !ok || u.Name(a) != "user_use" {
		t.Errorf("%v, %v", a, ok)
	}
	for _, c := range []join.Caller{{Owner: "mod", Name: "user_use"}, {Owner: plan.Vmlinux, Name: "nobody"}} {
		if _, ok := join.Holds(u, c); ok {
			t.Errorf("holds %v", c)
		}
	}
	other, _ := join.Holds(u, join.Caller{Owner: plan.Vmlinux, Name: "user_own"})
	twice := u.Place.Funcs[a]
	u.Place.Funcs[other] = twice
	if _, ok := join.Holds(u, join.Caller{Owner: plan.Vmlinux, Name: "user_use"}); ok {
		t.Error("one of two functions that were located under one name is no certain one")
	}
	u.Place = nil
	if _, ok := join.Holds(u, join.Caller{Owner: plan.Vmlinux, Name: "user_use"}); ok {
		t.Error("holds a function without a place")
	}
}
