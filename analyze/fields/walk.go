package fields

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cilium/ebpf/btf"

	"github.com/klpforge/klpforge/analyze/flow"
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// Visit is told of every instruction, in some order, once, with a view of the
// registers before it.
type Visit func(in *machine.Inst, at *At)

// At is what is known before one instruction. It is valid during the call.
type At struct{ s *state }

// Field returns the member that a memory operand refers to.
func (a *At) Field(m machine.Mem) (Field, bool) { return a.s.field(m) }

// Pointer returns the prototype of the function pointer in a register, and
// where it was loaded from: a member as Field.Inner says it, "#n" for the
// function's parameter n, "" when not known.
func (a *At) Pointer(reg machine.Num) (proto *btf.FuncProto, member string, ok bool) {
	v := a.s.regs[reg]
	p, ok := v.to.(*btf.FuncProto)
	return p, v.member, ok && v.off == 0
}

// Origin is an object whose type is not known: the function's frame, or what a call
// returned, by the address of the call.
type Origin uint64

// OriginFrame is the frame of the function.
const OriginFrame Origin = 1

// Spot is a place in such an object, Off bytes from its start; in a frame, from the stack
// pointer at entry. Indexed says that a multiple of something not known is added.
type Spot struct {
	Of      Origin
	Off     int64
	Indexed bool
}

// Spot returns the place that a memory operand refers to in an object without a type, for
// who walks by WalkOrigins.
func (a *At) Spot(mem machine.Mem) (Spot, bool) {
	if mem.Seg != machine.SegNone || mem.Addr32 {
		return Spot{}, false
	}
	for _, reg := range []machine.Num{mem.Base, mem.Index} {
		if reg == machine.NoReg || reg == mem.Index && mem.Scale != 1 {
			continue
		}
		if v := a.s.addressIn(reg); v.origin != 0 {
			return Spot{v.origin, v.off + mem.Disp, v.vary || mem.Index != machine.NoReg}, true
		}
	}
	return Spot{}, false
}

// SpotIn returns the place that a register points to in an object without a type.
func (a *At) SpotIn(reg machine.Num) (Spot, bool) {
	v := a.s.addressIn(reg)
	return Spot{v.origin, v.off, v.vary}, v.origin != 0
}

// Element returns the member that a memory operand refers to where something not known is
// added to the address of a structure: the member of an array in it, or of an array of such
// structures. It is for who walks by WalkOrigins.
func (a *At) Element(mem machine.Mem) (Field, bool) {
	if mem.Seg != machine.SegNone || mem.Addr32 {
		return Field{}, false
	}
	for _, reg := range []machine.Num{mem.Base, mem.Index} {
		if reg == machine.NoReg || reg == mem.Index && mem.Scale != 1 {
			continue
		}
		if v := a.s.regs[reg]; v.to != nil && (v.vary || mem.Index != machine.NoReg) {
			return MemberIn(v.to, v.off+mem.Disp)
		}
	}
	return Field{}, false
}

// MemberIn is the member at an offset, in bytes, of a structure or of an array of them.
func MemberIn(typ btf.Type, off int64) (Field, bool) {
	typ = btf.UnderlyingType(typ)
	size, err := btf.Sizeof(typ)
	if err != nil || size <= 0 || off < 0 {
		return Field{}, false
	}
	return memberAt(typ, off%int64(size))
}

// WalkOrigins is Walk that also follows the addresses of objects without a type.
func WalkOrigins(m *model.Model, t *Types, id model.FuncID, visit Visit) {
	walk(m, t, id, m.Code(m.Blocks(id)), true, visit)
}

// Walk follows a function of the model and calls visit for each instruction
// that can be reached.
func Walk(m *model.Model, t *Types, id model.FuncID, visit Visit) {
	WalkCode(m, t, id, m.Code(m.Blocks(id)), visit)
}

// WalkCode is Walk for who has decoded the function's blocks already.
func WalkCode(mod *model.Model, t *Types, id model.FuncID, code [][]machine.Inst, visit Visit) {
	walk(mod, t, id, code, false, visit)
}

func walk(mod *model.Model, t *Types, id model.FuncID, code [][]machine.Inst, origins bool, visit Visit) {
	blocks := mod.Blocks(id)
	if len(blocks) == 0 {
		return
	}

	walk := &walker{m: mod, t: t, targets: map[uint64]string{}, origins: origins}
	calls := mod.Calls(id)
	for i := range calls {
		if c := &calls[i]; c.Target != model.NoFunc && !c.Interior {
			walk.targets[c.Site] = mod.Func(c.Target).Name
		}
	}

	result := flow.Forward(mod, blocks, flow.Problem[*state]{
		Entry: walk.entry(mod.Func(id).Name),
		Copy:  (*state).clone,
		Join:  func(into **state, from *state, _ int) bool { return (*into).join(from, origins) },
		Transfer: func(s **state, k int) {
			for i := range code[k] {
				walk.step(*s, &code[k][i])
			}
		},
	})

	// With what holds at the start of each block settled, every instruction is visited once.
	for block := range blocks {
		cur := result.In[block]
		if cur == nil || !result.Complete {
			cur = &state{}
		}
		at := &At{s: cur}
		for i := range code[block] {
			visit(&code[block][i], at)
			walk.step(cur, &code[block][i])
		}
	}
}

// value is what a register or stack slot holds: a pointer to off bytes into a
// structure or other type, or a function pointer that was loaded from member.
type value struct {
	to     btf.Type // what it points to; nil when not known
	off    int64
	member string // where it was loaded from, as Field.Inner; for parameters "#n"
	origin Origin // of an address in an object without a type: to is nil, and off counts in that
	// vary says that a multiple of something not known is added; only for who asks for origins.
	vary bool
}

// same reports whether two are the same but for how they are moved on.
func (v value) same(w value) bool { return v.to == w.to && v.origin == w.origin }

const nregs = 16

// state is what is known at one place of a function.
type state struct {
	regs  [nregs]value
	slots []slot // of the frame, without order, each place once
	sp    int64  // the stack pointer, from that at entry
	spOK  bool
}

// slot is a word of the frame, at an offset from the stack pointer at entry.
type slot struct {
	off int64
	value
}

func (s *state) clone() *state {
	c := *s
	c.slots = slices.Clone(s.slots)
	return &c
}

// join keeps what both agree on and reports whether s changed. With origins, an address
// that is moved on in a loop stays one in its object.
func (s *state) join(other *state, origins bool) bool {
	changed := false
	for i := range s.regs {
		if s.regs[i] == (value{}) || s.regs[i] == other.regs[i] {
			continue
		}
		if origins && s.regs[i].same(other.regs[i]) && (s.regs[i].off != other.regs[i].off || other.regs[i].vary) {
			changed = changed || !s.regs[i].vary
			s.regs[i].vary = true
		}
		if s.regs[i].same(other.regs[i]) && (s.regs[i].vary || s.regs[i].off == other.regs[i].off) {
			if s.regs[i].member != "" {
				s.regs[i].member, changed = "", true
			}
			continue
		}
		s.regs[i], changed = value{}, true
	}
	n := len(s.slots)
	s.slots = slices.DeleteFunc(s.slots, func(x slot) bool { return other.at(x.off) != x.value })
	changed = changed || len(s.slots) != n
	if s.spOK && (!other.spOK || s.sp != other.sp) {
		s.spOK, changed = false, true
		s.slots = nil
	}
	return changed
}

type walker struct {
	m       *model.Model
	t       *Types
	targets map[uint64]string // call site -> callee
	origins bool              // objects without a type are followed
}

// convention is how functions of the kernel call each other.
var convention = machine.X86.Convention()

func (w *walker) entry(name string) *state {
	cur := &state{spOK: true}
	if p := w.t.Proto(name); p != nil {
		for i := range p.Params {
			if i < len(convention.Args) {
				cur.regs[convention.Args[i]] = pointer(p.Params[i].Type, fmt.Sprintf("#%d", i))
			}
		}
	}
	return cur
}

// pointer makes the value of something of a type.
func pointer(t btf.Type, member string) value {
	if p, ok := btf.UnderlyingType(t).(*btf.Pointer); ok {
		to := btf.UnderlyingType(p.Target)
		switch to.(type) {
		case *btf.Struct, *btf.Union, *btf.FuncProto, *btf.Pointer, *btf.Array:
			return value{to: to, member: member}
		}
	}
	return value{}
}

// word is the size of a pointer, in bytes.
const word = 8

// step follows one instruction.
func (w *walker) step(cur *state, in *machine.Inst) {
	if in.Op == machine.Call {
		w.call(cur, in.Addr, w.targets[in.Addr])
		return
	}
	effects := in.Effects()
	if effects.Unknown {
		*cur = state{}
		return
	}
	dst, val := w.assigned(cur, in)
	stored := w.stored(cur, in)

	// What is overwritten, in the frame and in registers.
	sp := cur.sp
	for _, a := range effects.Memory() {
		if a.Write {
			cur.overwrite(a)
		}
	}
	if effects.AnyMemory {
		cur.slots = nil
	}
	switch {
	case effects.Stack == machine.StackMoved:
		cur.sp += effects.StackDelta
	case effects.Stack == machine.StackSame:
	case in.Op == machine.And: // alignment: slots are lost, the layout below is consistent
		cur.slots = nil
	default:
		cur.spOK, cur.slots = false, nil
	}
	for r := range effects.Writes.All {
		cur.regs[r] = value{}
	}

	// What is known of the new contents.
	if dst != machine.NoReg && dst != convention.StackPtr {
		cur.regs[dst] = val
	}
	if stored == (value{}) {
		return
	}
	for _, a := range effects.Memory() {
		if a.Write && a.Mem.Width == word && a.Mem.Base == convention.StackPtr && a.Mem.Index == machine.NoReg {
			cur.set(sp+a.Mem.Disp, stored)
		}
	}
}

// call follows the call at an address, of a function that is "" when it is not known.
func (w *walker) call(cur *state, site uint64, name string) {
	callee := convention.Callee(name)
	for r := range callee.Changed.All {
		cur.regs[r] = value{}
	}
	if p := w.t.Proto(name); p != nil && callee.Changed != 0 {
		cur.regs[convention.Result[0]] = pointer(p.Return, "")
	}
	if result := &cur.regs[convention.Result[0]]; w.origins && callee.Changed != 0 && result.to == nil {
		*result = value{origin: Origin(site)}
	}
}

// assigned is what an instruction leaves in the register that is its first
// operand.
func (w *walker) assigned(cur *state, in *machine.Inst) (dst machine.Num, v value) {
	dst, size, ok := in.Args[0].General()
	switch {
	case !ok || !in.Writes(0):
		return machine.NoReg, value{}
	case in.Op == machine.Pop && size == word:
		return dst, cur.at(cur.sp)
	case size == word:
		return dst, w.result(cur, in, dst)
	}
	return dst, value{}
}

// stored is the register that an instruction stores into memory as it is.
func (w *walker) stored(cur *state, in *machine.Inst) value {
	from := &in.Args[1]
	switch in.Op {
	case machine.Push:
		from = &in.Args[0]
	case machine.Move:
	default:
		return value{}
	}
	if n, size, ok := from.General(); ok && size == word {
		return cur.regs[n]
	}
	return value{}
}

// overwrite forgets the slots that a store reaches. Slots are what the compiler
// keeps there for itself: neither another pointer nor an index leads to one.
func (s *state) overwrite(access machine.Access) {
	if access.Mem.Base != convention.StackPtr || access.Mem.Index != machine.NoReg {
		return
	}
	if access.Mem.Width == 0 || !s.spOK {
		s.slots = nil
		return
	}
	from := s.sp + access.Mem.Disp
	s.slots = slices.DeleteFunc(s.slots, func(x slot) bool {
		return x.off < from+int64(access.Mem.Width) && x.off+word > from
	})
}

// result is what an instruction on whole registers leaves in its first operand.
func (w *walker) result(cur *state, in *machine.Inst, dst machine.Num) value {
	// Only what keeps a pointer to an object a pointer to it is followed.
	from := &in.Args[1]
	switch in.Op {
	case machine.Move:
		switch from.Kind {
		case machine.KindReg:
			if n, _, ok := from.General(); ok {
				return w.address(cur, n)
			}
		case machine.KindMem:
			return w.load(cur, in, from.Mem)
		case machine.KindImm:
			return w.object(uint64(from.Imm))
		}
	case machine.Address:
		if w.origins && from.Mem.Index != machine.NoReg {
			return indexed(cur, from.Mem)
		}
		mem := from.Mem
		if mem.PC {
			at, _ := in.FixedAddr(mem)
			return w.object(at)
		}
		if mem.Index != machine.NoReg || mem.Base == machine.NoReg {
			return value{}
		}
		if v := w.address(cur, mem.Base); v != (value{}) {
			v.off += mem.Disp
			return v
		}
	case machine.MoveIf:
		if n, _, ok := from.General(); ok && cur.regs[n].to == cur.regs[dst].to &&
			cur.regs[n].off == cur.regs[dst].off && cur.regs[n].origin == cur.regs[dst].origin &&
			cur.regs[n].vary == cur.regs[dst].vary {
			return cur.regs[dst]
		}
	case machine.Add, machine.Sub:
		if n, _, ok := from.General(); ok && w.origins && in.Op == machine.Add {
			return indexed(cur, machine.Mem{Base: dst, Index: n, Scale: 1})
		}
		if from.Kind != machine.KindImm || cur.regs[dst] == (value{}) {
			return value{}
		}
		val := cur.regs[dst]
		if in.Op == machine.Sub {
			val.off -= from.Imm
		} else {
			val.off += from.Imm
		}
		return val
	}
	return value{}
}

// indexed is the address of an element, where one of two registers has that of an object and
// the other is not known.
func indexed(cur *state, mem machine.Mem) value {
	var out value
	for _, reg := range []machine.Num{mem.Base, mem.Index} {
		if reg == machine.NoReg || reg == mem.Index && mem.Scale != 1 {
			continue
		}
		if v := cur.addressIn(reg); v != (value{}) {
			if out != (value{}) {
				return value{} // the sum of two addresses is none
			}
			out = v
		}
	}
	if out != (value{}) {
		out.off, out.vary, out.member = out.off+mem.Disp, true, ""
	}
	return out
}

// address is the pointer in a register, the stack pointer among them for who asks for
// origins.
func (w *walker) address(cur *state, reg machine.Num) value {
	if reg != convention.StackPtr || w.origins {
		return cur.addressIn(reg)
	}
	return value{}
}

func (s *state) addressIn(reg machine.Num) value {
	switch {
	case reg != convention.StackPtr:
		return s.regs[reg]
	case s.spOK:
		return value{origin: OriginFrame, off: s.sp}
	}
	return value{}
}

// load is the pointer that is loaded from memory.
func (w *walker) load(cur *state, in *machine.Inst, mem machine.Mem) value {
	if off, ok := cur.slot(mem); ok {
		return cur.at(off)
	}
	if mem.Seg == machine.SegGS {
		if at, ok := in.FixedAddr(mem); ok && w.current(at) {
			return value{to: w.t.task}
		}
		return value{}
	}
	if f, ok := cur.field(mem); ok {
		return pointer(f.Type, f.inner)
	}
	return w.loaded(in, mem)
}

// object is a pointer to a data object.
func (w *walker) object(addr uint64) value {
	if w.t != nil && w.t.objects[addr] != nil {
		return value{to: w.t.objects[addr]}
	}
	return value{}
}

// loaded is a pointer that is loaded from fixed data, or from an array there:
// what the data holds from the start tells its type.
func (w *walker) loaded(in *machine.Inst, mem machine.Mem) value {
	if w.t == nil || w.t.objects == nil || mem.Seg != machine.SegNone {
		return value{}
	}
	addr, ok := in.FixedAddr(mem)
	if !ok {
		if mem.Base != machine.NoReg || mem.Scale != word {
			return value{}
		}
		addr = uint64(mem.Disp)
	}
	b, err := w.m.Prog.Read(addr, word)
	if err != nil {
		return value{}
	}
	return w.object(binary.LittleEndian.Uint64(b))
}

// current reports whether a per-CPU offset is that of the running task.
func (w *walker) current(at uint64) bool {
	if w.t == nil || w.t.task == nil {
		return false
	}
	for _, name := range []string{"current_task", "pcpu_hot"} {
		if a, ok := w.m.Prog.Lookup(name); ok && a == at {
			return true
		}
	}
	return false
}

// slot is the place in the frame that a memory operand names.
func (s *state) slot(m machine.Mem) (off int64, ok bool) {
	if m.Base != convention.StackPtr || m.Index != machine.NoReg || !s.spOK {
		return 0, false
	}
	return s.sp + m.Disp, true
}

// at is what a place of the frame holds.
func (s *state) at(off int64) value {
	for i := range s.slots {
		if s.slots[i].off == off {
			return s.slots[i].value
		}
	}
	return value{}
}

// set makes a place of the frame hold something that is known.
func (s *state) set(off int64, val value) {
	if !s.spOK {
		return
	}
	for i := range s.slots {
		if s.slots[i].off == off {
			s.slots[i].value = val
			return
		}
	}
	s.slots = append(s.slots, slot{off, val})
}

// field is the member that a memory operand refers to.
func (s *state) field(mem machine.Mem) (Field, bool) {
	if mem.Seg != machine.SegNone || mem.Base == machine.NoReg || mem.Index != machine.NoReg || mem.Addr32 {
		return Field{}, false
	}
	p := s.regs[mem.Base]
	if mem.Base == convention.StackPtr || p.to == nil || p.vary {
		return Field{}, false
	}
	return memberAt(p.to, p.off+mem.Disp)
}
