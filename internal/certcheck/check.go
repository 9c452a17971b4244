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
	checking := &checker{c: c, opt: opt, r: rand.New(rand.NewPCG(1, 2)), spots: map[[2]string]*spot{},
		way: map[string]uint64{}, guards: map[*guard]int{}, returned: map[string]map[int64]bool{}}
	for i, file := range []*elfobj.File{before, after} {
		if checking.code[i], err = newCode(file, c.Function); err != nil {
			return err
		}
	}
	for i := range c.Spots {
		sp := &c.Spots[i]
		if checking.spots[[2]string{sp.Before, sp.After}] != nil {
			return fmt.Errorf("spot %s, %s stands twice", sp.Before, sp.After)
		}
		checking.spots[[2]string{sp.Before, sp.After}] = sp
	}
	if err := checking.static(); err != nil {
		return err
	}
	checking.immediates()
	for i := range c.Spots {
		sp := &c.Spots[i]
		for range opt.Trials {
			attempt := &trial{k: checking}
			if err := attempt.run(sp); err != nil {
				return fmt.Errorf("from %s, %s: %w", sp.Before, sp.After, err)
			}
		}
	}
	return checking.tried()
}

// tried checks that the exits of all guards were taken, and that what they return
// was returned before.
func (k *checker) tried() error {
	for i := range k.c.Guards {
		guard := &k.c.Guards[i]
		if err := k.insist(guard); err != nil {
			return err
		}
		if k.guards[guard] == 0 {
			return fmt.Errorf("guard at %s: no run took its exit", guard.At)
		}
		if guard.Because == "clean" && !k.returned[guard.Before][guard.Value] {
			return fmt.Errorf("guard at %s: the old code was not seen to return %d at %s", guard.At, guard.Value,
				guard.Before)
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
			for tries := 0; tries < most && k.guards[g] == 0; tries++ {
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
	for where, index := range entry.State {
		term, at := k.c.Terms[index], where
		if side, reg, ok := strings.Cut(where, " "); ok && (side == "before" || side == "after") {
			at = reg
		}
		if term.Op != "var" && !(term.Op == "frame" && at == "rsp") || seen[index] != "" && seen[index] != at ||
			strings.HasPrefix(at, "[") {
			return fmt.Errorf("the entry claims too much of %s", where)
		}
		seen[index] = at
	}
	if len(entry.Known) > 0 {
		return fmt.Errorf("the entry claims that something is known")
	}
	for _, guard := range k.c.Guards {
		for i, at := range []string{guard.Before, guard.Old, guard.At, guard.Exit} {
			if _, err := k.code[i/2].address(at); err != nil {
				return fmt.Errorf("guard at %s: %w", guard.At, err)
			}
		}
		if guard.Value > 0 || guard.Value < -4095 || guard.Value == 0 && guard.Because != "faulted" || guard.Void &&
			guard.Because != "faulted" {
			return fmt.Errorf("guard at %s returns %d because %q", guard.At, guard.Value, guard.Because)
		}
		if guard.Because != "clean" && guard.Because != "joins" && guard.Because != "faulted" {
			return fmt.Errorf("guard at %s: %q is no reason", guard.At, guard.Because)
		}
	}
	for side, calls := range k.c.Messages {
		for at, name := range calls {
			addr, err := k.code[side].address(at)
			if err != nil {
				return fmt.Errorf("message: %w", err)
			}
			in, err := k.code[side].decode(addr)
			if err != nil || in.callee != name || !prints(name) {
				return fmt.Errorf("message at %s: the code does not call %s there, or it does not only print", at, name)
			}
		}
	}
	return nil
}

// prints is this package's own list of functions that only print.
func prints(name string) bool {
	for _, prefix := range []string{"_dev_", "netdev_", "__dynamic_"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			return slices.Contains([]string{"printk", "emerg", "alert", "crit", "err", "warn", "notice", "info",
				"pr_debug", "dev_dbg", "netdev_dbg"}, rest)
		}
	}
	return slices.Contains([]string{"_printk", "printk", "_printk_deferred", "__warn_printk"}, name)
}

// immediates collects the numbers that the code compares with, and neighbours.
func (k *checker) immediates() {
	set := map[uint64]bool{}
	for _, imm := range []int64{0, 1, 2, 3, 7, 8, 64, 255, 4096, -1, -2, -22, -4095, -4096} {
		set[uint64(imm)] = true
	}
	for _, code := range k.code {
		for _, piece := range code.parts {
			for addr := piece.base; addr < piece.base+piece.size; {
				in, err := code.decode(addr)
				if err != nil {
					break
				}
				for _, arg := range in.Args {
					if imm, ok := arg.(x86asm.Imm); ok {
						for near := range 3 {
							set[uint64(imm)+uint64(near)-1] = true
							set[uint64(uint32(imm)+uint32(near)-1)] = true
						}
					}
				}
				addr += uint64(in.Len)
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
	checking := t.k
	t.from = sp
	t.x = &valuation{c: checking.c, mem: &memory{pool: checking.pool}}
	if !t.x.draw(sp, checking.r) {
		return nil // what is known there cannot be met by numbers of the pool
	}
	if memory, ok := sp.State["memory"]; ok {
		t.epoch, _ = t.x.eval(memory)
	}
	for side := range t.cpus {
		m := &cpu{c: checking.code[side], frame: map[uint64]byte{}}
		m.mem = func(a uint64) byte {
			if side == 0 {
				t.reads = append(t.reads, access{m.cur, a})
			}
			return t.x.mem.byteAt(t.epoch, a)
		}
		if side == 1 {
			m.apart = uint64(checking.c.Frame)
		}
		pc, err := m.c.address([]string{sp.Before, sp.After}[side])
		if err != nil {
			return err
		}
		if m.pc = pc; strings.HasPrefix([]string{sp.Before, sp.After}[side], "left") {
			m.returned = pc
		}
		for reg := range m.r {
			m.r[reg], m.left[reg] = t.x.any(checking.r), true // of what nothing is said
		}
		m.r[rsp] = stackTop
		t.cpus[side] = m
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
	cpu, what, err := t.location(where)
	if err != nil {
		return err
	}
	val, ok := t.x.eval(i)
	if !ok {
		val = hash(t.x.mem.seed, uint64(i))
		if w := width(&t.k.c.Terms[i]); w < 64 {
			val = low(w, val)
		}
	}
	switch reg := slices.Index(names, what); {
	case reg >= 0:
		cpu.r[reg], cpu.left[reg] = val, false
	case what == "flags":
		t.setFlags(cpu, i)
	default:
		var off int64
		var size int
		if _, err := fmt.Sscanf(what, "[%d:%d]", &off, &size); err != nil {
			return fmt.Errorf("%q is no location", where)
		}
		for nth := range size {
			cpu.frame[stackTop+uint64(off)+uint64(nth)] = byte(val >> (8 * nth))
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
	flags := &t.k.c.Terms[i]
	left, ok1 := t.x.eval(flags.Args[0])
	right, ok2 := t.x.eval(flags.Args[1])
	size := int(flags.K / 8)
	switch {
	case flags.Op == "cmp" && ok1 && ok2:
		m.difference(trim(left, size), trim(right, size), 0, size)
	case flags.Op == "logic" && ok1:
		m.logic(left, size)
	case flags.Op == "sum" && ok1 && ok2:
		m.sum(trim(left, size), trim(right, size), 0, size)
	default:
		noise := hash(t.x.mem.seed, uint64(i))
		m.cf, m.zf, m.sf, m.of, m.pf = noise&1 != 0, noise&2 != 0, noise&4 != 0, noise&8 != 0, noise&16 != 0
		if flags.Op == "result" && ok1 {
			m.result(left, size)
		}
	}
}
