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

// Walk follows a function of the model and calls visit for each instruction
// that can be reached.
func Walk(m *model.Model, t *Types, id model.FuncID, visit Visit) {
	WalkCode(m, t, id, m.Code(m.Blocks(id)), visit)
}

// WalkCode is Walk for who has decoded the function's blocks already.
func WalkCode(m *model.Model, t *Types, id model.FuncID, code [][]machine.Inst, visit Visit) {
	blocks := m.Blocks(id)
	if len(blocks) == 0 {
		return
	}
	w := &walker{m: m, t: t, targets: map[uint64]string{}}
	calls := m.Calls(id)
	for i := range calls {
		if c := &calls[i]; c.Target != model.NoFunc && !c.Interior {
			w.targets[c.Site] = m.Func(c.Target).Name
		}
	}

	r := flow.Forward(m, blocks, flow.Problem[*state]{
		Entry: w.entry(m.Func(id).Name),
		Copy:  (*state).clone,
		Join:  func(into **state, from *state, _ int) bool { return (*into).join(from) },
		Transfer: func(s **state, k int) {
			for i := range code[k] {
				w.step(*s, &code[k][i])
			}
		},
	})

	for k := range blocks {
		s := r.In[k]
		if s == nil || !r.Complete {
			s = &state{}
		}
		at := &At{s: s}
		for i := range code[k] {
			visit(&code[k][i], at)
			w.step(s, &code[k][i])
		}
	}
}

// value is what a register or stack slot holds: a pointer to off bytes into a
// structure or other type, or a function pointer that was loaded from member.
type value struct {
	to     btf.Type // what it points to; nil when not known
	off    int64
	member string // where it was loaded from, as Field.Inner; for parameters "#n"
}

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

// join keeps what both agree on and reports whether s changed.
func (s *state) join(o *state) bool {
	changed := false
	for i := range s.regs {
		if s.regs[i].to == nil || s.regs[i] == o.regs[i] {
			continue
		}
		if s.regs[i].to == o.regs[i].to && s.regs[i].off == o.regs[i].off {
			if s.regs[i].member != "" {
				s.regs[i].member, changed = "", true
			}
			continue
		}
		s.regs[i], changed = value{}, true
	}
	n := len(s.slots)
	s.slots = slices.DeleteFunc(s.slots, func(x slot) bool { return o.at(x.off) != x.value })
	changed = changed || len(s.slots) != n
	if s.spOK && (!o.spOK || s.sp != o.sp) {
		s.spOK, changed = false, true
		s.slots = nil
	}
	return changed
}

type walker struct {
	m       *model.Model
	t       *Types
	targets map[uint64]string // call site -> callee
}

// convention is how functions of the kernel call each other.
var convention = machine.X86.Convention()

func (w *walker) entry(name string) *state {
	s := &state{spOK: true}
	if p := w.t.Proto(name); p != nil {
		for i := range p.Params {
			if i < len(convention.Args) {
				s.regs[convention.Args[i]] = pointer(p.Params[i].Type, fmt.Sprintf("#%d", i))
			}
		}
	}
	return s
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
func (w *walker) step(s *state, in *machine.Inst) {
	if in.Op == machine.Call {
		w.call(s, w.targets[in.Addr])
		return
	}
	e := in.Effects()
	if e.Unknown {
		*s = state{}
		return
	}
	n, v := w.assigned(s, in)
	stored := w.stored(s, in)

	// What is overwritten, in the frame and in registers.
	sp := s.sp
	for _, a := range e.Memory() {
		if a.Write {
			s.overwrite(a)
		}
	}
	if e.AnyMemory {
		s.slots = nil
	}
	switch {
	case e.Stack == machine.StackMoved:
		s.sp += e.StackDelta
	case e.Stack == machine.StackSame:
	case in.Op == machine.And: // alignment: slots are lost, the layout below is consistent
		s.slots = nil
	default:
		s.spOK, s.slots = false, nil
	}
	for r := range e.Writes.All {
		s.regs[r] = value{}
	}

	// What is known of the new contents.
	if n != machine.NoReg && n != convention.StackPtr {
		s.regs[n] = v
	}
	if stored.to == nil {
		return
	}
	for _, a := range e.Memory() {
		if a.Write && a.Mem.Width == word && a.Mem.Base == convention.StackPtr && a.Mem.Index == machine.NoReg {
			s.set(sp+a.Mem.Disp, stored)
		}
	}
}

// call follows a call of a function, "" when it is not known.
func (w *walker) call(s *state, name string) {
	callee := convention.Callee(name)
	for r := range callee.Changed.All {
		s.regs[r] = value{}
	}
	if p := w.t.Proto(name); p != nil && callee.Changed != 0 {
		s.regs[convention.Result[0]] = pointer(p.Return, "")
	}
}

// assigned is what an instruction leaves in the register that is its first
// operand.
func (w *walker) assigned(s *state, in *machine.Inst) (n machine.Num, v value) {
	n, size, ok := in.Args[0].General()
	switch {
	case !ok || !in.Writes(0):
		return machine.NoReg, value{}
	case in.Op == machine.Pop && size == word:
		return n, s.at(s.sp)
	case size == word:
		return n, w.result(s, in, n)
	}
	return n, value{}
}

// stored is the register that an instruction stores into memory as it is.
func (w *walker) stored(s *state, in *machine.Inst) value {
	from := &in.Args[1]
	switch in.Op {
	case machine.Push:
		from = &in.Args[0]
	case machine.Move:
	default:
		return value{}
	}
	if n, size, ok := from.General(); ok && size == word {
		return s.regs[n]
	}
	return value{}
}

// overwrite forgets the slots that a store reaches. Slots are what the compiler
// keeps there for itself: neither another pointer nor an index leads to one.
func (s *state) overwrite(a machine.Access) {
	if a.Mem.Base != convention.StackPtr || a.Mem.Index != machine.NoReg {
		return
	}
	if a.Mem.Width == 0 || !s.spOK {
		s.slots = nil
		return
	}
	from := s.sp + a.Mem.Disp
	s.slots = slices.DeleteFunc(s.slots, func(x slot) bool {
		return x.off < from+int64(a.Mem.Width) && x.off+word > from
	})
}

// result is what an instruction on whole registers leaves in its first operand.
func (w *walker) result(s *state, in *machine.Inst, dst machine.Num) value {
	from := &in.Args[1]
	switch in.Op {
	case machine.Move:
		switch from.Kind {
		case machine.KindReg:
			if n, _, ok := from.General(); ok {
				return s.regs[n]
			}
		case machine.KindMem:
			return w.load(s, in, from.Mem)
		case machine.KindImm:
			return w.object(uint64(from.Imm))
		}
	case machine.Address:
		m := from.Mem
		if m.PC {
			at, _ := in.FixedAddr(m)
			return w.object(at)
		}
		if m.Index == machine.NoReg && m.Base != machine.NoReg && m.Base != convention.StackPtr && s.regs[m.Base].to != nil {
			v := s.regs[m.Base]
			v.off += m.Disp
			return v
		}
	case machine.MoveIf:
		if n, _, ok := from.General(); ok && s.regs[n].to == s.regs[dst].to && s.regs[n].off == s.regs[dst].off {
			return s.regs[dst]
		}
	case machine.Add, machine.Sub:
		if from.Kind != machine.KindImm || s.regs[dst].to == nil {
			return value{}
		}
		v := s.regs[dst]
		if in.Op == machine.Sub {
			v.off -= from.Imm
		} else {
			v.off += from.Imm
		}
		return v
	}
	return value{}
}

// load is the pointer that is loaded from memory.
func (w *walker) load(s *state, in *machine.Inst, m machine.Mem) value {
	if off, ok := s.slot(m); ok {
		return s.at(off)
	}
	if m.Seg == machine.SegGS {
		if at, ok := in.FixedAddr(m); ok && w.current(at) {
			return value{to: w.t.task}
		}
		return value{}
	}
	if f, ok := s.field(m); ok {
		return pointer(f.Type, f.inner)
	}
	return w.loaded(in, m)
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
func (w *walker) loaded(in *machine.Inst, m machine.Mem) value {
	if w.t == nil || w.t.objects == nil || m.Seg != machine.SegNone {
		return value{}
	}
	addr, ok := in.FixedAddr(m)
	if !ok {
		if m.Base != machine.NoReg || m.Scale != word {
			return value{}
		}
		addr = uint64(m.Disp)
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
func (s *state) set(off int64, v value) {
	if !s.spOK {
		return
	}
	for i := range s.slots {
		if s.slots[i].off == off {
			s.slots[i].value = v
			return
		}
	}
	s.slots = append(s.slots, slot{off, v})
}

// field is the member that a memory operand refers to.
func (s *state) field(m machine.Mem) (Field, bool) {
	if m.Seg != machine.SegNone || m.Base == machine.NoReg || m.Index != machine.NoReg || m.Addr32 {
		return Field{}, false
	}
	p := s.regs[m.Base]
	if m.Base == convention.StackPtr || p.to == nil {
		return Field{}, false
	}
	return memberAt(p.to, p.off+m.Disp)
}
