package code

import (
	"testing"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/internal/asmtest"
)

// TestConstantsForgotten: constants are forgotten where an instruction changes
// a register without naming it, and kept where it does not change it.
func TestConstantsForgotten(t *testing.T) {
	for _, c := range []struct {
		name, code string
		reg        machine.Num
		kept       bool
	}{
		{"div rcx", "48f7f1", machine.RAX, false},
		{"div rcx", "48f7f1", machine.RDX, false},
		{"div rcx", "48f7f1", machine.RCX, true},
		{"imul rcx", "48f7e9", machine.RDX, false},
		{"imul rax, rcx", "480fafc1", machine.RDX, true},
		{"cpuid", "0fa2", machine.RBX, false},
		{"rep stosq", "f348ab", machine.RDI, false},
		{"rep stosq", "f348ab", machine.RCX, false},
		{"rep stosq", "f348ab", machine.RAX, true},
		{"rep movsb", "f3a4", machine.RSI, false},
		{"cdqe", "4898", machine.RAX, false},
		{"cdqe", "4898", machine.RDX, true},
		{"cqo", "4899", machine.RDX, false},
		{"rdtscp", "0f01f9", machine.RCX, false},
		{"rdtsc", "0f31", machine.RCX, true},
		{"leave", "c9", machine.RBP, false},
		{"xchg rdi, rsi", "4887f7", machine.RSI, false},
		{"lock xadd [rdi], rsi", "f0480fc137", machine.RSI, false},
		{"lock cmpxchg [rdi], rsi", "f0480fb137", machine.RAX, false},
		{"lock cmpxchg [rdi], rsi", "f0480fb137", machine.RSI, true},
		{"mulx rax, rsi, rdi", "c4e2cbf6c7", machine.RSI, false},
		{"endbr64", "f30f1efa", machine.RAX, true},
		{"stac", "0f01cb", machine.RAX, true},
		{"rdpkru", "0f01ee", machine.RDX, false},
		{"rdrand rdi", "480fc7f7", machine.RDI, false},
	} {
		in := asmtest.Inst(t, c.code)
		var s regs
		for i := range s {
			s[i] = values{consts: []int64{7}}
		}
		s.step(&in)
		if got := s[c.reg].equal(values{consts: []int64{7}}); got != c.kept {
			t.Errorf("Returns: %s: %s kept: %v", c.name, machine.X86.RegName(c.reg), got)
		}
		if _, got := after(&in, c.reg, 7, true); got != c.kept {
			t.Errorf("ConstArg: %s: %s kept: %v", c.name, machine.X86.RegName(c.reg), got)
		}
	}
}

// TestResultStep: what instructions that do not name a register do to a result
// in it.
func TestResultStep(t *testing.T) {
	for _, c := range []struct {
		name, code string
		reg        machine.Num
		use        Use
		done       bool
	}{
		{"mul rcx", "48f7e1", machine.RAX, UsePassedOn, true},
		{"cdqe", "4898", machine.RAX, UsePassedOn, true},
		{"rdtsc", "0f31", machine.RAX, UseIgnored, true}, // overwritten without a look
		{"xor eax, eax", "31c0", machine.RAX, UseIgnored, true},
		{"sete al", "0f94c0", machine.RAX, 0, false}, // a part of it
		{"test eax, eax", "85c0", machine.RAX, UseTested, true},
		{"mov rdx, [rax]", "488b10", machine.RAX, UseDereferenced, true},
		{"rep stosb", "f3aa", machine.RAX, UsePassedOn, true},
		{"endbr64", "f30f1efa", machine.RAX, 0, false},
		{"push rax", "50", machine.RAX, UsePassedOn, true},
		{"mov eax, 1", "b801000000", machine.RAX, UseIgnored, true},
		{"pop rbx", "5b", machine.RBX, UseIgnored, true},
		{"stosb", "aa", machine.RDI, UseDereferenced, true},
	} {
		in := asmtest.Inst(t, c.code)
		e := in.Effects()
		s := useState{holds: 1 << c.reg}
		use, done := s.step(&in, &e)
		if done != c.done || done && use != c.use {
			t.Errorf("%s: %v, decided %v; want %v, %v", c.name, use, done, c.use, c.done)
		}
	}
}

// TestEscapeStep: an address is lost where its register is changed without
// being named, and goes along where registers are exchanged.
func TestEscapeStep(t *testing.T) {
	for _, c := range []struct {
		name, code string
		begin, end machine.Num
	}{
		{"rep stosq", "f348ab", machine.RDI, machine.NoReg},
		{"rep movsb", "f3a4", machine.RSI, machine.NoReg},
		{"cpuid", "0fa2", machine.RBX, machine.NoReg},
		{"div rcx", "48f7f1", machine.RDX, machine.NoReg},
		{"cdqe", "4898", machine.RDX, machine.RDX},
		{"xchg rdi, rsi", "4887f7", machine.RSI, machine.RDI},
		{"xchg rdi, rsi", "4887f7", machine.RDI, machine.RSI},
		{"cmove rdi, rsi", "480f44fe", machine.RSI, machine.RDI},
		{"cmove rdi, rsi", "480f44fe", machine.RDI, machine.RDI},
	} {
		in := asmtest.Inst(t, c.code)
		e := in.Effects()
		var tr tracked
		tr.held[c.begin] = true
		tr.step(nil, 0, &in, &e)
		if c.end == machine.NoReg {
			if !tr.over || tr.Fate != Kept {
				t.Errorf("%s: still held: %v", c.name, tr.held)
			}
		} else if tr.over || !tr.held[c.end] {
			t.Errorf("%s: held %v, over %v", c.name, tr.held, tr.over)
		}
	}
}
