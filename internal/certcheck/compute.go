package certcheck

import (
	"fmt"
	"math/bits"
	"strings"

	"golang.org/x/arch/x86/x86asm"
)

// compute executes instructions that change registers, flags and the frame, and
// stores.
func (m *cpu) compute(in *inst, op string, size int) (*event, error) {
	a0, a1 := in.Args[0], in.Args[1]
	if cc, ok := strings.CutPrefix(op, "SET"); ok {
		v := uint64(0)
		if m.holds(cc) {
			v = 1
		}
		return m.put(in, a0, 1, v), nil
	}
	if cc, ok := strings.CutPrefix(op, "CMOV"); ok {
		v := m.value(in, a0, size)
		if m.holds(cc) {
			v = m.value(in, a1, size)
		}
		return m.put(in, a0, size, v), nil
	}
	switch in.Op {
	case x86asm.MOV:
		return m.put(in, a0, size, m.value(in, a1, size)), nil
	case x86asm.MOVZX, x86asm.MOVSX, x86asm.MOVSXD:
		from := in.MemBytes
		if _, n, _, ok := regIndex(a1); ok {
			from = n
		}
		v := m.value(in, a1, from)
		if in.Op != x86asm.MOVZX {
			v = extend(v, from)
		}
		return m.put(in, a0, size, v), nil
	case x86asm.LEA:
		mem := a1.(x86asm.Mem)
		return m.put(in, a0, size, m.addr(in, mem)), nil
	case x86asm.ADD:
		return m.put(in, a0, size, m.sum(m.value(in, a0, size), m.value(in, a1, size), 0, size)), nil
	case x86asm.ADC, x86asm.SBB:
		c := uint64(0)
		if m.cf {
			c = 1
		}
		if in.Op == x86asm.ADC {
			return m.put(in, a0, size, m.sum(m.value(in, a0, size), m.value(in, a1, size), c, size)), nil
		}
		return m.put(in, a0, size, m.difference(m.value(in, a0, size), m.value(in, a1, size), c, size)), nil
	case x86asm.SUB:
		return m.put(in, a0, size, m.difference(m.value(in, a0, size), m.value(in, a1, size), 0, size)), nil
	case x86asm.CMP:
		m.difference(m.value(in, a0, size), m.value(in, a1, size), 0, size)
		return nil, nil
	case x86asm.TEST:
		m.logic(m.value(in, a0, size)&m.value(in, a1, size), size)
		return nil, nil
	case x86asm.AND, x86asm.OR, x86asm.XOR:
		x, y := m.value(in, a0, size), m.value(in, a1, size)
		v := map[x86asm.Op]uint64{x86asm.AND: x & y, x86asm.OR: x | y, x86asm.XOR: x ^ y}[in.Op]
		m.logic(v, size)
		return m.put(in, a0, size, v), nil
	case x86asm.INC, x86asm.DEC:
		keep := m.cf
		x := m.value(in, a0, size)
		if in.Op == x86asm.INC {
			x = m.sum(x, 1, 0, size)
		} else {
			x = m.difference(x, 1, 0, size)
		}
		m.cf = keep
		return m.put(in, a0, size, x), nil
	case x86asm.NEG:
		return m.put(in, a0, size, m.difference(0, m.value(in, a0, size), 0, size)), nil
	case x86asm.NOT:
		return m.put(in, a0, size, ^m.value(in, a0, size)), nil
	case x86asm.BSWAP:
		v := m.value(in, a0, size)
		if size == 4 {
			return m.put(in, a0, size, uint64(bits.ReverseBytes32(uint32(v)))), nil
		}
		return m.put(in, a0, size, bits.ReverseBytes64(v)), nil
	case x86asm.SHL, x86asm.SHR, x86asm.SAR, x86asm.ROL, x86asm.ROR:
		return m.shift(in, size), nil
	case x86asm.IMUL:
		if a1 == nil {
			return m.wide(in, size)
		}
		x, y := a0, a1
		if in.Args[2] != nil {
			x, y = a1, in.Args[2]
		}
		p, q := extend(m.value(in, x, size), size), extend(m.value(in, y, size), size)
		hi, lo := bits.Mul64(p, q)
		if int64(p) < 0 {
			hi -= q
		}
		if int64(q) < 0 {
			hi -= p
		}
		m.of = extend(trim(lo, size), size) != lo || hi != uint64(int64(lo)>>63)
		m.cf = m.of
		return m.put(in, a0, size, lo), nil
	case x86asm.MUL, x86asm.DIV, x86asm.IDIV:
		return m.wide(in, size)
	case x86asm.CWDE:
		m.r[rax] = trim(extend(trim(m.r[rax], 2), 2), 4)
		return nil, nil
	case x86asm.CDQE:
		m.r[rax] = extend(trim(m.r[rax], 4), 4)
		return nil, nil
	case x86asm.CDQ:
		m.left[rdx] = false
		m.r[rdx] = trim(uint64(int64(extend(trim(m.r[rax], 4), 4))>>63), 4)
		return nil, nil
	case x86asm.CQO:
		m.left[rdx] = false
		m.r[rdx] = uint64(int64(m.r[rax]) >> 63)
		return nil, nil
	case x86asm.BT:
		if mem, ok := a0.(x86asm.Mem); ok {
			if _, imm := a1.(x86asm.Imm); !imm {
				n := int64(extend(m.value(in, a1, size), size))
				m.cf = m.readByte(m.addr(in, mem)+uint64(n>>3))>>(n&7)&1 == 1
				return nil, nil
			}
		}
		m.cf = m.value(in, a0, size)>>(m.value(in, a1, size)%uint64(8*size))&1 == 1
		return nil, nil
	case x86asm.PUSH:
		v := m.value(in, a0, 8)
		m.r[rsp] -= 8
		for i := range 8 {
			m.frame[m.r[rsp]+uint64(i)] = byte(v >> (8 * i))
		}
		return nil, nil
	case x86asm.POP:
		v := m.read(m.r[rsp], 8)
		m.r[rsp] += 8
		return m.put(in, a0, 8, v), nil
	case x86asm.LEAVE:
		m.r[rsp] = m.r[rbp] + 8
		m.r[rbp] = m.read(m.r[rbp], 8)
		return nil, nil
	case x86asm.XCHG:
		x, y := m.value(in, a0, size), m.value(in, a1, size)
		m.put(in, a0, size, y)
		return m.put(in, a1, size, x), nil
	case x86asm.STOSQ, x86asm.STOSD, x86asm.STOSB:
		n := map[x86asm.Op]int{x86asm.STOSB: 1, x86asm.STOSD: 4, x86asm.STOSQ: 8}[in.Op]
		if m.own(m.r[rdi]) && m.r[rcx] < 512 {
			for ; m.r[rcx] > 0; m.r[rcx]-- {
				for i := range n {
					m.frame[m.r[rdi]+uint64(i)] = byte(m.r[rax] >> (8 * i))
				}
				m.r[rdi] += uint64(n)
			}
			return nil, nil
		}
		return &event{kind: "other", at: in.at, what: op, addr: m.r[rdi], args: []uint64{m.r[rcx],
			trim(m.r[rax], n)}, size: n, sets: []int{rdi, rcx}, next: in.at + uint64(in.Len)}, nil
	case x86asm.MOVSQ, x86asm.MOVSD, x86asm.MOVSB:
		return &event{kind: "other", at: in.at, what: op, addr: m.r[rdi], args: []uint64{m.r[rcx], m.r[rsi]},
			sets: []int{rdi, rcx, rsi}, next: in.at + uint64(in.Len)}, nil
	}
	return nil, fmt.Errorf("%s: unknown instruction %v", m.c.place(in.at), in.Inst)
}

func (m *cpu) shift(in *inst, size int) *event {
	n := uint64(1)
	if in.Args[1] != nil {
		n = m.value(in, in.Args[1], 1)
	}
	n &= 31
	if size == 8 {
		n = m.value(in, in.Args[1], 1) & 63
	}
	w := uint64(8 * size)
	v := m.value(in, in.Args[0], size)
	if n == 0 {
		return m.put(in, in.Args[0], size, v)
	}
	var out uint64
	switch in.Op {
	case x86asm.SHL:
		out = trim(v<<n, size)
		m.cf = n <= w && v>>(w-n)&1 == 1
	case x86asm.SHR:
		out = v >> n
		m.cf = v>>(n-1)&1 == 1
	case x86asm.SAR:
		out = trim(uint64(int64(extend(v, size))>>n), size)
		m.cf = uint64(int64(extend(v, size))>>(n-1))&1 == 1
	case x86asm.ROL:
		out = trim(v<<(n%w)|v>>(w-n%w), size)
	case x86asm.ROR:
		out = trim(v>>(n%w)|v<<(w-n%w), size)
	}
	if in.Op != x86asm.ROL && in.Op != x86asm.ROR {
		m.result(out, size)
	}
	return m.put(in, in.Args[0], size, out)
}

func (m *cpu) wide(in *inst, size int) (*event, error) {
	b := m.value(in, in.Args[0], size)
	a, d := trim(m.r[rax], size), trim(m.r[rdx], size)
	m.left[rax], m.left[rdx] = false, false
	switch {
	case in.Op == x86asm.MUL && size == 8:
		m.r[rdx], m.r[rax] = bits.Mul64(a, b)
	case in.Op == x86asm.MUL && size == 4:
		m.r[rax], m.r[rdx] = trim(a*b, 4), a*b>>32
	case in.Op == x86asm.IMUL && size == 8:
		hi, lo := bits.Mul64(a, b)
		if int64(a) < 0 {
			hi -= b
		}
		if int64(b) < 0 {
			hi -= a
		}
		m.r[rdx], m.r[rax] = hi, lo
	case in.Op == x86asm.IMUL && size == 4:
		p := extend(a, 4) * extend(b, 4)
		m.r[rax], m.r[rdx] = trim(p, 4), trim(p>>32, 4)
	case b == 0:
		return &event{kind: "trap", at: in.at}, nil
	case in.Op == x86asm.DIV && size == 8:
		if d >= b {
			return &event{kind: "trap", at: in.at}, nil
		}
		m.r[rax], m.r[rdx] = bits.Div64(d, a, b)
	case in.Op == x86asm.DIV && size == 4:
		n := d<<32 | a
		if n/b > 0xffff_ffff {
			return &event{kind: "trap", at: in.at}, nil
		}
		m.r[rax], m.r[rdx] = n/b, n%b
	case in.Op == x86asm.IDIV && size == 4:
		n, x := int64(d<<32|a), int64(extend(b, 4))
		if q := n / x; q != int64(int32(q)) {
			return &event{kind: "trap", at: in.at}, nil
		}
		m.r[rax], m.r[rdx] = trim(uint64(n/x), 4), trim(uint64(n%x), 4)
	default:
		return nil, fmt.Errorf("%s: unknown instruction %v", m.c.place(in.at), in.Inst)
	}
	return nil, nil
}
