package elfobj

import (
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
)

// encoded is an instruction in the byte order of the architecture: hex digits of bytes
// for x86-64 and s390x, a word for the others.
func encoded(t *testing.T, m elf.Machine, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	if m == elf.EM_X86_64 || m == elf.EM_S390 {
		return b
	}
	return binary.LittleEndian.AppendUint32(nil, binary.BigEndian.Uint32(b))
}

// TestConstants: what loads a constant into the register of an argument, and what only looks
// like it.
func TestConstants(t *testing.T) {
	const none = -1
	tests := []struct {
		machine elf.Machine
		code    string
		arg     int
		value   int64
		what    string
	}{
		{elf.EM_X86_64, "bf64000000", 0, 100, "mov $100, %edi"},
		{elf.EM_X86_64, "be64000000", 1, 100, "mov $100, %esi"},
		{elf.EM_X86_64, "ba64000000", 2, 100, "mov $100, %edx"},
		{elf.EM_X86_64, "b964000000", 3, 100, "mov $100, %ecx"},
		{elf.EM_X86_64, "41b864000000", 4, 100, "mov $100, %r8d"},
		{elf.EM_X86_64, "41b964000000", 5, 100, "mov $100, %r9d"},
		{elf.EM_X86_64, "beffffffff", 1, 0xffffffff, "mov $0xffffffff, %esi: zero-extended"},
		{elf.EM_X86_64, "48c7c6ffffffff", 1, -1, "mov $-1, %rsi: sign-extended"},
		{elf.EM_X86_64, "49c7c064000000", 4, 100, "mov $100, %r8"},
		{elf.EM_X86_64, "b864000000", none, 0, "mov to eax"},
		{elf.EM_X86_64, "bb64000000", none, 0, "mov to ebx"},
		{elf.EM_X86_64, "41ba64000000", none, 0, "mov to r10d"},
		{elf.EM_X86_64, "48be6400000000000000", none, 0, "mov of 64 bits"},
		{elf.EM_X86_64, "c7c664000000", none, 0, "the other form of mov, which compilers do not use for 32 bits"},
		{elf.EM_X86_64, "48c70664000000", none, 0, "mov to memory"},
		{elf.EM_X86_64, "48c7460464000000", none, 0, "mov to memory, with a displacement"},
		{elf.EM_X86_64, "66be6400", none, 0, "mov of 16 bits, which keeps the others"},
		{elf.EM_X86_64, "81c664000000", none, 0, "add"},
		{elf.EM_X86_64, "be640000", none, 0, "cut short"},
		{elf.EM_X86_64, "48c7c6640000", none, 0, "cut short"},
		{elf.EM_X86_64, "48", none, 0, "a prefix alone"},

		{elf.EM_AARCH64, "52800c80", 0, 100, "mov w0, #100"},
		{elf.EM_AARCH64, "52800c87", 7, 100, "mov w7, #100"},
		{elf.EM_AARCH64, "d2800c81", 1, 100, "mov x1, #100"},
		{elf.EM_AARCH64, "529fffe1", 1, 0xffff, "mov w1, #0xffff"},
		{elf.EM_AARCH64, "52800c88", none, 0, "mov w8, #100: no argument"},
		{elf.EM_AARCH64, "52a00c81", none, 0, "mov w1, #100 << 16"},
		{elf.EM_AARCH64, "12800c81", none, 0, "mov w1, #-101"},
		{elf.EM_AARCH64, "72800c81", none, 0, "movk w1, #100, which keeps the rest"},

		{elf.EM_PPC64, "38600064", 0, 100, "li r3, 100"},
		{elf.EM_PPC64, "39400064", 7, 100, "li r10, 100"},
		{elf.EM_PPC64, "3880ffff", 1, -1, "li r4, -1"},
		{elf.EM_PPC64, "38400064", none, 0, "li r2, 100: no argument"},
		{elf.EM_PPC64, "39600064", none, 0, "li r11, 100: no argument"},
		{elf.EM_PPC64, "38840064", none, 0, "addi r4, r4, 100"},
		{elf.EM_PPC64, "3c800064", none, 0, "lis r4, 100"},

		{elf.EM_S390, "a7280064", 0, 100, "lhi %r2, 100"},
		{elf.EM_S390, "a7390064", 1, 100, "lghi %r3, 100"},
		{elf.EM_S390, "a769ffff", 4, -1, "lghi %r6, -1"},
		{elf.EM_S390, "c03100010000", 1, 0x10000, "lgfi %r3, 65536"},
		{elf.EM_S390, "a7180064", none, 0, "lhi %r1: no argument"},
		{elf.EM_S390, "a7780064", none, 0, "lhi %r7: no argument"},
		{elf.EM_S390, "a73a0064", none, 0, "ahi %r3, 100"},
		{elf.EM_S390, "c03000010000", none, 0, "larl %r3"},
		{elf.EM_S390, "a738", none, 0, "cut short"},

		{elf.EM_LOONGARCH, "02819004", 0, 100, "li.w $a0, 100"},
		{elf.EM_LOONGARCH, "0281900b", 7, 100, "li.w $a7, 100"},
		{elf.EM_LOONGARCH, "02bffc05", 1, -1, "li.w $a1, -1"},
		{elf.EM_LOONGARCH, "03bffc05", 1, 0xfff, "ori $a1, $zero, 0xfff"},
		{elf.EM_LOONGARCH, "0281900c", none, 0, "li.w $t0, 100: no argument"},
		{elf.EM_LOONGARCH, "028190a5", none, 0, "addi.w $a1, $a1, 100"},
		{elf.EM_LOONGARCH, "03419005", none, 0, "andi $a1, $zero, 100"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%v/%s", tt.machine, tt.what), func(t *testing.T) {
			a, err := ArchOf(tt.machine)
			if err != nil {
				t.Fatal(err)
			}
			code := encoded(t, tt.machine, tt.code)
			c, ok := a.Constant(append(code, 0xcc, 0xcc))
			if tt.what == "cut short" || tt.what == "a prefix alone" {
				c, ok = a.Constant(code)
			}
			if ok != (tt.arg != none) || ok && (c.Arg != tt.arg || c.Value != tt.value || c.Len != len(code)) {
				t.Errorf("%+v, %v; want argument %d with %d", c, ok, tt.arg, tt.value)
			}
		})
	}
}

// TestConstantForms: the form is all of an instruction but the constant.
func TestConstantForms(t *testing.T) {
	for _, tt := range []struct {
		machine    elf.Machine
		a, b       string
		sameForm   bool
		difference string
	}{
		{elf.EM_X86_64, "be64000000", "be68000000", true, "the constant"},
		{elf.EM_X86_64, "be64000000", "40be64000000", false, "a prefix"},
		{elf.EM_X86_64, "48c7c664000000", "be64000000", false, "the width"},
		{elf.EM_AARCH64, "52800c81", "52801001", true, "the constant"},
		{elf.EM_AARCH64, "52800c81", "d2800c81", false, "the width"},
		{elf.EM_PPC64, "38800064", "38800068", true, "the constant"},
		{elf.EM_S390, "a7380064", "a7380068", true, "the constant"},
		{elf.EM_S390, "a7380064", "a7390064", false, "the width"},
		{elf.EM_LOONGARCH, "02819005", "0281a005", true, "the constant"},
		{elf.EM_LOONGARCH, "02819005", "03819005", false, "the operation"},
	} {
		arch, err := ArchOf(tt.machine)
		if err != nil {
			t.Fatal(err)
		}
		a, okA := arch.Constant(encoded(t, tt.machine, tt.a))
		b, okB := arch.Constant(encoded(t, tt.machine, tt.b))
		if !okA || !okB || a.Arg != 1 || b.Arg != 1 || (a.Form == b.Form) != tt.sameForm {
			t.Errorf("%v: %s and %s, which differ in %s: %+v and %+v", tt.machine, tt.a, tt.b, tt.difference, a, b)
		}
	}
}

// TestSpares: for each instruction, the arguments (0 to 4) whose registers it neither reads
// nor writes; none when it is not known or goes elsewhere.
func TestSpares(t *testing.T) {
	all, none := []int{0, 1, 2, 3, 4}, []int{}
	but := func(n ...int) []int {
		out := []int{}
		for _, a := range all {
			if !slices.Contains(n, a) {
				out = append(out, a)
			}
		}
		return out
	}
	tests := []struct {
		machine elf.Machine
		code    string
		spared  []int
		what    string
	}{
		{elf.EM_X86_64, "48c7c700000000", but(0), "mov $0, %rdi"},
		{elf.EM_X86_64, "4889fe", but(0, 1), "mov %rdi, %rsi"},
		{elf.EM_X86_64, "488d7a08", but(0, 2), "lea 8(%rdx), %rdi"},
		{elf.EM_X86_64, "488b04ce", but(1, 3), "mov (%rsi,%rcx,8), %rax"},
		{elf.EM_X86_64, "4088700c", but(1), "mov %sil, 12(%rax)"},
		{elf.EM_X86_64, "88f0", but(2), "mov %dh, %al"},
		{elf.EM_X86_64, "0fb6c1", but(3), "movzbl %cl, %eax"},
		{elf.EM_X86_64, "6689d0", but(2), "mov %dx, %ax"},
		{elf.EM_X86_64, "4531c0", but(4), "xor %r8d, %r8d"},
		{elf.EM_X86_64, "85db", all, "test %ebx, %ebx"},
		{elf.EM_X86_64, "0f1f440000", all, "nop"},
		{elf.EM_X86_64, "d3e0", none, "shl %cl, %eax: not known"},
		{elf.EM_X86_64, "f7e1", none, "mul %ecx"},
		{elf.EM_X86_64, "f3a4", none, "rep movsb"},
		{elf.EM_X86_64, "e800000000", none, "call"},
		{elf.EM_X86_64, "7400", none, "je"},
		{elf.EM_X86_64, "c3", none, "ret"},
		{elf.EM_X86_64, "", none, "nothing"},

		{elf.EM_AARCH64, "90000000", but(0), "adrp x0"},
		{elf.EM_AARCH64, "91000020", but(0, 1), "add x0, x1, #0"},
		{elf.EM_AARCH64, "aa0203e1", but(1, 2), "mov x1, x2"},
		{elf.EM_AARCH64, "8a020061", but(1, 2, 3), "and x1, x3, x2"},
		{elf.EM_AARCH64, "f9400443", but(2, 3), "ldr x3, [x2, #8]"},
		{elf.EM_AARCH64, "b9000443", but(2, 3), "str w3, [x2, #4]"},
		{elf.EM_AARCH64, "a9410480", but(0, 1, 4), "ldp x0, x1, [x4, #16]"},
		{elf.EM_AARCH64, "52800001", but(1), "mov w1, #0"},
		{elf.EM_AARCH64, "d503201f", all, "nop"},
		{elf.EM_AARCH64, "94000000", none, "bl"},
		{elf.EM_AARCH64, "14000000", none, "b"},
		{elf.EM_AARCH64, "b4000001", none, "cbz x1"},
		{elf.EM_AARCH64, "d65f03c0", none, "ret"},
		{elf.EM_AARCH64, "9b017c20", none, "mul: not known"},

		{elf.EM_PPC64, "38600064", but(0), "li r3, 100"},
		{elf.EM_PPC64, "38850008", but(1, 2), "addi r4, r5, 8"},
		{elf.EM_PPC64, "3c620000", but(0), "addis r3, r2, 0"},
		{elf.EM_PPC64, "60c50001", but(2, 3), "ori r5, r6, 1"},
		{elf.EM_PPC64, "80640008", but(0, 1), "lwz r3, 8(r4)"},
		{elf.EM_PPC64, "90a60008", but(2, 3), "stw r5, 8(r6)"},
		{elf.EM_PPC64, "e8640008", but(0, 1), "ld r3, 8(r4)"},
		{elf.EM_PPC64, "f8010010", all, "std r0, 16(r1)"},
		{elf.EM_PPC64, "f821ffd1", all, "stdu r1, -48(r1)"},
		{elf.EM_PPC64, "f8640002", none, "stq, of two registers"},
		{elf.EM_PPC64, "7c832378", but(0, 1), "mr r3, r4"},
		{elf.EM_PPC64, "7c852b78", but(1, 2), "mr r5, r4"},
		{elf.EM_PPC64, "7c8307b4", but(0, 1), "extsw r3, r4"},
		{elf.EM_PPC64, "60000000", all, "nop"},
		{elf.EM_PPC64, "48000001", none, "bl"},
		{elf.EM_PPC64, "4e800020", none, "blr"},
		{elf.EM_PPC64, "7c632214", none, "add: not known"},

		{elf.EM_S390, "c02000000000", but(0), "larl %r2"},
		{elf.EM_S390, "a7390064", but(1), "lghi %r3, 100"},
		{elf.EM_S390, "c03100000064", but(1), "lgfi %r3, 100"},
		{elf.EM_S390, "b9040034", but(1, 2), "lgr %r3, %r4"},
		{elf.EM_S390, "b9140034", but(1, 2), "lgfr %r3, %r4"},
		{elf.EM_S390, "1834", but(1, 2), "lr %r3, %r4"},
		{elf.EM_S390, "41354010", but(1, 2, 3), "la %r3, 16(%r5,%r4)"},
		{elf.EM_S390, "e33540100004", but(1, 2, 3), "lg %r3, 16(%r5,%r4)"},
		{elf.EM_S390, "50304010", but(1, 2), "st %r3, 16(%r4)"},
		{elf.EM_S390, "e330f0a00024", but(1), "stg %r3, 160(%r15)"},
		{elf.EM_S390, "c0e500000000", none, "brasl"},
		{elf.EM_S390, "a7f40000", none, "j"},
		{elf.EM_S390, "07fe", none, "br %r14"},
		{elf.EM_S390, "1a34", none, "ar: not known"},
		{elf.EM_S390, "e335", none, "cut short"},

		{elf.EM_LOONGARCH, "1a000004", but(0), "pcalau12i $a0, 0"},
		{elf.EM_LOONGARCH, "02c00085", but(0, 1), "addi.d $a1, $a0, 0"},
		{elf.EM_LOONGARCH, "00150085", but(0, 1), "move $a1, $a0"},
		{elf.EM_LOONGARCH, "28c020a4", but(0, 1), "ld.d $a0, $a1, 8"},
		{elf.EM_LOONGARCH, "298010c7", but(2, 3), "st.w $a3, $a2, 4"},
		{elf.EM_LOONGARCH, "02801005", but(1), "li.w $a1, 4"},
		{elf.EM_LOONGARCH, "54000000", none, "bl"},
		{elf.EM_LOONGARCH, "4c000020", none, "ret"},
		{elf.EM_LOONGARCH, "00109885", none, "add.d: not known"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%v/%s", tt.machine, tt.what), func(t *testing.T) {
			a, err := ArchOf(tt.machine)
			if err != nil {
				t.Fatal(err)
			}
			code := encoded(t, tt.machine, tt.code)
			got := []int{}
			for _, n := range all {
				if a.Spares(code, n) {
					got = append(got, n)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.spared) {
				t.Errorf("leaves %v alone, want %v", got, tt.spared)
			}
		})
	}
}
