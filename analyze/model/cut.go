package model

import (
	"slices"
	"sort"
)

// cut makes blocks and edges of the marks.
func (s *scanner) cut() {
	sort.Slice(s.parts[1:], func(i, j int) bool { return s.parts[1+i].start < s.parts[1+j].start })
	slices.SortFunc(s.ctls, func(a, b ctl) int { return cmpU64(a.site, b.site) })
	ctlAt := make(map[uint64]*ctl, len(s.ctls))
	for i := range s.ctls {
		ctlAt[s.ctls[i].site] = &s.ctls[i]
	}
	blockAt := map[uint64]int32{}
	for i := range s.parts {
		end := s.cutPart(&s.parts[i], ctlAt, blockAt)
		if i > 0 && end > s.parts[i].start {
			s.out.parts = append(s.out.parts, Range{s.parts[i].start, end})
		}
	}
	for i := range s.out.blocks {
		s.connect(&s.out.blocks[i], ctlAt, blockAt)
	}
}

// cutPart makes blocks of one part, notes where each begins, and returns where the
// last one ends, 0 when there is none.
func (s *scanner) cutPart(piece *part, ctlAt map[uint64]*ctl, blockAt map[uint64]int32) (end uint64) {
	var open *Block // the block that the instructions before belong to
	for off := 0; off < len(piece.mark); {
		mark := piece.mark[off]
		if mark&markLen == 0 {
			off++
			continue
		}
		addr := piece.start + uint64(off)
		if mark&markLeader != 0 || open == nil || open.End != addr || open.Term != TermFall {
			blockAt[addr] = int32(len(s.out.blocks))
			s.out.blocks = append(s.out.blocks, Block{Start: addr, Term: TermFall})
			open = &s.out.blocks[len(s.out.blocks)-1]
		}
		open.Last, open.End = addr, addr+uint64(mark&markLen)
		end = open.End

		if mark&markCtl != 0 {
			open.Term = ctlAt[addr].term
			if next := open.End - piece.start; open.Term == TermFall && next < uint64(len(piece.mark)) {
				piece.mark[next] |= markLeader // an edge of its own keeps the next instruction apart
			}
		}
		off += int(mark & markLen)
	}
	return end
}

// maxEdges is more than any computed goto of the kernel's has.
const maxEdges = 255

// connect adds the edges of a block.
func (s *scanner) connect(blk *Block, ctlAt map[uint64]*ctl, blockAt map[uint64]int32) {
	parts := s.out
	blk.edge = int32(len(parts.edges))
	add := func(to uint64, k EdgeKind) {
		if block, ok := blockAt[to]; ok {
			parts.edges = append(parts.edges, Edge{To: block, Kind: k})
			return
		}
		parts.flags |= FuncUnknown
		blk.Term = TermUnknown
	}

	// An edge out of the function's blocks is one that could not be followed.
	transfer := ctlAt[blk.Last]
	if transfer == nil || transfer.falls {
		add(blk.End, EdgeFall)
	}
	if transfer != nil {
		for k := range int(transfer.nto) {
			add(transfer.to[k], transfer.kinds[k])
		}
		if transfer.term == TermIndirect {
			for _, addr := range s.b.interior[s.fn] {
				add(addr, EdgeIndirect)
			}
		}
	}

	count := len(parts.edges) - int(blk.edge)
	if count > maxEdges {
		count = maxEdges
		parts.edges = parts.edges[:int(blk.edge)+count]
		parts.flags |= FuncUnknown
	}
	blk.nedg = uint8(count)
}
