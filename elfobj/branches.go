package elfobj

import "encoding/binary"

// branchLen is the length of a direct call or jump of x86-64 with a displacement
// of 32 bits: one byte of opcode, four of displacement.
const branchLen = 5

// BranchesTo looks for the displacement at every byte, without decoding: that takes
// milliseconds for a whole kernel, and a wrong hit needs the right four bytes behind 0xe8 or
// 0xe9 by chance.
func (amd64) BranchesTo(code []byte, base, to uint64) []uint64 {
	var sites []uint64
	for i := 0; i+branchLen <= len(code); i++ {
		if code[i] != 0xe8 && code[i] != 0xe9 {
			continue
		}
		disp := int32(binary.LittleEndian.Uint32(code[i+1:]))
		if site := base + uint64(i); site+branchLen+uint64(int64(disp)) == to {
			sites = append(sites, site)
		}
	}
	return sites
}

func (a arm64) BranchesTo(code []byte, base, to uint64) []uint64 {
	return branchesTo(a, code, base, to)
}

func (a ppc64le) BranchesTo(code []byte, base, to uint64) []uint64 {
	return branchesTo(a, code, base, to)
}

func (a s390x) BranchesTo(code []byte, base, to uint64) []uint64 {
	return branchesTo(a, code, base, to)
}

func (a loongarch64) BranchesTo(code []byte, base, to uint64) []uint64 {
	return branchesTo(a, code, base, to)
}

// shortest is the length of an instruction that cannot be decoded, bytes: of all
// architectures whose code is read from one instruction to the next.
const shortest = 2

// branchesTo reads one instruction after the other.
func branchesTo(arch Arch, code []byte, base, to uint64) []uint64 {
	var sites []uint64
	for off := 0; off < len(code); {
		insn, err := arch.Decode(code[off:])
		if err != nil {
			off += shortest
			continue
		}
		site := base + uint64(off)
		if (insn.Kind == BranchCall || insn.Kind == BranchJump) && site+uint64(insn.PCBase)+uint64(insn.Disp) == to {
			sites = append(sites, site)
		}
		off += insn.Len
	}
	return sites
}
