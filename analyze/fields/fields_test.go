package fields

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/internal/asmtest"
)

// The types of the tests, as a kernel's BTF has them:
//
//	struct inner { long a; long b; };
//	struct ops { int (*open)(struct node *, int); void (*close)(struct node *); };
//	struct node {
//		struct node *next;                       //  0
//		struct inner in;                         //  8
//		struct inner pair[2];                    // 24
//		union { long number; struct ops *ops; }; // 56
//		const struct ops *table;                 // 64
//		char name[16];                           // 72
//		int (*hook)(struct node *, int);         // 88
//	};
//	struct task_struct { long flags; struct node *node; };
//	int use(struct node *n, int i, struct inner *in);
//	struct node *find(int);
var (
	intType  = &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	longType = &btf.Int{Name: "long", Size: 8, Encoding: btf.Signed}
	charType = &btf.Int{Name: "char", Size: 1}
	inner    = &btf.Struct{Name: "inner", Size: 16, Members: []btf.Member{{Name: "a", Type: longType}, {Name: "b", Type: longType, Offset: 64}}}
	node     = &btf.Struct{Name: "node", Size: 96}
	nodePtr  = &btf.Pointer{Target: node}
	openFn   = &btf.FuncProto{Return: intType, Params: []btf.FuncParam{{Name: "n", Type: nodePtr}, {Name: "i", Type: intType}}}
	closeFn  = &btf.FuncProto{Return: &btf.Void{}, Params: []btf.FuncParam{{Name: "n", Type: nodePtr}}}
	ops      = &btf.Struct{Name: "ops", Size: 16, Members: []btf.Member{{Name: "open", Type: &btf.Pointer{Target: openFn}}, {Name: "close", Type: &btf.Pointer{Target: closeFn}, Offset: 64}}}
	task     = &btf.Struct{Name: "task_struct", Size: 16, Members: []btf.Member{{Name: "flags", Type: longType}, {Name: "node", Type: nodePtr, Offset: 64}}}
)

func init() {
	node.Members = []btf.Member{
		{Name: "next", Type: nodePtr},
		{Name: "in", Type: inner, Offset: 8 * 8},
		{Name: "pair", Type: &btf.Array{Index: intType, Type: inner, Nelems: 2}, Offset: 24 * 8},
		{Type: &btf.Union{Size: 8, Members: []btf.Member{{Name: "number", Type: longType}, {Name: "ops", Type: &btf.Pointer{Target: ops}}}}, Offset: 56 * 8},
		{Name: "table", Type: &btf.Pointer{Target: &btf.Const{Type: ops}}, Offset: 64 * 8},
		{Name: "name", Type: &btf.Array{Index: intType, Type: charType, Nelems: 16}, Offset: 72 * 8},
		{Name: "hook", Type: &btf.Pointer{Target: openFn}, Offset: 88 * 8},
	}
}

func proto(name string, ret btf.Type, params ...btf.Type) *btf.Func {
	p := &btf.FuncProto{Return: ret}
	for i, t := range params {
		p.Params = append(p.Params, btf.FuncParam{Name: fmt.Sprintf("p%d", i), Type: t})
	}
	return &btf.Func{Name: name, Type: p, Linkage: btf.GlobalFunc}
}

// loadTypes goes through raw BTF, as for a kernel.
func loadTypes(t testing.TB, more ...btf.Type) (*Types, *Tables) {
	t.Helper()
	types, tables, err := Load(rawTypes(t, more...))
	if err != nil {
		t.Fatal(err)
	}
	return types, tables
}

func rawTypes(t testing.TB, more ...btf.Type) []byte {
	t.Helper()
	all := append([]btf.Type{node, ops, task,
		proto("use", intType, nodePtr, intType, &btf.Pointer{Target: inner}),
		proto("six", intType, intType, nodePtr, nodePtr, nodePtr, nodePtr, nodePtr, nodePtr),
		proto("find", nodePtr, intType),
		proto("work", &btf.Void{}),
	}, more...)
	b, err := btf.NewBuilder(all, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := b.Marshal(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// touched lists the members that a function's memory operands are, in the order of
// the code; "-" for those that have no type. Operands on the stack are left out.
func touched(t testing.TB, m *model.Model, types *Types, name string) []string {
	t.Helper()
	ids := m.Lookup(name)
	if len(ids) != 1 {
		t.Fatalf("%d functions %s", len(ids), name)
	}
	at := map[uint64]string{}
	var order []uint64
	Walk(m, types, ids[0], func(in *machine.Inst, a *At) {
		for i := range in.Args {
			mem := in.Args[i].Mem
			if in.Args[i].Kind != machine.KindMem || mem.Base == machine.RSP || in.Op == machine.Address || in.Hint() {
				continue
			}
			what := "-"
			if f, ok := a.Field(mem); ok {
				what = f.Name()
				if f.Inner() != f.Name() {
					what += " (" + f.Inner() + ")"
				}
			}
			at[in.Addr] = what
			order = append(order, in.Addr)
		}
	})
	slices.Sort(order)
	var out []string
	for _, x := range slices.Compact(order) {
		out = append(out, at[x])
	}
	return out
}

func TestFields(t *testing.T) {
	types, _ := loadTypes(t)
	for _, c := range []struct {
		name, code string
		want       []string
		function   string // "" is use(node in rdi, int in esi, inner in rdx)
	}{
		{name: "members of arguments", code: "mov (%rdi), %rax\nmov 16(%rdi), %rcx\nmov 8(%rdx), %rcx\nret",
			want: []string{"node.next", "node.in.b (inner.b)", "inner.b"}},
		{name: "no pointer", code: "mov (%rsi), %rax\nret", want: []string{"-"}},
		{name: "the last of six arguments", function: "six", code: "mov (%rdi), %rax\nmov (%rsi), %rax\nmov (%rdx), %rcx\nmov (%r8), %rax\nmov (%r9), %rax\nret",
			want: []string{"-", "node.next", "node.next", "node.next", "node.next"}},
		{name: "the fourth argument", function: "six", code: "mov (%rcx), %rax\nret", want: []string{"node.next"}},
		{name: "chain", code: "mov (%rdi), %rax\nmov (%rax), %rax\nmov 64(%rax), %rcx\nmov 8(%rcx), %rcx\nret",
			want: []string{"node.next", "node.next", "node.table", "ops.close"}},
		{name: "array member", code: "mov 24(%rdi), %rax\nmov 48(%rdi), %rax\nret", want: []string{"node.pair.a (inner.a)", "node.pair.b (inner.b)"}},
		{name: "array of plain values", code: "movb $1, 75(%rdi)\nret", want: []string{"node.name"}},
		{name: "union", code: "mov 56(%rdi), %rax\nret", want: []string{"node.number"}},
		{name: "middle of a member", code: "movl $0, 4(%rdi)\nret", want: []string{"-"}},
		{name: "behind the structure", code: "mov 96(%rdi), %rax\nmov -8(%rdi), %rax\nret", want: []string{"-", "-"}},
		{name: "indexed", code: "mov 24(%rdi,%rsi,8), %rax\nret", want: []string{"-"}},
		{name: "through other registers", code: "mov %rdi, %rbx\nmov %rbx, %r12\nmov (%r12), %rax\nret", want: []string{"node.next"}},
		{name: "32 bits of a pointer are none", code: "mov %edi, %eax\nmov (%rax), %rcx\nret", want: []string{"-"}},
		{name: "a low byte that is written", code: "mov $1, %dil\nmov (%rdi), %rcx\nret", want: []string{"-"}},
		{name: "a high byte that is written", function: "find", code: "call find\nmov $1, %ah\nmov (%rax), %rcx\nret", want: []string{"-"}},
		{name: "added", code: "add $8, %rdi\nmov 8(%rdi), %rax\nsub $8, %rdi\nmov (%rdi), %rax\nret", want: []string{"node.in.b (inner.b)", "node.next"}},
		{name: "added from a register", code: "add %rsi, %rdi\nmov (%rdi), %rax\nret", want: []string{"-"}},
		{name: "lea", code: "lea 8(%rdi), %rax\nmov 8(%rax), %rcx\nlea (%rdi,%rsi), %rax\nmov (%rax), %rcx\nret", want: []string{"node.in.b (inner.b)", "-"}},
		{name: "calls clobber", code: "push %rbx\nmov %rdi, %rbx\ncall work\nmov (%rdi), %rax\nmov (%rbx), %rax\nmov (%rdx), %rax\npop %rbx\nret", want: []string{"-", "node.next", "-"}},
		{name: "the tracer does not", code: "call __fentry__\nmov (%rdi), %rax\nret", want: []string{"node.next"}},
		{name: "result of a call", code: "call find\nmov (%rax), %rax\nret", want: []string{"node.next"}},
		{name: "result that is no pointer", code: "call use\nmov (%rax), %rax\nret", want: []string{"-"}},
		{name: "pushed and popped", code: "push %rdi\nxor %edi, %edi\npop %rbx\nmov (%rbx), %rax\nret", want: []string{"node.next"}},
		{name: "order of the stack", code: "push %rdi\npush %rdx\npop %rbx\npop %rbp\nmov (%rbx), %rax\nmov (%rbp), %rax\nret", want: []string{"inner.a", "node.next"}},
		{name: "slots", code: "sub $24, %rsp\nmov %rdi, 8(%rsp)\nmov %rdx, 16(%rsp)\ncall work\nmov 8(%rsp), %rbx\nmov (%rbx), %rax\nmov 16(%rsp), %rbx\nmov (%rbx), %rax\nmov (%rsp), %rbx\nmov (%rbx), %rax\nadd $24, %rsp\nret",
			want: []string{"node.next", "inner.a", "-"}},
		{name: "a slot that is written over", code: "sub $24, %rsp\nmov %rdi, 8(%rsp)\nmovq $0, 8(%rsp)\nmov 8(%rsp), %rbx\nmov (%rbx), %rax\nmov %esi, 8(%rsp)\nadd $24, %rsp\nret", want: []string{"-"}},
		{name: "a slot below a moved stack", code: "sub $24, %rsp\nmov %rdi, 8(%rsp)\nsub $16, %rsp\nmov 24(%rsp), %rbx\nmov (%rbx), %rax\nadd $40, %rsp\nret", want: []string{"node.next"}},
		{name: "an aligned stack has other slots", code: "sub $24, %rsp\nmov %rdi, 8(%rsp)\nand $-64, %rsp\nmov 8(%rsp), %rbx\nmov (%rbx), %rax\nleave\nret", want: []string{"-"}},
		{name: "a stack from elsewhere", code: "push %rdi\nmov %rsi, %rsp\npop %rbx\nmov (%rbx), %rax\nret", want: []string{"-"}},
		{name: "exchanged", code: "xchg %rdi, %rdx\nmov (%rdi), %rax\nmov (%rdx), %rax\nret", want: []string{"-", "-"}},
		{name: "compared and tested stay", code: "cmp $0, %rdi\ntest %rdi, %rdi\nmov (%rdi), %rax\nret", want: []string{"node.next"}},
		{name: "chosen of two equal ones", code: "mov %rdi, %rax\ntest %esi, %esi\ncmove %rdi, %rax\nmov (%rax), %rcx\nret", want: []string{"node.next"}},
		{name: "chosen of two different ones", code: "mov %rdi, %rax\ntest %esi, %esi\ncmove %rdx, %rax\nmov (%rax), %rcx\nret", want: []string{"-"}},
		{name: "paths that agree", code: "test %esi, %esi\nje 1f\nmov %rdi, %rax\njmp 2f\n1: mov %rdi, %rax\n2: mov (%rax), %rcx\nret", want: []string{"node.next"}},
		{name: "paths that disagree", code: "mov %rdi, %rax\ntest %esi, %esi\nje 1f\nmov %rdx, %rax\n1: mov (%rax), %rcx\nret", want: []string{"-"}},
		{name: "paths with another offset", code: "test %esi, %esi\nje 1f\nadd $8, %rdi\n1: mov (%rdi), %rcx\nret", want: []string{"-"}},
		{name: "slots that disagree", code: "sub $8, %rsp\nmov %rdi, (%rsp)\ntest %esi, %esi\nje 1f\nmov %rdx, (%rsp)\n1: mov (%rsp), %rbx\nmov (%rbx), %rcx\nadd $8, %rsp\nret", want: []string{"-"}},
		{name: "a loop down a list", code: "1: mov (%rdi), %rdi\ntest %rdi, %rdi\njne 1b\nret", want: []string{"node.next"}},
		{name: "a loop that changes the type", code: "1: mov (%rdi), %rax\nmov %rdx, %rdi\ndec %esi\njne 1b\nret", want: []string{"-"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := c.function
			if name == "" {
				name = "use"
			}
			if d := cmp.Diff(c.want, touched(t, asmtest.Function(t, name, c.code), types, name)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// Function pointers keep where they came from.
func TestPointers(t *testing.T) {
	types, _ := loadTypes(t, proto("call", intType, nodePtr, &btf.Pointer{Target: openFn}))
	for _, c := range []struct{ name, code, sig, member string }{
		{"a member", "mov 88(%rdi), %rax\ncall *%rax\nret", "int,*struct node,int", "node.hook"},
		{"a member of a member", "mov 64(%rdi), %rax\nmov 8(%rax), %rax\ncall *%rax\nret", "void,*struct node", "ops.close"},
		{"a parameter", "mov %rsi, %rax\ncall *%rax\nret", "int,*struct node,int", "#1"},
		{"of two members", "mov 88(%rdi), %rax\ntest %edx, %edx\nje 1f\nmov 64(%rdi), %rcx\nmov (%rcx), %rax\n1: call *%rax\nret", "int,*struct node,int", ""},
		{"no function", "mov 8(%rdi), %rax\ncall *%rax\nret", "", ""},
		{"moved on", "mov 88(%rdi), %rax\nadd $8, %rax\ncall *%rax\nret", "", "node.hook"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := asmtest.Function(t, "call", c.code)
			seen := false
			Walk(m, types, m.Lookup("call")[0], func(in *machine.Inst, at *At) {
				if in.Op != machine.Call {
					return
				}
				seen = true
				p, member, ok := at.Pointer(0)
				sig := ""
				if ok {
					sig = Signature(p)
				}
				if sig != c.sig || member != c.member {
					t.Errorf("%q from %q, want %q from %q", sig, member, c.sig, c.member)
				}
			})
			if !seen {
				t.Error("no call")
			}
		})
	}
}

// The running task is what a per-CPU variable of that name holds.
func TestCurrent(t *testing.T) {
	types, _ := loadTypes(t)
	code := "mov %gs:NAME(%rip), %rax\nmov 8(%rax), %rcx\nmov (%rcx), %rcx\nret\n.section .data..percpu,\"aw\"\n.globl current_task, other_task, pcpu_hot\n.quad 0\ncurrent_task: .quad 0\nother_task: .quad 0\npcpu_hot: .quad 0"
	for name, want := range map[string][]string{"current_task": {"-", "task_struct.node", "node.next"}, "pcpu_hot": {"-", "task_struct.node", "node.next"}, "other_task": {"-", "-", "-"}} {
		m := asmtest.Function(t, "work", strings.ReplaceAll(code, "NAME", name))
		if d := cmp.Diff(want, touched(t, m, types, "work")); d != "" {
			t.Errorf("%s (-want +got)\n%s", name, d)
		}
	}
}

// What data is known to be is followed from its address, and from tables of such
// addresses.
func TestObjects(t *testing.T) {
	types, _ := loadTypes(t)
	code := `lea known(%rip), %rax
	mov 8(%rax), %rcx
	mov $known, %rax
	mov (%rax), %rcx
	mov other(%rip), %rbx
	lea other(%rip), %rax
	mov (%rax), %rcx
	mov list(,%rdi,8), %rdx
	mov 8(%rdx), %rcx
	ret
	.data
	.globl known, other, list
known:	.quad 1, 2
other:	.quad 3
list:	.quad known, known`
	m := asmtest.Function(t, "work", code)
	addr, ok := m.Prog.Lookup("known")
	if !ok {
		t.Fatal("no data")
	}
	want := []string{"ops.close", "ops.open", "-", "-", "-", "ops.close"}
	if d := cmp.Diff(want, touched(t, m, types.WithObjects(map[uint64]btf.Type{addr: ops}), "work")); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if got := touched(t, m, types, "work"); slices.ContainsFunc(got, func(s string) bool { return s != "-" }) {
		t.Errorf("without objects: %q", got)
	}
	var none *Types
	if none.WithObjects(nil) != nil || none.Proto("use") != nil {
		t.Error("no types know something")
	}
	if got := touched(t, m, nil, "work"); slices.ContainsFunc(got, func(s string) bool { return s != "-" }) {
		t.Errorf("without types: %q", got)
	}
}

// A name with two prototypes has none; a clone neither.
func TestProto(t *testing.T) {
	types, _ := loadTypes(t, proto("twice", intType, nodePtr), proto("twice", longType, nodePtr), proto("same", intType, nodePtr), proto("same", intType, nodePtr))
	for name, want := range map[string]string{"use": "int,*struct node,int,*struct inner", "twice": "", "same": "int,*struct node", "use.part.0": "", "none": "", "work": "void"} {
		got := ""
		if p := types.Proto(name); p != nil {
			got = Signature(p)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestSignature(t *testing.T) {
	ptr := func(x btf.Type) btf.Type { return &btf.Pointer{Target: x} }
	for _, c := range []struct {
		typ  btf.Type
		want string
	}{
		{intType, "int"}, {ptr(ptr(charType)), "**char"}, {&btf.Enum{Name: "state", Size: 4}, "unsigned int"},
		{ptr(&btf.Fwd{Name: "node"}), "*struct node"}, {ptr(node), "*struct node"}, {&btf.Const{Type: ptr(&btf.Const{Type: node})}, "*struct node"},
		{&btf.Typedef{Name: "size_t", Type: longType}, "long"}, {&btf.Union{Name: "u"}, "union u"}, {&btf.Void{}, "void"}, {ptr(openFn), "*()"},
	} {
		if got := Signature(&btf.FuncProto{Return: c.typ}); got != c.want {
			t.Errorf("%v: %q, want %q", c.typ, got, c.want)
		}
	}
	if got := PointerSignature(&btf.Typedef{Name: "cb_t", Type: ptr(closeFn)}); got != "void,*struct node" {
		t.Errorf("a typedef of a function pointer: %q", got)
	}
	for _, typ := range []btf.Type{ptr(node), intType, closeFn} {
		if got := PointerSignature(typ); got != "" {
			t.Errorf("%v is no function pointer: %q", typ, got)
		}
	}
}

// Which structure a table of function pointers is.
func TestTables(t *testing.T) {
	open, shut := Signature(openFn), Signature(closeFn)
	lone := &btf.Struct{Name: "lone", Size: 8, Members: []btf.Member{{Name: "only", Type: &btf.Pointer{Target: closeFn}}}}
	nested := &btf.Struct{Name: "nested", Size: 32, Members: []btf.Member{{Name: "id", Type: longType}, {Name: "o", Type: ops, Offset: 64}, {Name: "many", Type: &btf.Array{Index: intType, Type: &btf.Pointer{Target: closeFn}, Nelems: 1}, Offset: 192}}}
	_, tables := loadTypes(t, lone, nested)
	for _, c := range []struct {
		name    string
		entries []Entry
		want    [][]string
		typ     string
	}{
		{"both members", []Entry{{0, open}, {8, shut}}, [][]string{{"ops.open"}, {"ops.close"}}, "ops"},
		{"one of several structures", []Entry{{8, shut}}, [][]string{{"ops.close"}}, "ops"},
		{"the first place", []Entry{{0, shut}}, [][]string{{"lone.only"}}, "lone"},
		{"an inner structure", []Entry{{8, open}, {16, shut}, {24, shut}}, [][]string{{"ops.open"}, {"ops.close"}, {"nested.many"}}, "nested"},
		{"an array of structures", []Entry{{0, open}, {16, open}, {24, shut}}, [][]string{{"ops.open"}, {"ops.open"}, {"ops.close"}}, "ops"},
		{"a member of a larger structure", []Entry{{88, open}}, [][]string{{"node.hook"}}, "node"},
		{"an unknown prototype takes no part", []Entry{{0, open}, {8, ""}}, [][]string{{"ops.open"}, nil}, "ops"},
		{"nothing fits", []Entry{{4, open}, {8, open}}, [][]string{nil, nil}, ""},
		{"a prototype that no structure has", []Entry{{0, "long,long"}}, [][]string{nil}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, s := tables.Members(c.entries)
			typ := ""
			if s != nil {
				typ = s.Name
			}
			if d := cmp.Diff(c.want, got); d != "" || typ != c.typ {
				t.Errorf("structure %q, want %q; members (-want +got)\n%s", typ, c.typ, d)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	for _, raw := range [][]byte{nil, []byte("no BTF at all"), make([]byte, 64)} {
		if _, _, err := Load(raw); err == nil || !strings.HasPrefix(err.Error(), "read BTF: ") {
			t.Errorf("%d bytes: %v", len(raw), err)
		}
	}
}
