package fields

import (
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/internal/asmtest"
)

var object = value{to: &btf.Struct{Name: "object"}}

func run(t *testing.T, s *state, text string) {
	t.Helper()
	in := asmtest.Inst(t, text)
	(&walker{}).step(s, &in)
}

// TestStep: what an instruction changes is not what it was, named or not, and
// nothing else is forgotten.
func TestStep(t *testing.T) {
	for _, c := range []struct {
		name, code string
		lost       machine.RegSet // besides the stack pointer
		sp         int64
		spOK       bool
		slot       bool // the slot at the stack pointer is still known
	}{
		{"div rcx", "48f7f1", machine.Regs(machine.RAX, machine.RDX), 0, true, true},
		{"imul rcx", "48f7e9", machine.Regs(machine.RAX, machine.RDX), 0, true, true},
		{"cpuid", "0fa2", machine.Regs(machine.RAX, machine.RBX, machine.RCX, machine.RDX), 0, true, true},
		{"rep stosq", "f348ab", machine.Regs(machine.RCX, machine.RDI), 0, true, true},
		{"rep movsq", "f348a5", machine.Regs(machine.RCX, machine.RSI, machine.RDI), 0, true, true},
		{"cdqe", "4898", machine.Regs(machine.RAX), 0, true, true},
		{"rdtscp", "0f01f9", machine.Regs(machine.RAX, machine.RCX, machine.RDX), 0, true, true},
		{"xgetbv", "0f01d0", machine.Regs(machine.RAX, machine.RDX), 0, true, true},
		{"endbr64", "f30f1efa", 0, 0, true, true},
		{"leave", "c9", machine.Regs(machine.RBP), 0, false, false},
		{"pushfq", "9c", 0, -8, true, true},
		{"popfq", "9d", 0, 8, true, true},
		{"push rax", "50", 0, -8, true, true},
		{"sub rsp, 0x10", "4883ec10", 0, -0x10, true, true},
		{"lea rsp, [rsp+0x10]", "488d642410", 0, 0x10, true, true},
		{"and rsp, -16", "4883e4f0", 0, 0, true, false},
		{"mov rsp, rbp", "4889ec", 0, 0, false, false},
		{"mov dword [rsp+4], eax", "89442404", 0, 0, true, false},
		{"mov dword [rsp+8], eax", "89442408", 0, 0, true, true},
		{"movups [rsp], xmm0", "0f110424", 0, 0, true, false},
		{"lock inc qword [rsp]", "f048ff0424", 0, 0, true, false},
		{"xchg rbx, rsi", "4887de", machine.Regs(machine.RBX, machine.RSI), 0, true, true},
		{"lock cmpxchg [rsp], rsi", "f0480fb13424", machine.Regs(machine.RAX), 0, true, false},
	} {
		s := &state{slots: []slot{{0, object}}, spOK: true}
		for i := range s.regs {
			if i != int(machine.RSP) {
				s.regs[i] = object
			}
		}
		run(t, s, c.code)
		for n := range machine.X86.Registers().All {
			if got := s.regs[n] != object; n != machine.RSP && got != c.lost.Has(n) {
				t.Errorf("%s: %s lost: %v", c.name, machine.X86.RegName(n), got)
			}
		}
		if s.spOK != c.spOK || s.spOK && s.sp != c.sp {
			t.Errorf("%s: stack pointer %d, known %v", c.name, s.sp, s.spOK)
		}
		if got := s.at(0) == object; got != c.slot {
			t.Errorf("%s: slot known: %v", c.name, got)
		}
	}
}

// TestSpill: a pointer comes back from where it was kept, by push and pop and
// by moves.
func TestSpill(t *testing.T) {
	for _, c := range []struct {
		name string
		code []string
		in   machine.Num
	}{
		{"push rdi; pop rbx", []string{"57", "5b"}, machine.RBX},
		{"mov [rsp+8], rdi; mov rax, [rsp+8]", []string{"48897c2408", "488b442408"}, machine.RAX},
		{"push rdi; push rsi; mov rax, [rsp+8]", []string{"57", "56", "488b442408"}, machine.RAX},
		{"mov [rsp+8], rdi; sub rsp, 0x10; mov rax, [rsp+0x18]", []string{"48897c2408", "4883ec10", "488b442418"}, machine.RAX},
	} {
		s := &state{spOK: true}
		s.regs[machine.RDI] = object
		for _, x := range c.code {
			run(t, s, x)
		}
		if s.regs[c.in] != object {
			t.Errorf("%s: %+v", c.name, s.regs[c.in])
		}
	}
}

// TestOrigins: the address of an object without a type is followed from where it comes,
// through copies and the frame, to where a function's address is put and what it is given to.
func TestOrigins(t *testing.T) {
	mem := func(base, index machine.Num, scale uint8, disp int64) machine.Mem {
		return machine.Mem{Base: base, Index: index, Scale: scale, Disp: disp}
	}
	for _, c := range []struct {
		name, code string
		mem        machine.Mem
		of         string // "frame", "call" or ""
		off        int64
		indexed    bool
	}{
		{"frame", "sub $0x20, %rsp", mem(machine.RSP, machine.NoReg, 0, 8), "frame", -0x18, false},
		{"frame in a register", "sub $0x20, %rsp\nlea 0x8(%rsp), %rbx\ncall work", mem(machine.RBX, machine.NoReg, 0, 8),
			"frame", -0x10, false},
		{"copy of the stack pointer", "mov %rsp, %rbx", mem(machine.RBX, machine.RCX, 8, 0), "frame", 0, true},
		{"heap", "call work\nmov %rax, %rbx", mem(machine.RBX, machine.NoReg, 0, 16), "call", 16, false},
		{"heap as index", "call work\nmov %rax, %rbx", mem(machine.RCX, machine.RBX, 1, 16), "call", 16, true},
		{"heap, spilled", "push %rdi\ncall work\nmov %rax, (%rsp)\ncall work\nmov (%rsp), %rbx",
			mem(machine.RBX, machine.NoReg, 0, 0), "call", 0, false},
		{"moved on", "call work\nadd %rcx, %rax", mem(machine.RAX, machine.NoReg, 0, 0), "call", 0, true},
		{"element", "call work\nlea 0x8(%rax,%rcx,8), %rbx", mem(machine.RBX, machine.NoReg, 0, 8), "call", 16, true},
		{"moved on in a loop", "call work\n1: add $8, %rax\ncmp %rcx, %rax\njne 1b", mem(machine.RAX, machine.NoReg, 0, 0),
			"call", 8, true},
		{"sum of two", "call work\nlea 0x8(%rsp), %rbx\nadd %rbx, %rax", mem(machine.RAX, machine.NoReg, 0, 0), "", 0,
			false},
		{"lost", "call work\nimul %rcx, %rax", mem(machine.RAX, machine.NoReg, 0, 0), "", 0, false},
		{"scratch", "lea 0x8(%rsp), %rcx\ncall work", mem(machine.RCX, machine.NoReg, 0, 0), "", 0, false},
	} {
		types, _ := loadTypes(t)
		m := asmtest.Function(t, "use", c.code+"\nnop\nud2")
		for _, origins := range []bool{true, false} {
			visit := Walk
			if origins {
				visit = WalkOrigins
			}
			visit(m, types, m.Lookup("use")[0], func(in *machine.Inst, at *At) {
				if in.Op != machine.Trap {
					return
				}
				got, ok := at.Spot(c.mem)
				wanted := c.of != "" && (origins || c.mem.Base == machine.RSP)
				if ok != wanted {
					t.Errorf("%s, origins %v: found %v, %+v", c.name, origins, ok, got)
				}
				if ok && ((got.Of == OriginFrame) != (c.of == "frame") || got.Off != c.off || got.Indexed != c.indexed) {
					t.Errorf("%s: %+v", c.name, got)
				}
			})
		}
	}
}
