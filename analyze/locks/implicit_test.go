package locks

import (
	"strings"
	"testing"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/internal/asmtest"
)

// TestImplicit: a lock's address in a register survives what leaves the
// register alone, and not what changes it without naming it first.
func TestImplicit(t *testing.T) {
	cases := []struct {
		name, between string
		keeps         bool
	}{
		{"nothing", "nop", true},
		{"endbr", "endbr64", true},
		{"stac", "stac\n clac", true},
		{"div", "div %rcx", true},
		{"cpuid", "cpuid", false},
		{"mulx", "mulx %rdi, %rbx, %rax", false},
		{"andn", "andn %rdi, %rsi, %rbx", false},
		{"rdrand", "rdrand %rbx", false},
		{"rdtscp", "rdtscp", true},
		{"cmpxchg", "lock cmpxchg %rbx, 8(%rbp)", true},
		{"cmpxchg_to", "cmpxchg %rsi, %rbx", false},
		{"xadd", "lock xadd %rbx, 8(%rbp)", false},
		{"stos", "mov %rbp, %rdi\n rep stosq", true},
		{"cdqe", "cltq", true},
		{"imul", "imul %rbx", true},
		{"popfq", "pushfq\n popfq", true},
		{"push", "push %rbx\n pushfq\n popfq\n pop %rbx", true},
		{"vmcall", "vmcall", false},
		{"encls", "encls", false},
	}
	var src strings.Builder
	src.WriteString(".text\n")
	for _, c := range cases {
		src.WriteString(".globl " + c.name + "\n.type " + c.name + ", @function\n" + c.name + ":\n push %rbx\n push %r12\n mov %rdi, %rbx\n mov %rsi, %rbp\n mov %rdx, %r12\n" +
			" call _raw_spin_lock\n mov %r12, %rdi\n call _raw_spin_lock\n " + c.between + "\n mov %rbx, %rdi\n call _raw_spin_unlock\n pop %r12\n pop %rbx\n ret\n.size " + c.name + ", .-" + c.name + "\n")
	}
	m := asmtest.Model(t, src.String())
	res := Analyze(m, Options{})
	for _, c := range cases {
		e := res.Effect(asmtest.Only(t, m, c.name))
		got := words(res.Summary(e, nil), e)
		// Where the address is lost, which lock is released is assumed.
		if e.Assumed == c.keeps || c.keeps && got != "+spin:arg2" {
			t.Errorf("%s: %s, assumed %v", c.name, got, e.Assumed)
		}
	}
}

// TestUses: what is live is what is read, and dead what is replaced.
func TestUses(t *testing.T) {
	set := machine.Regs
	for text, want := range map[string][2]machine.RegSet{
		"48f7f1":   {set(machine.RAX, machine.RCX, machine.RDX), 0}, // div rcx
		"0fa2":     {set(machine.RAX, machine.RCX), set(machine.RBX, machine.RDX)},
		"4898":     {set(machine.RAX), 0},                // cdqe
		"4899":     {set(machine.RAX), set(machine.RDX)}, // cqo
		"f348ab":   {set(machine.RAX, machine.RCX, machine.RDI), 0},
		"31c0":     {0, set(machine.RAX)}, // xor eax, eax
		"0f94c0":   {0, 0},                // sete al
		"0f44c1":   {set(machine.RAX, machine.RCX), 0},
		"c9":       {set(machine.RBP), set(machine.RSP)}, // leave
		"480fafc1": {set(machine.RAX, machine.RCX), 0},
		"f30f1efa": {0, 0},
		"0f01f9":   {0, set(machine.RAX, machine.RCX, machine.RDX)}, // rdtscp
	} {
		in := asmtest.Inst(t, text)
		if use, def := uses(&in); use != want[0] || def != want[1] {
			t.Errorf("%s: uses %#x, defines %#x; want %#x, %#x", in.String(), use, def, want[0], want[1])
		}
	}
}
