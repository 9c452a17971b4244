package locks

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/pack"
	"github.com/klpforge/klpforge/internal/asmtest"
)

// TestFewValues: where a value is one of two constants, sums, differences and bits of it are
// one of two as well, and what is compared with them decides exactly: the results and locks
// that are found are those that the processor shows, and no others.
func TestFewValues(t *testing.T) {
	const functions = 120
	p := program{asmtest.NewRandom(41)}
	p.F(".text")
	numbers := []int{0, 1, 2, 3, 5, 8, 100, 127, 128, 200, 255, 4096, -1, -2, -7, -128}
	number := func() int { return numbers[p.IntN(len(numbers))] }
	for i := range functions {
		name := fmt.Sprintf("f%d", i)
		p.enter(name)
		other, end := p.Label(), p.Label()
		p.F("mov $%d, %%r14d\n\ttest $1, %%sil\n\tje %s\n\tmov $%d, %%r14d\n\tjmp %s", number(), other, number(), end)
		p.Place(other)
		p.F("add $0, %%r14d")
		p.Place(end)
		for range p.IntN(4) {
			p.F("%s $%d, %%r14d", p.Pick("add", "sub", "and", "or", "xor"), number())
		}
		if p.IntN(3) == 0 {
			p.F("%s", p.Pick("movslq %r14d, %r14", "mov %r14, (%rsp)\n\tmov (%rsp), %r14", "xchg %r14, %r15\n\tmov %r15, %r14"))
		}
		skip := p.Label()
		p.F("cmp $%d, %%r14d\n\tj%s %s", number(), p.Pick("e", "ne", "g", "le", "b", "ae", "a", "be", "l", "ge"), skip)
		p.lock("_raw_spin_lock", firstLock)
		p.Place(skip)
		p.F("mov %%r14d, %%eax")
		p.leave(name)
	}
	source := p.Text()
	m := asmtest.Model(t, source)
	res := Analyze(m, Options{})
	met := make([]map[string]bool, functions)
	for _, one := range ran(t, source, functions, 60) {
		if met[one.n] == nil {
			met[one.n] = map[string]bool{}
		}
		met[one.n][fmt.Sprint(signExt(one.ret, 4), one.locks)] = true
	}
	both := 0
	for i := range functions {
		name := fmt.Sprintf("f%d", i)
		e := res.Effect(asmtest.Only(t, m, name))
		found := map[string]bool{}
		for _, o := range e.Outcomes {
			locks := map[like]int8{}
			for _, change := range o.Changes {
				locks[like{change.Kind, change.Path.Offs[0]}] = change.Delta
			}
			for _, span := range o.Ret.B4 {
				for v := span.Lo; v <= span.Hi && v < span.Lo+4; v++ {
					found[fmt.Sprint(v, locks)] = true
				}
			}
		}
		if len(met[i]) > 1 {
			both++
		}
		// Where neither outcome takes the lock, what is returned is no matter.
		if neutral := !strings.Contains(fmt.Sprint(met[i]), "1]"); neutral && e.Neutral() {
			continue
		}
		if fmt.Sprint(found) != fmt.Sprint(met[i]) {
			t.Errorf("%s: %v, want %v\n%s%s", name, found, met[i], Describe(m, e), code(source, name))
		}
	}
	if both < functions/3 {
		t.Errorf("only %d functions have two results", both)
	}
}

// TestPreemptCount: what is added to the preempt count changes its two fields, bits 0 to 7 and
// 9 to 15 (include/linux/preempt.h, v6.1; bit 8 says that a softirq runs), as addition does.
func TestPreemptCount(t *testing.T) {
	const start = 0x4040 // far from both ends of the fields
	w := &walker{}
	w.t.reset()
	for delta := int64(-0x1000); delta <= 0x1000; delta++ {
		after := int64(start) + delta
		preempt, halves, serving := after&0xff-start&0xff, (after>>9-start>>9)&0x7f, after>>8&1
		if halves > 0x3f {
			halves -= 0x80
		}
		if preempt != 0 && halves != 0 && preempt != halves/max(halves, -halves) || serving != 0 || preempt > 3 || preempt < -3 {
			continue // no code adds that
		}
		s := &state{}
		w.countChange(s, delta)
		for kind, want := range map[Kind]int64{Preempt: preempt, BH: halves} {
			got := int64(0)
			for _, hold := range s.locks {
				if hold.kind == kind {
					got = int64(hold.n)
				}
			}
			if got != max(-2, min(2, want)) {
				t.Errorf("%#x added: %v changes by %d, want %d", delta, kind, got, want)
			}
		}
	}
}

// TestPlan: functions are analysed behind those that they call, and together with those that
// call them back.
func TestPlan(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 7))
	const functions = 40
	for range 6 {
		var text strings.Builder
		calls := make([][]int, functions)
		text.WriteString(".text\n")
		for i := range functions {
			fmt.Fprintf(&text, ".globl f%d\n.type f%[1]d, @function\nf%[1]d:\n", i)
			for range rng.IntN(3) {
				to := rng.IntN(functions)
				calls[i] = append(calls[i], to)
				fmt.Fprintf(&text, "\tcall f%d\n", to)
			}
			fmt.Fprintf(&text, "\tret\n.size f%d, . - f%[1]d\n", i)
		}
		m := asmtest.Model(t, text.String())
		run := newAnalysis(m, Options{})
		components, of := run.plan()
		number := map[model.FuncID]int{}
		for i := range functions {
			number[asmtest.Only(t, m, fmt.Sprintf("f%d", i))] = i
		}
		reaches := make([][]bool, functions)
		for i := range reaches {
			reaches[i] = make([]bool, functions)
			reaches[i][i] = true
			work := []int{i}
			for len(work) > 0 {
				last := work[len(work)-1]
				work = work[:len(work)-1]
				for _, to := range calls[last] {
					if !reaches[i][to] {
						reaches[i][to] = true
						work = append(work, to)
					}
				}
			}
		}
		placed := map[int]int{}
		for at, list := range components {
			for _, id := range list {
				if i, ok := number[id]; ok {
					if _, twice := placed[i]; twice || int(of[id]) != at {
						t.Fatalf("f%d is in component %d, said to be in %d", i, at, of[id])
					}
					placed[i] = at
				}
			}
		}
		for i := range functions {
			for k := range functions {
				switch together := reaches[i][k] && reaches[k][i]; {
				case together != (placed[i] == placed[k]):
					t.Errorf("f%d and f%d are in components %d and %d", i, k, placed[i], placed[k])
				case reaches[i][k] && placed[k] > placed[i]:
					t.Errorf("f%d is analysed before f%d, which it reaches", i, k)
				}
			}
		}
	}
}

// TestClasses: the word for a set of returned values is true of all of them, and the most that
// can be said.
func TestClasses(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 9))
	edges := []int64{-1 << 40, -70000, -4096, -4095, -12, -1, 0, 1, 2, 77, 127, 70000, 1 << 40}
	for range 4000 {
		rt := retType{known: rng.IntN(4) > 0, size: []uint8{1, 4, 8}[rng.IntN(3)]}
		rt.pointer = rt.known && rt.size == 8 && rng.IntN(2) == 0
		size := rt.size
		set := Set{}
		for range 1 + rng.IntN(2) {
			span := []int64{edges[rng.IntN(len(edges))], edges[rng.IntN(len(edges))]}
			slices.Sort(span)
			set = set.union(Set{{span[0], span[1]}})
		}
		if rng.IntN(3) == 0 {
			set = set.complement(8)
		}
		set = set.intersect(full(size))
		if set.Empty() || isFull(set, size) {
			continue
		}
		ret := Ret{}
		*ret.of(size) = set
		all := func(holds func(v int64) bool) bool { // of the values at the ends, and where the words change
			for _, v := range append(slices.Clone(edges), set[0].Lo, set[len(set)-1].Hi) {
				if set.Contains(v) && !holds(v) {
					return false
				}
			}
			return true
		}
		failed := func(v int64) bool { return v >= -4095 && v < 0 }
		word := classOf(ret, rt)
		truth := map[string]bool{
			"zero": all(func(v int64) bool { return v == 0 }), "null": all(func(v int64) bool { return v == 0 }),
			"error": all(failed), "noerror": all(func(v int64) bool { return !failed(v) }),
			"negative": all(func(v int64) bool { return v < 0 }), "positive": all(func(v int64) bool { return v > 0 }),
			"nonnegative": all(func(v int64) bool { return v >= 0 }),
			"nonzero":     all(func(v int64) bool { return v != 0 }), "nonnull": all(func(v int64) bool { return v != 0 }),
		}
		pointer := rt.pointer || !rt.known && size == 8
		order := []string{"zero", "negative", "positive", "nonnegative"}
		if pointer {
			order = []string{"null", "error", "nonnull", "noerror"}
		}
		if holds, isWord := truth[word]; isWord && !holds || !isWord && word != strings.ReplaceAll(set.String(), " ", "") {
			t.Errorf("%v of %d bytes, %+v, is called %s", set, size, rt, word)
		}
		for _, better := range order {
			if truth[better] && !truth[word] {
				t.Errorf("%v of %d bytes, %+v, is called %s, and is %s", set, size, rt, word, better)
			}
			if truth[better] {
				break
			}
		}
	}
}

// TestAll: the list holds what is not neutral, or not known, by address.
func TestAll(t *testing.T) {
	res := fixture(t)
	var want []model.FuncID
	for i := range res.Model.Funcs {
		if e := res.Effect(model.FuncID(i)); !e.Neutral() || e.Unknown != 0 {
			want = append(want, model.FuncID(i))
		}
	}
	var got []model.FuncID
	for _, e := range res.All() {
		got = append(got, e.Func)
	}
	if len(want) < 5 || !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestPackDamaged: what is read back is consistent whatever the bytes are: no number is
// beyond what it counts.
func TestPackDamaged(t *testing.T) {
	res := fixture(t)
	var w pack.Writer
	res.Pack(&w)
	taken := 0
	for at := 0; at < len(w.B); at += 7 {
		for _, bits := range []byte{1, 4, 0x7f, 0x80} {
			damaged := slices.Clone(w.B)
			damaged[at] ^= bits
			back, err := Unpack(res.Model, pack.NewReader(damaged))
			if err != nil {
				continue
			}
			taken++
			for id, e := range back.effects {
				if int(id) >= len(res.Model.Funcs) || e.Func != id {
					t.Fatalf("byte %d: an effect of function %d", at, id)
				}
				for _, o := range e.Outcomes {
					if o.RetArg < -1 || o.RetArg >= maxArgs {
						t.Fatalf("byte %d: returns argument %d", at, o.RetArg)
					}
					for _, cond := range o.When {
						if cond.Arg < 0 || cond.Arg >= maxArgs || cond.Size != 1 && cond.Size != 4 && cond.Size != 8 {
							t.Fatalf("byte %d: condition %+v", at, cond)
						}
					}
					for _, change := range o.Changes {
						if !change.Kind.Context() && (change.Path.Arg < 0 || change.Path.Arg >= maxArgs || change.Path.Root > RootUnknown) {
							t.Fatalf("byte %d: changes %+v", at, change)
						}
					}
				}
			}
		}
	}
	if taken == 0 {
		t.Error("nothing is taken")
	}
}
