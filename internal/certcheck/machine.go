package certcheck

import (
	"fmt"
	"math/bits"
	"strings"

	"golang.org/x/arch/x86/x86asm"
)

// The register numbers of instructions.
const (
	rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi = 0, 1, 2, 3, 4, 5, 6, 7
)

var names = []string{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
	"r13", "r14", "r15"}

// stackTop is the stack pointer at the entry; what lies within reach of it is
// the function's frame.
const stackTop, stackReach = 0xffffc900_0000_8000, 0x4000

// cpu is a processor that runs one function on numbers. Memory is a function of
// its epoch and the address; the frame is its own.
type cpu struct {
	c              *code
	pc             uint64
	r              [16]uint64
	cf, zf, sf, of bool
	pf             bool
	left           [16]bool // what a call left there, or nothing is said of it
	frame          map[uint64]byte
	mem            func(addr uint64) byte
	apart          uint64 // from the old function's frame to this one's
	stop           uint64 // a read without use of the value, which is an event
	cur            uint64 // the instruction that is executed
	returned       uint64 // where a tail call left the function, 0 before
}

// event is what others can see, or a test.
type event struct {
	kind      string // "store", "call", "return", "trap", "other", "test"
	at        uint64
	callee    string
	addr, val uint64
	size      int
	args      []uint64
	next, alt uint64 // where control goes on; of a test: the way not taken
	tail      bool
	sets      []int // registers that an "other" sets
	what      string
	left      bool // it returns from the function that it jumped to
}

func (m *cpu) own(a uint64) bool { return a-(stackTop-stackReach) < 2*stackReach }

func (m *cpu) readByte(a uint64) byte {
	if m.own(a) {
		if val, ok := m.frame[a]; ok {
			return val
		}
		if a < stackTop {
			a -= m.apart
		}
		return byte(a * 37)
	}
	return m.mem(a)
}

func (m *cpu) read(a uint64, size int) (v uint64) {
	for i := range size {
		v |= uint64(m.readByte(a+uint64(i))) << (8 * i)
	}
	return v
}

func regIndex(a x86asm.Arg) (n, size int, high bool, ok bool) {
	reg, is := a.(x86asm.Reg)
	if !is || reg == 0 {
		return
	}
	switch {
	case reg >= x86asm.AL && reg <= x86asm.BL:
		return int(reg - x86asm.AL), 1, false, true
	case reg >= x86asm.AH && reg <= x86asm.BH:
		return int(reg - x86asm.AH), 1, true, true
	case reg >= x86asm.SPB && reg <= x86asm.R15B:
		return int(reg-x86asm.SPB) + 4, 1, false, true
	case reg >= x86asm.AX && reg <= x86asm.R15W:
		return int(reg - x86asm.AX), 2, false, true
	case reg >= x86asm.EAX && reg <= x86asm.R15L:
		return int(reg - x86asm.EAX), 4, false, true
	case reg >= x86asm.RAX && reg <= x86asm.R15:
		return int(reg - x86asm.RAX), 8, false, true
	}
	return
}

const gsBase = 0x7000_0000_0000

func (m *cpu) addr(in *inst, a x86asm.Mem) uint64 {
	addr := uint64(a.Disp)
	if a.Disp>>31 == 1 {
		addr = uint64(int64(int32(a.Disp)))
	}
	if a.Base == x86asm.RIP {
		addr += in.at + uint64(in.Len)
	} else if base, _, _, ok := regIndex(a.Base); ok {
		addr += m.r[base]
	}
	if index, _, _, ok := regIndex(a.Index); ok {
		addr += m.r[index] * uint64(a.Scale)
	}
	if a.Segment == x86asm.GS {
		addr += gsBase
	}
	return addr
}

func sizeOf(in *inst) int {
	if _, size, _, ok := regIndex(in.Args[0]); ok {
		return size
	}
	if in.MemBytes > 0 {
		return in.MemBytes
	}
	return in.DataSize / 8
}

func trim(v uint64, size int) uint64 {
	if size >= 8 {
		return v
	}
	return v & (1<<(8*size) - 1)
}

func extend(v uint64, size int) uint64 {
	shift := 64 - 8*size
	return uint64(int64(v<<shift) >> shift)
}

func (m *cpu) value(in *inst, a x86asm.Arg, size int) uint64 {
	if reg, width, high, ok := regIndex(a); ok {
		if high {
			return m.r[reg] >> 8 & 0xff
		}
		return trim(m.r[reg], min(width, size))
	}
	switch arg := a.(type) {
	case x86asm.Imm:
		val := uint64(arg)
		if size == 8 && in.Len < 10 && val>>31 == 1 {
			val = extend(val, 4)
		}
		return trim(val, size)
	case x86asm.Mem:
		return m.read(m.addr(in, arg), size)
	}
	return 0
}

// put writes an operand; the event is a store outside of the frame.
func (m *cpu) put(in *inst, a x86asm.Arg, size int, v uint64) *event {
	if reg, width, high, ok := regIndex(a); ok {
		m.left[reg] = m.left[reg] && (high || width < 4)
		switch {
		case high:
			m.r[reg] = m.r[reg]&^0xff00 | v&0xff<<8
		case width >= 4:
			m.r[reg] = trim(v, width)
		default:
			m.r[reg] = m.r[reg]&^trim(^uint64(0), width) | trim(v, width)
		}
		return nil
	}
	mem, ok := a.(x86asm.Mem)
	if !ok {
		return nil
	}
	at := m.addr(in, mem)
	if m.own(at) {
		for i := range size {
			m.frame[at+uint64(i)] = byte(v >> (8 * i))
		}
		return nil
	}
	return &event{kind: "store", at: in.at, addr: at, val: trim(v, size), size: size, next: in.at + uint64(in.Len)}
}

func (m *cpu) logic(v uint64, size int) {
	m.cf, m.of = false, false
	m.result(v, size)
}

func (m *cpu) result(v uint64, size int) {
	v = trim(v, size)
	m.zf, m.sf = v == 0, v>>(8*size-1)&1 == 1
	m.pf = bits.OnesCount8(uint8(v))%2 == 0
}

func (m *cpu) sum(a, b, carry uint64, size int) uint64 {
	sum, carryOut := bits.Add64(a, b, carry)
	if size < 8 {
		carryOut = sum >> (8 * size) & 1
	}
	sum = trim(sum, size)
	m.cf = carryOut == 1
	m.of = (a^sum)&(b^sum)>>(8*size-1)&1 == 1
	m.result(sum, size)
	return sum
}

func (m *cpu) difference(a, b, borrow uint64, size int) uint64 {
	rest := trim(a-b-borrow, size)
	m.cf = a < b || borrow == 1 && a == b
	m.of = (a^b)&(a^rest)>>(8*size-1)&1 == 1
	m.result(rest, size)
	return rest
}

// holds reports whether the condition in an opcode's name is met.
func (m *cpu) holds(cc string) bool {
	switch cc {
	case "E":
		return m.zf
	case "NE":
		return !m.zf
	case "B":
		return m.cf
	case "AE":
		return !m.cf
	case "A":
		return !m.cf && !m.zf
	case "BE":
		return m.cf || m.zf
	case "L":
		return m.sf != m.of
	case "GE":
		return m.sf == m.of
	case "G":
		return m.sf == m.of && !m.zf
	case "LE":
		return m.sf != m.of || m.zf
	case "S":
		return m.sf
	case "NS":
		return !m.sf
	case "O":
		return m.of
	case "NO":
		return !m.of
	case "P":
		return m.pf
	case "NP":
		return !m.pf
	}
	panic("condition " + cc)
}

// run executes up to the next event.
func (m *cpu) run() (*event, error) {
	if m.returned != 0 {
		return &event{kind: "return", at: m.returned, val: m.r[rax], left: true}, nil
	}
	const most = 20000
	for range most {
		in, err := m.c.decode(m.pc)
		if err != nil {
			return nil, err
		}
		if key, ok := m.c.keys[m.pc]; ok {
			ev := &event{kind: "test", at: m.pc, next: m.pc + uint64(in.Len), alt: key.target}
			if (m.mem(key.name)&1 == 1) != key.turned {
				ev.next, ev.alt = ev.alt, ev.next
			}
			return ev, nil
		}
		if m.stop == m.pc {
			return m.readOnly(in)
		}
		m.cur = m.pc
		ev, err := m.step(in)
		if err != nil || ev != nil {
			return ev, err
		}
	}
	return nil, fmt.Errorf("%s: no event", m.c.place(m.pc))
}

// readOnly gives a read as an event.
func (m *cpu) readOnly(in *inst) (*event, error) {
	mem, ok := in.Args[1].(x86asm.Mem)
	reg, size, _, isReg := regIndex(in.Args[0])
	if in.Op != x86asm.MOV || !ok || !isReg {
		return nil, fmt.Errorf("%s is no read", m.c.place(in.at))
	}
	return &event{kind: "read", at: in.at, addr: m.addr(in, mem), size: size, sets: []int{reg},
		next: in.at + uint64(in.Len)}, nil
}

// step executes one instruction.
func (m *cpu) step(in *inst) (*event, error) {
	next := in.at + uint64(in.Len)
	op := in.Op.String()
	size := sizeOf(in)
	lock := false
	for _, prefix := range in.Prefix {
		lock = lock || prefix&0xff == x86asm.PrefixLOCK
	}
	if _, mem := in.Args[0].(x86asm.Mem); lock || in.Op == x86asm.XCHG && mem {
		return m.atomic(in, size, next)
	}
	m.pc = next
	switch in.Op {
	case x86asm.JMP, x86asm.CALL:
		return m.transfer(in, next)
	case x86asm.RET:
		return &event{kind: "return", at: in.at, val: m.r[rax]}, nil
	case x86asm.UD2:
		return &event{kind: "trap", at: in.at, next: next}, nil
	case x86asm.NOP:
		return nil, nil
	case x86asm.PAUSE, x86asm.MFENCE, x86asm.LFENCE, x86asm.SFENCE, x86asm.CLI, x86asm.STI:
		return &event{kind: "other", at: in.at, what: op, next: next}, nil
	}
	if cc, ok := strings.CutPrefix(op, "J"); ok {
		ev := &event{kind: "test", at: in.at, next: next, alt: in.to}
		if m.holds(cc) {
			ev.next, ev.alt = in.to, next
		}
		m.pc = in.at
		return ev, nil
	}
	ev, err := m.compute(in, op, size)
	if ev != nil {
		m.pc = in.at
	}
	return ev, err
}

func (m *cpu) transfer(in *inst, next uint64) (*event, error) {
	tail := in.Op == x86asm.JMP
	if _, ok := in.Args[0].(x86asm.Rel); !ok {
		if tail {
			return nil, fmt.Errorf("%s: jump through a pointer", m.c.place(in.at))
		}
		return &event{kind: "call", at: in.at, addr: m.value(in, in.Args[0], 8), next: next}, nil
	}
	if in.callee == "" {
		if !tail {
			in.callee = m.c.name
		} else {
			m.pc = in.to
			return nil, nil
		}
	}
	if in.callee == "__fentry__" {
		return nil, nil
	}
	if in.callee == "__x86_return_thunk" {
		return &event{kind: "return", at: in.at, val: m.r[rax]}, nil
	}
	m.pc = in.at
	if reg, ok := strings.CutPrefix(in.callee, "__x86_indirect_thunk_"); ok {
		for nth, name := range names {
			if name == reg {
				return &event{kind: "call", at: in.at, addr: m.r[nth], next: next, tail: tail}, nil
			}
		}
	}
	return &event{kind: "call", at: in.at, callee: in.callee, next: next, tail: tail}, nil
}

// atomic is one event: what it does with memory is the same for both sides.
func (m *cpu) atomic(in *inst, size int, next uint64) (*event, error) {
	ev := &event{kind: "other", at: in.at, what: "locked " + in.Op.String(), size: size, next: next}
	for _, arg := range in.Args {
		switch arg := arg.(type) {
		case x86asm.Mem:
			ev.addr = m.addr(in, arg)
			if m.own(ev.addr) { // lock add $0, the stack: a barrier
				ev.addr = 0
			}
		case x86asm.Reg:
			ev.args = append(ev.args, m.value(in, arg, size))
		case x86asm.Imm:
			ev.args = append(ev.args, m.value(in, arg, size))
		}
	}
	switch in.Op {
	case x86asm.CMPXCHG:
		ev.args, ev.sets = append(ev.args, trim(m.r[rax], size)), []int{rax}
	case x86asm.XADD, x86asm.XCHG:
		for _, arg := range in.Args[:2] {
			if reg, _, _, ok := regIndex(arg); ok {
				ev.sets = []int{reg}
			}
		}
	}
	return ev, nil
}
