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
	pointers := &slots{m: m, whole: m.Prog.Name == "vmlinux", calls: map[uint64]bool{}, keys: map[uint64]*key{}}
	if a, ok := m.Prog.Lookup("pv_ops"); ok {
		pointers.pv = model.Range{Start: a, End: a + 1024} // an undefined symbol's size is not known
		if pointers.whole {
			pointers.pv.End = pointers.end(a)
		}
	}
	return pointers
}

// end is where the variable at an address ends: by its size, or where the next
// symbol or the segment does.
func (s *slots) end(addr uint64) uint64 {
	sym, _, _ := s.m.Prog.SymbolAt(addr)
	seg, ok := s.m.Prog.SegmentAt(addr)
	switch {
	case sym.Addr == addr && sym.Size > 0:
		return addr + sym.Size
	case !ok:
		return addr
	}
	end := seg.Addr + seg.Size
	syms := s.m.Prog.Symbols()
	if i := sort.Search(len(syms), func(i int) bool { return syms[i].Addr > addr }); i < len(syms) {
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
	global := s.vars[i]
	out := slices.Clone(global.stores[at])
	add := func(addr uint64) bool {
		word, err := s.m.Prog.Read(addr, 8)
		if err != nil { // .bss: zero
			return true
		}
		g := s.m.Entry(binary.LittleEndian.Uint64(word))
		if g != model.NoFunc {
			out = append(out, g)
		}
		return g != model.NoFunc || binary.LittleEndian.Uint64(word) == 0
	}
	ok := add(at)
	for _, c := range global.copies {
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
	pointers := a.slots
	if !pointers.whole {
		return
	}
	var ids []model.FuncID
	for i := range a.m.Funcs {
		id := model.FuncID(i)
		if !a.given[i] && slices.ContainsFunc(a.m.Calls(id),
			func(c model.Call) bool { return c.Target == model.NoFunc || c.Kind == model.CallParavirt }) {
			ids = append(ids, id)
		}
	}
	of := make([]map[uint64]*passed, len(ids))
	parallel(len(ids), func(i int) { of[i] = arguments(a.m, ids[i]) })
	for i, id := range ids {
		a.passed[id] = of[i]
		for _, p := range of[i] {
			if p.callee.kind == valSlot {
				pointers.calls[uint64(p.callee.c)] = true
			}
		}
	}
	for at := pointers.pv.Start; at+8 <= pointers.pv.End; at += 8 {
		pointers.calls[at] = true // objects may call through any of them
	}
	pointers.findVars()
	pointers.findStores()
	pointers.findKeys()
}

// findVars makes a variable of each symbol that holds called pointers.
func (s *slots) findVars() {
	prog := s.m.Prog
	var boot model.Range // read-only after boot
	lo, ok1 := prog.Lookup("__start_ro_after_init")
	hi, ok2 := prog.Lookup("__end_ro_after_init")
	if ok1 && ok2 {
		boot = model.Range{Start: lo, End: hi}
	}
	seen := map[uint64]bool{}
	for at := range s.calls {
		sym, off, ok := prog.SymbolAt(at)
		seg, in := prog.SegmentAt(at)
		if !ok || !in || seg.Exec || seen[at-off] {
			continue
		}
		seen[at-off] = true
		v := &variable{Range: model.Range{Start: at - off, End: s.end(at - off)}, name: sym.Name,
			stores: map[uint64][]model.FuncID{}}
		v.fixed = seg.Name == ".rodata" && !boot.Contains(at)
		_, exported := prog.Lookup("__ksymtab_" + sym.Name)
		v.open = exported && !v.fixed && !boot.Contains(at) && !s.pv.Contains(at)
		s.vars = append(s.vars, v)
	}
	slices.SortFunc(s.vars, func(x, y *variable) int { return int(min(max(int64(x.Start-y.Start), -1), 1)) })
	// An address in data lets code write that does not name the variable.
	for _, seg := range prog.Segments() {
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
		operand := &in.Args[i]
		switch operand.Kind {
		case machine.KindMem:
			if operand.Mem.Seg != machine.SegNone || in.Hint() {
				continue
			}
			addr, fixed := in.FixedAddr(operand.Mem)
			if !fixed {
				addr = uint64(operand.Mem.Disp)
			}
			global := s.at(addr)
			switch {
			case global == nil || global.fixed:
			case in.Op == machine.Address, !fixed && in.Writes(i):
				return global, 0, false
			case in.Writes(i):
				return global, addr, true
			}
		case machine.KindImm:
			if v := s.at(uint64(operand.Imm)); v != nil && !v.fixed && in.Op != machine.Compare &&
				in.Op != machine.Test {
				return v, uint64(operand.Imm), false
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
	follow(s.m, id, func(in *machine.Inst, state *regs) {
		var change effect
		change.fn = model.NoFunc
		if v, at, writes := s.touched(in); v != nil && !writes {
			change.taken = v
		} else if v != nil {
			change.dst, change.at = v, at
			val := value{}
			if src := &in.Args[1]; src.Kind == machine.KindImm {
				val = value{valConst, src.Imm}
			} else if n, size, ok := src.General(); ok && size == 8 {
				val = state[n]
			}
			if in.Op == machine.Move && in.Args[0].Mem.Width == 8 && val.kind == valConst {
				change.fn = s.m.Entry(uint64(val.c))
				change.null = val.c == 0
			}
		}
		if in.Op == machine.StringMove {
			size := int64(in.Size)
			to, from, n := state[machine.RDI], state[machine.RSI], state[machine.RCX]
			rep := in.Repeat
			if v := s.at(uint64(to.c)); rep && to.kind == valConst && v != nil && from.kind == valConst &&
				n.kind == valConst && n.c > 0 {
				change.dst, change.at = v, uint64(to.c)
				change.copy = &copied{to: model.Range{Start: uint64(to.c), End: uint64(to.c + n.c*size)},
					from: uint64(from.c)}
			}
		}
		if change.taken != nil || change.dst != nil {
			last[in.Addr] = change
		} else {
			delete(last, in.Addr)
		}
	})
	for _, change := range last {
		switch {
		case change.taken != nil:
			change.taken.taken++
		case change.copy != nil && s.pv.Contains(change.at):
			change.dst.used++
			change.dst.copies = append(change.dst.copies, *change.copy)
		case change.copy != nil: // taken before
		case change.fn != model.NoFunc:
			change.dst.stores[change.at] = append(change.dst.stores[change.at], change.fn)
		case change.null:
		case s.calls[change.at] || s.wide(change.dst, change.at):
			change.dst.open = true
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
	// A key of static calls has what it is initialised with and all that is stored by updates;
	// the key of an update that is not constant may be any.
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
				given := args[c.Site]
				if given == nil || given.args[1].kind != valConst {
					s.loose = true
					continue
				}
				slot := s.keys[uint64(given.args[1].c)]
				if slot == nil {
					slot = &key{}
					s.keys[uint64(given.args[1].c)] = slot
				}

				fn := model.NoFunc
				if given.args[2].kind == valConst {
					fn = s.m.Entry(uint64(given.args[2].c))
				}
				switch {
				case fn != model.NoFunc:
					slot.set = append(slot.set, fn)
				case given.args[2] != value{valConst, 0}:
					slot.open = true
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
	slot := a.slots.keys[a.m.Func(id).Addr]
	if slot == nil {
		return Fact{}
	}
	if slot.open {
		return open
	}
	var out Fact
	for _, g := range slot.set {
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

// parallel runs do for 0..count-1 on all CPUs.
func parallel(count int, do func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				const chunk = 64
				k := int(next.Add(chunk)) - chunk
				if k >= count {
					return
				}
				for i := k; i < min(k+chunk, count); i++ {
					do(i)
				}
			}
		})
	}
	wg.Wait()
}
