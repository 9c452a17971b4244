package stacks

import (
	"fmt"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/internal/asmtest"
)

// waitingPrograms is how many functions are run.
const waitingPrograms = 150

// waiter writes a function that waits under a random condition of its arguments, and a
// caller that gives it constants, in registers and through a pointer into its frame.
func waiter(p *asmtest.Random, name, caller string) {
	saved := []string{"rbx", "rbp", "r12", "r13", "r14", "r15"}
	p.Begin(name)
	for _, r := range saved {
		p.F("push %%%s", r)
	}
	p.F("sub $24, %%rsp\n\tmov %%rdi, %%rbx\n\tmov %%rsi, %%r12\n\tmov %%rdx, %%r13\n\tmov %%rcx, %%rbp\n\tmov %%r8, %%r9\n\txor %%eax, %%eax")
	p.F("mov %%rsi, (%%rsp)\n\tmov %%rdx, 8(%%rsp)\n\tmovq $0, 16(%%rsp)")
	for range 1 + p.IntN(3) {
		for range 1 + p.IntN(3) {
			p.Op()
		}
		label := p.Label()
		switch p.IntN(3) {
		case 0: // one value or another
			p.F("j%s %s\n\tmov $%d, %s", p.Compare(), label, p.Imm(), p.Reg("q"))
			p.Place(label)
		case 1: // a loop
			p.F("mov $%d, %%r15d", 1+p.IntN(3))
			p.Place(label)
			p.Op()
			p.F("dec %%r15d\n\tjne %s", label)
		}
	}
	label := p.Label()
	p.F("j%s %s\n\tmov $1, %%edx\n\tcall prepare_to_wait\n\tcall schedule", p.Compare(), label)
	p.Place(label)
	p.F("add $24, %%rsp")
	for i := range saved {
		p.F("pop %%%s", saved[len(saved)-1-i])
	}
	p.F("ret")
	p.End(name)

	p.Begin(caller)
	p.F("sub $104, %%rsp")
	for _, r := range []string{"rsi", "rdx", "rcx", "r8"} {
		p.F("mov $%d, %%%s", p.Imm(), r)
	}
	for off := 64; off <= 80; off += 8 {
		p.F("movq $%d, %d(%%rsp)", p.Imm(), off)
	}
	p.F("mov %%rsp, %%rdi\n\tcall %s\n\tadd $104, %%rsp\n\tret", name)
	p.End(caller)
}

// waitingHarness says of each function whether it waited.
const waitingHarness = `
#include <stdio.h>
static int waited;
void prepare_to_wait(void) {}
void schedule(void) { waited = 1; }
typedef void function(void);
#define F(n) extern function n;
#include "functions.h"
#undef F
#define F(n) n,
static function *const all[] = {
#include "functions.h"
};
int main(void)
{
	for (unsigned n = 0; n < sizeof(all) / sizeof(*all); n++) {
		waited = 0;
		all[n]();
		printf("%d\n", waited);
	}
}
`

// TestAgainstProcessor runs random functions on constants: what waits is found to wait, and
// what does not is found not to, nearly always where no more than folding constants is asked
// for. Loops are what it does not follow to their end.
func TestAgainstProcessor(t *testing.T) {
	for _, folded := range []bool{true, false} {
		t.Run(fmt.Sprintf("folded %v", folded), func(t *testing.T) { againstProcessor(t, folded) })
	}
}

func againstProcessor(t *testing.T, folded bool) {
	p := asmtest.NewRandom(25)
	p.Folded = folded
	p.F(".text")
	var list strings.Builder
	for i := range waitingPrograms {
		waiter(p, fmt.Sprintf("f%d", i), fmt.Sprintf("caller%d", i))
		fmt.Fprintf(&list, "F(caller%d)\n", i)
	}
	source := p.Text()
	out := strings.Fields(asmtest.Execute(t, map[string]string{"f.S": source + ".section .note.GNU-stack,\"\",@progbits\n", "main.c": waitingHarness, "functions.h": list.String()}))
	if len(out) != waitingPrograms {
		t.Fatalf("%d functions ran", len(out))
	}
	m := asmtest.Model(t, source)
	r := Analyze(m, Options{HZ: 100})
	wait, more := 0, 0
	for i, waited := range out {
		name := fmt.Sprintf("caller%d", i)
		stays := r.Facts[asmtest.Only(t, m, name)].Stays()
		switch {
		case waited == "1":
			if wait++; !stays {
				t.Errorf("%s waits, which is not found:\n%s", name, textOf(source, i))
			}
		case stays:
			more++
		}
	}
	t.Logf("%d of %d functions wait, of %d others it is not known that they do not", wait, waitingPrograms, more)
	most := (waitingPrograms - wait) / 5
	if folded {
		most /= 4
	}
	if wait < waitingPrograms/5 || more > most {
		t.Errorf("%d of %d functions wait, and %d of the others may", wait, waitingPrograms, more)
	}
}

// textOf is the text of a function that waits, behind what its caller gives it.
func textOf(source string, i int) string {
	_, code, _ := strings.Cut(source, fmt.Sprintf("\nf%d:\n", i))
	_, from, _ := strings.Cut(code, fmt.Sprintf("caller%d:\n", i))
	code, _, _ = strings.Cut(code, "add $24")
	from, _, _ = strings.Cut(from, "call")
	return from + code
}
