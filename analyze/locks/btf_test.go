package locks

import (
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/internal/asmtest"
)

// kernelTypes are types as a kernel has them.
func kernelTypes(t *testing.T) *Types {
	t.Helper()
	i32 := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	u8 := &btf.Int{Name: "unsigned char", Size: 1}
	u64 := &btf.Int{Name: "unsigned long", Size: 8}
	spinlock := &btf.Struct{Name: "spinlock", Size: 4, Members: []btf.Member{{Name: "rlock", Type: i32}}}
	spin := &btf.Typedef{Name: "spinlock_t", Type: spinlock}
	rwlock := &btf.Typedef{Name: "rwlock_t", Type: &btf.Struct{Size: 8, Members: []btf.Member{{Name: "raw_lock", Type: u64}}}}
	member := func(name string, typ btf.Type, off uint32) btf.Member {
		return btf.Member{Name: name, Type: typ, Offset: btf.Bits(8 * off)}
	}
	inner := &btf.Struct{Name: "sock_lock", Size: 16, Members: []btf.Member{member("slock", spin, 0), member("owned", i32, 4), member("wait", u64, 8)}}
	node := &btf.Struct{Name: "node", Size: 104}
	nodePtr := &btf.Pointer{Target: node}
	union := &btf.Union{Size: 8, Members: []btf.Member{member("count", u64, 0), member("first", nodePtr, 0)}}
	node.Members = []btf.Member{member("id", u64, 0), member("lock", spin, 8), member("next", nodePtr, 16), member("", union, 24), member("sk_lock", inner, 32),
		member("slots", &btf.Array{Index: i32, Type: inner, Nelems: 2}, 48), member("names", rwlock, 80), member("owner", &btf.Const{Type: nodePtr}, 88), member("hashed", &btf.Array{Index: i32, Type: spin, Nelems: 2}, 96)}
	task := &btf.Struct{Name: "task_struct", Size: 24, Members: []btf.Member{member("state", u64, 0), member("alloc_lock", spin, 8), member("node", nodePtr, 16)}}
	big := &btf.Struct{Name: "big", Size: 16, Members: []btf.Member{member("a", u64, 0), member("b", u64, 8)}}
	enum := &btf.Enum{Name: "answer", Size: 4}
	fn := func(name string, ret btf.Type, params ...btf.Type) *btf.Func {
		proto := &btf.FuncProto{Return: ret}
		for _, p := range params {
			proto.Params = append(proto.Params, btf.FuncParam{Name: "p", Type: p})
		}
		return &btf.Func{Name: name, Type: proto, Linkage: btf.StaticFunc}
	}
	b, err := btf.NewBuilder([]btf.Type{task, node, big,
		fn("take", &btf.Void{}, nodePtr, i32), fn("find", nodePtr, i32), fn("flag", u8, nodePtr), fn("wide", u64, nodePtr, u8), fn("ask", enum, nodePtr),
		fn("twice", i32, nodePtr), fn("twice", i32, nodePtr), fn("other", i32, nodePtr), fn("other", i32, &btf.Pointer{Target: task}), fn("other", i32, nodePtr),
		fn("fewer", i32, i32), fn("fewer", i32, i32, i32), fn("results", i32, i32), fn("results", u64, i32), fn("structs", i32, big), fn("structure", big, i32),
		fn("prints", i32, nodePtr, &btf.Void{}), fn("lock_it", &btf.Void{}, &btf.Pointer{Target: spin}), fn("write_it", &btf.Void{}, &btf.Pointer{Target: rwlock})}, nil)
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
	for n := range []int{0, 1, len(raw) / 2} {
		if _, err := LoadTypes(raw[:n]); err == nil {
			t.Errorf("%d bytes are taken for types", n)
		}
	}
	return types
}

// TestPrototypes: sizes of parameters and results, where one prototype is known.
func TestPrototypes(t *testing.T) {
	types := kernelTypes(t)
	for name, want := range map[string]struct {
		args     string
		ret      uint8
		variadic bool
	}{
		"take": {"\x08\x04", 0, false}, "find": {"\x04", 8, false}, "flag": {"\x08", 1, false}, "wide": {"\x08\x01", 8, false}, "ask": {"\x08", 4, false},
		"twice": {"\x08", 4, false}, "prints": {"\x08", 4, true}, "lock_it": {"\x08", 0, false},
	} {
		args, ret, variadic, ok := types.Proto(name)
		if !ok || string(args) != want.args || ret != want.ret || variadic != want.variadic {
			t.Errorf("%s: %v, %d, %v, %v", name, args, ret, variadic, ok)
		}
	}
	for _, name := range []string{"other", "fewer", "results", "structs", "structure", "none", "take.isra.0", "node"} {
		if args, ret, variadic, ok := types.Proto(name); ok || args != nil || ret != 0 || variadic {
			t.Errorf("%s: %v, %d", name, args, ret)
		}
	}
	if _, _, _, ok := (*Types)(nil).Proto("take"); ok {
		t.Error("a prototype without types")
	}
	for name, want := range map[string]retType{
		"take": {known: true, void: true}, "find": {known: true, size: 8, pointer: true}, "flag": {known: true, size: 1}, "wide": {known: true, size: 8}, "ask": {known: true, size: 4},
		"twice": {known: true, size: 4}, "structure": {}, "other": {}, "none": {}, "take.part.0": {},
	} {
		if got := types.returns(name); got != want {
			t.Errorf("%s returns %+v, want %+v", name, got, want)
		}
	}
	if got := (*Types)(nil).returns("take"); got != (retType{}) {
		t.Errorf("without types: %+v", got)
	}
}

// TestFieldNames: a path from an argument, a result or the task leads to a member of the
// innermost structure with a name, or to a lock.
func TestFieldNames(t *testing.T) {
	types := kernelTypes(t)
	arg := func(n int8, offs ...int64) Path { return Path{Root: RootArg, Arg: n, Offs: offs} }
	for _, c := range []struct {
		fn   string
		path Path
		want string
	}{
		{"take", arg(0, 0), "node.id"}, {"take", arg(0, 8), "node.lock"}, {"take", arg(0, 16, 8), "node.lock"}, {"take", arg(0, 16, 16, 8), "node.lock"}, {"take", arg(0, 24), "node.count"},
		{"take", arg(0, 32), "node.sk_lock.slock"}, {"take", arg(0, 36), "node.sk_lock.owned"}, {"take", arg(0, 40), "node.sk_lock.wait"}, {"take", arg(0, 48), "node.slots.slock"}, {"take", arg(0, 64), "node.slots.slock"}, {"take", arg(0, 68), "node.slots.owned"},
		{"take", arg(0, 80), "node.names"}, {"take", arg(0, 88, 8), "node.lock"},
		{"take", arg(0, 12), ""}, {"take", arg(0, 96), "node.hashed"}, {"take", arg(0, 100), "node.hashed"}, {"take", arg(0, 104), ""}, {"take", arg(0, -8), ""}, {"take", arg(1, 0), ""}, {"take", arg(2, 0), ""}, {"take", arg(0, 0, 8), ""}, {"take", arg(0, 12, 8), ""}, {"take", arg(0), ""},
		{"lock_it", arg(0, 0), "spinlock"}, {"write_it", arg(0, 0), "rwlock_t"}, {"find", Path{Root: RootRet, Offs: []int64{8}}, "node.lock"}, {"find", Path{Root: RootGlobal, Offs: []int64{8}}, ""}, {"find", Path{Root: RootUnknown, Offs: []int64{8}}, ""},
		{"none", arg(0, 8), ""}, {"take.isra.0", arg(0, 8), ""}, {"other", arg(0, 8), ""},
		{"none", Path{Root: RootCurrent, Offs: []int64{8}}, "task_struct.alloc_lock"}, {"none", Path{Root: RootCurrent, Offs: []int64{16, 8}}, "node.lock"}, {"none", Path{Root: RootCurrent}, ""},
	} {
		if got := types.Field(c.fn, c.path); got != c.want {
			t.Errorf("%s, %s: %q, want %q", c.fn, c.path, got, c.want)
		}
		if got := (*Types)(nil).Field(c.fn, c.path); got != "" {
			t.Errorf("without types: %q", got)
		}
	}
	for _, c := range []struct {
		name, member string
		off          int64
		ok           bool
	}{{"node", "lock", 8, true}, {"node", "id", 0, true}, {"task_struct", "node", 16, true}, {"node", "none", 0, false}, {"none", "lock", 0, false}} {
		if off, ok := types.offset(c.name, c.member); off != c.off || ok != c.ok {
			t.Errorf("%s.%s: %d, %v", c.name, c.member, off, ok)
		}
	}
}

// TestResultTypes: of what lies in the result's register only what the function returns says
// anything.
func TestResultTypes(t *testing.T) {
	types := kernelTypes(t)
	const source = ".text\n.macro lockfn name, size\n.globl \\name\n.type \\name,@function\n\\name:\n push %rbx\n mov %rdi, %rbx\n call _raw_spin_trylock\n mov %eax, %ebx\n test %eax, %eax\n je 1f\n mov $-1, %rax\n pop %rbx\n ret\n1: mov $5, %eax\n pop %rbx\n ret\n.size \\name, .-\\name\n.endm\nlockfn take\nlockfn flag\nlockfn twice\nlockfn wide\nlockfn find\n"
	m := asmtest.Model(t, source)
	res := Analyze(m, Options{Types: types})
	for name, want := range map[string]struct {
		ret     [3]bool // of 1, 4 and 8 bytes something is known
		unknown bool
		class   string
	}{"take": {[3]bool{}, true, "any"}, "flag": {[3]bool{true, false, false}, false, "negative"}, "twice": {[3]bool{false, true, false}, false, "negative"}, "wide": {[3]bool{false, true, true}, false, "negative"}, "find": {[3]bool{false, true, true}, false, "error"}} {
		id := asmtest.Only(t, m, name)
		e := res.Effect(id)
		if len(e.Outcomes) != 2 || (e.Unknown != 0) != want.unknown {
			t.Errorf("%s: %s", name, Describe(m, e))
			continue
		}
		for i := range e.Outcomes {
			ret := e.Outcomes[i].Ret
			if got := [3]bool{ret.B1 != nil, ret.B4 != nil, ret.B8 != nil}; got != want.ret {
				t.Errorf("%s: of its result %v is known", name, got)
			}
		}
		if got := res.Summary(e, types).Returns; got != want.class {
			t.Errorf("%s takes the lock when it returns %s, want %s", name, got, want.class)
		}
	}
	if e := res.Effect(model.NoFunc); !e.Neutral() || e.Unknown != 0 {
		t.Errorf("of no function: %+v", e)
	}
}
