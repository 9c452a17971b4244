package locks

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/internal/asmtest"
)

// program writes random functions of (struct object *, long, long, long, long) that take and
// release the locks of the object under random conditions. Of the code that compilers do not
// make it has none: registers of one or two bytes are extended before they are used.
type program struct {
	rng  *rand.Rand
	text strings.Builder
	n    int // labels
}

// free are the registers that hold numbers; rbx holds the object, r14 whether a lock was
// taken, r15 the rounds of a loop.
var free = []string{"ax", "cx", "dx", "si", "8", "9", "12", "13", "bp"}

func (p *program) f(format string, args ...any) { fmt.Fprintf(&p.text, "\t"+format+"\n", args...) }

func (p *program) pick(list ...string) string { return list[p.rng.IntN(len(list))] }

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

func (p *program) reg(size string) string { return reg(p.pick(free...), size) }

func (p *program) size() string { return p.pick("q", "l") }

func (p *program) imm() int {
	list := []int{0, 1, 2, 3, 4, 7, 8, 15, 16, 127, 128, 255, 256, 4095, 65535, -1, -2, -4, -5, -16, -4095, -4096, 0x7fffffff, -0x80000000}
	return list[p.rng.IntN(len(list))]
}

// memory is a word of the frame or of the object.
func (p *program) memory() string {
	word := 8 * p.rng.IntN(3)
	return p.pick(fmt.Sprintf("%d(%%rsp)", word), fmt.Sprintf("%d(%%rsp)", word), fmt.Sprintf("%d(%%rbx)", 64+word))
}

func (p *program) op() {
	s := p.size()
	a, b := p.reg(s), p.reg(s)
	mem := p.memory()
	switch p.rng.IntN(25) {
	case 0, 1, 2:
		p.f("%s%s %s, %s", p.pick("add", "sub", "and", "or", "xor"), s, a, b)
	case 3, 4, 5:
		p.f("%s%s $%d, %s", p.pick("add", "sub", "and", "or", "xor"), s, p.imm(), a)
	case 6, 7:
		if count := 1 + p.rng.IntN(63); p.rng.IntN(4) == 0 { // also more than the register has
			p.f("mov $%d, %%ecx\n\t%s%s %%cl, %s", count, p.pick("shl", "shr", "sar"), s, a)
		} else {
			p.f("%s%s $%d, %s", p.pick("shl", "shr", "sar"), s, 1+count%31, a)
		}
	case 8:
		p.f("%s%s %s", p.pick("inc", "dec", "neg", "not"), s, a)
	case 9:
		p.f("imul%s $%d, %s, %s", s, p.imm(), a, b)
	case 10:
		p.f("lea%s %d(%s,%s,%d), %s", s, p.imm(), p.reg("q"), p.reg("q"), 1<<p.rng.IntN(4), a)
	case 11, 12:
		p.f("mov%s %s, %s", s, a, b)
	case 13:
		p.f("movslq %s, %s", p.reg("l"), p.reg("q"))
	case 14:
		p.f("%s %s, %s", p.pick("movzbl", "movsbl"), p.reg("b"), p.reg("l"))
	case 15:
		p.f("cltq")
	case 16:
		p.f("xchg%s %s, %s", s, a, b)
	case 17, 18:
		p.f("mov%s %s, %s", s, a, mem)
	case 19, 20:
		p.f("mov%s %s, %s", s, mem, a)
	case 21:
		p.f("%s%s %s, %s", p.pick("add", "and", "xor", "lock add", "lock xadd", "xchg"), s, a, mem)
	case 22:
		cond := p.compare()
		p.f("cmov%s %s, %s", cond, a, b)
	case 23:
		cond := p.compare()
		byte, wide := p.pick(free...), p.reg("l")
		p.f("set%s %s\n\tmovzbl %s, %s", cond, reg(byte, "b"), reg(byte, "b"), reg(byte, "l"))
		p.f("mov %s, %s", reg(byte, "l"), wide)
	case 24:
		switch p.rng.IntN(4) {
		case 0:
			p.f("cmp%s %s, %s\n\tsbb%s %s, %s", s, p.reg(s), p.reg(s), s, a, a)
		case 1:
			p.f("push %s\n\tpop %s", p.reg("q"), p.reg("q"))
		case 2:
			p.f("bswap%s %s", s, a)
		case 3:
			p.f("%s%s $%d, %s", p.pick("bts", "btr", "btc"), s, p.rng.IntN(32), a)
		}
	}
}

// compare sets the flags and returns a condition on them.
func (p *program) compare() string {
	s := p.size()
	signs := []string{"e", "ne", "e", "ne", "b", "ae", "a", "be", "l", "ge", "le", "g", "s", "ns"}
	switch p.rng.IntN(9) {
	case 0, 1, 2:
		p.f("cmp%s $%d, %s", s, p.imm(), p.reg(s))
	case 3, 4:
		p.f("cmp%s %s, %s", s, p.reg(s), p.reg(s))
	case 5:
		r := p.reg(s)
		p.f("test%s %s, %s", s, r, r)
	case 6:
		p.f("test%s $%d, %s", s, p.imm(), p.reg(s))
	case 7:
		p.f("bt%s $%d, %s", s, p.rng.IntN(32), p.reg(s))
		return p.pick("b", "ae")
	case 8:
		p.f("%s%s $%d, %s", p.pick("and", "sub", "xor", "or"), s, p.imm(), p.reg(s))
		return p.pick("e", "ne", "s", "ns")
	}
	return p.pick(signs...)
}

func (p *program) label() string {
	p.n++
	return fmt.Sprintf(".Lp%d", p.n)
}

func (p *program) lock(what string, off int) { p.f("lea %d(%%rbx), %%rdi\n\tcall %s", off, what) }

const (
	firstLock, secondLock = 8, 16
	programs              = 160
	programRuns           = 300
)

// function writes one function.
func (p *program) function(name string) {
	fmt.Fprintf(&p.text, ".globl %s\n.type %[1]s, @function\n%[1]s:\n", name)
	for _, r := range []string{"rbx", "rbp", "r12", "r13", "r14", "r15"} {
		p.f("push %%%s", r)
	}
	p.f("sub $24, %%rsp\n\tmov %%rdi, %%rbx\n\tmov %%rsi, %%r12\n\tmov %%rdx, %%r13\n\tmov %%rcx, %%rbp\n\tmov %%r8, %%r9\n\txor %%eax, %%eax\n\txor %%r14d, %%r14d")
	p.f("mov %%rsi, (%%rsp)\n\tmov %%rdx, 8(%%rsp)\n\tmovq $0, 16(%%rsp)")
	off := []int{firstLock, secondLock}[p.rng.IntN(2)]
	taken := 0
	for range 2 + p.rng.IntN(4) {
		for range p.rng.IntN(4) {
			p.op()
		}
		skip := p.label()
		kind := p.rng.IntN(6)
		if kind < 2 {
			if taken++; taken > 2 {
				kind = 2 // an effect counts to two
			}
		}
		switch kind {
		case 0, 1: // under a condition, which r14 remembers
			p.f("j%s %s", p.compare(), skip)
			p.lock("_raw_spin_lock", off)
			p.f("mov $1, %%r14d\n\tmov $%d, %%eax\n\tmov 8(%%rsp), %%rcx\n\tmov 72(%%rbx), %%rdx\n\tmov %%r12, %%rsi\n\txor %%r8d, %%r8d\n\txor %%r9d, %%r9d", p.imm())
			fmt.Fprintf(&p.text, "%s:\n", skip)
		case 2: // if that says so
			p.f("test %%r14d, %%r14d\n\tje %s", skip)
			p.lock("_raw_spin_unlock", off)
			p.f("xor %%r14d, %%r14d\n\txor %%eax, %%eax\n\tmov %%r13, %%rcx\n\tmov %%r12, %%rdx\n\tmov %%rbp, %%rsi\n\tmov $3, %%r8d\n\tmov $4, %%r9d")
			fmt.Fprintf(&p.text, "%s:\n", skip)
		case 3: // perhaps
			p.lock(p.pick("_raw_spin_trylock", "mutex_lock_interruptible"), firstLock+secondLock-off)
			p.f("mov %%rbp, %%rcx\n\tmov %%r13, %%rdx\n\tmov %%eax, %%esi\n\tmovslq %%eax, %%r8\n\tmov 16(%%rsp), %%r9")
		case 4: // a loop
			p.f("mov $%d, %%r15d", 1+p.rng.IntN(3))
			fmt.Fprintf(&p.text, "%s:\n", skip)
			for range 1 + p.rng.IntN(3) {
				p.op()
			}
			p.f("dec %%r15d\n\tjne %s", skip)
		case 5: // one value or another
			p.f("j%s %s\n\tmov $%d, %s", p.compare(), skip, p.imm(), p.reg("q"))
			fmt.Fprintf(&p.text, "%s:\n", skip)
		}
	}
	if p.rng.IntN(2) == 0 {
		p.f("mov %%r14d, %%eax")
	}
	p.f("add $24, %%rsp")
	for _, r := range []string{"r15", "r14", "r13", "r12", "rbp", "rbx"} {
		p.f("pop %%%s", r)
	}
	p.f("ret")
	fmt.Fprintf(&p.text, ".size %s, . - %[1]s\n", name)
}

// harness calls the functions and prints what each did.
const harness = `
#include <stdio.h>
#include <string.h>
static long object[16], count[16];
static unsigned long seed = 88172645463325252ul;
static unsigned long next(void) { seed ^= seed << 13; seed ^= seed >> 7; seed ^= seed << 17; return seed; }
static const long some[] = { 0, 1, 2, 3, 4, 7, 8, 15, 16, 127, 128, 255, 256, 4095, 65535, -1, -2, -4, -5, -16, -4095, -4096,
	0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, -0x80000000l, 0x7fffffffffffffff, -0x7fffffffffffffff - 1 };
static long value(void) { return next() % 4 ? some[next() % (sizeof(some) / 8)] : (long)next(); }
static void at(void *lock, long n) { count[(long *)lock - object] += n; }
void _raw_spin_lock(void *l) { at(l, 1); }
void _raw_spin_unlock(void *l) { at(l, -1); }
int _raw_spin_trylock(void *l) { int ok = next() >> 20 & 1; at(l, ok); return ok; }
int mutex_lock_interruptible(void *l) { int ok = next() >> 20 & 1; count[(long *)l - object + 8] += ok; return ok ? 0 : -4; }
typedef long function(void *, long, long, long, long);
#define F(n) extern function n;
#include "functions.h"
#undef F
#define F(n) n,
static function *const all[] = {
#include "functions.h"
};
int main(void)
{
	for (unsigned n = 0; n < sizeof(all) / sizeof(*all); n++)
		for (int run = 0; run < RUNS; run++) {
			long a = value(), b = value(), c = value(), d = value();
			for (int i = 0; i < 16; i++)
				object[i] = value();
			memset(count, 0, sizeof(count));
			long ret = all[n](object, a, b, c, d);
			printf("%u %ld %ld %ld %ld %ld %ld %ld %ld %ld\n", n, a, b, c, d, ret, count[1], count[2], count[9], count[10]);
		}
}
`

// admits reports whether an outcome is what a processor has done: args without the first.
func (o *Outcome) admits(args [4]int64, ret int64, locks map[like]int8, returned bool) bool {
	left := len(locks)
	for _, ch := range o.Changes {
		path := ch.Path
		if path.Root != RootArg || path.Arg != 0 || len(path.Offs) != 1 {
			return false
		}
		if locks[like{ch.Kind, path.Offs[0]}] != ch.Delta {
			return false
		}
		left--
	}
	if left != 0 {
		return false
	}
	for _, cond := range o.When {
		if cond.Arg >= 1 && cond.Arg <= 4 && !cond.In.Contains(signExt(args[cond.Arg-1], cond.Size)) {
			return false
		}
	}
	if o.RetArg >= 1 && o.RetArg <= 4 && ret != args[o.RetArg-1] {
		return false
	}
	return !returned || o.Ret.B1.Contains(signExt(ret, 1)) && o.Ret.B4.Contains(signExt(ret, 4)) && o.Ret.B8.Contains(ret)
}

// TestAgainstProcessor runs random functions and asks whether what they did is among the
// outcomes that were found, with its arguments and its result; and whether what was found
// is what happens: outcomes that never come about are few.
func TestAgainstProcessor(t *testing.T) {
	p := &program{rng: rand.New(rand.NewPCG(7, 12))}
	p.text.WriteString(".text\n")
	var list strings.Builder
	for i := range programs {
		name := fmt.Sprintf("f%d", i)
		p.function(name)
		fmt.Fprintf(&list, "F(%s)\n", name)
	}
	source := p.text.String()
	dir := t.TempDir()
	for name, text := range map[string]string{"f.S": source + ".section .note.GNU-stack,\"\",@progbits\n", "main.c": harness, "functions.h": list.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("gcc", "-O1", "-w", fmt.Sprintf("-DRUNS=%d", programRuns), "-o", "run", "main.c", "f.S")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("compile: %v\n%s", err, out)
	}
	out, err := exec.Command(filepath.Join(dir, "run")).Output()
	if err != nil {
		t.Fatal(err)
	}

	m := asmtest.Model(t, source)
	res := Analyze(m, Options{})
	witnessed := map[[2]int]bool{}
	effects := make([]*Effect, programs)
	for i := range effects {
		effects[i] = res.Effect(asmtest.Only(t, m, fmt.Sprintf("f%d", i)))
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		var i int
		var args [4]int64
		var ret int64
		var counts [4]int64
		if _, err := fmt.Sscan(line, &i, &args[0], &args[1], &args[2], &args[3], &ret, &counts[0], &counts[1], &counts[2], &counts[3]); err != nil {
			t.Fatal(err)
		}
		e := effects[i]
		locks := map[like]int8{}
		for k, n := range counts {
			if n != 0 {
				kind := []Kind{Spin, Spin, Mutex, Mutex}[k]
				locks[like{kind, []int64{firstLock, secondLock}[k%2]}] = int8(max(-2, min(2, n)))
			}
		}
		found := false
		for k := range e.Outcomes {
			if e.Outcomes[k].admits(args, ret, locks, !e.Assumed) {
				witnessed[[2]int{i, k}], found = true, true
			}
		}
		if name := fmt.Sprintf("f%d", i); !found && e.Unknown&(WhyStates|WhyFlow|WhyCallee) == 0 && !seen[name] {
			seen[name] = true
			t.Errorf("%s(%d, %d, %d, %d) is %d, locks %v: no outcome of\n%s", name, args[0], args[1], args[2], args[3], ret, locks, Describe(m, e))
		}
	}
	outcomes, idle, unknown := 0, 0, 0
	for i, e := range effects {
		if e.Unknown&(WhyStates|WhyFlow|WhyCallee) != 0 {
			unknown++
			continue
		}
		for k := range e.Outcomes {
			if outcomes++; !witnessed[[2]int{i, k}] {
				idle++
			}
		}
	}
	t.Logf("%d outcomes of %d functions, %d never seen, %d functions unknown", outcomes, programs, idle, unknown)
	if unknown > programs/20 || idle > outcomes/8 {
		t.Errorf("%d of %d functions are unknown, %d of %d outcomes never come about", unknown, programs, idle, outcomes)
	}
	if t.Failed() {
		keep := slices.Sorted(func(yield func(string) bool) {
			for name := range seen {
				if !yield(name) {
					return
				}
			}
		})
		for _, name := range keep[:min(3, len(keep))] {
			_, rest, _ := strings.Cut(source, name+":\n")
			code, _, _ := strings.Cut(rest, ".size")
			t.Logf("%s:\n%s", name, code)
		}
	}
}
