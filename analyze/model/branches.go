package model

import "encoding/binary"

// branchLen is the length of a direct call or jump of x86-64 with a displacement
// of 32 bits: one byte of opcode, four of displacement.
const branchLen = 5

// BranchesTo returns the addresses of the direct calls and jumps to one address, in
// order, of code that lies at base. It looks for the displacement at every byte,
// without decoding: that takes milliseconds for a whole kernel, and a wrong hit needs
// the right four bytes behind 0xe8 or 0xe9 by chance. Conditional and short jumps are
// not among them; both stay inside a function.
func BranchesTo(code []byte, base, to uint64) []uint64 {
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
