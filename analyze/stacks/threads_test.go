package stacks

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/internal/asmtest"
)

// Functions that kernel threads begin in: a thread stays for ever on the frame of one that
// loops, however short it waits; who starts it does not.
const threads = `.text
.macro func name
.globl \name
.type \name, @function
\name:
.endm
.macro start function, text
	sub $8, %rsp
	mov $\function, %rdi
	xor %esi, %esi
	mov $-1, %edx
	mov $\text, %rcx
	xor %eax, %eax
	call kthread_create_on_node
	add $8, %rsp
.endm
func looping
	push %rbx
1:	call work
	mov $1, %edi
	call schedule_timeout
	jmp 1b
.size looping, .-looping
func short_loop
	push %rbx
	mov $5, %ebx
1:	dec %ebx
	jne 1b
	call work
	pop %rbx
	ret
.size short_loop, .-short_loop
func waiting
	sub $8, %rsp
	call naps
	add $8, %rsp
	ret
.size waiting, .-waiting
func naps
	sub $8, %rsp
	mov $1, %edx
	call prepare_to_wait
	call schedule
	add $8, %rsp
	ret
.size naps, .-naps
func starts
	start looping, first
	start short_loop, second
	start waiting, third
	start looping, fourth
	ret
.size starts, .-starts
func starts_unnamed
	sub $8, %rsp
	mov $waiting, %rdi
	xor %esi, %esi
	mov $-1, %edx
	mov 8(%rsp), %rcx
	call kthread_create_on_node
	add $8, %rsp
	ret
.size starts_unnamed, .-starts_unnamed
func keeps
	mov $short_loop, %rdi
	call work
	ret
.size keeps, .-keeps
.section .rodata
first: .asciz "worker%d"
second: .asciz "once"
third: .asciz "waiter"
fourth: .asciz "another"
`

func TestThreads(t *testing.T) {
	m := asmtest.Model(t, threads)
	r := Analyze(m, Options{HZ: 100})
	fact := func(name string) Fact { return r.Facts[asmtest.Only(t, m, name)] }
	var begun []string
	for _, thread := range r.Threads {
		begun = append(begun, m.Func(thread.Func).Name+" "+thread.Name)
	}
	slices.Sort(begun)
	if d := cmp.Diff([]string{"looping another", "looping worker%d", "short_loop once", "waiting ", "waiting waiter"}, begun); d != "" {
		t.Errorf("threads (-want +got)\n%s", d)
	}
	for name, want := range map[string]Reason{"looping": Loops, "short_loop": None, "waiting": Calls, "naps": Waits, "starts": None, "starts_unnamed": None, "keeps": None} {
		if f := fact(name); f.Reason != want || f.Stays() != (want != None) {
			t.Errorf("%s: %+v, want %v", name, f, want)
		}
	}
	for name, want := range map[string][]string{"looping": {"looping (thread another)", "looping (thread worker%d)"}, "short_loop": {"short_loop (thread once)"}, "waiting": {"waiting", "waiting (thread waiter)"}, "starts": nil} {
		got := r.ThreadNames(asmtest.Only(t, m, name))
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("threads of %s: %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]int{"looping": 2, "naps": 2, "waiting": 2, "short_loop": 0, "starts": 0} {
		if got := r.ThreadsIn(asmtest.Only(t, m, name)); len(got) != want {
			t.Errorf("threads in %s: %q, want %d", name, got, want)
		}
	}
	for name, want := range map[string]bool{"schedule": true, "schedule_timeout": true, "naps": false, "work": false} {
		if got := r.WaitsForever(asmtest.Only(t, m, name)); got != want {
			t.Errorf("%s waits for ever: %v", name, got)
		}
	}
}

// frameOf is a state with the words -64 to -24 of the frame, each its own number.
func frameOf() *state {
	s := &state{}
	for r := range s.known {
		s.known[r] = maxInt
	}
	for off := int64(-64); off < -16; off += 8 {
		s.store(value{kind: pointer, region: frame, off: off}, 8, constant(uint64(1000+off)))
	}
	s.regs[machine.RSP] = value{kind: pointer, region: frame, off: -72}
	return s
}

// TestFill: a string instruction that stores changes what it covers and nothing else; where
// its count is not known, all that may follow.
func TestFill(t *testing.T) {
	unknown := value{}
	for _, c := range []struct {
		name, code string
		at         int64
		count      value
		zero, lost []int64 // words that become 0, and that are not known afterwards
	}{
		{"rep stosq", "f348ab", -56, constant(2), []int64{-56, -48}, nil}, {"rep stosq of none", "f348ab", -56, constant(0), nil, nil}, {"stosq", "48ab", -56, unknown, []int64{-56}, nil},
		{"rep stosq, unknown", "f348ab", -40, unknown, nil, []int64{-40, -32, -24}}, {"rep stosb of a word", "f3aa", -48, constant(8), nil, []int64{-48}}, {"rep stosq, too many", "f348ab", -56, constant(1 << 20), nil, []int64{-56, -48, -40, -32, -24}},
	} {
		in := asmtest.Inst(t, c.code)
		s := frameOf()
		s.regs[machine.RDI], s.regs[machine.RCX], s.regs[machine.RAX] = value{kind: pointer, region: frame, off: c.at}, c.count, constant(0)
		s.step(&in, 0)
		for off := int64(-64); off < -16; off += 8 {
			got := s.load(value{kind: pointer, region: frame, off: off}, 8)
			switch {
			case slices.Contains(c.zero, off):
				if got != constant(0) {
					t.Errorf("%s: %d has %+v", c.name, off, got)
				}
			case slices.Contains(c.lost, off):
				if got.isConst() && got != constant(0) {
					t.Errorf("%s: %d has %+v still", c.name, off, got)
				}
			case got != constant(uint64(1000+off)):
				t.Errorf("%s: %d has %+v", c.name, off, got)
			}
		}
		if to := s.regs[machine.RDI]; to.kind == pointer || to.isConst() {
			t.Errorf("%s: rdi is %+v", c.name, to)
		}
		if rep := len(c.code) == 6 || c.code[:2] == "f3"; rep && s.regs[machine.RCX] != constant(0) || !rep && s.regs[machine.RCX] != c.count {
			t.Errorf("%s: rcx is %+v", c.name, s.regs[machine.RCX])
		}
	}
	// Through a number it goes anywhere that others know of.
	in := asmtest.Inst(t, "f348ab")
	s := frameOf()
	s.give(value{kind: pointer, region: frame, off: -40})
	s.store(value{kind: pointer, region: frame, off: -48}, 8, constant(5))
	s.regs[machine.RDI], s.regs[machine.RCX], s.regs[machine.RAX] = value{}, constant(1), constant(0)
	s.step(&in, 0)
	if s.load(value{kind: pointer, region: frame, off: -48}, 8) != constant(5) || s.load(value{kind: pointer, region: frame, off: -40}, 8) != (value{}) || s.regs[machine.RDI] != (value{}) {
		t.Errorf("through a number: %+v", s.mem)
	}
}

// TestStackPointer: it may be aligned, and is lost with the frame when anything else is put
// into it.
func TestStackPointer(t *testing.T) {
	at := func(off int64) value { return value{kind: pointer, region: frame, off: off} }
	for _, c := range []struct {
		name, code string
		rax        value
		want       value
		frame      bool // what the frame holds is still known
	}{
		{"and rsp, -16", "4883e4f0", value{}, at(-80), true}, {"and rsp, -8", "4883e4f8", value{}, at(-72), true}, {"and rsp, rax", "4821c4", constant(^uint64(31)), at(-96), true},
		{"sub rsp, 24", "4883ec18", value{}, at(-96), true}, {"mov rsp, rax", "4889c4", at(-64), at(-64), true}, {"mov rsp, rax, unknown", "4889c4", value{}, value{}, false}, {"mov rsp, rax, a number", "4889c4", constant(8), value{}, false},
		{"and rsp, rax, unknown", "4821c4", value{}, value{}, false},
	} {
		in := asmtest.Inst(t, c.code)
		s := frameOf()
		s.regs[machine.RAX] = c.rax
		s.step(&in, 0)
		if s.regs[machine.RSP] != c.want {
			t.Errorf("%s: stack pointer %+v, want %+v", c.name, s.regs[machine.RSP], c.want)
		}
		if known := s.load(at(-64), 8) == constant(1000-64); known != c.frame {
			t.Errorf("%s: the frame is known: %v", c.name, known)
		}
	}
}
