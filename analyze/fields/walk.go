package fields

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/arch/x86/x86asm"

	"github.com/klpforge/klpforge/analyze/flow"
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// Types are prototypes and structures of a kernel. It is safe for concurrent
// use.
type Types struct {
	protos map[string]*btf.FuncProto // nil for a name with several prototypes
	task   *btf.Struct
	// objects are the types of data objects by address, as far as they are known.
	objects map[uint64]btf.Type
}

// WithObjects returns types that also know what some data objects of the
// program are, by address.
func (t *Types) WithObjects(objects map[uint64]btf.Type) *Types {
	if t == nil {
		return nil
	}
	c := *t
	c.objects = objects
	return &c
}

// Load reads raw BTF, for example section .BTF of a vmlinux.
func Load(raw []byte) (*Types, *Tables, error) {
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	if err != nil {
		return nil, nil, fmt.Errorf("read BTF: %w", err)
	}
	types, err := newTypes(spec)
	if err != nil {
		return nil, nil, fmt.Errorf("read BTF: %w", err)
	}
	tables, err := newTables(spec)
	if err != nil {
		return nil, nil, fmt.Errorf("read BTF: %w", err)
	}
	return types, tables, nil
}

func newTypes(spec *btf.Spec) (*Types, error) {
	t := &Types{protos: map[string]*btf.FuncProto{}}
	for typ, err := range spec.All() {
		if err != nil {
			return nil, err
		}
		switch x := typ.(type) {
		case *btf.Func:
			p, ok := x.Type.(*btf.FuncProto)
			if !ok {
				continue
			}
			if old, seen := t.protos[x.Name]; seen && (old == nil || Signature(old) != Signature(p)) {
				p = nil
			}
			t.protos[x.Name] = p
		case *btf.Struct:
			if x.Name == "task_struct" && t.task == nil {
				t.task = x
			}
		}
	}
	return t, nil
}

// Proto returns the prototype of a function, nil when none or several are
// known. Clones, which the compiler gave parameters of its own, have none.
func (t *Types) Proto(name string) *btf.FuncProto {
	if t == nil || strings.Contains(name, ".") {
		return nil
	}
	return t.protos[name]
}

// value is what a register or stack slot holds: a pointer to off bytes into a
// structure or other type, or a function pointer that was loaded from member.
type value struct {
	to     btf.Type // what it points to; nil when not known
	off    int64
	member string // where it was loaded from, as Field.Inner; for parameters "#n"
}

const nregs = 16

type state struct {
	regs  [nregs]value
	slots map[int64]value // by offset from the stack pointer at entry
	sp    int64           // the stack pointer, from that at entry
	spOK  bool
}

func (s *state) clone() *state {
	c := *s
	c.slots = make(map[int64]value, len(s.slots))
	for k, v := range s.slots {
		c.slots[k] = v
	}
	return &c
}

// meet keeps what both agree on and reports whether s changed.
func (s *state) meet(o *state) bool {
	changed := false
	for i := range s.regs {
		if s.regs[i].to != nil && s.regs[i] != o.regs[i] {
			if s.regs[i].to == o.regs[i].to && s.regs[i].off == o.regs[i].off {
				if s.regs[i].member != "" {
					s.regs[i].member, changed = "", true
				}
				continue
			}
			s.regs[i], changed = value{}, true
		}
	}
	for k, v := range s.slots {
		if o.slots[k] != v {
			delete(s.slots, k)
			changed = true
		}
	}
	if s.spOK && (!o.spOK || s.sp != o.sp) {
		s.spOK, changed = false, true
		s.slots = map[int64]value{}
	}
	return changed
}

// Visit is told of every instruction, in some order, once, with a view of the
// registers before it.
type Visit func(in *model.Inst, at *At)

// At is what is known before one instruction. It is valid during the call.
type At struct{ s *state }

// Walk follows a function of the model and calls visit for each instruction
// that can be reached.
func Walk(m *model.Model, t *Types, id model.FuncID, visit Visit) {
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
		Join:  func(into **state, from *state, _ int) bool { return (*into).meet(from) },
		Transfer: func(s **state, k int) {
			for x := range m.Instructions(&blocks[k]) {
				w.step(*s, &x)
			}
		},
	})
	for k := range blocks {
		s := r.In[k]
		if s == nil || !r.Complete {
			s = &state{slots: map[int64]value{}}
		}
		at := &At{s: s}
		for x := range m.Instructions(&blocks[k]) {
			visit(&x, at)
			w.step(s, &x)
		}
	}
}

type walker struct {
	m       *model.Model
	t       *Types
	targets map[uint64]string // call site -> callee
}

// convention is how functions of the kernel call each other.
var convention = machine.X86.Convention()

func (w *walker) entry(name string) *state {
	s := &state{slots: map[int64]value{}, spOK: true}
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

// Reg numbers a general register as the processor does.
func Reg(r x86asm.Reg) (n, size int, ok bool) {
	m := machine.FromX86Reg(r)
	return int(m.Num), int(m.Size), r != 0 && m.Class == machine.General
}

const rsp = 4

// step follows one instruction.
func (w *walker) step(s *state, in *model.Inst) {
	m := in.Machine()
	e := m.Effects()
	if e.Unknown {
		*s = state{slots: map[int64]value{}}
		return
	}
	if m.Op == machine.Call {
		w.call(s, w.targets[in.Addr])
		return
	}
	n, v := w.assigned(s, in, &m)
	stored := w.stored(s, &m)

	sp := s.sp
	for _, a := range e.Memory() {
		if a.Write {
			s.overwrite(a)
		}
	}
	if e.AnyMemory {
		s.slots = map[int64]value{}
	}
	switch {
	case e.Stack == machine.StackMoved:
		s.sp += e.StackDelta
	case e.Stack == machine.StackSame:
	case m.Op == machine.And: // alignment: slots are lost, the layout below is consistent
		s.slots = map[int64]value{}
	default:
		s.spOK, s.slots = false, map[int64]value{}
	}
	for r := range e.Writes.All {
		s.regs[r] = value{}
	}
	if n != machine.NoReg && n != machine.RSP {
		s.regs[n] = v
	}
	if stored.to == nil {
		return
	}
	for _, a := range e.Memory() {
		if a.Write && a.Mem.Width == 8 && a.Mem.Base == machine.RSP && a.Mem.Index == machine.NoReg {
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
func (w *walker) assigned(s *state, in *model.Inst, m *machine.Inst) (n machine.Num, v value) {
	n, size, ok := m.Args[0].General()
	switch {
	case !ok || !m.Writes(0):
		return machine.NoReg, value{}
	case m.Op == machine.Pop && size == 8:
		return n, s.slots[s.sp]
	case size == 8 && in.Known && m.Op != machine.Exchange && m.Op != machine.ExchangeAdd:
		return n, w.result(s, in, int(n))
	}
	return n, value{}
}

// stored is the register that an instruction stores into memory as it is.
func (w *walker) stored(s *state, m *machine.Inst) value {
	from := &m.Args[1]
	switch m.Op {
	case machine.Push:
		from = &m.Args[0]
	case machine.Move:
	default:
		return value{}
	}
	if n, size, ok := from.General(); ok && size == 8 {
		return s.regs[n]
	}
	return value{}
}

// overwrite forgets the slots that a store reaches. Slots are what the compiler
// keeps there for itself: neither another pointer nor an index leads to one.
func (s *state) overwrite(a machine.Access) {
	if a.Mem.Base != machine.RSP || a.Mem.Index != machine.NoReg {
		return
	}
	if a.Mem.Width == 0 || !s.spOK {
		s.slots = map[int64]value{}
		return
	}
	from := s.sp + a.Mem.Disp
	for at := range s.slots {
		if at < from+int64(a.Mem.Width) && at+8 > from {
			delete(s.slots, at)
		}
	}
}

// result is what a 64-bit instruction leaves in its register.
func (w *walker) result(s *state, in *model.Inst, dst int) value {
	switch in.Op {
	case x86asm.MOV:
		switch a := in.Args[1].(type) {
		case x86asm.Reg:
			if n, _, ok := Reg(a); ok {
				return s.regs[n]
			}
		case x86asm.Mem:
			if slot, ok := s.slot(a); ok {
				return s.slots[slot]
			}
			if a.Segment == x86asm.GS {
				if at, ok := in.MemAddr(a); ok && w.current(at) {
					return value{to: w.t.task}
				}
				return value{}
			}
			f, ok := s.field(a)
			if !ok {
				return w.loaded(in, a)
			}
			return pointer(f.Type, f.inner)
		case x86asm.Imm:
			return w.object(uint64(a))
		}
	case x86asm.LEA:
		if m, ok := in.Args[1].(x86asm.Mem); ok && m.Base == x86asm.RIP {
			a, _ := in.MemAddr(m)
			return w.object(a)
		}
		if m, ok := in.Args[1].(x86asm.Mem); ok && m.Index == 0 {
			if n, _, ok := Reg(m.Base); ok && n != rsp && s.regs[n].to != nil {
				v := s.regs[n]
				v.off += m.Disp
				return v
			}
		}
	case x86asm.CMOVA, x86asm.CMOVAE, x86asm.CMOVB, x86asm.CMOVBE, x86asm.CMOVE, x86asm.CMOVNE, x86asm.CMOVG, x86asm.CMOVGE, x86asm.CMOVL, x86asm.CMOVLE, x86asm.CMOVS, x86asm.CMOVNS:
		if r, ok := in.Args[1].(x86asm.Reg); ok {
			if n, _, ok := Reg(r); ok && s.regs[n].to == s.regs[dst].to && s.regs[n].off == s.regs[dst].off {
				return s.regs[dst]
			}
		}
	case x86asm.ADD, x86asm.SUB:
		if imm, ok := in.Args[1].(x86asm.Imm); ok && s.regs[dst].to != nil {
			v := s.regs[dst]
			if in.Op == x86asm.SUB {
				imm = -imm
			}
			v.off += int64(imm)
			return v
		}
	}
	return value{}
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
func (w *walker) loaded(in *model.Inst, m x86asm.Mem) value {
	if w.t == nil || w.t.objects == nil || m.Segment != 0 {
		return value{}
	}
	addr, ok := in.MemAddr(m)
	if !ok {
		if m.Base != 0 || m.Scale != 8 {
			return value{}
		}
		addr = uint64(int64(int32(m.Disp)))
	}
	b, err := w.m.Prog.Read(addr, 8)
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

func (s *state) slot(m x86asm.Mem) (int64, bool) {
	if m.Base != x86asm.RSP || m.Index != 0 || !s.spOK {
		return 0, false
	}
	return s.sp + m.Disp, true
}

func (s *state) set(slot int64, v value) {
	if !s.spOK {
		return
	}
	if v.to == nil {
		delete(s.slots, slot)
	} else {
		s.slots[slot] = v
	}
}

// Field is a member of a structure.
type Field struct {
	Owner  string // the structure that the pointer points to, without "struct"
	Member string // with inner members, "f_path.dentry"
	Type   btf.Type
	inner  string // the innermost named structure, and the member in it
}

// Name is "owner.member".
func (f *Field) Name() string { return f.Owner + "." + f.Member }

// Inner is the name of the member in the innermost structure that has a name:
// "path.dentry" for file.f_path.dentry. It is the same wherever that structure
// is embedded.
func (f *Field) Inner() string { return f.inner }

// Field returns the member that a memory operand refers to.
func (a *At) Field(m x86asm.Mem) (Field, bool) { return a.s.field(m) }

// Pointer returns the prototype of the function pointer in a register, and
// where it was loaded from: a member as Field.Inner says it, "#n" for the
// function's parameter n, "" when not known.
func (a *At) Pointer(reg int) (proto *btf.FuncProto, member string, ok bool) {
	v := a.s.regs[reg]
	p, ok := v.to.(*btf.FuncProto)
	return p, v.member, ok && v.off == 0
}

func (s *state) field(m x86asm.Mem) (Field, bool) {
	if m.Segment != 0 || m.Base == 0 || m.Base == x86asm.RIP {
		return Field{}, false
	}
	n, size, ok := Reg(m.Base)
	if !ok || size != 8 || n == rsp || s.regs[n].to == nil {
		return Field{}, false
	}
	off := s.regs[n].off + m.Disp
	if m.Index != 0 {
		return Field{}, false
	}
	return memberAt(s.regs[n].to, off)
}

// memberAt finds the innermost member at an offset in bytes.
func memberAt(t btf.Type, off int64) (Field, bool) {
	f := Field{}
	switch x := t.(type) {
	case *btf.Struct:
		f.Owner = x.Name
	case *btf.Union:
		f.Owner = x.Name
	case *btf.Pointer: // a pointer to a pointer
		return Field{Owner: "", Type: x}, off == 0
	default:
		return f, false
	}
	if off < 0 {
		return f, false
	}
	for range 12 {
		var members []btf.Member
		switch x := t.(type) {
		case *btf.Struct:
			members = x.Members
		case *btf.Union:
			members = x.Members
		case *btf.Array:
			size, err := btf.Sizeof(x.Type)
			if err != nil || size == 0 {
				return f, false
			}
			off %= int64(size)
			t = btf.UnderlyingType(x.Type)
			continue
		default:
			f.Type = t
			return f, off == 0 && f.Member != ""
		}
		found := false
		for i := range members {
			m := &members[i]
			start := int64(m.Offset.Bytes())
			size, err := btf.Sizeof(m.Type)
			if err != nil || off < start || off >= start+int64(max(size, 1)) {
				continue
			}
			if n := structName(t); n != "" {
				f.inner = n
			}
			if m.Name != "" {
				if f.Member != "" {
					f.Member += "."
				}
				f.Member += m.Name
				f.inner += "." + m.Name
			}
			off -= start
			t = btf.UnderlyingType(m.Type)
			found = true
			break
		}
		if !found {
			return f, false
		}
	}
	return f, false
}

// Signature spells a prototype so that equal ones compare equal.
func Signature(p *btf.FuncProto) string {
	var b strings.Builder
	b.WriteString(key(p.Return))
	for i := range p.Params {
		b.WriteByte(',')
		b.WriteString(key(p.Params[i].Type))
	}
	return b.String()
}

func key(t btf.Type) string {
	s := ""
	for range 8 {
		switch x := btf.UnderlyingType(t).(type) {
		case *btf.Pointer:
			s += "*"
			t = x.Target
			continue
		case *btf.Struct:
			return s + "struct " + x.Name
		case *btf.Union:
			return s + "union " + x.Name
		case *btf.Fwd:
			return s + "struct " + x.Name
		case *btf.Int:
			return s + x.Name
		case *btf.Enum:
			return s + "unsigned int" // enums convert silently
		case *btf.FuncProto:
			return s + "()"
		case *btf.Void:
			return s + "void"
		default:
			return s + x.TypeName()
		}
	}
	return s
}

// PointerSignature is the signature of what a function pointer points to, ""
// for other types.
func PointerSignature(t btf.Type) string {
	p, ok := btf.UnderlyingType(t).(*btf.Pointer)
	if !ok {
		return ""
	}
	if f, ok := btf.UnderlyingType(p.Target).(*btf.FuncProto); ok {
		return Signature(f)
	}
	return ""
}

func structName(t btf.Type) string {
	switch x := t.(type) {
	case *btf.Struct:
		return x.Name
	case *btf.Union:
		return x.Name
	}
	return ""
}
