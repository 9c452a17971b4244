package fields

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/internal/asmtest"
)

var names64 = []string{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"}

// after tells which registers still hold a typed pointer behind some code that runs
// with one in each.
func after(t *testing.T, types *Types, code string) []string {
	t.Helper()
	var all strings.Builder
	for n, r := range names64 {
		if n != 4 && r != "rdi" {
			fmt.Fprintf(&all, "mov %%rdi, %%%s\n", r)
		}
	}
	m := asmtest.Function(t, "use", all.String()+code+"\nnop\nud2")
	var out []string
	Walk(m, types, m.Lookup("use")[0], func(in *machine.Inst, at *At) {
		if in.Op != machine.Trap {
			return
		}
		for n, r := range names64 {
			if n == 4 {
				continue
			}
			if f, ok := at.Field(machine.Mem{Base: machine.Num(n), Index: machine.NoReg}); ok && f.Name() == "node.next" {
				out = append(out, r)
			}
		}
	})
	return out
}

// What instructions leave in registers that held a pointer.
func TestClobbers(t *testing.T) {
	types, _ := loadTypes(t)
	kept := func(lost ...string) []string {
		return slices.DeleteFunc(slices.Clone(names64), func(r string) bool { return r == "rsp" || slices.Contains(lost, r) })
	}
	for code, lost := range map[string][]string{
		"nop":                            nil,
		"call work":                      {"rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11"},
		"call __fentry__":                nil,
		"mul %rbx":                       {"rax", "rdx"},
		"div %rbx":                       {"rax", "rdx"},
		"idiv %rbx":                      {"rax", "rdx"},
		"cqo":                            {"rdx"},
		"cdq":                            {"rdx"},
		"rdtsc":                          {"rax", "rdx"},
		"rdmsr":                          {"rax", "rdx"},
		"cpuid":                          {"rax", "rcx", "rdx", "rbx"},
		"cmpxchg %rcx, (%rbx)":           {"rax"},
		"xchg %rbx, %r12":                {"rbx", "r12"},
		"xadd %rbx, %r12":                {"rbx", "r12"},
		"cmp %rbx, %r12":                 nil,
		"test %rbx, %r12":                nil,
		"bt $3, %rbx":                    nil,
		"push %rbx\npop %rbx":            nil,
		"pop %rbx":                       {"rbx"},
		"xor %ebx, %ebx":                 {"rbx"},
		"mov $1, %bl":                    {"rbx"},
		"mov $1, %r12b":                  {"r12"},
		"mov $1, %r12w":                  {"r12"},
		"mov %r12d, %r12d":               {"r12"},
		"or $1, %rbx":                    {"rbx"},
		"shl $3, %rbx":                   {"rbx"},
		"imul %rcx, %rbx":                {"rbx"},
		"lea (%rbx,%rcx), %r12":          {"r12"},
		"lea 8(%rbx), %r12":              {"r12"},
		"lea (%rbx), %r12":               nil,
		"add $8, %rbx":                   {"rbx"},
		"add $8, %rbx\nsub $8, %rbx":     nil,
		"mov %rbx, (%rcx)":               nil,
		"prefetchw (%rbx)":               nil,
		"sete %bl":                       {"rbx"},
		"movzbl (%rcx), %ebx":            {"rbx"},
		"cmova %r12, %rbx":               nil,
		"cmovae %r12, %rbx":              nil,
		"cmovb %r12, %rbx":               nil,
		"cmovbe %r12, %rbx":              nil,
		"cmove %r12, %rbx":               nil,
		"cmovne %r12, %rbx":              nil,
		"cmovg %r12, %rbx":               nil,
		"cmovge %r12, %rbx":              nil,
		"cmovl %r12, %rbx":               nil,
		"cmovle %r12, %rbx":              nil,
		"cmovs %r12, %rbx":               nil,
		"cmovns %r12, %rbx":              nil,
		"cmova (%rcx), %rbx":             {"rbx"},
		"mov $0, %r12\ncmova %r12, %rbx": {"rbx", "r12"},
		"add $8, %r12\ncmova %r12, %rbx": {"rbx", "r12"},
	} {
		if got := after(t, types, code); !slices.Equal(got, kept(lost...)) {
			t.Errorf("%q leaves %q, want %q", code, got, kept(lost...))
		}
	}
}

// Members are found however deep, and only where they begin.
func TestMemberAt(t *testing.T) {
	deep := btf.Type(longType)
	for i := range 5 {
		deep = &btf.Struct{Name: fmt.Sprintf("level%d", i), Size: uint32(8 * (i + 2)), Members: []btf.Member{{Name: "pad", Type: longType}, {Name: fmt.Sprintf("m%d", i), Type: deep, Offset: 64}}}
	}
	u := &btf.Union{Name: "either", Size: 8, Members: []btf.Member{{Name: "number", Type: longType}, {Name: "node", Type: nodePtr}}}
	anonymous := &btf.Struct{Name: "outer", Size: 24, Members: []btf.Member{{Name: "first", Type: longType}, {Type: &btf.Struct{Size: 16, Members: []btf.Member{{Name: "x", Type: longType}, {Name: "y", Type: longType, Offset: 64}}}, Offset: 64}}}
	flexible := &btf.Struct{Name: "flexible", Size: 8, Members: []btf.Member{{Name: "n", Type: longType}, {Name: "data", Type: &btf.Array{Type: longType, Index: intType}, Offset: 64}}}
	for _, c := range []struct {
		typ  btf.Type
		off  int64
		want string // owner.member (inner); "" for none
	}{
		{deep, 40, "level4.m4.m3.m2.m1.m0 (level0.m0)"}, {deep, 0, "level4.pad (level4.pad)"}, {deep, 41, ""}, {deep, 48, ""}, {deep, -8, ""},
		{u, 0, "either.number (either.number)"}, {u, 8, ""}, {u, 4, ""},
		{anonymous, 16, "outer.y (outer.y)"}, {anonymous, 8, "outer.x (outer.x)"}, {anonymous, 12, ""},
		{flexible, 0, "flexible.n (flexible.n)"},
		{longType, 0, ""}, {&btf.Array{Type: longType, Nelems: 2}, 8, ""}, {openFn, 0, ""},
	} {
		f, ok := memberAt(c.typ, c.off)
		got := ""
		if ok {
			got = f.Name() + " (" + f.Inner() + ")"
		}
		if got != c.want {
			t.Errorf("%v+%d is %q, want %q", c.typ, c.off, got, c.want)
		}
	}
	if f, ok := memberAt(nodePtr, 0); !ok || f.Owner != "" || f.Type != btf.Type(nodePtr) {
		t.Errorf("a pointer to a pointer: %+v, %v", f, ok)
	}
	if _, ok := memberAt(nodePtr, 8); ok {
		t.Error("behind a pointer there is something")
	}
}
