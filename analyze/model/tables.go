package model

import (
	"encoding/binary"

	"github.com/klpforge/klpforge/analyze/machine"
)

// altInsn is one entry of .altinstructions: at boot the instruction at Site
// may be replaced.
type altInsn struct {
	site, repl       uint64
	siteLen, replLen int
}

// siteTables index the special tables by code address.
type siteTables struct {
	warn  map[uint64]bool   // ud2 sites: true for WARN (goes on), false for BUG
	fixup map[uint64]uint64 // instruction that may fault -> where execution goes on
	label map[uint64]uint64 // jump label site -> target
	alt   map[uint64][]altInsn
}

// le is the byte order of x86.
var le = binary.LittleEndian

// readTables decodes the special tables. Entry sizes differ between kernels;
// each table's size is the one under which its first field of every entry
// points to code.
func (p *Program) readTables() siteTables {
	sites := siteTables{warn: map[uint64]bool{}, fixup: map[uint64]uint64{}, label: map[uint64]uint64{},
		alt: map[uint64][]altInsn{}}
	rel := func(b []byte, at uint64, i, off int) uint64 {
		return at + uint64(i+off) + uint64(int64(int32(le.Uint32(b[i+off:]))))
	}
	// struct bug_entry (include/asm-generic/bug.h): 12 bytes with
	// CONFIG_DEBUG_BUGVERBOSE, else 8 or 6; flags are the last 2 bytes but in
	// the 8-byte form. BUGFLAG_WARNING is bit 0.
	bug, at := p.tables.bug, p.tables.bugAt
	if size := p.entrySize(bug, at, p.traps, 12, 8, 6); size > 0 {
		fl := size - 2
		if size == 8 {
			fl = 4
		}
		for i := 0; i+size <= len(bug); i += size {
			sites.warn[rel(bug, at, i, 0)] = le.Uint16(bug[i+fl:])&1 != 0
		}
	}
	// struct exception_table_entry (arch/x86/include/asm/extable.h): insn,
	// fixup and, since 4.6, a third 4-byte field.
	ex, at := p.tables.extable, p.tables.extableAt
	if size := p.entrySize(ex, at, p.codeAt, 12, 8); size > 0 {
		for i := 0; i+size <= len(ex); i += size {
			sites.fixup[rel(ex, at, i, 0)] = rel(ex, at, i, 4)
		}
	}
	// struct jump_entry: 4-byte code and target, 8-byte key (since 4.19).
	jl, at := p.tables.jump, p.tables.jumpAt
	if size := p.entrySize(jl, at, p.codeAt, 16); size > 0 {
		for i := 0; i+size <= len(jl); i += size {
			sites.label[rel(jl, at, i, 0)] = rel(jl, at, i, 4)
		}
	}
	// struct alt_instr (arch/x86/include/asm/alternative.h): two 4-byte
	// offsets, then cpuid (2 bytes; 4 since 6.3), instrlen, replacementlen and,
	// before 5.13, padlen.
	alt, at := p.tables.alt, p.tables.altAt
	if size := p.entrySize(alt, at, p.codeAt, 12, 14, 13); size > 0 {
		lengths := 10
		if size == 14 {
			lengths = 12
		}
		for i := 0; i+size <= len(alt); i += size {
			swap := altInsn{site: rel(alt, at, i, 0), repl: rel(alt, at, i, 4), siteLen: int(alt[i+lengths]),
				replLen: int(alt[i+lengths+1])}
			sites.alt[swap.site] = append(sites.alt[swap.site], swap)
		}
	}
	return sites
}

// entrySize returns the first of sizes that divides the table and under which
// ok holds for what the first field of nearly every entry points to; 0 when
// none fits.
func (p *Program) entrySize(entries []byte, at uint64, ok func(uint64) bool, sizes ...int) int {
	for _, size := range sizes {
		if len(entries) == 0 || len(entries)%size != 0 {
			continue
		}
		good, all := 0, 0
		for i := 0; i+size <= len(entries); i += size {
			all++
			if ok(at + uint64(i) + uint64(int64(int32(le.Uint32(entries[i:]))))) {
				good++
			}
		}
		if good*100 >= all*95 {
			return size
		}
	}
	return 0
}

// maxInst is more than the length of any instruction, bytes.
const maxInst = 16

// decodeAt decodes the instruction at an address, of which no more than size bytes are
// looked at.
func (p *Program) decodeAt(addr uint64, size int) (machine.Inst, bool) {
	code, err := p.Read(addr, 1)
	if err != nil || size < 1 {
		return machine.Inst{}, false
	}
	for size = min(size, maxInst); size > 1; size-- { // perhaps the segment ends before
		if whole, err := p.Read(addr, size); err == nil {
			code = whole
			break
		}
	}
	in, err := p.arch.Decode(code, addr)
	return in, err == nil
}

// branchAt is where the instruction at an address leads that does so by an
// operation, call or jump, without a condition.
func (p *Program) branchAt(addr uint64, n int, op machine.Op) (to uint64, ok bool) {
	in, ok := p.decodeAt(addr, n)
	if !ok || in.Op != op {
		return 0, false
	}
	return in.Target()
}

// traps reports whether a trapping instruction lies at addr, as BUG and WARN have.
func (p *Program) traps(addr uint64) bool {
	if !p.codeAt(addr) {
		return false
	}
	in, ok := p.decodeAt(addr, maxInst)
	return ok && in.Op == machine.Trap
}
