package locks

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/internal/asmtest"
)

// TestCounts: asked to count calls, the analysis counts those, and locks are nothing to it.
func TestStateCounts(t *testing.T) {
	m := asmtest.Model(t, `.text
.macro func name
.globl \name
.type \name, @function
\name:
.endm
func takes
	push %rbx
	mov %rdi, %rbx
	call _raw_spin_lock
	lea 8(%rbx), %rdi
	call get_thing
	pop %rbx
	ret
.size takes, .-takes
func second
	sub $8, %rsp
	call put_second
	add $8, %rsp
	ret
.size second, .-second
func both
	push %rbx
	mov %rdi, %rbx
	call get_thing
	mov %rbx, %rsi
	call put_second
	pop %rbx
	ret
.size both, .-both
`)
	res := Analyze(m, Options{Count: map[string]kfuncs.Count{"get_thing": {Arg: 0, Delta: 1}, "put_second": {Arg: 1, Delta: -1}}})
	for name, want := range map[string]string{"takes": "+sem:arg0+0x8", "second": "-sem:arg1", "both": "neutral"} {
		e := res.Effect(asmtest.Only(t, m, name))
		if got := words(res.Summary(e, nil), e); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for name, primitive := range map[string]bool{"get_thing": true, "put_second": true, "_raw_spin_lock": false, "takes": false} {
		if e := res.Effect(asmtest.Only(t, m, name)); e.Primitive != primitive || name == "_raw_spin_lock" && !e.Neutral() {
			t.Errorf("%s: given %v, %s", name, e.Primitive, Describe(m, e))
		}
	}
}

// TestTracedElsewhere: what the table says of a function whose effect is found from code is for
// programs that do not hold that code: an object that declares the function takes the lock by
// it, and the program that defines it is asked itself.
func TestTracedElsewhere(t *testing.T) {
	const callers = `.text
.macro func name
.globl \name
.type \name, @function
\name:
.endm
func takes
	sub $8, %rsp
	call rtnl_lock
	add $8, %rsp
	ret
.size takes, .-takes
func tries
	sub $8, %rsp
	call rtnl_trylock
	add $8, %rsp
	ret
.size tries, .-tries
func drops
	sub $8, %rsp
	call cpus_write_unlock
	add $8, %rsp
	ret
.size drops, .-drops
func second
	sub $8, %rsp
	call refcount_dec_and_mutex_lock
	add $8, %rsp
	ret
.size second, .-second
func pauses
	push %rbx
	mov %rdi, %rbx
	call _raw_spin_lock
	mov %rbx, %rdi
	call __cond_resched_lock
	mov %rbx, %rdi
	call _raw_spin_unlock
	pop %rbx
	ret
.size pauses, .-pauses
func passes
	sub $8, %rsp
	call __cond_resched_lock
	add $8, %rsp
	ret
.size passes, .-passes
`
	const defined = `func rtnl_lock
	sub $8, %rsp
	call mutex_lock
	add $8, %rsp
	ret
.size rtnl_lock, .-rtnl_lock
func rtnl_trylock
	xor %eax, %eax
	ret
.size rtnl_trylock, .-rtnl_trylock
func cpus_write_unlock
	ret
.size cpus_write_unlock, .-cpus_write_unlock
func refcount_dec_and_mutex_lock
	lea 16(%rsi), %rdi
	jmp mutex_lock
.size refcount_dec_and_mutex_lock, .-refcount_dec_and_mutex_lock
`
	check := func(what string, res *Result, want map[string]string) {
		t.Helper()
		for name, says := range want {
			e := res.Effect(asmtest.Only(t, res.Model, name))
			if got := words(res.Summary(e, nil), e); got != says {
				t.Errorf("%s: %s: %s, want %s", what, name, got, says)
			}
		}
	}
	alone := Analyze(asmtest.Model(t, callers), Options{})
	for name, lock := range map[string]string{"takes": "rtnl_mutex", "tries": "rtnl_mutex", "drops": "cpu_hotplug_lock"} {
		e := alone.Effect(asmtest.Only(t, alone.Model, name))
		held := slices.ContainsFunc(e.Outcomes, func(o Outcome) bool {
			return slices.ContainsFunc(o.Changes, func(ch Change) bool {
				symbol, ok := Named(ch.Path.Addr)
				return ok && symbol == lock && (ch.Delta < 0) == (name == "drops")
			})
		})
		if !held {
			t.Errorf("%s leaves %s alone: %s", name, lock, Describe(alone.Model, e))
		}
	}
	if e := alone.Effect(asmtest.Only(t, alone.Model, "tries")); len(e.Outcomes) != 2 {
		t.Errorf("rtnl_trylock takes the lock whatever it returns: %s", Describe(alone.Model, e))
	}
	// Only a result says that it was taken, and what was taken is no null pointer. What is given
	// back for a while, is not waited for twice.
	check("declared", alone, map[string]string{"second": "+mutex:arg1 when arg1 returns nonzero",
		"pauses": "neutral", "passes": "+spin:arg0 -spin:arg0 drops spin:arg0"})
	if flow := alone.Flows().Flow(asmtest.Only(t, alone.Model, "pauses")); len(flow.Again) != 0 {
		t.Errorf("pauses: %+v", flow.Again)
	}
	own := map[string]string{"takes": "+mutex:arg0", "tries": "neutral", "drops": "neutral", "second": "+mutex:arg1+0x10"}
	base := Analyze(asmtest.Model(t, callers+defined), Options{})
	check("defined", base, own)
	// A module's calls lead to the code of the kernel that was analysed before.
	check("defined in the base", Analyze(asmtest.Model(t, callers), Options{Base: base}), own)
}

// TestSockOwner: lock_sock compiled inline marks the socket as owned while it holds its spin
// lock (net/core/sock.c, v6.1), at the offset that lock_sock_nested shows.
func TestSockOwner(t *testing.T) {
	const text = `.text
.macro func name
.globl \name
.type \name, @function
\name:
.endm
.macro owner name, value, at=0x9c, lock=0x98
func \name
	push %rbx
	mov %rdi, %rbx
	lea \lock(%rbx), %rdi
	call _raw_spin_lock
	movl $\value, \at(%rbx)
	lea \lock(%rbx), %rdi
	call _raw_spin_unlock
	pop %rbx
	ret
.size \name, .-\name
.endm
owner owns, 1
owner leaves, 0
owner elsewhere, 1, 0xac, 0xa8
owner another, 2
func unlocked
	movl $1, 0x9c(%rdi)
	ret
.size unlocked, .-unlocked
func beside
	push %rbx
	push %r12
	sub $8, %rsp
	mov %rdi, %rbx
	mov %rsi, %r12
	lea 0x98(%rbx), %rdi
	call _raw_spin_lock
	movl $1, 0x9c(%r12)
	lea 0x98(%rbx), %rdi
	call _raw_spin_unlock
	add $8, %rsp
	pop %r12
	pop %rbx
	ret
.size beside, .-beside
`
	const nested = "owner lock_sock_nested, 1\n"
	for _, c := range []struct {
		source string
		want   map[string]string
	}{
		{text + nested, map[string]string{"owns": "+sock:arg0", "leaves": "-sock:arg0", "elsewhere": "neutral", "another": "neutral", "unlocked": "neutral", "beside": "neutral"}},
		{text, map[string]string{"owns": "neutral", "leaves": "neutral"}}, // where it is owned is not known
	} {
		m := asmtest.Model(t, c.source)
		res := Analyze(m, Options{})
		for name, want := range c.want {
			e := res.Effect(asmtest.Only(t, m, name))
			if got := words(res.Summary(e, nil), e); got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
	}
}

// TestContract: where a lock changes hands inside a call through a pointer, the table says
// which, by members: vfs_get_tree takes fs_context.root->d_sb->s_umount when it returns 0.
func TestContract(t *testing.T) {
	promise, ok := contractOf("vfs_get_tree")
	if !ok {
		t.Fatal("nothing is said of vfs_get_tree")
	}
	for _, name := range []string{"mutex_lock", "none", "down_write"} {
		if _, ok := contractOf(name); ok {
			t.Errorf("%s has a contract", name)
		}
	}
	structure := func(name, member string, off uint32, typ btf.Type) *btf.Struct {
		return &btf.Struct{Name: name, Size: off + 8, Members: []btf.Member{{Name: member, Type: typ, Offset: btf.Bits(8 * off)}}}
	}
	word := &btf.Int{Name: "unsigned long", Size: 8}
	super := structure("super_block", "s_umount", 0x70, word)
	dentry := structure("dentry", "d_sb", 0x68, &btf.Pointer{Target: super})
	context := structure("fs_context", "root", 0x48, &btf.Pointer{Target: dentry})
	b, err := btf.NewBuilder([]btf.Type{context}, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := b.Marshal(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	types, err := LoadTypes(raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		types *Types
		path  string
	}{{types, "*(*(arg0+0x48)+0x68)+0x70"}, {nil, "?"}} {
		e := promise.effect(3, c.types)
		if len(e.Outcomes) != 2 || !e.Primitive || e.Func != 3 || e.Unknown != 0 {
			t.Fatalf("%+v", e)
		}
		for _, o := range e.Outcomes {
			ret, ok := o.Ret.B4.Single()
			if taken := len(o.Changes) == 1; taken != (ok && ret == 0) || o.RetArg != -1 {
				t.Errorf("%+v", o)
			} else if taken && (o.Changes[0].Kind != RwsemWrite || o.Changes[0].Delta != 1 || o.Changes[0].Path.String() != c.path) {
				t.Errorf("takes %s, %+d; want %s", o.Changes[0].Lock, o.Changes[0].Delta, c.path)
			} else if !taken && !o.Ret.B4.Equal(Set{{-4095, -1}}) {
				t.Errorf("fails with %s", o.Ret.B4)
			}
		}
	}
}

// TestDrops: drops are told once for each lock, the function's own before its callee's.
func TestDrops(t *testing.T) {
	at := func(arg int8) Lock { return Lock{Spin, Path{Root: RootArg, Arg: arg, Offs: []int64{0}}} }
	got := sortDrops([]Drop{{at(1), true, false}, {at(0), true, false}, {at(0), false, false}, {at(1), true, true}})
	if len(got) != 2 || got[0].Callee || got[0].Path.Arg != 0 || got[1].Path.Arg != 1 || !got[1].Callee {
		t.Errorf("%+v", got)
	}
	if compareDrop(Drop{at(0), false, false}, Drop{at(0), true, false}) >= 0 || compareDrop(Drop{at(0), true, false}, Drop{at(0), false, false}) <= 0 || compareDrop(Drop{at(0), true, false}, Drop{at(0), true, false}) != 0 || compareDrop(Drop{at(0), true, false}, Drop{at(1), false, false}) >= 0 {
		t.Error("order of drops")
	}
}
