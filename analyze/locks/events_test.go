package locks

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/internal/asmtest"
)

// eventLines prints events one a line, as the cases below write them.
func eventLines(t *testing.T, e *Events) string {
	t.Helper()
	var out []string
	for i := range e.List {
		ev := &e.List[i]
		line := ""
		switch ev.Kind {
		case EventRead:
			line = "reads " + ev.Place.String()
		case EventWrite:
			line = ev.Place.String() + " = " + ev.Value.String()
		case EventAdd:
			line = fmt.Sprintf("%s += %d", ev.Place, ev.By)
		case EventTake:
			line = "takes " + ev.Lock.String()
			for _, c := range ev.Compared {
				line += fmt.Sprintf(" where %s < %s", c.Less, c.More)
			}
		case EventReturn:
			line = "returns " + ev.Value.String()
		default:
			continue
		}
		for _, lock := range ev.Held {
			line += " under " + lock.String()
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

func TestEvents(t *testing.T) {
	for _, c := range []struct{ name, code, want string }{
		{"values come from arguments and memory, not from registers", `
			movq 0x10(%rdi), %rax
			movl %esi, 0x8(%rax)
			ret`, `reads arg0+0x10
*(arg0+0x10)+0x8 = low4(arg1)
returns *(arg0+0x10)`},
		{"a lock is held behind its call, by the object it lies in", `
			pushq %rbx
			movq 0x18(%rdi), %rbx
			leaq 0x4(%rbx), %rdi
			call _raw_spin_lock
			movl $1, (%rbx)
			leaq 0x4(%rbx), %rdi
			call _raw_spin_unlock
			movl $2, (%rbx)
			popq %rbx
			ret`, `reads arg0+0x18
takes spin:*(arg0+0x18)+0x4
*(arg0+0x18) = 0x1 under spin:*(arg0+0x18)+0x4
*(arg0+0x18) = 0x2
returns _raw_spin_unlock()`},
		{"elements of a list are one, from the third on", `
			movq (%rdi), %rax
		1:	testq %rax, %rax
			je 2f
			movl $0, 0x20(%rax)
			movq (%rax), %rax
			jmp 1b
		2:	ret`, `reads arg0
*(arg0)+0x20 = 0x0
*(*(arg0))+0x20 = 0x0
each(arg0, +0x0)+0x20 = 0x0
reads *(arg0)
reads *(*(arg0))
reads each(arg0, +0x0)
returns *(arg0)
returns *(*(arg0))
returns each(arg0, +0x0)`},
		{"the smaller of two, without a branch", `
			movq %rdi, %rax
			cmpq %rsi, %rdi
			cmovae %rsi, %rax
			ret`, `returns min(arg0, arg1)`},
		{"operations that are no sums", `
			movl (%rdi), %eax
			bswapl %eax
			roll $5, %eax
			xorl %esi, %eax
			ret`, `reads arg0
returns low4(xor(low4(arg1), low4(rol(low4(bswap(*4(arg0))), 0x5))))`},
		{"a product of two registers", `
			movq %rdi, %rax
			imulq %rsi, %rax
			ret`, `returns imul(arg0, arg1)`},
		{"an addition at once", `
			lock incl 0x8(%rdi)
			lock addl $-1, 0x8(%rdi)
			incl 0xc(%rdi)
			xorl %eax, %eax
			ret`, `arg0+0x8 += 1
arg0+0x8 += -1
arg0+0xc = *4(arg0+0xc)+0x1
returns 0x0`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := asmtest.Model(t, ".text\n.globl f\n.type f,@function\nf:\n"+c.code+"\n.size f, .-f\n")
			events := Analyze(m, Options{}).Flows().Events(asmtest.Only(t, m, "f"))
			if d := cmp.Diff(c.want, eventLines(t, events)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// Two locks of one kind, taken in the order of their addresses: the comparison holds
// where each is taken first.
func TestEventsCompared(t *testing.T) {
	m := asmtest.Model(t, `.text
.globl f
.type f,@function
f:	cmpq %rsi, %rdi
	jae 1f
	call _raw_spin_lock
	ret
1:	movq %rsi, %rdi
	call _raw_spin_lock
	ret
.size f, .-f
`)
	var got []string
	for _, line := range strings.Split(eventLines(t, Analyze(m, Options{}).Flows().Events(asmtest.Only(t, m, "f"))), "\n") {
		if strings.HasPrefix(line, "takes") {
			got = append(got, line)
		}
	}
	want := []string{"takes spin:arg0 where arg0 < arg1", "takes spin:arg1 where arg1 < arg0"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestCounts(t *testing.T) {
	m := asmtest.Model(t, `.text
.globl f
.type f,@function
f:	lock decl (%rdi)
	testl %esi, %esi
	je 1f
	lock decl (%rdi)
	lock incl 8(%rdi)
1:	ret
.size f, .-f
`)
	events := Analyze(m, Options{}).Flows().Events(asmtest.Only(t, m, "f"))
	got := events.Counts(func(ev *Event) string {
		if ev.Kind != EventAdd {
			return ""
		}
		return ev.Place.String()
	})
	want := map[string]Count{"arg0": {1, 2}, "arg0+0x8": {0, 1}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	first, last := &events.List[0], &events.List[len(events.List)-1]
	if !events.Before(first, last) || events.Before(last, first) {
		t.Error("the first event is not before the last, or the last before the first")
	}
}
