package stacks

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/analyze/fields"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/internal/asmtest"
)

// typedHead are the types and functions of a kernel that the programs use.
const typedHead = `
#define noinline __attribute__((noipa))
struct task_struct { long flags; unsigned int __state; int on_cpu; };
struct sock { long sk_flags; long sk_rcvtimeo; long sk_sndtimeo; unsigned long sk_other; int sk_count; };
struct my_ops { void (*go)(struct task_struct *, struct sock *); void (*stop)(struct task_struct *, struct sock *, int); };
struct device { const struct my_ops *ops; void (*hook)(struct task_struct *, long); };
extern void schedule(void);
extern long schedule_timeout(long);
extern void work(struct sock *);
`

// typedFunction is a function of a random program in C, and what is to be found of it.
type typedFunction struct {
	name    string
	calls   []int  // functions, called directly
	member  string // of the table through which it calls, "" for none
	through bool   // it calls its argument
	gives   []int  // functions that it gives to one that calls its argument
	own     string // how it may wait itself, "" if not
	sure    bool   // that it surely has no bound
}

// longState says whether a task may sleep for long in a state (include/linux/sched.h, v6.1).
func longState(state int) string {
	switch {
	case state&0xc != 0:
		return "stopped"
	case state&1 != 0:
		return "interruptible"
	case state&2 != 0 && state&0x400 != 0:
		return "idle"
	}
	return ""
}

// typedProgram writes a random program.
func typedProgram(rng *rand.Rand) (list []*typedFunction, text string) {
	var out strings.Builder
	out.WriteString(typedHead)
	add := func(f *typedFunction) int {
		f.name = fmt.Sprintf("f%d", len(list))
		list = append(list, f)
		return len(list) - 1
	}
	states := []int{1, 2, 0x402, 0x102, 0x101, 4, 8, 0x400, 0}
	members := []string{"sk_rcvtimeo", "sk_sndtimeo", "sk_other"}
	endless := map[string]bool{}
	var leaves []int

	// What sets a time that has no end.
	for _, member := range members[:2] {
		value := int64(1000)
		if rng.IntN(2) == 0 {
			value, endless[member] = maxTimeout, true
		}
		fmt.Fprintf(&out, "noinline void set_%s(struct sock *sk) { sk->%[1]s = %d; }\n", member, value)
	}

	// Functions that sleep in the state that they are given; callers come later.
	given := map[int][]int{}
	for range 2 {
		at := add(&typedFunction{})
		fmt.Fprintf(&out, "noinline void f%d(struct task_struct *p, unsigned int state) { p->__state = state; schedule(); }\n", at)
		given[at] = nil
	}
	sleepers := slices.Collect(func(yield func(int) bool) {
		for at := range 2 {
			if !yield(at) {
				return
			}
		}
	})

	for range 16 {
		f := &typedFunction{}
		at := add(f)
		head := fmt.Sprintf("noinline void f%d(struct task_struct *p, struct sock *sk) { ", at)
		state := states[rng.IntN(len(states))]
		how := longState(state)
		switch rng.IntN(7) {
		case 0:
			f.own, f.sure = how, true
			fmt.Fprintf(&out, "%sp->__state = %d; schedule(); }\n", head, state)
		case 1: // one of two states
			other := states[rng.IntN(len(states))]
			f.own, f.sure = how, true
			if f.own == "" {
				f.own = longState(other)
			}
			fmt.Fprintf(&out, "%sif (sk->sk_count) { p->__state = %d; } else { p->__state = %d; work(sk); } schedule(); }\n", head, state, other)
			if state == other || longState(state) != "" && longState(other) != "" {
				f.own = "?" // whichever of them is named
			}
		case 2: // for a time
			if member := members[rng.IntN(len(members))]; how != "" {
				if f.own, f.sure = how, endless[member]; !f.sure {
					f.own = how + ", for as long as sock." + member + " says"
				}
				fmt.Fprintf(&out, "%sp->__state = %d; schedule_timeout(sk->%s); }\n", head, state, member)
			} else {
				fmt.Fprintf(&out, "%sp->__state = %d; schedule_timeout(sk->%s); }\n", head, state, member)
			}
		case 3:
			time := []int64{1, longestTime, longestTime + 1, maxTimeout}[rng.IntN(4)]
			if time > longestTime {
				f.own, f.sure = how, true
			}
			fmt.Fprintf(&out, "%sp->__state = %d; schedule_timeout(%dl); }\n", head, state, time)
		case 4: // in a state that it hands on
			to := sleepers[rng.IntN(len(sleepers))]
			given[to] = append(given[to], state)
			f.calls = append(f.calls, to)
			fmt.Fprintf(&out, "%sf%d(p, %d); work(sk); }\n", head, to, state)
		default:
			fmt.Fprintf(&out, "%swork(sk); }\n", head)
		}
		leaves = append(leaves, at)
	}
	for at, states := range given {
		for _, state := range states {
			if how := longState(state); how != "" {
				if list[at].own == "" {
					list[at].own = how
				}
				list[at].sure = true
			}
		}
		if list[at].own != "" {
			list[at].own = "?"
		}
	}

	// Tables of functions, and callers through them.
	tables := map[string][]int{}
	for table := range 2 {
		begin, end := leaves[rng.IntN(len(leaves))], leaves[rng.IntN(len(leaves))]
		stop := add(&typedFunction{calls: []int{end}})
		fmt.Fprintf(&out, "noinline void f%d(struct task_struct *p, struct sock *sk, int how) { f%d(p, sk); work(sk); }\n", stop, end)
		fmt.Fprintf(&out, "const struct my_ops table%d = { .go = f%d, .stop = f%d };\n", table, begin, stop)
		tables["my_ops.go"], tables["my_ops.stop"] = append(tables["my_ops.go"], begin), append(tables["my_ops.stop"], stop)
	}
	var middle []int
	for range 3 {
		f := &typedFunction{member: []string{"my_ops.go", "my_ops.stop"}[rng.IntN(2)]}
		at := add(f)
		call := "d->ops->go(p, sk)"
		if f.member == "my_ops.stop" {
			call = "d->ops->stop(p, sk, 1)"
		}
		fmt.Fprintf(&out, "noinline void f%d(struct task_struct *p, struct sock *sk, struct device *d) { %s; work(sk); }\n", at, call)
		middle = append(middle, at)
	}
	run := add(&typedFunction{through: true})
	fmt.Fprintf(&out, "noinline void f%d(void (*fn)(struct task_struct *, struct sock *), struct task_struct *p, struct sock *sk) { fn(p, sk); work(sk); }\n", run)

	// Callers of callers.
	for range 14 {
		f := &typedFunction{}
		at := add(f)
		fmt.Fprintf(&out, "noinline void f%d(struct task_struct *p, struct sock *sk, struct device *d) { ", at)
		for range 1 + rng.IntN(2) {
			switch rng.IntN(6) {
			case 0:
				leaf := leaves[rng.IntN(len(leaves))]
				list[run].gives = append(list[run].gives, leaf)
				f.calls = append(f.calls, run)
				fmt.Fprintf(&out, "f%d(f%d, p, sk); ", run, leaf)
			case 1, 2:
				to := middle[rng.IntN(len(middle))]
				f.calls = append(f.calls, to)
				fmt.Fprintf(&out, "f%d(p, sk, d); ", to)
			default:
				to := leaves[rng.IntN(len(leaves))]
				f.calls = append(f.calls, to)
				fmt.Fprintf(&out, "f%d(p, sk); ", to)
			}
		}
		out.WriteString("work(sk); }\n")
		middle = append(middle, at)
	}
	for _, f := range list {
		if f.member != "" {
			f.gives = append(f.gives, tables[f.member]...)
		}
	}
	return list, out.String()
}

// waiting says of each function whether it may wait, and whether direct calls lead to what
// surely has no bound.
func waiting(list []*typedFunction) (stays, sure []bool) {
	stays, sure = make([]bool, len(list)), make([]bool, len(list))
	for range list {
		for i, f := range list {
			stays[i] = stays[i] || f.own != ""
			sure[i] = sure[i] || f.own != "" && f.sure
			for _, to := range f.calls {
				stays[i], sure[i] = stays[i] || stays[to], sure[i] || sure[to]
			}
			for _, to := range f.gives {
				stays[i] = stays[i] || stays[to]
			}
		}
	}
	return stays, sure
}

// TestTypedPrograms: with the types of a kernel, states that are stored and handed on, times
// that members hold, and functions behind members and arguments are known: just those functions
// may wait of which the program says so.
func TestTypedPrograms(t *testing.T) {
	rng := rand.New(rand.NewPCG(14, 15))
	waits, surely := 0, 0
	for round := range 5 {
		list, text := typedProgram(rng)
		object := filepath.Join(t.TempDir(), "typed.o")
		cmd := exec.Command("gcc", "-O2", "-gbtf", "-fno-optimize-sibling-calls", "-fno-pic", "-mcmodel=kernel", "-fcf-protection=none", "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-w", "-x", "c", "-c", "-o", object, "-")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("compile: %v\n%s\n%s", err, out, text)
		}
		file, err := elfobj.ReadFile(object)
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(file.Sections, func(s elfobj.Section) bool { return s.Name == ".BTF" })
		types, tables, err := fields.Load(file.Sections[at].Data)
		if err != nil {
			t.Fatal(err)
		}
		prog, err := model.FromObject(file, model.ObjectOptions{Name: "typed"})
		if err != nil {
			t.Fatal(err)
		}
		m := model.Build(prog)
		r := Analyze(m, Options{Types: types, Tables: tables, HZ: 100})
		stays, sure := waiting(list)
		for i, f := range list {
			fact := r.Facts[asmtest.Only(t, m, f.name)]
			wrong := fact.Stays() != stays[i] || stays[i] && fact.Sure != sure[i] || fact.Unknown && !f.through && f.member == ""
			if f.own != "" && f.own != "?" && len(f.calls) == 0 {
				wrong = wrong || fact.Reason != Waits || fact.Detail != f.own
			}
			if wrong {
				t.Errorf("round %d: %s: %+v; want it to wait: %v (%s), surely: %v\n%s", round, f.name, fact, stays[i], f.own, sure[i], grep(text, f.name))
			}
			if stays[i] {
				waits++
			}
			if sure[i] {
				surely++
			}
		}
	}
	t.Logf("%d functions may wait, %d surely", waits, surely)
	if waits < 70 || surely < 35 || surely == waits {
		t.Error("too few")
	}
}

// grep returns the lines of a text that name a function.
func grep(text, name string) string {
	var out []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, name+"(") || strings.Contains(line, name+",") || strings.Contains(line, name+" ") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}
