package code

import (
	"slices"
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
		{"cdqe", "4898", machine.RAX, 0, false},
		{"rdtsc", "0f31", machine.RAX, UseIgnored, true}, // overwritten without a look
		{"xor eax, eax", "31c0", machine.RAX, UseIgnored, true},
		{"sete al", "0f94c0", machine.RAX, 0, false},     // a part of it
		{"test eax, eax", "85c0", machine.RAX, 0, false}, // what it is for, the next one says
		{"test eax, ecx", "85c8", machine.RAX, UseTested, true},
		{"cmp eax, 7", "83f807", machine.RAX, UseTested, true},
		{"cmp rax, -4096", "483d00f0ffff", machine.RAX, 0, false},
		{"mov rdx, [rax]", "488b10", machine.RAX, UseDereferenced, true},
		{"div ecx", "f7f1", machine.RCX, UseDivides, true},
		{"div ecx", "f7f1", machine.RDX, UsePassedOn, true},
		{"mov [rsp+8], rax", "4889442408", machine.RAX, 0, false},
		{"mov [rbx+8], rax", "48894308", machine.RAX, UsePassedOn, false},
		{"rep stosb", "f3aa", machine.RAX, UsePassedOn, false},
		{"endbr64", "f30f1efa", machine.RAX, 0, false},
		{"push rax", "50", machine.RAX, UsePassedOn, false},
		{"mov eax, 1", "b801000000", machine.RAX, UseIgnored, true},
		{"pop rbx", "5b", machine.RBX, UseIgnored, true},
		{"stosb", "aa", machine.RDI, UseDereferenced, true},
	} {
		in := asmtest.Inst(t, c.code)
		e := in.Effects()
		w := &useWalk{follower: &Follower{}}
		done := w.step(&useState{holds: 1 << c.reg}, &in, &e)
		if done != c.done || w.found != c.use {
			t.Errorf("%s: %v, decided %v; want %v, %v", c.name, w.found, done, c.use, c.done)
		}
	}
}

// TestResultSteps: what a comparison is made for shows by the condition behind it, a value
// comes back from the frame, and a test counts for what follows.
func TestResultSteps(t *testing.T) {
	for _, c := range []struct {
		name string
		code []string
		use  Use
	}{
		{"test eax, eax; je", []string{"85c0", "7400"}, UseTestedZero},
		{"test eax, eax; js", []string{"85c0", "7800"}, UseTestedSign},
		{"test eax, eax; jle", []string{"85c0", "7e00"}, UseTestedPositive},
		{"test eax, eax; sete dl; js", []string{"85c0", "0f94c2", "7800"}, UseTestedZero | UseTestedSign},
		{"test eax, eax; je; jle", []string{"85c0", "7400", "7e00"}, UseTestedZero | UseTestedPositive},
		{"test eax, eax; jne; test eax, eax; jle", []string{"85c0", "7500", "85c0", "7e00"}, UseTestedZero | UseTested},
		{"test eax, eax; mov eax, -22; cmove eax, ecx", []string{"85c0", "b8eaffffff", "0f44c1"}, UseTestedZero},
		{"mov eax, -22; cmove eax, ecx", []string{"b8eaffffff", "0f44c1"}, UseIgnored},
		{"test eax, eax; add ecx, 1; js", []string{"85c0", "83c101", "7800"}, 0},
		{"test rax, rax; je; mov rdx, [rax]", []string{"4885c0", "7400", "488b10"}, UseTestedZero | UseZeroTested},
		{"cmp rax, -4096; ja; mov rdx, [rax]", []string{"483d00f0ffff", "7700", "488b10"}, UseErrorTested},
		{"both tests", []string{"4885c0", "7400", "483d00f0ffff", "7700", "488b10"}, UseTestedZero},
		{"lea rdx, [rax-1]; mov rdx, [rax]", []string{"488d50ff", "488b10"}, 0},
		{"lea rdx, [rax-8]; mov rdx, [rax]", []string{"488d50f8", "488b10"}, UseDereferenced},
		{"mov [rsp+8], rax; xor eax, eax; div [rsp+8]", []string{"4889442408", "31c0", "f7742408"}, UseDivides},
		{"mov [rsp+8], rax; xor eax, eax; mov [rsp+8], rcx", []string{"4889442408", "31c0", "48894c2408"}, UseIgnored},
		{"mov [rsp+8], rax; push rcx; xor eax, eax", []string{"4889442408", "51", "31c0"}, UseIgnored},
		{"mov [rbx], rax; mov rdx, [rax]", []string{"488903", "488b10"}, UsePassedOn | UseDereferenced},
		{"test ecx, ecx; div ecx", []string{"85c0", "7400", "f7f0"}, UseTestedZero},
	} {
		w := &useWalk{follower: &Follower{}}
		s := useState{holds: 1 << machine.RAX}
		for _, one := range c.code {
			in := asmtest.Inst(t, one)
			e := in.Effects()
			if w.step(&s, &in, &e) {
				break
			}
		}
		if w.found != c.use {
			t.Errorf("%s: %v; want %v", c.name, w.found, c.use)
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

// TestReturnedConstants: what a comparison says of a register holds for its copies too, and
// a truth value is 0 or 1.
func TestReturnedConstants(t *testing.T) {
	for _, c := range []struct {
		name, code string
		want       Returns
	}{
		{"null by a test", "call work\nmov %rax, %rbx\ntest %rax, %rax\nje 1f\nmov $-12, %eax\nret\n1: mov %rbx, %rax\nret",
			Returns{Const: []int64{-12, 0}}},
		{"found equal", "call work\ncmp $-2, %eax\njne 1f\nret\n1: xor %eax, %eax\nret", Returns{Const: []int64{-2, 0}}},
		{"found different", "call work\ntest %rax, %rax\nje 1f\nret\n1: ud2", Returns{Other: true}},
		{"another value", "call work\nmov %rax, %rbx\ncall work\ntest %rax, %rax\nje 1f\nud2\n1: mov %rbx, %rax\nret",
			Returns{Other: true}},
		{"of the round before", "1: mov %rax, %rbx\ncall work\ntest %rax, %rax\njne 1b\nmov %rbx, %rax\nret",
			Returns{Other: true}},
		{"changed behind the test", "call work\ntest %rax, %rax\nmov (%rdi), %rax\nje 1f\nud2\n1: ret", Returns{Other: true}},
		{"truth value", "test %edi, %edi\nsete %al\nmovzbl %al, %eax\nret", Returns{Const: []int64{0, 1}}},
		{"truth value over zero", "xor %eax, %eax\ntest %edi, %edi\nsete %al\nret", Returns{Const: []int64{0, 1}}},
		{"lowest bit", "call work\nand $1, %eax\nret", Returns{Const: []int64{0, 1}}},
		{"byte of a constant", "mov $1, %ebx\nmovzbl %bl, %eax\nret", Returns{Const: []int64{1}}},
		{"byte of a larger one", "mov $0x101, %ebx\nmovzbl %bl, %eax\nret", Returns{Other: true}},
		{"part of a register", "call work\nsete %al\nret", Returns{Other: true}},
	} {
		m := asmtest.Function(t, "f", c.code)
		if got := ReturnsOf(m, m.Lookup("f")[0]); !slices.Equal(got.Const, c.want.Const) || got.Other != c.want.Other {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
