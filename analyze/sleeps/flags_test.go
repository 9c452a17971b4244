package sleeps

import (
	"encoding/hex"
	"testing"

	"github.com/klpforge/klpforge/analyze/machine"
)

// TestStep: flags and addresses are forgotten where an instruction changes a
// register without naming it, and kept where it does not.
func TestStep(t *testing.T) {
	for _, c := range []struct {
		name, code string
		reg        machine.Num
		kept       bool
	}{
		{"div rcx", "48f7f1", machine.RDX, false},
		{"imul rax, rcx", "480fafc1", machine.RDX, true},
		{"rdtscp", "0f01f9", machine.RCX, false},
		{"rep lodsb", "f3ac", machine.RSI, false},
		{"rep stosq", "f348ab", machine.RDI, false},
		{"cdqe", "4898", machine.RAX, false},
		{"lock cmpxchg16b [rdi]", "f0480fc70f", machine.RDX, false},
		{"leave", "c9", machine.RBP, false},
		{"mov eax, [rsi]", "8b06", machine.RAX, false},
		{"bts [rdi], rsi", "480fab37", machine.RSI, true},
		{"mul qword [rdi]", "48f727", machine.RDI, true},
		{"endbr64", "f30f1efa", machine.RDI, true},
		{"andn rdi, rsi, rdx", "c4e2c8f2fa", machine.RDI, false},
	} {
		code, err := hex.DecodeString(c.code)
		if err != nil {
			t.Fatal(err)
		}
		in, err := machine.X86.Decode(code, 0)
		if err != nil {
			t.Fatal(err)
		}
		var s regs
		for i := range s {
			s[i] = value{valConst, direct}
		}
		s.step(&in, convention.Scratch)
		if got := s[c.reg] == (value{valConst, direct}); got != c.kept {
			t.Errorf("%s: %s kept: %v", c.name, machine.X86.RegName(c.reg), got)
		}
	}
}
