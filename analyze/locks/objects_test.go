package locks

import (
	"fmt"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/internal/asmtest"
)

// Objects that random functions lock: nodes of two trees, each in an array, so that no two
// pointers lead to one node. A node has locks, three pointers to children, of which the last
// may be NULL, and numbers.
const (
	nodeSize  = 128
	treeNodes = 3280 // of seven levels
	mutexAt   = 24
	childAt   = 0x20
	numberAt  = 64
)

// treeWriter writes functions of (a, b, number, number), where a and b are nodes of different
// trees. rbx is a, r15 a node below, r12 is b; r13 and rbp are the numbers.
type treeWriter struct {
	*asmtest.Random
	callees []string
	below   int // how many pointers r15 has followed
	slots   int // of the frame that are in use
	nested  int // blocks around
}

// treeSlots are the words of the frame that remember something; one more is a number, which
// others may know of.
const treeSlots = 2

// where is a register that holds a node.
func (w *treeWriter) where() string { return w.Pick("%rbx", "%r12", "%r15", "%r15") }

// condition sets the flags by a number, and returns a jump that is taken if it does not hold.
func (w *treeWriter) condition() (set, jump string) {
	jump = w.Pick("je", "jne", "jg", "jle", "jb", "jae")
	switch w.IntN(5) {
	case 4:
		return fmt.Sprintf("cmpl $%d, 16(%%rsp)", w.IntN(4)), jump
	case 0:
		return fmt.Sprintf("cmpl $%d, %d(%s)", w.IntN(4), numberAt+8*w.IntN(3), w.Pick("%rbx", "%r12")), jump
	case 1:
		return "test %r13d, %r13d", w.Pick("je", "jne", "js", "jns")
	case 2:
		return "testb $2, %bpl", w.Pick("je", "jne")
	}
	return fmt.Sprintf("cmp $%d, %s", w.IntN(4), w.Pick("%r13d", "%ebp", "%r13")), jump
}

// kinds are ways to take and release a lock, and where it lies in a node.
var kinds = []struct {
	take, try, release string
	at                 int
}{
	{"_raw_spin_lock", "_raw_spin_trylock", "_raw_spin_unlock", firstLock},
	{"_raw_spin_lock", "_raw_spin_trylock", "_raw_spin_unlock", secondLock},
	{"mutex_lock", "mutex_trylock", "mutex_unlock", mutexAt},
	{"_raw_spin_lock_bh", "", "_raw_spin_unlock_bh", secondLock},
	{"_raw_spin_lock_irq", "", "_raw_spin_unlock_irq", firstLock},
}

// lockAt is how the address of a lock gets into rdi: of one kind, in a node, of the running
// task, of this CPU, or the global one. again is how it does once more, when r15 is another.
func (w *treeWriter) lockAt(at int, node string) (first, again string) {
	switch w.IntN(12) {
	case 0, 1:
		first = "lea global_lock(%rip), %rdi"
	case 2:
		first = fmt.Sprintf("mov %%gs:current_task(%%rip), %%rdi\n\tadd $%d, %%rdi", at)
	case 3:
		first = "lea percpu_lock(%rip), %rdi\n\tadd %gs:this_cpu_off(%rip), %rdi"
	default:
		first = fmt.Sprintf("lea %d(%s), %%rdi", at, node)
		if node == "%r15" {
			again = fmt.Sprintf("mov %d(%%rsp), %%rdi\n\tadd $%d, %%rdi", 8*w.slots, at)
			w.F("mov %%r15, %d(%%rsp)", 8*w.slots)
			return first, again
		}
	}
	return first, first
}

// region takes a lock around a block. If r15 leads to it, the frame remembers where.
func (w *treeWriter) region() {
	kind, node := kinds[w.IntN(len(kinds))], w.where()
	if w.slots == treeSlots {
		node = "%rbx"
	}
	first, again := w.lockAt(kind.at, node)
	w.slots++
	defer func() { w.slots-- }()
	release := func() { w.F("%s\n\tcall %s", again, kind.release) }
	skip := w.Label()
	how := w.IntN(6)
	if kind.try == "" {
		how = max(how, 1)
	}
	switch how {
	case 0: // if it is free
		w.F("%s\n\tcall %s\n\ttest %%eax, %%eax\n\tje %s", first, kind.try, skip)
		w.block()
		release()
		w.Place(skip)
	case 1, 2: // under a condition, asked for again
		set, jump := w.condition()
		w.F("%s\n\t%s %s\n\t%s\n\tcall %s", set, jump, skip, first, kind.take)
		w.Place(skip)
		w.block()
		end := w.Label()
		w.F("%s\n\t%s %s", set, jump, end)
		release()
		w.Place(end)
	case 3: // released for a while, by who has it
		w.F("%s\n\tcall %s\n\tcall work\n\t%s\n\tcall %s", first, kind.release, first, kind.take)
	default:
		w.F("%s\n\tcall %s", first, kind.take)
		w.block()
		release()
	}
}

// preemption changes this CPU's preempt count around a block.
func (w *treeWriter) preemption() {
	how := [][2]string{{"incl", "decl"}, {"addl $1,", "subl $1,"}, {"addl $0x200,", "subl $0x200,"}}[w.IntN(3)]
	w.F("%s %%gs:__preempt_count(%%rip)", how[0])
	w.block()
	if w.IntN(6) > 0 {
		w.F("%s %%gs:__preempt_count(%%rip)", how[1])
	}
}

// store changes a number, in a node or in the frame.
func (w *treeWriter) store() {
	at := w.Pick("16(%rsp)", fmt.Sprintf("%d(%s)", numberAt+8*w.IntN(3), w.Pick("%rbx", "%r12", "%r15")))
	switch w.IntN(7) {
	case 0, 1:
		w.F("movl $%d, %s", w.IntN(4), at)
	case 2:
		w.F("%s %s", w.Pick("incl", "decl", "notl", "lock incl"), at)
	case 3:
		w.F("%s $%d, %s", w.Pick("addl", "andl", "orl", "xorl", "lock addl"), w.IntN(4), at)
	case 4:
		w.F("mov $%d, %%eax\n\txchg %%eax, %s", w.IntN(4), at)
	case 5:
		w.F("movslq %s, %%r13", at)
	case 6:
		w.F("lea 16(%%rsp), %%rdi\n\tcall give")
	}
}

// number computes one of the two numbers into a register of eight bytes.
func (w *treeWriter) number(to string) {
	w.F("mov %s, %s", w.Pick("%r13", "%rbp"), to)
	for range w.IntN(4) {
		switch w.IntN(8) {
		case 0:
			w.F("%s $%d, %s", w.Pick("add", "sub", "and", "or", "xor", "shl", "sar", "shr"), 1+w.IntN(7), to)
		case 1:
			w.F("%s %%rbp, %s", w.Pick("add", "sub", "and", "or", "xor", "imul"), to)
		case 2:
			w.F("lea %d(%%r13,%s,%d), %s", w.IntN(9), to, 1<<w.IntN(3), to)
		case 3:
			w.F("imul $%d, %s, %s", 2+w.IntN(9), to, to)
		case 4:
			w.F("cmp %%rbp, %s\n\tcmov%s %%rbp, %s", to, w.Pick("g", "l", "a", "b", "ge", "be"), to)
		case 5:
			w.F("%s %s", w.Pick("neg", "not", "inc", "dec", "bswap"), to)
		case 6:
			w.F("rol $%d, %s", 1+w.IntN(9), to)
		case 7:
			w.F("btr $%d, %s", w.IntN(9), to)
		}
	}
}

// follow moves r15 down the tree.
func (w *treeWriter) follow() {
	from := w.Pick("%rbx", "%r15")
	if from == "%rbx" {
		w.below = 0
	}
	if w.below == 2 {
		w.F("mov %%rbx, %%r15")
		w.below = 0
		return
	}
	w.below++
	child := w.IntN(3)
	w.F("mov %d(%s), %%r15", childAt+8*child, from)
	if child == 2 {
		some := w.Label()
		w.F("test %%r15, %%r15\n\tjne %s\n\tmov %d(%%rbx), %%r15", some, childAt)
		w.Place(some)
	}
}

// block writes a few statements.
func (w *treeWriter) block() {
	if w.nested++; w.nested > 3 {
		w.nested--
		return
	}
	defer func() { w.nested-- }()
	for range 1 + w.IntN(3) {
		skip := w.Label()
		switch w.IntN(12) {
		case 11:
			w.preemption()
		case 9, 10:
			w.store()
		case 0, 1, 2:
			w.region()
		case 3, 4:
			w.follow()
		case 5: // one way or the other
			set, jump := w.condition()
			end := w.Label()
			w.F("%s\n\t%s %s", set, jump, skip)
			before := w.below
			w.block()
			first := w.below
			w.below = before
			w.F("jmp %s", end)
			w.Place(skip)
			w.block()
			w.Place(end)
			w.below = max(w.below, first)
		case 6:
			if len(w.callees) == 0 {
				w.F("call work")
				continue
			}
			left, right := w.Pick("%rbx", "%r15"), "%r12"
			if w.IntN(3) == 0 {
				left, right = right, left
			}
			w.number("%rdx")
			if w.IntN(3) == 0 {
				w.F("%s", w.Pick("mov $1, %edx", "xor %edx, %edx"))
			}
			w.number("%rcx")
			w.F("mov %s, %%rdi\n\tmov %s, %%rsi\n\tcall %s", left, right, w.Pick(w.callees...))
			if w.IntN(2) == 0 {
				w.F("test %%eax, %%eax\n\t%s %s", w.Pick("je", "jne", "js"), skip)
				w.block()
				w.Place(skip)
			}
		case 7: // a list
			if w.slots == treeSlots {
				continue
			}
			kind := kinds[w.IntN(len(kinds))]
			count := fmt.Sprintf("%d(%%rsp)", 8*w.slots)
			w.slots++
			w.F("movl $%d, %s\n\tmov %%rbx, %%r15", 1+w.IntN(2), count)
			w.below = 2
			w.Place(skip)
			w.F("lea %d(%%r15), %%rdi\n\tcall %s", kind.at, kind.take)
			w.F("lea %d(%%r15), %%rdi\n\tcall %s\n\tmov %d(%%r15), %%r15", kind.at, kind.release, childAt)
			w.F("decl %s\n\tjne %s", count, skip)
			w.slots--
		case 8:
			w.F("call work")
		}
	}
}

// function writes one; some end with a lock taken or released.
func (w *treeWriter) function(name string) {
	w.below, w.slots, w.nested = 0, 0, 0
	w.Begin(name)
	w.F("call __fentry__")
	for _, r := range []string{"rbx", "rbp", "r12", "r13", "r14", "r15"} {
		w.F("push %%%s", r)
	}
	w.F("sub $24, %%rsp\n\tmov %%rdi, %%rbx\n\tmov %%rdi, %%r15\n\tmov %%rsi, %%r12\n\tmov %%rdx, %%r13\n\tmov %%rcx, %%rbp\n\txor %%r14d, %%r14d\n\tmovq $0, 16(%%rsp)")
	w.block()
	if w.IntN(3) == 0 {
		kind, skip := kinds[w.IntN(len(kinds))], w.Label()
		set, jump := w.condition()
		if w.IntN(2) == 0 {
			w.F("%s\n\t%s %s\n\tmov $-11, %%r14d", set, jump, skip)
		}
		w.F("lea %d(%s), %%rdi\n\tcall %s", kind.at, w.where(), w.Pick(kind.take, kind.take, kind.release))
		w.Place(skip)
	}
	last := "ret"
	if w.IntN(4) == 0 { // the end is in another function
		kind := kinds[w.IntN(len(kinds))]
		w.F("lea %d(%s), %%rdi", kind.at, w.where())
		last = "jmp " + w.Pick(kind.release, kind.take)
		if len(w.callees) > 0 && w.IntN(2) == 0 {
			w.F("mov %%rbx, %%rdi\n\tmov %%r12, %%rsi")
			last = "jmp " + w.Pick(w.callees...)
		}
	}
	w.F("mov %%r14d, %%eax\n\tmov %%r13, %%rdx\n\tmov %%rbp, %%rcx\n\tadd $24, %%rsp")
	for _, r := range []string{"r15", "r14", "r13", "r12", "rbp", "rbx"} {
		w.F("pop %%%s", r)
	}
	w.F("%s", last)
	w.End(name)
}

// treeHarness calls functions and prints what happens in each: where a call is made, with
// the calls around.
const treeHarness = `
#include <stdio.h>
#define NODES 3280
struct node { long unused, locks[3], child[3], more, numbers[3], rest[5]; };
_Static_assert(sizeof(struct node) == 128, "size");
static struct node trees[3][NODES], bottom;
extern long global_lock, current_task, percpu_lock;
extern int __preempt_count;
static unsigned long seed = 88172645463325252ul;
static unsigned long next(void) { seed ^= seed << 13; seed ^= seed >> 7; seed ^= seed << 17; return seed; }
static struct { unsigned long frame, code, back; int id, n; } active[64];
static int depth, ids, broken;
static long *given; // a slot of a frame that others know
static int givenBy;
typedef long function(void *, void *, long, long);
#define F(n) extern function n;
#include "functions.h"
#undef F
#define F(n) n,
static function *const all[] = {
#include "functions.h"
};
// leave ends what has returned. What jumped away stays: the same place was called for something else.
static void leave(unsigned long frame, int n)
{
	while (depth) {
		unsigned long at = active[depth - 1].frame;
		int first = depth - 1;
		while (first && active[first - 1].frame == at)
			first--;
		if (at > frame || at == frame && active[first].back == *(unsigned long *)frame && active[first].n != n)
			return;
		depth = first;
	}
}
static void around(unsigned long frame)
{
	for (int i = depth - 1; i >= 0; i--)
		if (active[i].frame == frame || i < depth - 1 && active[i].frame == active[i + 1].frame)
			printf(" %d -1", active[i].id);
		else
			printf(" %d %ld", active[i].id, *(unsigned long *)(active[i].frame - 80) - 5 - active[i].code);
	printf("\n");
}
static void place(void *p)
{
	long to = (long)p;
	for (int t = 0; t < 3; t++)
		if (to >= (long)trees[t] && to < (long)trees[t + 1])
			to -= (long)trees[t] - (t + 1) * 0x10000000l;
	if (p == &global_lock)
		to = 1;
	if (p == &percpu_lock)
		to = 2;
	if ((char *)p >= (char *)&bottom && (char *)p < (char *)(&bottom + 1))
		broken = 1;
	printf(" %ld", to);
}
void entered(unsigned long back, unsigned long frame, long *regs)
{
	int n = 0;
	while ((unsigned long)all[n] != back - 5)
		n++;
	leave(frame, n);
	printf("enter %d %d %d", __preempt_count, ids, n);
	place((void *)regs[0]);
	place((void *)regs[1]);
	printf(" %ld %ld", regs[2], regs[3]);
	around(frame);
	active[depth].frame = frame;
	active[depth].back = *(unsigned long *)frame;
	active[depth].n = n;
	active[depth].code = back - 5;
	active[depth++].id = ids++;
}
asm(".text\n.globl __fentry__\n__fentry__: push %rax\npush %r8\npush %r9\npush %r10\npush %r11\npush %rcx\npush %rdx\npush %rsi\npush %rdi\n"
    "mov 72(%rsp), %rdi\nlea 80(%rsp), %rsi\nmov %rsp, %rdx\nsub $8, %rsp\ncall entered\nadd $8, %rsp\n"
    "pop %rdi\npop %rsi\npop %rdx\npop %rcx\npop %r11\npop %r10\npop %r9\npop %r8\npop %rax\nret\n");
static void did(const char *what, int delta, void *l, unsigned long frame)
{
	leave(frame, -1);
	printf("%s %d %d", what, __preempt_count, delta);
	place(l);
	around(frame);
}
#define FRAME ((unsigned long)__builtin_frame_address(0) + 8)
void _raw_spin_lock(void *l) { did("_raw_spin_lock", 1, l, FRAME); }
void _raw_spin_unlock(void *l) { did("_raw_spin_unlock", -1, l, FRAME); }
void mutex_lock(void *l) { did("mutex_lock", 1, l, FRAME); }
void mutex_unlock(void *l) { did("mutex_unlock", -1, l, FRAME); }
int _raw_spin_trylock(void *l) { int ok = next() >> 20 & 1; did("_raw_spin_trylock", ok, l, FRAME); return ok; }
int mutex_trylock(void *l) { int ok = next() >> 20 & 1; did("mutex_trylock", ok, l, FRAME); return ok; }
void _raw_spin_lock_bh(void *l) { did("_raw_spin_lock_bh", 1, l, FRAME); __preempt_count += 0x200; }
void _raw_spin_unlock_bh(void *l) { did("_raw_spin_unlock_bh", -1, l, FRAME); __preempt_count -= 0x200; }
void _raw_spin_lock_irq(void *l) { did("_raw_spin_lock_irq", 1, l, FRAME); }
void _raw_spin_unlock_irq(void *l) { did("_raw_spin_unlock_irq", -1, l, FRAME); }
static void others(void)
{
	for (int i = 0; i < depth; i++)
		if (given && active[i].id == givenBy)
			*given = next() >> 20 & 3;
}
void work(void) { leave(FRAME, -1); printf("work %d", __preempt_count); around(FRAME); others(); }
void give(long *slot)
{
	leave(FRAME, -1);
	printf("give %d", __preempt_count);
	around(FRAME);
	given = slot;
	givenBy = active[depth - 1].id;
	others();
}
int main(void)
{
	for (int i = 0; i < 3; i++)
		bottom.child[i] = (long)&bottom;
	for (unsigned n = 0; n < sizeof(all) / sizeof(*all); n++)
		for (int run = 0; run < RUNS; run++) {
			for (int t = 0; t < 3; t++)
				for (int i = 0; i < NODES; i++)
					for (int k = 0; k < 3; k++) {
						int to = 3 * i + k + 1;
						trees[t][i].child[k] = (long)(to < NODES ? &trees[t][to] : &bottom);
						if (k == 2 && next() >> 30 & 1)
							trees[t][i].child[k] = 0;
						trees[t][i].numbers[k] = next() >> 20 & 3;
					}
			depth = ids = broken = 0;
			given = 0;
			current_task = (long)trees[2];
			__preempt_count = 0x4040;
			long c = (next() >> 20) % 5 - 1, d = (next() >> 20) % 5 - 1;
			printf("run\n");
			long ret = all[n](trees[0], trees[1], c, d);
			printf("exit %d %ld %d\n", __preempt_count, ret, broken);
		}
}
`

// TestObjectsAgainstProcessor runs random functions that lock objects, follow pointers and
// call each other. At each call of each function on the way, the locks held, the callee and
// the addresses passed are those that were found; so are the locks waited for, the order in
// which they are, and what is left when a function returns.
func TestObjectsAgainstProcessor(t *testing.T) {
	const layers, each, runs = 3, 24, 40
	w := &treeWriter{Random: asmtest.NewRandom(24)}
	w.F(".data\n.globl global_lock\n.type global_lock, @object\n.size global_lock, 8\nglobal_lock: .quad 0")
	w.F(".globl current_task, this_cpu_off, __preempt_count, percpu_lock\ncurrent_task: .quad 0\nthis_cpu_off: .quad 0\npercpu_lock: .quad 0\n__preempt_count: .quad 0\n.text")
	var list strings.Builder
	var below []string
	for layer := range layers {
		w.callees = below
		below = nil
		for i := range each {
			name := fmt.Sprintf("f%d", layer*each+i)
			w.function(name)
			below = append(below, name)
			fmt.Fprintf(&list, "F(%s)\n", name)
		}
	}
	source := w.Text()
	m := asmtest.Model(t, source)
	j := &treeJudge{t: t, m: m, source: source, seen: map[string]bool{}, ran: map[uint64]bool{}, witnessed: map[string]bool{}}
	j.res = Analyze(m, Options{})
	j.flows = j.res.Flows()
	j.global, _ = m.Prog.Lookup("global_lock")
	j.percpu, _ = m.Prog.Lookup("percpu_lock")
	for i := range layers * each {
		id := asmtest.Only(t, m, fmt.Sprintf("f%d", i))
		j.ids, j.events = append(j.ids, id), append(j.events, j.flows.Events(id))
	}
	text := asmtest.Execute(t, map[string]string{"f.S": source + ".section .note.GNU-stack,\"\",@progbits\n", "main.c": treeHarness,
		"functions.h": list.String()}, fmt.Sprintf("-DRUNS=%d", runs))
	broken := 0
	for _, one := range strings.Split(text, "run\n")[1:] {
		if strings.HasSuffix(one, " 1\n") {
			broken++ // it went on below the leaves
			continue
		}
		j.run(strings.Split(strings.TrimSpace(one), "\n"))
	}
	uses := 0
	for fn := range j.ids {
		uses += j.memory(fn)
	}
	found := 0
	for _, id := range j.ids {
		flow := j.flows.Flow(id)
		found += len(flow.Calls) + len(flow.Takes) + len(flow.Orders) + len(j.res.Effect(id).Outcomes)
	}
	t.Logf("%d arguments computed, %d not; %d locks held at entry; %d uses of memory", j.exact, j.inexact, j.always, uses)
	t.Logf("%d of %d runs went too deep; %d checked, %d not named, %d assumed wrongly; %d of %d that were found have happened", broken, layers*each*runs, j.checked, j.excused, j.guessed, len(j.witnessed), found)
	if broken > 0 || 5*j.excused > j.checked+j.excused || 150*j.guessed > j.checked || 4*len(j.witnessed) < 3*found || 50*j.inexact > j.exact || j.always == 0 || uses < 80 {
		t.Error("too little of it is exact")
	}
}
