package locks

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/elfobj"
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
	dir := t.TempDir()
	s, o := filepath.Join(dir, "x.s"), filepath.Join(dir, "x.o")
	if err := os.WriteFile(s, []byte(src.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-c", "-o", o, s).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f, err := elfobj.ReadFile(o)
	if err != nil {
		t.Fatal(err)
	}
	p, err := model.FromObject(f, model.ObjectOptions{Name: "x.o"})
	if err != nil {
		t.Fatal(err)
	}
	m := model.Build(p)
	res := Analyze(m, Options{})
	for _, c := range cases {
		ids := m.Lookup(c.name)
		if len(ids) != 1 {
			t.Fatalf("%d functions %s", len(ids), c.name)
		}
		e := res.Effect(ids[0])
		got := words(res.Summary(e, nil), e)
		// Where the address is lost, which lock is released is assumed.
		if e.Assumed == c.keeps || c.keeps && got != "+spin:arg2" {
			t.Errorf("%s: %s, assumed %v", c.name, got, e.Assumed)
		}
	}
}

// TestUses: what is live is what is read, and dead what is replaced.
func TestUses(t *testing.T) {
	set := func(n ...machine.Num) regSet { return regSet(machine.Regs(n...)) }
	for text, want := range map[string][2]regSet{
		"\x48\xf7\xf1":     {set(machine.RAX, machine.RCX, machine.RDX), 0}, // div rcx
		"\x0f\xa2":         {set(machine.RAX, machine.RCX), set(machine.RBX, machine.RDX)},
		"\x48\x98":         {set(machine.RAX), 0},                // cdqe
		"\x48\x99":         {set(machine.RAX), set(machine.RDX)}, // cqo
		"\xf3\x48\xab":     {set(machine.RAX, machine.RCX, machine.RDI), 0},
		"\x31\xc0":         {0, set(machine.RAX)}, // xor eax, eax
		"\x0f\x94\xc0":     {0, 0},                // sete al
		"\x0f\x44\xc1":     {set(machine.RAX, machine.RCX), 0},
		"\xc9":             {set(machine.RBP), set(machine.RSP)}, // leave
		"\x48\x0f\xaf\xc1": {set(machine.RAX, machine.RCX), 0},
		"\xf3\x0f\x1e\xfa": {0, 0},
		"\x0f\x01\xf9":     {0, set(machine.RAX, machine.RCX, machine.RDX)}, // rdtscp
	} {
		in, err := model.Decode([]byte(text), 0)
		if err != nil {
			t.Fatal(err)
		}
		m := in.Machine()
		if use, def := uses(&in); use != want[0] || def != want[1] {
			t.Errorf("%s: uses %#x, defines %#x; want %#x, %#x", m.String(), use, def, want[0], want[1])
		}
	}
}
