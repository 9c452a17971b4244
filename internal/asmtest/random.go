package asmtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Random writes random instructions, as compilers make them: registers of one or two
// bytes are extended before they are used. rbx holds the address of an object, with words
// at 64, 72 and 80, and rsp that of three words. rdi, r10, r11, r14 and r15 stay.
type Random struct {
	// Folded leaves out what an analysis of constants need not compute: products, single bits,
	// the order of bytes, words of memory in parts, the sign of a difference.
	Folded bool

	rng    *rand.Rand
	text   strings.Builder
	labels int
}

// NewRandom returns the writer of a seed.
func NewRandom(seed uint64) *Random { return &Random{rng: rand.New(rand.NewPCG(7, seed))} }

// Text is what was written.
func (p *Random) Text() string { return p.text.String() }

// IntN is a number below n.
func (p *Random) IntN(n int) int { return p.rng.IntN(n) }

// free are the registers that hold numbers.
var free = []string{"ax", "cx", "dx", "si", "8", "9", "12", "13", "bp"}

// F writes a line.
func (p *Random) F(format string, args ...any) { fmt.Fprintf(&p.text, "\t"+format+"\n", args...) }

// Begin and End write the head and the tail of a global function.
func (p *Random) Begin(name string) {
	fmt.Fprintf(&p.text, ".globl %s\n.type %[1]s, @function\n%[1]s:\n", name)
}

func (p *Random) End(name string) { fmt.Fprintf(&p.text, ".size %s, . - %[1]s\n", name) }

// Place writes a label.
func (p *Random) Place(label string) { fmt.Fprintf(&p.text, "%s:\n", label) }

// Pick is one of a list.
func (p *Random) Pick(list ...string) string { return list[p.rng.IntN(len(list))] }

// reg names a register in a size: q, l or b.
func reg(name, size string) string {
	switch number := name[0] >= '0' && name[0] <= '9'; {
	case number && size == "q":
		return "%r" + name
	case number:
		return "%r" + name + map[string]string{"l": "d", "b": "b"}[size]
	case size == "q":
		return "%r" + name
	case size == "l":
		return "%e" + name
	case name == "si" || name == "bp":
		return "%" + name + "l"
	}
	return "%" + name[:1] + "l"
}

// Reg is a register of a size: q, l or b.
func (p *Random) Reg(size string) string { return reg(p.Pick(free...), size) }

func (p *Random) size() string { return p.Pick("q", "l") }

// Imm is a number that meets the limits of sizes often.
func (p *Random) Imm() int {
	list := []int{0, 1, 2, 3, 4, 7, 8, 15, 16, 127, 128, 255, 256, 4095, 65535, -1, -2, -4, -5, -16, -4095, -4096, 0x7fffffff, -0x80000000}
	return list[p.rng.IntN(len(list))]
}

// memory is a word of the frame or of the object.
func (p *Random) memory() string {
	word := 8 * p.rng.IntN(3)
	return p.Pick(fmt.Sprintf("%d(%%rsp)", word), fmt.Sprintf("%d(%%rsp)", word), fmt.Sprintf("%d(%%rbx)", 64+word))
}

// Op writes an instruction, or a few that belong together.
func (p *Random) Op() {
	s := p.size()
	a, b := p.Reg(s), p.Reg(s)
	mem := p.memory()
	what := p.rng.IntN(25)
	if p.Folded && what >= 17 && what <= 21 {
		s, a = "q", p.Reg("q")
	}
	switch what {
	case 0, 1, 2:
		p.F("%s%s %s, %s", p.Pick("add", "sub", "and", "or", "xor"), s, a, b)
	case 3, 4, 5:
		p.F("%s%s $%d, %s", p.Pick("add", "sub", "and", "or", "xor"), s, p.Imm(), a)
	case 6, 7:
		if count := 1 + p.rng.IntN(63); p.rng.IntN(4) == 0 { // also more than the register has
			p.F("mov $%d, %%ecx\n\t%s%s %%cl, %s", count, p.Pick("shl", "shr", "sar"), s, a)
		} else {
			p.F("%s%s $%d, %s", p.Pick("shl", "shr", "sar"), s, 1+count%31, a)
		}
	case 8:
		p.F("%s%s %s", p.Pick("inc", "dec", "neg", "not"), s, a)
	case 9:
		if p.Folded {
			return
		}
		p.F("imul%s $%d, %s, %s", s, p.Imm(), a, b)
	case 10:
		p.F("lea%s %d(%s,%s,%d), %s", s, p.Imm(), p.Reg("q"), p.Reg("q"), 1<<p.rng.IntN(4), a)
	case 11, 12:
		p.F("mov%s %s, %s", s, a, b)
	case 13:
		p.F("movslq %s, %s", p.Reg("l"), p.Reg("q"))
	case 14:
		p.F("%s %s, %s", p.Pick("movzbl", "movsbl"), p.Reg("b"), p.Reg("l"))
	case 15:
		p.F("cltq")
	case 16:
		p.F("xchg%s %s, %s", s, a, b)
	case 17, 18:
		p.F("mov%s %s, %s", s, a, mem)
	case 19, 20:
		p.F("mov%s %s, %s", s, mem, a)
	case 21:
		list := []string{"add", "and", "xor", "lock add", "lock xadd", "xchg"}
		if p.Folded {
			list = list[:3]
		}
		p.F("%s%s %s, %s", p.Pick(list...), s, a, mem)
	case 22:
		cond := p.Compare()
		p.F("cmov%s %s, %s", cond, a, b)
	case 23:
		cond := p.Compare()
		low, wide := p.Pick(free...), p.Reg("l")
		p.F("set%s %s\n\tmovzbl %s, %s", cond, reg(low, "b"), reg(low, "b"), reg(low, "l"))
		p.F("mov %s, %s", reg(low, "l"), wide)
	case 24:
		kinds := 4
		if p.Folded {
			kinds = 2
		}
		switch p.rng.IntN(kinds) {
		case 0:
			p.F("cmp%s %s, %s\n\tsbb%s %s, %s", s, p.Reg(s), p.Reg(s), s, a, a)
		case 1:
			p.F("push %s\n\tpop %s", p.Reg("q"), p.Reg("q"))
		case 2:
			p.F("bswap%s %s", s, a)
		case 3:
			p.F("%s%s $%d, %s", p.Pick("bts", "btr", "btc"), s, p.rng.IntN(32), a)
		}
	}
}

// Constants fills the registers and the words of memory with constants.
func (p *Random) Constants() {
	for _, r := range free {
		p.F("mov $%d, %s", p.Imm(), reg(r, "q"))
	}
	for off := 0; off < 24; off += 8 {
		p.F("movq $%d, %d(%%rsp)\n\tmovq $%d, %d(%%rbx)", p.Imm(), off, p.Imm(), 64+off)
	}
}

// Compare sets the flags and returns a condition on them.
func (p *Random) Compare() string {
	s := p.size()
	signs := []string{"e", "ne", "e", "ne", "b", "ae", "a", "be", "l", "ge", "le", "g", "s", "ns"}
	if p.Folded {
		signs = signs[:len(signs)-2]
	}
	switch p.rng.IntN(9) {
	case 0, 1, 2:
		p.F("cmp%s $%d, %s", s, p.Imm(), p.Reg(s))
	case 3, 4:
		p.F("cmp%s %s, %s", s, p.Reg(s), p.Reg(s))
	case 5:
		r := p.Reg(s)
		p.F("test%s %s, %s", s, r, r)
	case 6:
		p.F("test%s $%d, %s", s, p.Imm(), p.Reg(s))
	case 7:
		p.F("bt%s $%d, %s", s, p.rng.IntN(32), p.Reg(s))
		return p.Pick("b", "ae")
	case 8:
		p.F("%s%s $%d, %s", p.Pick("and", "sub", "xor", "or"), s, p.Imm(), p.Reg(s))
		if p.Folded {
			return p.Pick("e", "ne")
		}
		return p.Pick("e", "ne", "s", "ns")
	}
	return p.Pick(signs...)
}

// Label is a name for a place of a function.
func (p *Random) Label() string {
	p.labels++
	return fmt.Sprintf(".Lp%d", p.labels)
}

// Execute compiles files of C and assembly with gcc, and returns what the program prints.
func Execute(t testing.TB, files map[string]string, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	args := append([]string{"-O1", "-w", "-o", "run"}, flags...)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(name) != ".h" {
			args = append(args, name)
		}
	}
	cmd := exec.Command("gcc", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("compile: %v\n%s", err, out)
	}
	out, err := exec.Command(filepath.Join(dir, "run")).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
