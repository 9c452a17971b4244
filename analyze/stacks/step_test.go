package stacks

import (
	"testing"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/internal/asmtest"
)

// TestForgets: what an instruction changes without naming it is forgotten, in
// registers and in the frame, and nothing else is.
func TestForgets(t *testing.T) {
	sp := value{kind: pointer, region: frame, off: -64}
	for _, c := range []struct {
		name, code string
		lost       machine.RegSet // besides the stack pointer
		sp         int64          // its change
		frame      bool           // the word at the stack pointer is lost
	}{
		{"div rcx", "48f7f1", machine.Regs(machine.RAX, machine.RDX), 0, false},
		{"imul rcx", "48f7e9", machine.Regs(machine.RAX, machine.RDX), 0, false},
		{"imul rsi, rcx", "480faff1", machine.Regs(machine.RSI), 0, false},
		{"cpuid", "0fa2", machine.Regs(machine.RAX, machine.RBX, machine.RCX, machine.RDX), 0, false},
		{"rdtscp", "0f01f9", machine.Regs(machine.RAX, machine.RCX, machine.RDX), 0, false},
		{"rdtsc", "0f31", machine.Regs(machine.RAX, machine.RDX), 0, false},
		{"cqo", "4899", machine.Regs(machine.RDX), 0, false},
		{"rep lodsq", "f348ad", machine.Regs(machine.RAX, machine.RCX, machine.RSI), 0, false},
		{"repne scasb", "f2ae", machine.Regs(machine.RCX, machine.RDI), 0, false},
		{"scasw", "66af", machine.Regs(machine.RDI), 0, false},
		{"cmpsq", "48a7", machine.Regs(machine.RSI, machine.RDI), 0, false},
		{"pushfq", "9c", 0, -8, false},
		{"popfq", "9d", 0, 8, false},
		{"endbr64", "f30f1efa", 0, 0, false},
		{"stac", "0f01cb", 0, 0, false},
		{"rdrand rbx", "480fc7f3", machine.Regs(machine.RBX), 0, false},
		{"mulx rax, rsi, rdi", "c4e2cbf6c7", machine.Regs(machine.RAX, machine.RSI), 0, false},
		{"lock xadd [rsp], rsi", "f0480fc13424", machine.Regs(machine.RSI), 0, true},
		{"lock cmpxchg16b [rsp]", "f0480fc70c24", machine.Regs(machine.RAX, machine.RDX), 0, true},
		{"fnstcw [rsp]", "d93c24", 0, 0, true},
		{"bts [rsp], 3", "480fba2c2403", 0, 0, true},
	} {
		in := asmtest.Inst(t, c.code)
		s := &state{mem: memory{{place{frame, -64}, cell{8, constant(5)}}}}
		for r := range s.known {
			s.known[r] = maxInt
		}
		for i := range s.regs {
			s.regs[i] = constant(uint64(100 + i))
		}
		s.regs[machine.RSP] = sp
		s.step(&in, 0)
		for n := range machine.X86.Registers().All {
			if n == machine.RSP {
				if want := add(sp, constant(uint64(c.sp))); s.regs[n] != want {
					t.Errorf("%s: stack pointer %+v, want %+v", c.name, s.regs[n], want)
				}
				continue
			}
			if got := s.regs[n] != constant(uint64(100+n)); got != c.lost.Has(n) {
				t.Errorf("%s: %s lost: %v", c.name, machine.X86.RegName(n), got)
			}
		}
		if _, has := s.mem.at(place{frame, -64}); has == c.frame {
			t.Errorf("%s: the word at the stack pointer lost: %v", c.name, !has)
		}
	}
}

// TestLeave: leave sets the stack pointer from the frame pointer and loads that.
func TestLeave(t *testing.T) {
	in := asmtest.Inst(t, "c9")
	s := &state{mem: memory{{place{frame, -16}, cell{8, constant(7)}}}}
	for r := range s.known {
		s.known[r] = maxInt
	}
	s.regs[machine.RSP] = value{kind: pointer, region: frame, off: -64}
	s.regs[machine.RBP] = value{kind: pointer, region: frame, off: -16}
	s.step(&in, 0)
	if s.regs[machine.RSP] != (value{kind: pointer, region: frame, off: -8}) || s.regs[machine.RBP] != constant(7) {
		t.Errorf("stack pointer %+v, frame pointer %+v", s.regs[machine.RSP], s.regs[machine.RBP])
	}
}

// TestConstsForget: constants behind what changes registers without naming them.
func TestConstsForget(t *testing.T) {
	for text, lost := range map[string]machine.RegSet{
		"48f7f1":     machine.Regs(machine.RAX, machine.RDX),                           // div rcx
		"0fa2":       machine.Regs(machine.RAX, machine.RBX, machine.RCX, machine.RDX), // cpuid
		"f348ab":     machine.Regs(machine.RCX, machine.RDI),                           // rep stosq
		"4898":       machine.Regs(machine.RAX),                                        // cdqe
		"0f01f9":     machine.Regs(machine.RAX, machine.RCX, machine.RDX),              // rdtscp
		"f3a4":       machine.Regs(machine.RCX, machine.RSI, machine.RDI),              // rep movsb
		"0fa3c8":     0,                                                                // bt eax, ecx
		"f0480fb137": machine.Regs(machine.RAX),                                        // lock cmpxchg [rdi], rsi
		"c9":         machine.Regs(machine.RSP, machine.RBP),                           // leave
		"5b":         machine.Regs(machine.RBX, machine.RSP),                           // pop rbx
	} {
		in := asmtest.Inst(t, text)
		var c consts
		for i := range c.known {
			c.known[i] = true
		}
		c.step(&in)
		for n := range machine.X86.Registers().All {
			if c.known[n] == lost.Has(n) {
				t.Errorf("%s: %s known: %v", text, machine.X86.RegName(n), c.known[n])
			}
		}
	}
}
