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
		val := uint64(0)
		if m.holds(cc) {
			val = 1
		}
		return m.put(in, a0, 1, val), nil
	}
	if cc, ok := strings.CutPrefix(op, "CMOV"); ok {
		val := m.value(in, a0, size)
		if m.holds(cc) {
			val = m.value(in, a1, size)
		}
		return m.put(in, a0, size, val), nil
	}
	switch in.Op {
	case x86asm.MOV:
		return m.put(in, a0, size, m.value(in, a1, size)), nil
	case x86asm.MOVZX, x86asm.MOVSX, x86asm.MOVSXD:
		from := in.MemBytes
		if _, width, _, ok := regIndex(a1); ok {
			from = width
		}
		val := m.value(in, a1, from)
		if in.Op != x86asm.MOVZX {
			val = extend(val, from)
		}
		return m.put(in, a0, size, val), nil
	case x86asm.LEA:
		mem := a1.(x86asm.Mem)
		return m.put(in, a0, size, m.addr(in, mem)), nil
	case x86asm.ADD:
		return m.put(in, a0, size, m.sum(m.value(in, a0, size), m.value(in, a1, size), 0, size)), nil
	case x86asm.ADC, x86asm.SBB:
		carry := uint64(0)
		if m.cf {
			carry = 1
		}
		if in.Op == x86asm.ADC {
			return m.put(in, a0, size, m.sum(m.value(in, a0, size), m.value(in, a1, size), carry, size)), nil
		}
		return m.put(in, a0, size, m.difference(m.value(in, a0, size), m.value(in, a1, size), carry, size)), nil
	case x86asm.SUB:
		return m.put(in, a0, size, m.difference(m.value(in, a0, size), m.value(in, a1, size), 0, size)), nil
	case x86asm.CMP:
		m.difference(m.value(in, a0, size), m.value(in, a1, size), 0, size)
		return nil, nil
	case x86asm.TEST:
		m.logic(m.value(in, a0, size)&m.value(in, a1, size), size)
		return nil, nil
	case x86asm.AND, x86asm.OR, x86asm.XOR:
		left, right := m.value(in, a0, size), m.value(in, a1, size)
		result := map[x86asm.Op]uint64{x86asm.AND: left & right, x86asm.OR: left | right,
			x86asm.XOR: left ^ right}[in.Op]
		m.logic(result, size)
		return m.put(in, a0, size, result), nil
	case x86asm.INC, x86asm.DEC:
		keep := m.cf
		val := m.value(in, a0, size)
		if in.Op == x86asm.INC {
			val = m.sum(val, 1, 0, size)
		} else {
			val = m.difference(val, 1, 0, size)
		}
		m.cf = keep
		return m.put(in, a0, size, val), nil
	case x86asm.NEG:
		return m.put(in, a0, size, m.difference(0, m.value(in, a0, size), 0, size)), nil
	case x86asm.NOT:
		return m.put(in, a0, size, ^m.value(in, a0, size)), nil
	case x86asm.BSWAP:
		val := m.value(in, a0, size)
		if size == 4 {
			return m.put(in, a0, size, uint64(bits.ReverseBytes32(uint32(val)))), nil
		}
		return m.put(in, a0, size, bits.ReverseBytes64(val)), nil
	case x86asm.SHL, x86asm.SHR, x86asm.SAR, x86asm.ROL, x86asm.ROR:
		return m.shift(in, size), nil
	case x86asm.IMUL:
		if a1 == nil {
			return m.wide(in, size)
		}
		left, right := a0, a1
		if in.Args[2] != nil {
			left, right = a1, in.Args[2]
		}
		factor, times := extend(m.value(in, left, size), size), extend(m.value(in, right, size), size)
		hi, lo := bits.Mul64(factor, times)
		if int64(factor) < 0 {
			hi -= times
		}
		if int64(times) < 0 {
			hi -= factor
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
				index := int64(extend(m.value(in, a1, size), size))
				m.cf = m.readByte(m.addr(in, mem)+uint64(index>>3))>>(index&7)&1 == 1
				return nil, nil
			}
		}
		m.cf = m.value(in, a0, size)>>(m.value(in, a1, size)%uint64(8*size))&1 == 1
		return nil, nil
	case x86asm.PUSH:
		val := m.value(in, a0, 8)
		m.r[rsp] -= 8
		for i := range 8 {
			m.frame[m.r[rsp]+uint64(i)] = byte(val >> (8 * i))
		}
		return nil, nil
	case x86asm.POP:
		popped := m.read(m.r[rsp], 8)
		m.r[rsp] += 8
		return m.put(in, a0, 8, popped), nil
	case x86asm.LEAVE:
		m.r[rsp] = m.r[rbp] + 8
		m.r[rbp] = m.read(m.r[rbp], 8)
		return nil, nil
	case x86asm.XCHG:
		left, right := m.value(in, a0, size), m.value(in, a1, size)
		m.put(in, a0, size, right)
		return m.put(in, a1, size, left), nil
	case x86asm.STOSQ, x86asm.STOSD, x86asm.STOSB:
		unit := map[x86asm.Op]int{x86asm.STOSB: 1, x86asm.STOSD: 4, x86asm.STOSQ: 8}[in.Op]
		if m.own(m.r[rdi]) && m.r[rcx] < 512 {
			for ; m.r[rcx] > 0; m.r[rcx]-- {
				for i := range unit {
					m.frame[m.r[rdi]+uint64(i)] = byte(m.r[rax] >> (8 * i))
				}
				m.r[rdi] += uint64(unit)
			}
			return nil, nil
		}
		return &event{kind: "other", at: in.at, what: op, addr: m.r[rdi], args: []uint64{m.r[rcx],
			trim(m.r[rax], unit)}, size: unit, sets: []int{rdi, rcx}, next: in.at + uint64(in.Len)}, nil
	case x86asm.MOVSQ, x86asm.MOVSD, x86asm.MOVSB:
		return &event{kind: "other", at: in.at, what: op, addr: m.r[rdi], args: []uint64{m.r[rcx], m.r[rsi]},
			sets: []int{rdi, rcx, rsi}, next: in.at + uint64(in.Len)}, nil
	}
	return nil, fmt.Errorf("%s: unknown instruction %v", m.c.place(in.at), in.Inst)
}

func (m *cpu) shift(in *inst, size int) *event {
	count := uint64(1)
	if in.Args[1] != nil {
		count = m.value(in, in.Args[1], 1)
	}
	count &= 31
	if size == 8 {
		count = m.value(in, in.Args[1], 1) & 63
	}
	width := uint64(8 * size)
	val := m.value(in, in.Args[0], size)
	if count == 0 {
		return m.put(in, in.Args[0], size, val)
	}
	var out uint64
	switch in.Op {
	case x86asm.SHL:
		out = trim(val<<count, size)
		m.cf = count <= width && val>>(width-count)&1 == 1
	case x86asm.SHR:
		out = val >> count
		m.cf = val>>(count-1)&1 == 1
	case x86asm.SAR:
		out = trim(uint64(int64(extend(val, size))>>count), size)
		m.cf = uint64(int64(extend(val, size))>>(count-1))&1 == 1
	case x86asm.ROL:
		out = trim(val<<(count%width)|val>>(width-count%width), size)
	case x86asm.ROR:
		out = trim(val>>(count%width)|val<<(width-count%width), size)
	}
	if in.Op != x86asm.ROL && in.Op != x86asm.ROR {
		m.result(out, size)
	}
	return m.put(in, in.Args[0], size, out)
}

func (m *cpu) wide(in *inst, size int) (*event, error) {
	operand := m.value(in, in.Args[0], size)
	low, high := trim(m.r[rax], size), trim(m.r[rdx], size)
	m.left[rax], m.left[rdx] = false, false
	switch {
	case in.Op == x86asm.MUL && size == 8:
		m.r[rdx], m.r[rax] = bits.Mul64(low, operand)
	case in.Op == x86asm.MUL && size == 4:
		m.r[rax], m.r[rdx] = trim(low*operand, 4), low*operand>>32
	case in.Op == x86asm.IMUL && size == 8:
		hi, lo := bits.Mul64(low, operand)
		if int64(low) < 0 {
			hi -= operand
		}
		if int64(operand) < 0 {
			hi -= low
		}
		m.r[rdx], m.r[rax] = hi, lo
	case in.Op == x86asm.IMUL && size == 4:
		product := extend(low, 4) * extend(operand, 4)
		m.r[rax], m.r[rdx] = trim(product, 4), trim(product>>32, 4)
	case operand == 0:
		return &event{kind: "trap", at: in.at}, nil
	case in.Op == x86asm.DIV && size == 8:
		if high >= operand {
			return &event{kind: "trap", at: in.at}, nil
		}
		m.r[rax], m.r[rdx] = bits.Div64(high, low, operand)
	case in.Op == x86asm.DIV && size == 4:
		dividend := high<<32 | low
		if dividend/operand > 0xffff_ffff {
			return &event{kind: "trap", at: in.at}, nil
		}
		m.r[rax], m.r[rdx] = dividend/operand, dividend%operand
	case in.Op == x86asm.IDIV && size == 4:
		dividend, divisor := int64(high<<32|low), int64(extend(operand, 4))
		if quotient := dividend / divisor; quotient != int64(int32(quotient)) {
			return &event{kind: "trap", at: in.at}, nil
		}
		m.r[rax], m.r[rdx] = trim(uint64(dividend/divisor), 4), trim(uint64(dividend%divisor), 4)
	default:
		return nil, fmt.Errorf("%s: unknown instruction %v", m.c.place(in.at), in.Inst)
	}
	return nil, nil
}
