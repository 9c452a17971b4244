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
	f := &s.b.m.Funcs[id]
	s.fn, s.out, s.ctls, s.work = id, &scanned{}, s.ctls[:0], s.work[:0]
	s.parts = s.parts[:0]
	if f.Flags&FuncExtern != 0 {
		return s.out
	}
	if !s.addPart(f.Addr, f.End) {
		s.out.flags |= FuncUnknown
		return s.out
	}
	s.leader(f.Addr)
	for _, a := range s.b.interior[id] {
		s.leader(a)
	}
	for len(s.work) > 0 {
		a := s.work[len(s.work)-1]
		s.work = s.work[:len(s.work)-1]
		s.run(a)
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
	p := part{start: start, end: end, code: code, mark: make([]byte, len(code))}
	s.parts = append(s.parts, p)
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
func (s *scanner) leader(a uint64) {
	p := s.part(a)
	if p == nil {
		return
	}
	m := &p.mark[a-p.start]
	if *m&markLeader == 0 {
		if *m&markLen == 0 {
			s.work = append(s.work, a)
		}
		*m |= markLeader
	}
}

// own reports whether a branch from this function to a stays in it, and makes
// out-of-line code part of it when first reached.
func (s *scanner) own(a uint64) bool {
	if s.part(a) != nil {
		return true
	}
	b := s.b
	i := b.p.segmentAt(a)
	if i < 0 || !b.p.segs[i].Exec {
		return false
	}
	seg := &b.p.segs[i]
	switch {
	case seg.Name == ".altinstr_aux" || seg.Name == ".fixup" || strings.HasPrefix(seg.Name, ".altinstr_aux.") || strings.HasPrefix(seg.Name, ".fixup."):
		return s.addPart(a, min(a+256, seg.Addr+seg.Size))
	}
	t := b.funcAt(a)
	if t == NoFunc {
		return false
	}
	tf := &b.m.Funcs[t]
	if parent, ok := coldParent(tf.Name); ok && parent == b.m.Funcs[s.fn].Name {
		return s.addPart(tf.Addr, tf.End)
	}
	return false
}

// run decodes from a until the end of straight-line code.
func (s *scanner) run(a uint64) {
	p := s.part(a)
	var regs argRegs
	for {
		if p == nil || a < p.start || a >= p.end {
			// Falls out of the function: into the next one, as in assembly.
			s.fallOut(a)
			return
		}
		off := a - p.start
		if p.mark[off]&markLen != 0 {
			s.leader(a) // joins code decoded before
			p.mark[off] |= markLeader
			return
		}
		if p.mark[off]&markLeader != 0 {
			regs.reset()
		}
		code := p.code[off:]
		next, stop := s.step(p, a, code, &regs)
		if stop {
			return
		}
		a = next
	}
}

// step follows one instruction and reports where straight-line execution goes on,
// or that it does not.
func (s *scanner) step(p *part, a uint64, code []byte, regs *argRegs) (next uint64, stop bool) {
	tab := &s.b.tab
	mark := &p.mark[a-p.start]
	in, err := s.b.p.arch.Decode(code, a)
	if err != nil {
		return s.undecodable(p, a, code)
	}
	*mark = *mark&^markLen | byte(in.Len)

	// What the kernel may write over it.
	for _, alt := range tab.alt[a] {
		s.altCall(a, alt)
	}
	if to, ok := tab.label[a]; ok {
		s.end(&in, mark, s.label(a, to, regs))
		return 0, true
	}

	// What it does itself.
	flow := s.control(p, &in, code, regs)
	switch {
	case flow.ends:
		s.end(&in, mark, flow.ctl)
		return 0, true
	case flow.warns:
		return in.Next(), false
	}

	if alts := s.altTargets(a); len(alts) > 0 {
		s.end(&in, mark, s.withAlts(ctl{term: TermCond, falls: true}, alts))
		return 0, true
	}
	if _, ok := tab.fixup[a]; ok {
		s.end(&in, mark, ctl{term: TermFall, falls: true})
		return 0, true
	}
	return in.Next(), false
}

// undecodable goes on behind bytes that are no instruction, if they are the start
// of one that goes on in what follows the function; else the block ends there.
func (s *scanner) undecodable(p *part, a uint64, code []byte) (next uint64, stop bool) {
	mark := &p.mark[a-p.start]
	if s.overlaps(a, code) {
		*mark = *mark&^markLen | byte(len(code))
		return p.end, false
	}
	s.out.flags |= FuncUnknown
	*mark |= 1 | markCtl
	s.ctls = append(s.ctls, ctl{site: a, term: TermUnknown})
	return 0, true
}

// end notes that a block ends at an instruction, and queues where it leads.
func (s *scanner) end(in *machine.Inst, mark *byte, c ctl) {
	c.site = in.Addr
	*mark |= markCtl
	if fix, ok := s.b.tab.fixup[in.Addr]; ok && s.own(fix) {
		c.add(fix, EdgeExcept)
	}
	if c.falls && s.part(in.Next()) == nil { // runs on into the next function, as in assembly
		c.falls = false
		if t := s.tail(in.Addr, in.Next(), nil); c.term == TermCond || c.term == TermFall {
			c.term = t.term
			if t.term == TermTail && c.nto > 0 {
				c.term = TermCondTail
			}
		}
	}
	for i := range int(c.nto) {
		s.leader(c.to[i])
	}
	s.ctls = append(s.ctls, c)
	if c.falls {
		// Queued when it is new, so that what is known of registers is forgotten.
		s.leader(in.Next())
	}
}

// label is the end of a block at a jump label, which falls through or jumps.
func (s *scanner) label(a, to uint64, regs *argRegs) ctl {
	c := ctl{term: TermCond, falls: true}
	if s.own(to) {
		c.add(to, EdgeLabel)
		return c
	}
	s.tail(a, to, regs)
	c.term = TermCondTail
	return c
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
func (s *scanner) control(p *part, in *machine.Inst, code []byte, regs *argRegs) control {
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
			c := ctl{term: TermJump}
			c.add(target, EdgeJump)
			return ends(s.withAlts(c, alts))
		}
		return ends(s.withAlts(s.tail(in.Addr, target, regs), alts))

	case machine.JumpIf:
		target, _ := in.Target()
		c := ctl{term: TermCond, falls: true}
		if s.own(target) {
			c.add(target, EdgeJump)
		} else if s.tail(in.Addr, target, regs).term != TermReturn { // else it jumps to the return thunk
			c.term = TermCondTail
		}
		return ends(c)

	case machine.Return:
		return ends(ctl{term: TermReturn})
	case machine.SystemReturn:
		if s.pushed(p, in) {
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
func (s *scanner) pushed(p *part, ret *machine.Inst) bool {
	at := ret.Addr - p.start
	for back := uint64(1); back <= min(at, markLen); back++ {
		if uint64(p.mark[at-back]&markLen) != back {
			continue
		}
		in, err := s.b.p.arch.Decode(p.code[at-back:], ret.Addr-back)
		from := &in.Args[0]
		return err == nil && in.Op == machine.Push && from.Kind == machine.KindImm && uint64(from.Imm) == ret.Next()
	}
	return false
}

// overlaps reports whether an instruction reaches over the function's end into
// what follows, which has a name of its own: retbleed_untrain_ret hides the
// return of retbleed_return_thunk in an operand (arch/x86/lib/retpoline.S, v6.1).
// Execution goes on there.
func (s *scanner) overlaps(a uint64, code []byte) bool {
	if len(code) >= 15 {
		return false
	}
	for n := 15; n > len(code); n-- {
		whole, err := s.b.p.Read(a, n)
		if err != nil {
			continue
		}
		in, err := s.b.p.arch.Decode(whole, a)
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
func (s *scanner) fallOut(a uint64) {
	// The last instruction decoded becomes the end of its block.
	for i := range s.parts {
		p := &s.parts[i]
		if a != p.end {
			continue
		}
		for o := len(p.mark) - 1; o >= 0 && o >= len(p.mark)-15; o-- {
			if n := int(p.mark[o] & markLen); n != 0 && o+n == len(p.mark) {
				site := p.start + uint64(o)
				if p.mark[o]&markCtl != 0 {
					return
				}
				p.mark[o] |= markCtl
				c := s.tail(site, a, nil)
				s.ctls = append(s.ctls, ctl{site: site, term: c.term})
				return
			}
		}
	}
	s.out.flags |= FuncUnknown
}
