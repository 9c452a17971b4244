package model

import (
	"bytes"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze/machine"
)

// scanner decodes functions one at a time; each worker has its own. It walks
// from the entry along direct branches, marks what it sees in one byte per
// code byte, and afterwards cuts the marked bytes into blocks.
type scanner struct {
	b     *builder
	fn    FuncID
	parts []part
	ctls  []ctl
	work  []uint64
	out   *scanned
}

// part is one contiguous range of a function. mark has for each byte: the
// instruction's length in bits 0-3 if one starts there, and the flags below.
type part struct {
	start, end uint64
	code       []byte
	mark       []byte
}

const (
	markLen    = 0x0f // no instruction is longer
	markLeader = 0x10
	markCtl    = 0x20
)

// ctl is an instruction that ends a block.
type ctl struct {
	site  uint64
	term  Term
	to    [2]uint64 // destinations within the function, besides the fall-through
	kinds [2]EdgeKind
	nto   uint8
	falls bool
}

// scanned is what one function's code says; block and edge numbers are local.
type scanned struct {
	blocks []Block
	edges  []Edge
	calls  []Call
	refs   []CodeRef
	parts  []Range
	flags  FuncFlags
}

func (s *scanner) scan(id FuncID) *scanned {
	fn := &s.b.m.Funcs[id]
	s.fn, s.out, s.ctls, s.work = id, &scanned{}, s.ctls[:0], s.work[:0]
	s.parts = s.parts[:0]
	if fn.Flags&FuncExtern != 0 {
		return s.out
	}
	if !s.addPart(fn.Addr, fn.End) {
		s.out.flags |= FuncUnknown
		return s.out
	}

	// From the entry and from each target of a jump table, for as long as new code is reached.
	s.leader(fn.Addr)
	for _, addr := range s.b.interior[id] {
		s.leader(addr)
	}
	for len(s.work) > 0 {
		addr := s.work[len(s.work)-1]
		s.work = s.work[:len(s.work)-1]
		s.run(addr)
	}

	s.cut()
	slices.SortStableFunc(s.out.calls, func(a, b Call) int {
		if a.Site != b.Site {
			return cmpU64(a.Site, b.Site)
		}
		return int(a.Kind) - int(b.Kind)
	})
	slices.SortStableFunc(s.out.refs, func(a, b CodeRef) int { return cmpU64(a.Addr, b.Addr) })
	return s.out
}

func cmpU64(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (s *scanner) addPart(start, end uint64) bool {
	code, err := s.b.p.Read(start, int(end-start))
	if err != nil || len(code) == 0 {
		return false
	}
	piece := part{start: start, end: end, code: code, mark: make([]byte, len(code))}
	s.parts = append(s.parts, piece)
	return true
}

func (s *scanner) part(a uint64) *part {
	for i := range s.parts {
		if a >= s.parts[i].start && a < s.parts[i].end {
			return &s.parts[i]
		}
	}
	return nil
}

// leader marks the start of a block and queues it once.
func (s *scanner) leader(addr uint64) {
	piece := s.part(addr)
	if piece == nil {
		return
	}
	mark := &piece.mark[addr-piece.start]
	if *mark&markLeader == 0 {
		if *mark&markLen == 0 {
			s.work = append(s.work, addr)
		}
		*mark |= markLeader
	}
}

// own reports whether a branch from this function to a stays in it, and makes
// out-of-line code part of it when first reached.
func (s *scanner) own(addr uint64) bool {
	if s.part(addr) != nil {
		return true
	}
	build := s.b
	i := build.p.segmentAt(addr)
	if i < 0 || !build.p.segs[i].Exec {
		return false
	}
	seg := &build.p.segs[i]
	switch {
	case seg.Name == ".altinstr_aux" || seg.Name == ".fixup" || strings.HasPrefix(seg.Name, ".altinstr_aux.") ||
		strings.HasPrefix(seg.Name, ".fixup."):
		return s.addPart(addr, min(addr+256, seg.Addr+seg.Size))
	}
	target := build.funcAt(addr)
	if target == NoFunc {
		return false
	}
	tf := &build.m.Funcs[target]
	if parent, ok := coldParent(tf.Name); ok && parent == build.m.Funcs[s.fn].Name {
		return s.addPart(tf.Addr, tf.End)
	}
	return false
}

// run decodes from a until the end of straight-line code.
func (s *scanner) run(addr uint64) {
	piece := s.part(addr)
	var regs argRegs
	for {
		if piece == nil || addr < piece.start || addr >= piece.end {
			// Falls out of the function: into the next one, as in assembly.
			s.fallOut(addr)
			return
		}
		off := addr - piece.start
		if piece.mark[off]&markLen != 0 {
			s.leader(addr) // joins code decoded before
			piece.mark[off] |= markLeader
			return
		}
		if piece.mark[off]&markLeader != 0 {
			regs.reset()
		}
		code := piece.code[off:]
		next, stop := s.step(piece, addr, code, &regs)
		if stop {
			return
		}
		addr = next
	}
}

// step follows one instruction and reports where straight-line execution goes on,
// or that it does not.
func (s *scanner) step(piece *part, addr uint64, code []byte, regs *argRegs) (next uint64, stop bool) {
	tab := &s.b.tab
	mark := &piece.mark[addr-piece.start]
	in, err := s.b.p.arch.Decode(code, addr)
	if err != nil {
		return s.undecodable(piece, addr, code)
	}
	*mark = *mark&^markLen | byte(in.Len)

	// What the kernel may write over it.
	for _, alt := range tab.alt[addr] {
		s.altCall(addr, alt)
	}
	if to, ok := tab.label[addr]; ok {
		s.end(&in, mark, s.label(addr, to, regs))
		return 0, true
	}

	// What it does itself.
	flow := s.control(piece, &in, code, regs)
	switch {
	case flow.ends:
		s.end(&in, mark, flow.ctl)
		return 0, true
	case flow.warns:
		return in.Next(), false
	}

	if alts := s.altTargets(addr); len(alts) > 0 {
		s.end(&in, mark, s.withAlts(ctl{term: TermCond, falls: true}, alts))
		return 0, true
	}
	if _, ok := tab.fixup[addr]; ok {
		s.end(&in, mark, ctl{term: TermFall, falls: true})
		return 0, true
	}
	return in.Next(), false
}

// undecodable goes on behind bytes that are no instruction, if they are the start
// of one that goes on in what follows the function; else the block ends there.
func (s *scanner) undecodable(p *part, addr uint64, code []byte) (next uint64, stop bool) {
	mark := &p.mark[addr-p.start]
	if s.overlaps(addr, code) {
		*mark = *mark&^markLen | byte(len(code))
		return p.end, false
	}
	s.out.flags |= FuncUnknown
	*mark |= 1 | markCtl
	s.ctls = append(s.ctls, ctl{site: addr, term: TermUnknown})
	return 0, true
}

// end notes that a block ends at an instruction, and queues where it leads.
func (s *scanner) end(in *machine.Inst, mark *byte, kind ctl) {
	kind.site = in.Addr
	*mark |= markCtl
	if fix, ok := s.b.tab.fixup[in.Addr]; ok && s.own(fix) {
		kind.add(fix, EdgeExcept)
	}
	if kind.falls && s.part(in.Next()) == nil { // runs on into the next function, as in assembly
		kind.falls = false
		if tail := s.tail(in.Addr, in.Next(), nil); kind.term == TermCond || kind.term == TermFall {
			kind.term = tail.term
			if tail.term == TermTail && kind.nto > 0 {
				kind.term = TermCondTail
			}
		}
	}
	for i := range int(kind.nto) {
		s.leader(kind.to[i])
	}
	s.ctls = append(s.ctls, kind)
	if kind.falls {
		// Queued when it is new, so that what is known of registers is forgotten.
		s.leader(in.Next())
	}
}

// label is the end of a block at a jump label, which falls through or jumps.
func (s *scanner) label(addr, to uint64, regs *argRegs) ctl {
	kind := ctl{term: TermCond, falls: true}
	if s.own(to) {
		kind.add(to, EdgeLabel)
		return kind
	}
	s.tail(addr, to, regs)
	kind.term = TermCondTail
	return kind
}

// control is what an instruction does to the flow of control.
type control struct {
	ctl
	ends  bool // its block, as ctl says
	warns bool // it traps, and the kernel goes on behind it
}

func ends(c ctl) control { return control{ctl: c, ends: true} }

// control judges an instruction by itself, and notes what it calls and which
// addresses it takes. code begins with it.
func (s *scanner) control(piece *part, in *machine.Inst, code []byte, regs *argRegs) control {
	switch in.Op {
	case machine.Call:
		if target, direct := in.Target(); !direct {
			s.indirect(in, false)
		} else if s.call(in.Addr, target, regs) {
			return ends(ctl{term: TermNoReturn})
		}
		regs.reset()

	case machine.Jump:
		target, direct := in.Target()
		if !direct {
			s.indirect(in, true)
			return ends(s.indirectEnd())
		}
		alts := s.altTargets(in.Addr)
		if s.own(target) {
			next := ctl{term: TermJump}
			next.add(target, EdgeJump)
			return ends(s.withAlts(next, alts))
		}
		return ends(s.withAlts(s.tail(in.Addr, target, regs), alts))

	case machine.JumpIf:
		target, _ := in.Target()
		kind := ctl{term: TermCond, falls: true}
		if s.own(target) {
			kind.add(target, EdgeJump)
		} else if s.tail(in.Addr, target, regs).term != TermReturn { // else it jumps to the return thunk
			kind.term = TermCondTail
		}
		return ends(kind)

	case machine.Return:
		return ends(ctl{term: TermReturn})
	case machine.SystemReturn:
		if s.pushed(piece, in) {
			return ends(ctl{term: TermFall, falls: true})
		}
		return ends(ctl{term: TermReturn})

	case machine.Trap:
		if s.b.tab.warn[in.Addr] {
			return control{warns: true}
		}
		return ends(ctl{term: TermNoReturn})
	case machine.Interrupt:
		// Breakpoints as padding are never executed; a single one is a probe or self-test.
		rest := code[in.Len:]
		if in.Args[0].Imm == 3 && (len(rest) == 0 || bytes.HasPrefix(rest, code[:in.Len])) {
			return ends(ctl{term: TermNoReturn})
		}

	default:
		s.track(in, regs)
	}
	return control{}
}

// pushed reports whether a return goes on behind itself, at an address that the
// instruction before it has pushed, as in sync_core
// (arch/x86/include/asm/sync_core.h, v6.1).
func (s *scanner) pushed(piece *part, ret *machine.Inst) bool {
	at := ret.Addr - piece.start
	for back := uint64(1); back <= min(at, markLen); back++ {
		if uint64(piece.mark[at-back]&markLen) != back {
			continue
		}
		in, err := s.b.p.arch.Decode(piece.code[at-back:], ret.Addr-back)
		from := &in.Args[0]
		return err == nil && in.Op == machine.Push && from.Kind == machine.KindImm && uint64(from.Imm) == ret.Next()
	}
	return false
}

// overlaps reports whether an instruction reaches over the function's end into
// what follows, which has a name of its own: retbleed_untrain_ret hides the
// return of retbleed_return_thunk in an operand (arch/x86/lib/retpoline.S, v6.1).
// Execution goes on there.
func (s *scanner) overlaps(addr uint64, code []byte) bool {
	if len(code) >= 15 {
		return false
	}
	for length := 15; length > len(code); length-- {
		whole, err := s.b.p.Read(addr, length)
		if err != nil {
			continue
		}
		in, err := s.b.p.arch.Decode(whole, addr)
		return err == nil && in.Len > len(code)
	}
	return false
}

func (c *ctl) add(to uint64, k EdgeKind) {
	if int(c.nto) < len(c.to) {
		c.to[c.nto], c.kinds[c.nto] = to, k
		c.nto++
	}
}

// fallOut ends straight-line code that runs into the next function.
func (s *scanner) fallOut(addr uint64) {
	// The last instruction decoded becomes the end of its block.
	for i := range s.parts {
		piece := &s.parts[i]
		if addr != piece.end {
			continue
		}
		for off := len(piece.mark) - 1; off >= 0 && off >= len(piece.mark)-15; off-- {
			if length := int(piece.mark[off] & markLen); length != 0 && off+length == len(piece.mark) {
				site := piece.start + uint64(off)
				if piece.mark[off]&markCtl != 0 {
					return
				}
				piece.mark[off] |= markCtl
				next := s.tail(site, addr, nil)
				s.ctls = append(s.ctls, ctl{site: site, term: next.term})
				return
			}
		}
	}
	s.out.flags |= FuncUnknown
}
