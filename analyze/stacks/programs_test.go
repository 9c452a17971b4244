package stacks

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/internal/asmtest"
)

// waitWriter writes whole programs: functions that wait under conditions, functions that call
// them, and roots that begin it all with constants. A function has a pointer to three words,
// which it may change, and two numbers; it returns a number.
type waitWriter struct {
	*asmtest.Random
	below []string // functions that may be called
	calls map[string][]string
}

var waitSaved = []string{"rbx", "rbp", "r12", "r13", "r14", "r15"}

// waitStates are states of a task to sleep in: of these, the second is bounded.
var waitStates = []int{1, 2, 0x402}

// longestTime is the longest time, in ticks of a hundredth of a second, that counts as bounded.
const longestTime = 12000

// statements writes a few computations and conditions.
func (w *waitWriter) statements() {
	for range w.IntN(3) {
		for range 1 + w.IntN(2) {
			w.Op()
		}
		label := w.Label()
		switch w.IntN(4) {
		case 0:
			w.F("j%s %s\n\tmov $%d, %s", w.Compare(), label, w.Imm(), w.Reg("q"))
			w.Place(label)
		case 1:
			w.F("mov $%d, %%r15d", 1+w.IntN(3))
			w.Place(label)
			w.Op()
			w.F("dec %%r15d\n\tjne %s", label)
		}
	}
}

// enter and leave are the head and the end of a function; it ends in another one with tail.
func (w *waitWriter) enter(name string) {
	w.Begin(name)
	w.F("call __fentry__")
	for _, r := range waitSaved {
		w.F("push %%%s", r)
	}
	w.F("sub $152, %%rsp\n\tmov %%rdi, %%rbx\n\tmov %%rsi, %%r12\n\tmov %%rdx, %%r13\n\txor %%eax, %%eax\n\txor %%ecx, %%ecx\n\txor %%ebp, %%ebp")
	w.F("mov %%rsi, %%r8\n\tmov %%rdx, %%r9\n\tmov %%rsi, (%%rsp)\n\tmov %%rdx, 8(%%rsp)\n\tmovq $0, 16(%%rsp)")
}

func (w *waitWriter) leave(name, tail string) {
	w.F("add $152, %%rsp")
	for i := range waitSaved {
		w.F("pop %%%s", waitSaved[len(waitSaved)-1-i])
	}
	if tail == "" {
		w.F("ret")
	} else {
		w.F("jmp %s", tail)
	}
	w.End(name)
}

// call calls one of the functions below, with the own words or with new ones in the frame.
func (w *waitWriter) call(name string) {
	to := w.Pick(w.below...)
	w.calls[name] = append(w.calls[name], to)
	if w.IntN(2) == 0 {
		for off := 64; off <= 80; off += 8 {
			w.F("mov %s, %d(%%rsp)", w.Reg("q"), off)
		}
		w.F("mov %s, %%rsi\n\tmov %s, %%rdx\n\tmov %%rsp, %%rdi\n\tcall %s", w.Reg("q"), w.Reg("q"), to)
		w.F("mov %d(%%rsp), %%rcx", 64+8*w.IntN(3))
	} else {
		w.F("mov %s, %%rsi\n\tmov %s, %%rdx\n\tmov %%rbx, %%rdi\n\tcall %s", w.Reg("q"), w.Reg("q"), to)
		w.F("mov %d(%%rbx), %%rcx", 64+8*w.IntN(3))
	}
	w.F("mov %%r12, %%rdx\n\tmov %%rcx, %%rsi\n\tmov %%r13, %%r8\n\tmov %%rbp, %%r9")
}

// wait sleeps in a state, or for a time.
func (w *waitWriter) wait(state int) {
	label := w.Label()
	w.F("j%s %s", w.Compare(), label)
	w.F("mov %s, %%r14\n\tmov $%d, %%edx\n\tcall prepare_to_wait", w.Reg("q"), state)
	if w.IntN(3) == 0 {
		w.F("mov %%r14, %%rdi\n\tcall schedule_timeout")
	} else {
		w.F("call schedule")
	}
	w.F("xor %%eax, %%eax\n\txor %%ecx, %%ecx\n\tmov %%r12, %%rdx\n\tmov %%rax, %%rsi\n\tmov %%r13, %%r8\n\tmov %%rbp, %%r9")
	w.Place(label)
	w.F("xor %%ecx, %%ecx\n\txor %%edx, %%edx\n\txor %%esi, %%esi\n\txor %%r8d, %%r8d\n\txor %%r9d, %%r9d\n\txor %%eax, %%eax")
}

// function writes one; a waiting one sleeps itself.
func (w *waitWriter) function(name string, waiting bool) {
	w.enter(name)
	state := waitStates[w.IntN(len(waitStates))]
	for range 1 + w.IntN(2) {
		w.statements()
		if waiting {
			w.wait(state)
		} else {
			label := w.Label()
			if w.IntN(2) == 0 {
				w.F("j%s %s", w.Compare(), label)
			}
			w.call(name)
			w.F("mov %%rcx, %%rax")
			w.Place(label)
			w.F("mov %%rax, %%rcx\n\tmov %%rax, %%rsi\n\tmov %%r12, %%rdx\n\tmov %%r13, %%r8\n\tmov %%rbp, %%r9")
		}
	}
	tail := ""
	if !waiting && w.IntN(5) == 0 {
		tail = w.Pick(w.below...)
		w.calls[name] = append(w.calls[name], tail)
		w.F("mov %%rbx, %%rdi\n\tmov %%r12, %%rsi\n\tmov %%r13, %%rdx")
	}
	w.leave(name, tail)
}

// root writes a function without arguments.
func (w *waitWriter) root(name string) {
	to := w.Pick(w.below...)
	w.calls[name] = append(w.calls[name], to)
	w.Begin(name)
	w.F("call __fentry__\n\tsub $104, %%rsp")
	for off := 64; off <= 80; off += 8 {
		w.F("movq $%d, %d(%%rsp)", w.Imm(), off)
	}
	w.F("mov $%d, %%rsi\n\tmov $%d, %%rdx\n\tmov %%rsp, %%rdi\n\tcall %s\n\tadd $104, %%rsp\n\tret", w.Imm(), w.Imm(), to)
	w.End(name)
}

// programHarness runs the roots and prints, for each function, whether a task has slept with
// it on its stack.
const programHarness = `
#include <stdio.h>
static struct { unsigned long frame, code; } active[64];
static int depth;
static long state;
typedef void function(void);
#define F(n) extern function n;
#include "functions.h"
#undef F
#define F(n) n,
static function *const all[] = {
#include "functions.h"
};
static int slept[sizeof(all) / sizeof(*all)];
static void leave(unsigned long frame) { while (depth && active[depth - 1].frame <= frame) depth--; }
void entered(unsigned long back, unsigned long frame)
{
	leave(frame);
	active[depth].frame = frame;
	active[depth++].code = back - 5;
}
asm(".text\n.globl __fentry__\n__fentry__: push %rax\npush %r8\npush %r9\npush %r10\npush %r11\npush %rcx\npush %rdx\npush %rsi\npush %rdi\n"
    "mov 72(%rsp), %rdi\nlea 80(%rsp), %rsi\nsub $8, %rsp\ncall entered\nadd $8, %rsp\n"
    "pop %rdi\npop %rsi\npop %rdx\npop %rcx\npop %r11\npop %r10\npop %r9\npop %r8\npop %rax\nret\n");
static void sleeps(unsigned long frame)
{
	leave(frame);
	for (int i = 0; i < depth; i++)
		for (unsigned n = 0; n < sizeof(all) / sizeof(*all); n++)
			if (active[i].code == (unsigned long)all[n])
				slept[n] = 1;
}
#define FRAME ((unsigned long)__builtin_frame_address(0) + 8)
void prepare_to_wait(void *queue, void *entry, long how) { state = how; }
void schedule(void) { if (state & 1 || state & 0x400) sleeps(FRAME); }
long schedule_timeout(long time) { if ((state & 1 || state & 0x400) && time > 12000) sleeps(FRAME); return 0; }
int main(void)
{
	for (unsigned n = 0; n < sizeof(all) / sizeof(*all); n++)
		if (n >= FIRSTROOT)
			depth = 0, all[n]();
	for (unsigned n = 0; n < sizeof(all) / sizeof(*all); n++)
		printf("%d\n", slept[n]);
}
`

var stepName = regexp.MustCompile(`^\w+`)

// TestProgramsAgainstProcessor runs programs of several levels of functions: what sleeps with
// a function on its stack is found to, with calls that lead there; and of roots, which give
// constants, nearly none is said to sleep that does not.
func TestProgramsAgainstProcessor(t *testing.T) {
	for _, seed := range []uint64{35, 36} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { programsAgainstProcessor(t, seed) })
	}
}

func programsAgainstProcessor(t *testing.T, seed uint64) {
	const each, roots = 24, 90
	w := &waitWriter{Random: asmtest.NewRandom(seed), calls: map[string][]string{}}
	w.Folded = true
	w.F(".text")
	var names, list []string
	kernel := 0 // how much of the text the first two levels are
	for level := range 3 {
		var here []string
		for i := range each {
			name := fmt.Sprintf("f%d_%d", level, i)
			w.function(name, level == 0 || level == 1 && i%4 == 0)
			here = append(here, name)
		}
		w.below = here
		names = append(names, here...)
		if level == 2 {
			w.below = slices.Clone(names)
		} else {
			kernel = len(w.Text())
		}
	}
	for i := range roots {
		name := fmt.Sprintf("root%d", i)
		w.root(name)
		names = append(names, name)
	}
	for _, name := range names {
		list = append(list, "F("+name+")\n")
	}
	source := w.Text()
	out := strings.Fields(asmtest.Execute(t, map[string]string{"f.S": source + ".section .note.GNU-stack,\"\",@progbits\n",
		"main.c": programHarness, "functions.h": strings.Join(list, "")}, fmt.Sprintf("-DFIRSTROOT=%d", len(names)-roots)))
	if len(out) != len(names) {
		t.Fatalf("%d functions ran", len(out))
	}
	m := asmtest.Model(t, source)
	r := Analyze(m, Options{HZ: 100})
	slept, more := 0, 0
	for i, name := range names {
		id := asmtest.Only(t, m, name)
		stays := r.Facts[id].Stays()
		isRoot := i >= len(names)-roots
		switch {
		case out[i] == "1" && !stays:
			t.Errorf("%s sleeps, which is not found: calls %v", name, w.calls[name])
		case out[i] == "1" && isRoot:
			slept++
		case stays && isRoot:
			more++
			t.Logf("%s does not sleep: %q", name, r.Path(id))
		}
		if stays {
			w.follow(t, r, id, name)
		}
	}
	w.split(t, r, names[2*each:], source[:kernel], source[kernel:])
	t.Logf("%d of %d roots sleep, of %d others it is not known that they do not", slept, roots, more)
	if slept < roots/5 || more > 1 {
		t.Errorf("%d of %d roots sleep, %d more may", slept, roots, more)
	}
}

// split checks that a part of the program which is an object, bound to the other part as its
// kernel, is judged as the same functions are in the whole.
func (w *waitWriter) split(t *testing.T, whole *Result, names []string, kernel, object string) {
	prog, err := model.FromObject(asmtest.Object(t, kernel+".data\n.quad schedule, schedule_timeout, prepare_to_wait, __fentry__\n"), model.ObjectOptions{Name: "kernel"})
	if err != nil {
		t.Fatal(err)
	}
	base := Analyze(model.Build(prog), Options{HZ: 100})
	bound, err := model.FromObject(asmtest.Object(t, ".bss\n.skip 0x100000\n.section .text.object, \"ax\", @progbits\n"+object), model.ObjectOptions{Name: "object", Base: prog})
	if err != nil {
		t.Fatal(err)
	}
	m := model.Build(bound)
	r, err := Object(m, base)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		want, got := whole.Facts[asmtest.Only(t, whole.Model(), name)], r.Facts[asmtest.Only(t, m, name)]
		if got.Stays() != want.Stays() || got.Sure != want.Sure || got.Detail != want.Detail {
			t.Errorf("%s in an object: %+v, want %+v", name, got, want)
		}
	}
}

// follow checks that a path leads from a function by calls that the program has to one that
// sleeps.
func (w *waitWriter) follow(t *testing.T, r *Result, id model.FuncID, name string) {
	path := r.Path(id)
	at := ""
	for i, step := range path {
		next := stepName.FindString(step)
		if i == 0 && next != name || i > 0 && !slices.Contains(w.calls[at], next) {
			t.Errorf("%s: %q: there is no call from %q to %s", name, path, at, next)
		}
		at = next
	}
	if len(path) == 0 || !strings.Contains(path[len(path)-1], " waits in schedule") || strings.Contains(strings.Join(path[:len(path)-1], ""), "waits") {
		t.Errorf("%s: %q does not end where it sleeps", name, path)
	}
}
