package locks

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/internal/asmtest"
)

// program writes random functions of (struct object *, long, long, long, long) that take and
// release the locks of the object under random conditions. r14 says whether a lock was taken,
// r15 counts the rounds of a loop.
type program struct{ *asmtest.Random }

func (p program) lock(what string, off int) { p.F("lea %d(%%rbx), %%rdi\n\tcall %s", off, what) }

const (
	firstLock, secondLock = 8, 16
	programs              = 160
	programRuns           = 300
)

// enter and leave are the head and the tail of a function.
func (p program) enter(name string) {
	p.Begin(name)
	for _, r := range []string{"rbx", "rbp", "r12", "r13", "r14", "r15"} {
		p.F("push %%%s", r)
	}
	p.F("sub $24, %%rsp\n\tmov %%rdi, %%rbx\n\tmov %%rsi, %%r12\n\tmov %%rdx, %%r13\n\tmov %%rcx, %%rbp\n\tmov %%r8, %%r9\n\txor %%eax, %%eax\n\txor %%r14d, %%r14d")
	p.F("mov %%rsi, (%%rsp)\n\tmov %%rdx, 8(%%rsp)\n\tmovq $0, 16(%%rsp)")
}

func (p program) leave(name string) {
	p.F("add $24, %%rsp")
	for _, r := range []string{"r15", "r14", "r13", "r12", "rbp", "rbx"} {
		p.F("pop %%%s", r)
	}
	p.F("ret")
	p.End(name)
}

// constant writes a function that computes with nothing but constants.
func (p program) constant(name string) {
	p.enter(name)
	p.Constants()
	for range 1 + p.IntN(4) {
		for range 1 + p.IntN(4) {
			p.Op()
		}
		if p.IntN(2) == 0 {
			skip := p.Label()
			p.F("j%s %s\n\tmov $%d, %s", p.Compare(), skip, p.Imm(), p.Reg("q"))
			p.Place(skip)
		}
	}
	skip := p.Label()
	p.F("j%s %s", p.Compare(), skip)
	p.lock("_raw_spin_lock", firstLock)
	p.Place(skip)
	p.F("mov %%r12, %%rax")
	p.leave(name)
}

// function writes one function of any kind.
func (p program) function(name string) {
	p.enter(name)
	off := []int{firstLock, secondLock}[p.IntN(2)]
	taken := 0
	for range 2 + p.IntN(4) {
		for range p.IntN(4) {
			p.Op()
		}
		skip := p.Label()
		kind := p.IntN(6)
		if kind < 2 {
			if taken++; taken > 2 {
				kind = 2 // an effect counts to two
			}
		}
		switch kind {
		case 0, 1: // under a condition, which r14 remembers
			p.F("j%s %s", p.Compare(), skip)
			p.lock("_raw_spin_lock", off)
			p.F("mov $1, %%r14d\n\tmov $%d, %%eax\n\tmov 8(%%rsp), %%rcx\n\tmov 72(%%rbx), %%rdx\n\tmov %%r12, %%rsi\n\txor %%r8d, %%r8d\n\txor %%r9d, %%r9d", p.Imm())
			p.Place(skip)
		case 2: // if that says so
			p.F("test %%r14d, %%r14d\n\tje %s", skip)
			p.lock("_raw_spin_unlock", off)
			p.F("xor %%r14d, %%r14d\n\txor %%eax, %%eax\n\tmov %%r13, %%rcx\n\tmov %%r12, %%rdx\n\tmov %%rbp, %%rsi\n\tmov $3, %%r8d\n\tmov $4, %%r9d")
			p.Place(skip)
		case 3: // perhaps
			p.lock(p.Pick("_raw_spin_trylock", "mutex_lock_interruptible"), firstLock+secondLock-off)
			p.F("mov %%rbp, %%rcx\n\tmov %%r13, %%rdx\n\tmov %%eax, %%esi\n\tmovslq %%eax, %%r8\n\tmov 16(%%rsp), %%r9")
		case 4: // a loop
			p.F("mov $%d, %%r15d", 1+p.IntN(3))
			p.Place(skip)
			for range 1 + p.IntN(3) {
				p.Op()
			}
			p.F("dec %%r15d\n\tjne %s", skip)
		case 5: // one value or another
			p.F("j%s %s\n\tmov $%d, %s", p.Compare(), skip, p.Imm(), p.Reg("q"))
			p.Place(skip)
		}
	}
	if p.IntN(2) == 0 {
		p.F("mov %%r14d, %%eax")
	}
	p.leave(name)
}

// run is what one function did.
type run struct {
	n     int // of the function
	args  [4]int64
	ret   int64
	locks map[like]int8
}

// ran calls the functions f0, f1 and so on of a text.
func ran(t *testing.T, source string, functions, runs int) (out []run) {
	t.Helper()
	var list strings.Builder
	for i := range functions {
		fmt.Fprintf(&list, "F(f%d)\n", i)
	}
	text := asmtest.Execute(t, map[string]string{"f.S": source + ".section .note.GNU-stack,\"\",@progbits\n", "main.c": harness,
		"functions.h": list.String()}, fmt.Sprintf("-DRUNS=%d", runs))
	for line := range strings.Lines(text) {
		one := run{locks: map[like]int8{}}
		var counts [4]int64
		if _, err := fmt.Sscan(line, &one.n, &one.args[0], &one.args[1], &one.args[2], &one.args[3], &one.ret, &counts[0], &counts[1], &counts[2], &counts[3]); err != nil {
			t.Fatal(err)
		}
		for k, n := range counts {
			if n != 0 {
				kind := []Kind{Spin, Spin, Mutex, Mutex}[k]
				one.locks[like{kind, []int64{firstLock, secondLock}[k%2]}] = int8(max(-2, min(2, n)))
			}
		}
		out = append(out, one)
	}
	return out
}

// code is the text of a function.
func code(source, name string) string {
	_, rest, _ := strings.Cut(source, "\n"+name+":\n")
	text, _, _ := strings.Cut(rest, ".size")
	return text
}

// TestConstantsAgainstProcessor: what is computed from constants alone is known exactly, so
// that there is one outcome, which is what the processor does.
func TestConstantsAgainstProcessor(t *testing.T) {
	p := program{asmtest.NewRandom(5)}
	p.Folded = true
	p.F(".text")
	for i := range 2 * programs {
		p.constant(fmt.Sprintf("f%d", i))
	}
	source := p.Text()
	m := asmtest.Model(t, source)
	res := Analyze(m, Options{})
	taken := 0
	for _, one := range ran(t, source, 2*programs, 1) {
		name := fmt.Sprintf("f%d", one.n)
		e := res.Effect(asmtest.Only(t, m, name))
		if len(one.locks) > 0 {
			taken++
		}
		exact := len(e.Outcomes) == 1 && e.Unknown == 0 && !e.Assumed
		if exact {
			ret, ok := e.Outcomes[0].Ret.B8.Single()
			exact = ok && ret == one.ret && e.Outcomes[0].admits(one.args, one.ret, one.locks, true)
		}
		if !exact {
			t.Errorf("%s is %d, locks %v, and not\n%s%s", name, one.ret, one.locks, Describe(m, e), code(source, name))
		}
	}
	if taken < programs/2 || taken > programs*3/2 {
		t.Errorf("%d of %d functions take the lock", taken, 2*programs)
	}
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
	p := program{asmtest.NewRandom(12)}
	p.F(".text")
	for i := range programs {
		p.function(fmt.Sprintf("f%d", i))
	}
	source := p.Text()

	m := asmtest.Model(t, source)
	res := Analyze(m, Options{})
	witnessed := map[[2]int]bool{}
	effects := make([]*Effect, programs)
	for i := range effects {
		effects[i] = res.Effect(asmtest.Only(t, m, fmt.Sprintf("f%d", i)))
	}
	seen := map[string]bool{}
	for _, one := range ran(t, source, programs, programRuns) {
		i, args, ret, locks := one.n, one.args, one.ret, one.locks
		e := effects[i]
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
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		t.Logf("%s:\n%s", name, code(source, name))
	}
}
