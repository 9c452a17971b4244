package equiv

import (
	"slices"

	"golang.org/x/arch/x86/x86asm"
)

// unused reports whether nothing reads the register that an instruction sets:
// on every way, as far as a bounded search sees, it is set anew before. It errs
// towards used.
func (b *body) unused(in *insn, reg int) bool { return b.unread(in.next(), reg, nil) }

// unread is unused from a place on. callees tells how many registers for
// parameters a called function reads, -1 when that is not known; nil when it is of
// none.
func (b *body) unread(from place, reg int, callees func(string) int) bool {
	const most = 300
	seen := map[place]bool{}
	work := []place{from}
	for n := 0; len(work) > 0; n++ {
		if n > most {
			return false
		}
		at := work[len(work)-1]
		work = work[:len(work)-1]
		if seen[at] {
			continue
		}
		seen[at] = true
		x, err := b.at(at)
		if err != nil {
			return false
		}
		if callees != nil && x.special == ".altinstructions" {
			return false // what the kernel puts there may read anything
		}
		reads, writes := touches(x, reg)
		if _, direct := x.Args[0].(x86asm.Rel); callees != nil && (x.Op == x86asm.CALL || x.Op == x86asm.JMP) &&
			direct {
			_, to, err := b.target(x)
			if err != nil {
				return false
			}
			if to != nil && to.name == "__fentry__" {
				work = append(work, x.next())
				continue
			}
			if to != nil && to.name != "__x86_return_thunk" {
				n, at := callees(to.name), slices.Index(argRegs[:], reg)
				if n < 0 || at < n {
					return false
				}
				continue // a call sets it, and a jump does not come back
			}
			if to != nil {
				continue
			}
		}
		if reads {
			return false
		}
		if writes {
			continue
		}
		_, jump := jumps[x.Op]
		switch {
		case x.Op == x86asm.RET:
			if reg == rax {
				return false
			}
			continue
		case x.Op == x86asm.JMP || jump:
			to, other, err := b.target(x)
			if err != nil {
				return false
			}
			if other != nil {
				if reg == rax || reg == rdi || reg == rsi || reg == rdx || reg == rcx || reg == r8 || reg == r9 {
					// The return thunk keeps rax; another function takes arguments.
					if reg == rax || other.name != "__x86_return_thunk" {
						return false
					}
				}
			} else {
				work = append(work, to)
			}
			if x.Op == x86asm.JMP {
				continue
			}
		}
		work = append(work, x.next())
	}
	return true
}

// touches tells what an instruction does with a register: reads it, or sets all
// of it.
func touches(in *insn, reg int) (reads, writes bool) {
	for i, a := range in.Args {
		switch a := a.(type) {
		case x86asm.Mem:
			for _, r := range []x86asm.Reg{a.Base, a.Index} {
				if n, _, _, ok := regOf(r); ok && r != 0 && n == reg {
					reads = true
				}
			}
		case x86asm.Reg:
			n, width, _, ok := regOf(a)
			if !ok || n != reg {
				continue
			}
			plain := in.Op == x86asm.MOV || in.Op == x86asm.MOVZX || in.Op == x86asm.MOVSX ||
				in.Op == x86asm.MOVSXD || in.Op == x86asm.LEA || in.Op == x86asm.POP
			zero := (in.Op == x86asm.XOR || in.Op == x86asm.SUB) && in.Args[0] == in.Args[1]
			if i == 0 && (plain || zero) && width >= 32 {
				writes = true
			} else if !zero {
				reads = true
			}
		}
	}
	switch in.Op {
	case x86asm.CALL:
		switch reg {
		case rax, r10, r11:
			writes = writes || !reads
		case rdi, rsi, rdx, rcx, r8, r9:
			reads = true
		}
	case x86asm.NOP:
		return false, false
	case x86asm.MOV, x86asm.MOVZX, x86asm.MOVSX, x86asm.MOVSXD, x86asm.LEA, x86asm.POP, x86asm.PUSH, x86asm.ADD,
		x86asm.SUB, x86asm.AND, x86asm.OR, x86asm.XOR, x86asm.CMP, x86asm.TEST,
		x86asm.JMP, x86asm.RET, x86asm.INC, x86asm.DEC, x86asm.BT, x86asm.NOT, x86asm.NEG:
	default:
		if _, ok := jumps[in.Op]; !ok && (reg == rax || reg == rcx || reg == rdx || reg == rsi || reg == rdi) {
			reads = true // perhaps without naming it
		}
	}
	return reads, writes && !reads
}
