package sleeps

import (
	"encoding/binary"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// slots tells which functions the pointers in a kernel's own variables may lead
// to: what a variable holds in the image, and what code stores into it.
//
// The set of a variable is closed when nothing outside of the image can write
// it, which is so when it is not exported or is read-only after boot, when each
// store is that of a function's address, and when its own address is taken
// nowhere. pv_ops is exported, but calls through it become direct calls at boot
// (apply_paravirt, arch/x86/kernel/alternative.c, v6.1), so that nothing a
// module writes there has an effect on them; it may also be the destination of
// copies of a known length from a known place, by which Xen fills it
// (arch/x86/xen, v6.1).
type slots struct {
	m     *model.Model
	whole bool        // the model is a kernel
	pv    model.Range // of pv_ops
	// vars are the variables looked at, by address.
	vars  []*variable
	calls map[uint64]bool // addresses of pointers that are called
	keys  map[uint64]*key // of static calls, by trampoline
	loose bool            // some static call is changed in a way that is not seen
}

type variable struct {
	model.Range
	name   string
	fixed  bool // read-only
	open   bool
	copies []copied
	stores map[uint64][]model.FuncID
	taken  int // instructions that take its address
	used   int // of these, destinations of copies
}

type copied struct {
	to   model.Range
	from uint64
}

type key struct {
	set  []model.FuncID
	open bool
}

func newSlots(m *model.Model) *slots {
	s := &slots{m: m, whole: m.Prog.Name == "vmlinux", calls: map[uint64]bool{}, keys: map[uint64]*key{}}
	if a, ok := m.Prog.Lookup("pv_ops"); ok {
		s.pv = model.Range{Start: a, End: a + 1024} // an undefined symbol's size is not known
		if s.whole {
			s.pv.End = s.end(a)
		}
	}
	return s
}

// end is where the variable at an address ends: by its size, or where the next
// symbol or the segment does.
func (s *slots) end(a uint64) uint64 {
	sym, _, _ := s.m.Prog.SymbolAt(a)
	seg, ok := s.m.Prog.SegmentAt(a)
	switch {
	case sym.Addr == a && sym.Size > 0:
		return a + sym.Size
	case !ok:
		return a
	}
	end := seg.Addr + seg.Size
	syms := s.m.Prog.Symbols()
	if i := sort.Search(len(syms), func(i int) bool { return syms[i].Addr > a }); i < len(syms) {
		end = min(end, syms[i].Addr)
	}
	return end
}

// paravirt returns the offset of a pointer in pv_ops.
func (s *slots) paravirt(at uint64) (uint64, bool) { return at - s.pv.Start, s.pv.Contains(at) }

// name is that of the variable that holds a pointer.
func (s *slots) name(at uint64) string {
	sym, _, ok := s.m.Prog.SymbolAt(at)
	if !ok || sym.Name == "" {
		return "a pointer"
	}
	return sym.Name
}

// targets are the functions that the pointer at an address may lead to; nil
// when that is not known.
func (s *slots) targets(at uint64) []model.FuncID {
	i := sort.Search(len(s.vars), func(i int) bool { return s.vars[i].End > at })
	if i == len(s.vars) || !s.vars[i].Contains(at) || s.vars[i].open {
		return nil
	}
	v := s.vars[i]
	out := slices.Clone(v.stores[at])
	add := func(addr uint64) bool {
		w, err := s.m.Prog.Read(addr, 8)
		if err != nil { // .bss: zero
			return true
		}
		g := s.m.Entry(binary.LittleEndian.Uint64(w))
		if g != model.NoFunc {
			out = append(out, g)
		}
		return g != model.NoFunc || binary.LittleEndian.Uint64(w) == 0
	}
	ok := add(at)
	for _, c := range v.copies {
		if c.to.Contains(at) {
			ok = add(c.from+at-c.to.Start) && ok
		}
	}
	if !ok {
		return nil
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// findSlots finds what the variables of a kernel may hold that code calls
// through.
func (a *analysis) findSlots() {
	s := a.slots
	if !s.whole {
		return
	}
	var ids []model.FuncID
	for i := range a.m.Funcs {
		id := model.FuncID(i)
		if !a.given[i] && slices.ContainsFunc(a.m.Calls(id), func(c model.Call) bool { return c.Target == model.NoFunc || c.Kind == model.CallParavirt }) {
			ids = append(ids, id)
		}
	}
	of := make([]map[uint64]*passed, len(ids))
	parallel(len(ids), func(i int) { of[i] = arguments(a.m, ids[i]) })
	for i, id := range ids {
		a.passed[id] = of[i]
		for _, p := range of[i] {
			if p.callee.kind == valSlot {
				s.calls[uint64(p.callee.c)] = true
			}
		}
	}
	for at := s.pv.Start; at+8 <= s.pv.End; at += 8 {
		s.calls[at] = true // objects may call through any of them
	}
	s.findVars()
	s.findStores()
	s.findKeys()
}

// findVars makes a variable of each symbol that holds called pointers.
func (s *slots) findVars() {
	p := s.m.Prog
	var boot model.Range // read-only after boot
	lo, ok1 := p.Lookup("__start_ro_after_init")
	hi, ok2 := p.Lookup("__end_ro_after_init")
	if ok1 && ok2 {
		boot = model.Range{Start: lo, End: hi}
	}
	seen := map[uint64]bool{}
	for at := range s.calls {
		sym, off, ok := p.SymbolAt(at)
		seg, in := p.SegmentAt(at)
		if !ok || !in || seg.Exec || seen[at-off] {
			continue
		}
		seen[at-off] = true
		v := &variable{Range: model.Range{Start: at - off, End: s.end(at - off)}, name: sym.Name, stores: map[uint64][]model.FuncID{}}
		v.fixed = seg.Name == ".rodata" && !boot.Contains(at)
		_, exported := p.Lookup("__ksymtab_" + sym.Name)
		v.open = exported && !v.fixed && !boot.Contains(at) && !s.pv.Contains(at)
		s.vars = append(s.vars, v)
	}
	slices.SortFunc(s.vars, func(x, y *variable) int { return int(min(max(int64(x.Start-y.Start), -1), 1)) })
	// An address in data lets code write that does not name the variable.
	for _, seg := range p.Segments() {
		if seg.Exec {
			continue
		}
		for o := int(-seg.Addr & 7); o+8 <= len(seg.Data); o += 8 {
			if v := s.at(binary.LittleEndian.Uint64(seg.Data[o:])); v != nil && !v.fixed {
				v.open = true
			}
		}
	}
}

// at returns the variable that an address lies in.
func (s *slots) at(a uint64) *variable {
	if len(s.vars) == 0 || a < s.vars[0].Start || a >= s.vars[len(s.vars)-1].End {
		return nil
	}
	i := sort.Search(len(s.vars), func(i int) bool { return s.vars[i].End > a })
	if i == len(s.vars) || !s.vars[i].Contains(a) {
		return nil
	}
	return s.vars[i]
}

// findStores looks for every instruction that writes a variable or takes its
// address.
func (s *slots) findStores() {
	m := s.m
	hits := make([]bool, len(m.Funcs))
	parallel(len(m.Funcs), func(i int) {
		blocks := m.Blocks(model.FuncID(i))
		for k := range blocks {
			for in := range m.Instructions(&blocks[k]) {
				if v, _, _ := s.touched(&in); v != nil {
					hits[i] = true
				}
			}
		}
	})
	for i, hit := range hits {
		if hit {
			s.stores(model.FuncID(i))
		}
	}
	for _, v := range s.vars {
		if v.taken > v.used {
			v.open = true
		}
	}
}

// touched tells the variable that an instruction writes to, at an address if
// that is fixed, or else whose address it takes.
func (s *slots) touched(in *machine.Inst) (v *variable, at uint64, writes bool) {
	for i := range in.Args {
		x := &in.Args[i]
		switch x.Kind {
		case machine.KindMem:
			if x.Mem.Seg != machine.SegNone || in.Hint() {
				continue
			}
			a, fixed := in.FixedAddr(x.Mem)
			if !fixed {
				a = uint64(x.Mem.Disp)
			}
			v := s.at(a)
			switch {
			case v == nil || v.fixed:
			case in.Op == machine.Address, !fixed && in.Writes(i):
				return v, 0, false
			case in.Writes(i):
				return v, a, true
			}
		case machine.KindImm:
			if v := s.at(uint64(x.Imm)); v != nil && !v.fixed && in.Op != machine.Compare && in.Op != machine.Test {
				return v, uint64(x.Imm), false
			}
		}
	}
	return nil, 0, false
}

// stores notes what a function does to variables.
func (s *slots) stores(id model.FuncID) {
	type effect struct {
		taken *variable // its address
		dst   *variable // stored to
		at    uint64
		fn    model.FuncID // NoFunc: not a function
		copy  *copied
		null  bool
	}
	last := map[uint64]effect{} // by address of the instruction; of the last visit, which has joined all paths
	follow(s.m, id, func(in *machine.Inst, r *regs) {
		var e effect
		e.fn = model.NoFunc
		if v, at, writes := s.touched(in); v != nil && !writes {
			e.taken = v
		} else if v != nil {
			e.dst, e.at = v, at
			val := value{}
			if src := &in.Args[1]; src.Kind == machine.KindImm {
				val = value{valConst, src.Imm}
			} else if n, size, ok := src.General(); ok && size == 8 {
				val = r[n]
			}
			if in.Op == machine.Move && in.Args[0].Mem.Width == 8 && val.kind == valConst {
				e.fn = s.m.Entry(uint64(val.c))
				e.null = val.c == 0
			}
		}
		if in.Op == machine.StringMove {
			size := int64(in.Size)
			to, from, n := r[machine.RDI], r[machine.RSI], r[machine.RCX]
			rep := in.Repeat
			if v := s.at(uint64(to.c)); rep && to.kind == valConst && v != nil && from.kind == valConst && n.kind == valConst && n.c > 0 {
				e.dst, e.at = v, uint64(to.c)
				e.copy = &copied{to: model.Range{Start: uint64(to.c), End: uint64(to.c + n.c*size)}, from: uint64(from.c)}
			}
		}
		if e.taken != nil || e.dst != nil {
			last[in.Addr] = e
		} else {
			delete(last, in.Addr)
		}
	})
	for _, e := range last {
		switch {
		case e.taken != nil:
			e.taken.taken++
		case e.copy != nil && s.pv.Contains(e.at):
			e.dst.used++
			e.dst.copies = append(e.dst.copies, *e.copy)
		case e.copy != nil: // taken before
		case e.fn != model.NoFunc:
			e.dst.stores[e.at] = append(e.dst.stores[e.at], e.fn)
		case e.null:
		case s.calls[e.at] || s.wide(e.dst, e.at):
			e.dst.open = true
		}
	}
}

// wide reports whether a store of up to 64 bytes may reach a called pointer.
func (s *slots) wide(v *variable, at uint64) bool {
	for a := at - 7; a < at+64 && a < v.End; a++ {
		if s.calls[a] {
			return true
		}
	}
	return false
}

// findKeys finds what static calls are changed to lead to: calls of
// __static_call_update(key, trampoline, function) (include/linux/static_call.h,
// v6.1).
func (s *slots) findKeys() {
	for _, id := range s.m.Lookup("__static_call_update") {
		callers := map[model.FuncID]bool{}
		for c := range s.m.Callers(id) {
			callers[c.Caller] = true
		}
		for caller := range callers {
			if kfuncs.ChangesStaticCalls(s.m.Func(caller).Name) {
				continue
			}
			args := arguments(s.m, caller)
			for _, c := range s.m.Calls(caller) {
				if c.Target != id {
					continue
				}
				p := args[c.Site]
				if p == nil || p.args[1].kind != valConst {
					s.loose = true
					continue
				}
				k := s.keys[uint64(p.args[1].c)]
				if k == nil {
					k = &key{}
					s.keys[uint64(p.args[1].c)] = k
				}
				fn := model.NoFunc
				if p.args[2].kind == valConst {
					fn = s.m.Entry(uint64(p.args[2].c))
				}
				switch {
				case fn != model.NoFunc:
					k.set = append(k.set, fn)
				case p.args[2] != value{valConst, 0}:
					k.open = true
				}
			}
		}
	}
}

// trampoline says what a static call may lead to besides what it is built to.
func (a *analysis) trampoline(id model.FuncID) Fact {
	open := Fact{Answer: Unknown, Open: true, Why: "a static call that is changed at run time"}
	if !a.slots.whole || a.slots.loose || strings.HasPrefix(a.m.Func(id).Name, "__SCT__bpf_dispatcher_") {
		return open
	}
	k := a.slots.keys[a.m.Func(id).Addr]
	if k == nil {
		return Fact{}
	}
	if k.open {
		return open
	}
	var out Fact
	for _, g := range k.set {
		if a.gone(g) {
			continue
		}
		a.use(id, g)
		out.join(a.r.facts[g])
	}
	out.At = 0
	return out
}

// keepParavirt notes what calls through pv_ops come to, for objects.
func (a *analysis) keepParavirt() {
	if !a.slots.whole {
		return
	}
	a.r.pv = map[uint64]Fact{}
	for at := a.slots.pv.Start; at+8 <= a.slots.pv.End; at += 8 {
		targets := a.slots.targets(at)
		if len(targets) == 0 {
			continue
		}
		var out Fact
		for _, g := range targets {
			if !a.gone(g) {
				out.join(a.r.facts[g])
			}
		}
		out.At, out.Always = 0, false
		a.r.pv[at-a.slots.pv.Start] = out
	}
}

// parallel runs f for 0..n-1 on all CPUs.
func parallel(n int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				const chunk = 64
				k := int(next.Add(chunk)) - chunk
				if k >= n {
					return
				}
				for i := k; i < min(k+chunk, n); i++ {
					f(i)
				}
			}
		})
	}
	wg.Wait()
}
