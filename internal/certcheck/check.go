package certcheck

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"golang.org/x/arch/x86/x86asm"

	"github.com/klpforge/klpforge/elfobj"
)

// Sizes are those of a function's parameters and of its result, bytes.
type Sizes struct {
	Args     []int
	Ret      int
	Variadic bool
}

// Options of Check.
type Options struct {
	Trials int // from each spot; 0 means 60
	// Sizes tells of functions; of others all registers for parameters are compared.
	Sizes func(name string) (Sizes, bool)
}

// checker holds both functions and the certificate.
type checker struct {
	c      *certificate
	code   [2]*code
	opt    Options
	r      *rand.Rand
	pool   []uint64
	spots  map[[2]string]*spot
	way    map[string]uint64 // the way that a decided test went
	guards map[*guard]int    // how often the exit was taken
	// returned are the values that the old function was seen to return, by place.
	returned map[string]map[int64]bool
}

// Check tries a certificate, as JSON, on the two objects. An error says what is
// not as it claims.
func Check(before, after *elfobj.File, cert []byte, opt Options) error {
	c, err := parse(cert)
	if err != nil {
		return err
	}
	if opt.Trials == 0 {
		opt.Trials = 60
	}
	k := &checker{c: c, opt: opt, r: rand.New(rand.NewPCG(1, 2)), spots: map[[2]string]*spot{},
		way: map[string]uint64{}, guards: map[*guard]int{}, returned: map[string]map[int64]bool{}}
	for i, f := range []*elfobj.File{before, after} {
		if k.code[i], err = newCode(f, c.Function); err != nil {
			return err
		}
	}
	for i := range c.Spots {
		sp := &c.Spots[i]
		if k.spots[[2]string{sp.Before, sp.After}] != nil {
			return fmt.Errorf("spot %s, %s stands twice", sp.Before, sp.After)
		}
		k.spots[[2]string{sp.Before, sp.After}] = sp
	}
	if err := k.static(); err != nil {
		return err
	}
	k.immediates()
	for i := range c.Spots {
		sp := &c.Spots[i]
		for range opt.Trials {
			t := &trial{k: k}
			if err := t.run(sp); err != nil {
				return fmt.Errorf("from %s, %s: %w", sp.Before, sp.After, err)
			}
		}
	}
	return k.tried()
}

// tried checks that the exits of all guards were taken, and that what they return
// was returned before.
func (k *checker) tried() error {
	for i := range k.c.Guards {
		g := &k.c.Guards[i]
		if err := k.insist(g); err != nil {
			return err
		}
		if k.guards[g] == 0 {
			return fmt.Errorf("guard at %s: no run took its exit", g.At)
		}
		if g.Because == "clean" && !k.returned[g.Before][g.Value] {
			return fmt.Errorf("guard at %s: the old code was not seen to return %d at %s", g.At, g.Value, g.Before)
		}
	}
	return nil
}

// insist runs on from where a guard comes next until its exit was taken.
func (k *checker) insist(g *guard) error {
	const most = 3000
	for i := range k.c.Spots {
		sp := &k.c.Spots[i]
		for _, st := range sp.Steps {
			if st.Kind != "guard" || st.After != g.At {
				continue
			}
			for n := 0; n < most && k.guards[g] == 0; n++ {
				if err := (&trial{k: k}).run(sp); err != nil {
					return fmt.Errorf("from %s, %s: %w", sp.Before, sp.After, err)
				}
			}
		}
	}
	return nil
}

// static checks what does not depend on values: the entry, and guards.
func (k *checker) static() error {
	entry := k.spots[[2]string{"+0x0", "+0x0"}]
	if entry == nil {
		return fmt.Errorf("the entry is no spot")
	}
	seen := map[int]string{}
	for where, t := range entry.State {
		term, at := k.c.Terms[t], where
		if side, reg, ok := strings.Cut(where, " "); ok && (side == "before" || side == "after") {
			at = reg
		}
		if term.Op != "var" && !(term.Op == "frame" && at == "rsp") || seen[t] != "" && seen[t] != at ||
			strings.HasPrefix(at, "[") {
			return fmt.Errorf("the entry claims too much of %s", where)
		}
		seen[t] = at
	}
	if len(entry.Known) > 0 {
		return fmt.Errorf("the entry claims that something is known")
	}
	for _, g := range k.c.Guards {
		for i, at := range []string{g.Before, g.Old, g.At, g.Exit} {
			if _, err := k.code[i/2].address(at); err != nil {
				return fmt.Errorf("guard at %s: %w", g.At, err)
			}
		}
		if g.Value > 0 || g.Value < -4095 || g.Value == 0 && g.Because != "faulted" || g.Void &&
			g.Because != "faulted" {
			return fmt.Errorf("guard at %s returns %d because %q", g.At, g.Value, g.Because)
		}
		if g.Because != "clean" && g.Because != "joins" && g.Because != "faulted" {
			return fmt.Errorf("guard at %s: %q is no reason", g.At, g.Because)
		}
	}
	for i, m := range k.c.Messages {
		for at, name := range m {
			a, err := k.code[i].address(at)
			if err != nil {
				return fmt.Errorf("message: %w", err)
			}
			in, err := k.code[i].decode(a)
			if err != nil || in.callee != name || !prints(name) {
				return fmt.Errorf("message at %s: the code does not call %s there, or it does not only print", at, name)
			}
		}
	}
	return nil
}

// prints is this package's own list of functions that only print.
func prints(name string) bool {
	for _, p := range []string{"_dev_", "netdev_", "__dynamic_"} {
		if rest, ok := strings.CutPrefix(name, p); ok {
			return slices.Contains([]string{"printk", "emerg", "alert", "crit", "err", "warn", "notice", "info",
				"pr_debug", "dev_dbg", "netdev_dbg"}, rest)
		}
	}
	return slices.Contains([]string{"_printk", "printk", "_printk_deferred", "__warn_printk"}, name)
}

// immediates collects the numbers that the code compares with, and neighbours.
func (k *checker) immediates() {
	set := map[uint64]bool{}
	for _, v := range []int64{0, 1, 2, 3, 7, 8, 64, 255, 4096, -1, -2, -22, -4095, -4096} {
		set[uint64(v)] = true
	}
	for _, c := range k.code {
		for _, p := range c.parts {
			for a := p.base; a < p.base+p.size; {
				in, err := c.decode(a)
				if err != nil {
					break
				}
				for _, arg := range in.Args {
					if v, ok := arg.(x86asm.Imm); ok {
						for d := range 3 {
							set[uint64(v)+uint64(d)-1] = true
							set[uint64(uint32(v)+uint32(d)-1)] = true
						}
					}
				}
				a += uint64(in.Len)
			}
		}
	}
	k.pool = slices.Sorted(maps.Keys(set))
}

// access is one byte read, and where.
type access struct{ at, addr uint64 }

// trial is one run from one spot.
type trial struct {
	k       *checker
	x       *valuation
	cpus    [2]*cpu
	epoch   uint64
	reads   []access // of the old function since its last event
	from    *spot
	trail   []string
	joining bool
}

// run sets both processors up and follows the steps.
func (t *trial) run(sp *spot) error {
	k := t.k
	t.from = sp
	t.x = &valuation{c: k.c, mem: &memory{pool: k.pool}}
	if !t.x.draw(sp, k.r) {
		return nil // what is known there cannot be met by numbers of the pool
	}
	if e, ok := sp.State["memory"]; ok {
		t.epoch, _ = t.x.eval(e)
	}
	for i := range t.cpus {
		m := &cpu{c: k.code[i], frame: map[uint64]byte{}}
		m.mem = func(a uint64) byte {
			if i == 0 {
				t.reads = append(t.reads, access{m.cur, a})
			}
			return t.x.mem.byteAt(t.epoch, a)
		}
		if i == 1 {
			m.apart = uint64(k.c.Frame)
		}
		pc, err := m.c.address([]string{sp.Before, sp.After}[i])
		if err != nil {
			return err
		}
		if m.pc = pc; strings.HasPrefix([]string{sp.Before, sp.After}[i], "left") {
			m.returned = pc
		}
		for r := range m.r {
			m.r[r], m.left[r] = t.x.any(k.r), true // of what nothing is said
		}
		m.r[rsp] = stackTop
		t.cpus[i] = m
	}
	for _, where := range slices.Sorted(maps.Keys(sp.State)) {
		if err := t.set(where, sp.State[where]); err != nil {
			return err
		}
	}
	for _, st := range sp.Steps {
		over, err := t.step(st.Kind, st.Before, st.After)
		if err != nil || over {
			return err
		}
	}
	return fmt.Errorf("the steps do not come to an end")
}

// location splits "before rax".
func (t *trial) location(where string) (m *cpu, what string, err error) {
	side, what, _ := strings.Cut(where, " ")
	switch side {
	case "before":
		return t.cpus[0], what, nil
	case "after":
		return t.cpus[1], what, nil
	}
	return nil, "", fmt.Errorf("%q is no location", where)
}

// set puts a term's number into a location. What cannot be computed is a number
// of the term's own.
func (t *trial) set(where string, i int) error {
	if where == "memory" {
		return nil
	}
	m, what, err := t.location(where)
	if err != nil {
		return err
	}
	v, ok := t.x.eval(i)
	if !ok {
		v = hash(t.x.mem.seed, uint64(i))
		if w := width(&t.k.c.Terms[i]); w < 64 {
			v = low(w, v)
		}
	}
	switch r := slices.Index(names, what); {
	case r >= 0:
		m.r[r], m.left[r] = v, false
	case what == "flags":
		t.setFlags(m, i)
	default:
		var off int64
		var size int
		if _, err := fmt.Sscanf(what, "[%d:%d]", &off, &size); err != nil {
			return fmt.Errorf("%q is no location", where)
		}
		for b := range size {
			m.frame[stackTop+uint64(off)+uint64(b)] = byte(v >> (8 * b))
		}
	}
	return nil
}

func width(t *term) uint64 {
	switch t.Op {
	case "low":
		return t.K
	case "load", "gsload":
		return t.K & 0xff
	}
	return 64
}

// setFlags sets the flags as the operation did that the term names.
func (t *trial) setFlags(m *cpu, i int) {
	f := &t.k.c.Terms[i]
	a, ok1 := t.x.eval(f.Args[0])
	b, ok2 := t.x.eval(f.Args[1])
	size := int(f.K / 8)
	switch {
	case f.Op == "cmp" && ok1 && ok2:
		m.difference(trim(a, size), trim(b, size), 0, size)
	case f.Op == "logic" && ok1:
		m.logic(a, size)
	case f.Op == "sum" && ok1 && ok2:
		m.sum(trim(a, size), trim(b, size), 0, size)
	default:
		h := hash(t.x.mem.seed, uint64(i))
		m.cf, m.zf, m.sf, m.of, m.pf = h&1 != 0, h&2 != 0, h&4 != 0, h&8 != 0, h&16 != 0
		if f.Op == "result" && ok1 {
			m.result(a, size)
		}
	}
}
