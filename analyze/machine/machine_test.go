package machine_test

import (
	"debug/elf"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/elfobj"
)

func decode(t testing.TB, code string) machine.Inst {
	t.Helper()
	b, err := hex.DecodeString(code)
	if err != nil {
		t.Fatal(err)
	}
	in, err := machine.X86.Decode(b, codeAt)
	if err != nil || in.Len != len(b) {
		t.Fatalf("decode %s: %d bytes, %v", code, in.Len, err)
	}
	return in
}

func regNames(s machine.RegSet) string {
	var out []string
	for n := range s.All {
		out = append(out, machine.X86.RegName(n))
	}
	return strings.Join(out, " ")
}

// What several readers of machine code had wrong before there was one, and
// what a process cannot run (System V ABI, Intel SDM vol. 2, AMD APM vol. 3).
func TestEffects(t *testing.T) {
	for _, c := range []struct {
		code, text, writes, reads string
		stack                     machine.StackChange
		delta                     int64
		memory                    bool // may be changed
		side                      machine.Side
	}{
		{code: "48f7f1", text: "div rcx", writes: "rax rdx", reads: "rax rcx rdx"},
		{code: "f6f1", text: "div cl", writes: "rax", reads: "rax rcx"},
		{code: "48f7e9", text: "imul rcx", writes: "rax rdx", reads: "rax rcx"},
		{code: "480fafc1", text: "imul rax, rcx", writes: "rax", reads: "rax rcx"},
		{code: "4869c110000000", text: "imul rax, rcx, 0x10", writes: "rax", reads: "rcx"},
		{code: "0fa2", text: "cpuid", writes: "rax rcx rdx rbx", reads: "rax rcx", side: machine.SideOrder},
		{code: "f348ab", text: "rep stosq 8[rdi], rax", writes: "rcx rdi", reads: "rax rcx rdi", memory: true},
		{code: "48ab", text: "stosq 8[rdi], rax", writes: "rdi", reads: "rax rdi", memory: true},
		{code: "4898", text: "cdqe", writes: "rax", reads: "rax"},
		{code: "4899", text: "cqo", writes: "rdx", reads: "rax"},
		{code: "0f01f9", text: "rdtscp", writes: "rax rcx rdx"},
		{code: "0f32", text: "rdmsr", writes: "rax rdx", reads: "rcx", side: machine.SideMSR},
		{code: "c9", text: "leave", writes: "rsp rbp", reads: "rbp", stack: machine.StackOther},
		{code: "50", text: "push rax", writes: "rsp", reads: "rax rsp", stack: machine.StackMoved, delta: -8, memory: true},
		{code: "4883ec18", text: "sub rsp, 0x18", writes: "rsp", reads: "rsp", stack: machine.StackMoved, delta: -0x18},
		{code: "488d642420", text: "lea rsp, 0[rsp+0x20]", writes: "rsp", reads: "rsp", stack: machine.StackMoved, delta: 0x20},
		{code: "4883e4f0", text: "and rsp, -0x10", writes: "rsp", reads: "rsp", stack: machine.StackOther},
		{code: "c21000", text: "ret 0x10", writes: "rsp", reads: "rsp", stack: machine.StackMoved, delta: 24},
		{code: "fa", text: "cli", side: machine.SideInterrupts},
		{code: "9d", text: "popfq", writes: "rsp", reads: "rsp", stack: machine.StackMoved, delta: 8, side: machine.SideInterrupts},
		{code: "f30f1efa", text: "endbr64"},
		{code: "31c0", text: "xor eax, eax", writes: "rax"},
		{code: "0f01c1", text: "vmcall", writes: "rax rcx rdx rbx rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15",
			reads: "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15", memory: true, side: machine.SideHypervisor},
	} {
		in := decode(t, c.code)
		e := in.Effects()
		if in.String() != c.text {
			t.Errorf("%s reads %q, not %q", c.code, in.String(), c.text)
		}
		if got := regNames(e.Writes); got != c.writes {
			t.Errorf("%s writes %q, not %q", c.text, got, c.writes)
		}
		if got := regNames(e.Reads); got != c.reads {
			t.Errorf("%s reads %q, not %q", c.text, got, c.reads)
		}
		if e.Stack != c.stack || e.StackDelta != c.delta {
			t.Errorf("%s: stack pointer: %v by %d, not %v by %d", c.text, e.Stack, e.StackDelta, c.stack, c.delta)
		}
		if e.WritesMemory() != c.memory || e.Side != c.side || e.Unknown {
			t.Errorf("%s: writes memory %v, side effects %#x, unknown %v", c.text, e.WritesMemory(), e.Side, e.Unknown)
		}
	}
}

// An instruction that nothing is known of changes everything, and so does the
// zero instruction.
func TestUnknown(t *testing.T) {
	in := decode(t, "0f3a000000") // no such opcode; its length is that of its map
	for _, in := range []machine.Inst{in, {}} {
		e := in.Effects()
		if in.Known() || !e.Unknown || e.Writes&0xffff != 0xffff || e.Reads&0xffff != 0xffff || e.Replaced() != 0 || !e.WritesMemory() ||
			e.FlagsWritten != machine.AllFlags || e.Stack != machine.StackOther {
			t.Errorf("%q: %+v", in.Name, e)
		}
	}
	if _, err := machine.X86.Decode([]byte{0x06}, 0); !errors.Is(err, elfobj.ErrUndecodable) {
		t.Errorf("push es: %v", err)
	}
	if _, err := machine.For(elf.EM_AARCH64); !errors.Is(err, machine.ErrArch) {
		t.Errorf("arm64: %v", err)
	}
}

func TestConvention(t *testing.T) {
	c := machine.X86.Convention()
	if c.Saved&c.Scratch != 0 || c.Saved|c.Scratch != machine.X86.Registers() {
		t.Errorf("saved %q, scratch %q", regNames(c.Saved), regNames(c.Scratch))
	}
	for name, want := range map[string]machine.Callee{
		"kfree":                        {Kind: machine.CalleeC, Via: machine.NoReg, Changed: c.Scratch, Flags: true, Memory: true},
		"":                             {Kind: machine.CalleeC, Via: machine.NoReg, Changed: c.Scratch, Flags: true, Memory: true},
		"__fentry__":                   {Kind: machine.CalleeHook, Via: machine.NoReg},
		"__x86_return_thunk":           {Kind: machine.CalleeReturn, Via: machine.NoReg},
		"srso_alias_return_thunk":      {Kind: machine.CalleeReturn, Via: machine.NoReg},
		"srso_untrain_ret":             {Kind: machine.CalleeC, Via: machine.NoReg, Changed: c.Scratch, Flags: true, Memory: true},
		"__x86_indirect_thunk_r11":     {Kind: machine.CalleeThunk, Via: machine.R11, Changed: c.Scratch, Flags: true, Memory: true},
		"__x86_indirect_thunk_array":   {Kind: machine.CalleeThunk, Via: machine.RAX, Changed: c.Scratch, Flags: true, Memory: true},
		"__SCT__tp_func_sched_switch":  {Kind: machine.CalleeStatic, Via: machine.NoReg, Changed: c.Scratch, Flags: true, Memory: true},
		"preempt_schedule_thunk":       {Kind: machine.CalleeKeeps, Via: machine.NoReg, Memory: true, Flags: true},
		"__x86_indirect_its_thunk_rax": {Kind: machine.CalleeThunk, Via: machine.RAX, Changed: c.Scratch, Flags: true, Memory: true},
	} {
		if got := c.Callee(name); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	for i, n := range c.Args {
		if got, ok := c.ArgOf(n); !ok || got != i {
			t.Errorf("argument %d: %d, %v", i, got, ok)
		}
	}
}

// FuzzDecode: any bytes give an error or an instruction within them, whose
// effects are consistent.
func FuzzDecode(f *testing.F) {
	for _, x := range readForms(f) {
		f.Add(x.code)
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		in, err := machine.X86.Decode(code, codeAt)
		if err != nil {
			return
		}
		if in.Len <= 0 || in.Len > len(code) || in.Len > 15 {
			t.Fatalf("%x: length %d", code, in.Len)
		}
		e := in.Effects()
		_ = in.String()
		parts := [...]machine.RegSet{e.Whole, e.Zext, e.Word, e.Byte, e.High}
		var all machine.RegSet
		for _, p := range parts {
			if all&p != 0 {
				t.Fatalf("%x %s: written twice: %+v", code, in.String(), e)
			}
			all |= p
		}
		if all != e.Writes || e.Maybe&^e.Writes != 0 || e.FlagsKept&^e.FlagsWritten != 0 || (e.Writes|e.Reads)&^0xffff != 0 {
			t.Fatalf("%x %s: %+v", code, in.String(), e)
		}
		if e.Writes.Has(machine.RSP) != (e.Stack != machine.StackSame) && in.Op != machine.Call {
			t.Fatalf("%x %s: stack pointer: %+v", code, in.String(), e)
		}
	})
}

// Displacements count in both directions.
func TestDecodeDisplacement(t *testing.T) {
	for _, c := range []struct {
		code []byte
		disp int64
	}{
		{[]byte{0x48, 0x8d, 0x7f, 0xa0}, -0x60},
		{[]byte{0x48, 0x8d, 0xbf, 0x00, 0xff, 0xff, 0xff}, -0x100}, // lea -0x100(%rdi),%rdi
		{[]byte{0x48, 0x8d, 0xbf, 0x00, 0x01, 0x00, 0x00}, 0x100},
		{[]byte{0x48, 0x8d, 0x94, 0x07, 0xa0, 0xff, 0xff, 0xff}, -0x60}, // with an index
	} {
		in := decode(t, hex.EncodeToString(c.code))
		if from := &in.Args[1]; from.Kind != machine.KindMem || from.Mem.Disp != c.disp {
			t.Errorf("% x has displacement %d, want %d", c.code, from.Mem.Disp, c.disp)
		}
	}
}

// TestDecodeOthers: what x86asm does not know, or not rightly, has its length
// and its effects, and nothing is forgotten at the start of a function on
// kernels with indirect branch tracking.
func TestDecodeOthers(t *testing.T) {
	for text, writes := range map[string]machine.RegSet{
		"f30f1efa":     0,                                      // endbr64
		"480fc7f0":     machine.Regs(machine.RAX),              // rdrand rax
		"0f01cb":       0,                                      // stac
		"c4e2f9f7c2":   machine.Regs(machine.RAX),              // shlx rax, rdx, rax
		"c5f877":       0,                                      // vzeroupper
		"0f01ee":       machine.Regs(machine.RAX, machine.RDX), // rdpkru
		"48f7f1":       machine.Regs(machine.RAX, machine.RDX), // div rcx
		"f3480f1ec8":   machine.Regs(machine.RAX),              // rdsspq rax
		"66480f38f500": 0,                                      // wrussq [rax], rax
	} {
		in := decode(t, text)
		if e := in.Effects(); e.Unknown || e.Writes != writes {
			t.Errorf("%s: unknown %v, writes %#x, want %#x", text, e.Unknown, e.Writes, writes)
		}
	}
}
