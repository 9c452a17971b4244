package stacks

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/pack"
	"github.com/klpforge/klpforge/internal/asmtest"
)

// graph is a random program of calls without conditions. The first functions are a kernel,
// the others an object that is bound to it.
type graph struct {
	names  []string
	calls  [][]int // by function; the last is a jump where jumps says so
	jumps  []bool
	waits  []bool
	starts [][]int // threads that it starts
	kernel int
}

const graphFunctions = 36

func newGraph(rng *rand.Rand) *graph {
	g := &graph{kernel: 24}
	for i := range graphFunctions {
		name := fmt.Sprintf("f%d", i)
		switch rng.IntN(9) {
		case 0:
			name = fmt.Sprintf("__x64_sys_call%d", i)
		case 1:
			name = fmt.Sprintf("__do_sys_call%d.isra.0", i)
		}
		if i == 5 {
			name = "kill_fasync" // called where nothing may wait
		}
		g.names = append(g.names, name)
		most := graphFunctions
		if i < g.kernel {
			most = g.kernel
		}
		var list, begun []int
		for range rng.IntN(4) {
			list = append(list, rng.IntN(most))
		}
		if rng.IntN(6) == 0 {
			begun = append(begun, rng.IntN(min(most, g.kernel)))
		}
		g.calls, g.starts = append(g.calls, list), append(g.starts, begun)
		g.jumps = append(g.jumps, len(list) > 0 && rng.IntN(4) == 0)
		g.waits = append(g.waits, rng.IntN(7) == 0)
	}
	return g
}

// text is the assembly of some functions. Those of the object lie at other addresses than
// those of the kernel, which names all that the object needs.
func (g *graph) text(from, to int) string {
	var text strings.Builder
	text.WriteString(".data\n.quad schedule, prepare_to_wait, kthread_create_on_node\n")
	section := ".text"
	if from > 0 {
		text.WriteString(".bss\n.skip 0x100000\n")
		section = ".section .text.object, \"ax\", @progbits"
	}
	text.WriteString(section + "\n")
	for i := from; i < to; i++ {
		fmt.Fprintf(&text, ".globl %s\n.type %[1]s, @function\n%[1]s:\n\tsub $8, %%rsp\n", g.names[i])
		for _, thread := range g.starts[i] {
			fmt.Fprintf(&text, "\tmov $%s, %%rdi\n\txor %%esi, %%esi\n\tmov $-1, %%edx\n\tmov $.Lname%d, %%rcx\n\tcall kthread_create_on_node\n", g.names[thread], i)
		}
		for k, callee := range g.calls[i] {
			if k < len(g.calls[i])-1 || !g.jumps[i] {
				fmt.Fprintf(&text, "\tcall %s\n", g.names[callee])
			}
		}
		if g.waits[i] {
			text.WriteString("\tmov $1, %edx\n\tcall prepare_to_wait\n\tcall schedule\n")
		}
		if text.WriteString("\tadd $8, %rsp\n"); g.jumps[i] {
			fmt.Fprintf(&text, "\tjmp %s\n", g.names[g.calls[i][len(g.calls[i])-1]])
		} else {
			text.WriteString("\tret\n")
		}
		fmt.Fprintf(&text, ".size %s, . - %[1]s\n.section .rodata\n.Lname%d: .asciz \"worker%[2]d\"\n%[3]s\n", g.names[i], i, section)
	}
	return text.String()
}

// atomic are the functions that are called where nothing may wait, and do not wait themselves.
func (g *graph) atomic() []bool {
	out := make([]bool, len(g.names))
	work := []int{slices.Index(g.names, "kill_fasync")}
	for len(work) > 0 {
		at := work[0]
		work = work[1:]
		if out[at] || g.waits[at] {
			continue
		}
		out[at] = true
		work = append(work, g.calls[at]...)
	}
	return out
}

// stays says which functions may wait when they are called, and which with their frame on the
// stack: with all functions known, up to count.
func (g *graph) stays(count int) (reach, stays []bool) {
	reach, stays = slices.Clone(g.waits[:count]), slices.Clone(g.waits[:count])
	atomic := g.atomic()
	for changed := true; changed; {
		changed = false
		for i := range count {
			for k, callee := range g.calls[i] {
				if !reach[callee] || atomic[callee] {
					continue
				}
				jump := g.jumps[i] && k == len(g.calls[i])-1
				if !reach[i] || !jump && !stays[i] {
					reach[i], stays[i], changed = true, stays[i] || !jump, true
				}
			}
		}
	}
	return reach, stays
}

// roots finds the threads and system calls above a function, level by level.
func (g *graph) roots(at int) (threads, syscalls []string) {
	seen := map[int]bool{at: true}
	level := []int{at}
	for len(level) > 0 {
		var next []int
		for _, fn := range level {
			names := g.threadNames(fn)
			threads = append(threads, names...)
			rest, isCall := strings.CutPrefix(g.names[fn], "__x64_sys_")
			if !isCall {
				rest, isCall = strings.CutPrefix(g.names[fn], "__do_sys_")
			}
			if len(names) > 0 {
				continue
			}
			if isCall {
				rest, _, _ = strings.Cut(rest, ".")
				syscalls = append(syscalls, rest)
				continue
			}
			for caller, list := range g.calls {
				if slices.Contains(list, fn) && caller < g.kernel && !seen[caller] {
					seen[caller] = true
					next = append(next, caller)
				}
			}
		}
		level = next
	}
	slices.Sort(threads)
	slices.Sort(syscalls)
	return threads, syscalls
}

func (g *graph) threadNames(fn int) (out []string) {
	for starter, list := range g.starts[:g.kernel] {
		if slices.Contains(list, fn) {
			out = append(out, fmt.Sprintf("%s (thread worker%d)", g.names[fn], starter))
		}
	}
	return out
}

// threadsIn are the threads that begin in a function or wait in it, at most two calls down.
func (g *graph) threadsIn(at int, reach, stays []bool) (out []string) {
	atomic := g.atomic()
	for fn := range g.kernel {
		names := g.threadNames(fn)
		level := []int{fn}
		for range maxDown + 1 {
			if slices.Contains(level, at) && stays[at] {
				out = append(out, names...)
				break
			}
			var next []int
			for _, caller := range level {
				for _, callee := range g.calls[caller] {
					if reach[callee] && !atomic[callee] {
						next = append(next, callee)
					}
				}
			}
			level = next
		}
	}
	slices.Sort(out)
	return out
}

// TestGraphs: in a program that calls without conditions, just those functions may be slept
// on that the calls say, in the kernel and in an object that is bound to it, whether the
// kernel was just analysed or read back; and so are the threads and system calls above.
func TestGraphs(t *testing.T) {
	rng := rand.New(rand.NewPCG(12, 13))
	sleeping, above := 0, 0
	for round := range 8 {
		g := newGraph(rng)
		file := asmtest.Object(t, g.text(0, g.kernel))
		prog, err := model.FromObject(file, model.ObjectOptions{Name: "kernel"})
		if err != nil {
			t.Fatal(err)
		}
		m := model.Build(prog)
		r := Analyze(m, Options{HZ: 100})
		var w pack.Writer
		r.Pack(&w)
		back, err := Unpack(m, pack.NewReader(w.B), func() (Options, error) { return Options{HZ: 100}, nil })
		if err != nil {
			t.Fatal(err)
		}
		reach, stays := g.stays(g.kernel)
		for i, name := range g.names[:g.kernel] {
			id := asmtest.Only(t, m, name)
			for _, res := range []*Result{r, back} {
				if got := res.Facts[id].Stays(); got != stays[i] {
					t.Errorf("round %d: %s may be slept on: %v, calls %v", round, name, got, g.calls[i])
				}
				if stays[i] {
					sleeping++
					g.follow(t, res, id, i)
				}
				threads, syscalls := res.Roots(id, 1000)
				wantThreads, wantSyscalls := g.roots(i)
				above += len(wantThreads) + len(wantSyscalls)
				for limit := range 3 {
					someThreads, someSyscalls := res.Roots(id, limit)
					if !slices.Equal(someThreads, threads[:min(limit, len(threads))]) || !slices.Equal(someSyscalls, syscalls[:min(limit, len(syscalls))]) {
						t.Errorf("round %d: %d above %s are %q and %q, of %q and %q", round, limit, name, someThreads, someSyscalls, threads, syscalls)
					}
				}
				slices.Sort(threads)
				slices.Sort(syscalls)
				if !slices.Equal(threads, wantThreads) || !slices.Equal(syscalls, wantSyscalls) {
					t.Errorf("round %d: above %s are %q and %q, want %q and %q", round, name, threads, syscalls, wantThreads, wantSyscalls)
				}
				in := res.ThreadsIn(id)
				slices.Sort(in)
				if d := cmp.Diff(g.threadsIn(i, reach, stays), in); d != "" {
					t.Errorf("round %d: threads in %s (-want +got)\n%s", round, name, d)
				}
			}
		}
		if d := cmp.Diff(r.Facts, back.Facts); d != "" {
			t.Errorf("round %d: read back (-want +got)\n%s", round, d)
		}

		// The object, by what is known of the kernel.
		bound, err := model.FromObject(asmtest.Object(t, g.text(g.kernel, graphFunctions)), model.ObjectOptions{Name: "object", Base: prog})
		if err != nil {
			t.Fatal(err)
		}
		om := model.Build(bound)
		_, stays = g.stays(graphFunctions)
		for _, base := range []*Result{r, back} {
			res, err := Object(om, base)
			if err != nil {
				t.Fatal(err)
			}
			for i := g.kernel; i < graphFunctions; i++ {
				id := asmtest.Only(t, om, g.names[i])
				if got := res.Facts[id].Stays(); got != stays[i] {
					t.Errorf("round %d: %s of the object may be slept on: %v, calls %v", round, g.names[i], got, g.calls[i])
				}
				if stays[i] {
					sleeping++
					g.follow(t, res, id, i)
				}
			}
		}
	}
	t.Logf("%d functions may be slept on, %d threads and system calls are above", sleeping, above)
	if sleeping < 100 || above < 100 {
		t.Error("too few")
	}
}

// follow checks that a path goes by calls that there are to a function that waits.
func (g *graph) follow(t *testing.T, res *Result, id model.FuncID, i int) {
	t.Helper()
	path := res.Path(id)
	at := -1
	for k, step := range path {
		name, _, _ := strings.Cut(strings.TrimSuffix(step, ", which ends in"), " ")
		next := slices.Index(g.names, name)
		if k == 0 && next != i || k > 0 && !slices.Contains(g.calls[at], next) {
			t.Errorf("%s: %q: step %d is not called", g.names[i], path, k)
			return
		}
		at = next
		if jump := strings.HasSuffix(step, ", which ends in"); jump && !g.jumps[at] || k == 0 && jump {
			t.Errorf("%s: %q: step %d does not end in another function", g.names[i], path, k)
		}
	}
	if at < 0 || !g.waits[at] || !strings.HasSuffix(path[len(path)-1], "waits in schedule (interruptible)") {
		t.Errorf("%s: %q does not end where it waits", g.names[i], path)
	}
}
