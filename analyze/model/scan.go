package model

import (
	"slices"
	"sort"
	"strings"

	"golang.org/x/arch/x86/x86asm"

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
		if *m&0xf == 0 {
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
		if p.mark[off]&0xf != 0 {
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

// step decodes one instruction and reports where straight-line execution goes
// on, or that it does not.
func (s *scanner) step(p *part, a uint64, code []byte, regs *argRegs) (next uint64, stop bool) {
	t := &s.b.tab
	op, n, disp := quick(code)
	var in Inst
	if n == 0 {
		var err error
		in, err = Decode(code, a)
		if err != nil && s.overlaps(a, code) {
			p.mark[a-p.start] = p.mark[a-p.start]&^0xf | byte(len(code))
			return p.end, false
		}
		if err != nil {
			s.out.flags |= FuncUnknown
			p.mark[a-p.start] |= 1 | markCtl
			s.ctls = append(s.ctls, ctl{site: a, term: TermUnknown})
			return 0, true
		}
		op, n = in.Op, in.Len
	}
	mark := &p.mark[a-p.start]
	*mark = *mark&^0xf | byte(n)
	next = a + uint64(n)
	end := func(c ctl) (uint64, bool) {
		c.site = a
		*mark |= markCtl
		if fix, ok := t.fixup[a]; ok && s.own(fix) && c.nto < 2 {
			c.add(fix, EdgeExcept)
		}
		if c.falls && s.part(next) == nil { // runs on into the next function, as in assembly
			c.falls = false
			if t := s.tail(a, next, nil); c.term == TermCond || c.term == TermFall {
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
			s.leader(next)
			// leader queued it when it was new; go on from the queue, which
			// resets what is known of registers.
		}
		return 0, true
	}
	for _, alt := range t.alt[a] {
		s.altCall(a, alt)
	}
	if to, ok := t.label[a]; ok {
		c := ctl{term: TermCond, falls: true}
		if op == x86asm.JMP && to == next+uint64(disp) {
			c.term = TermCond
		}
		if s.own(to) {
			c.add(to, EdgeLabel)
		} else {
			s.tail(a, to, regs)
			c.term = TermCondTail
		}
		return end(c)
	}
	_, rel := in.Args[0].(x86asm.Rel)
	direct := in.Len == 0 || rel
	target := next + uint64(disp)
	if in.Len != 0 && rel {
		target, _ = in.RelTarget()
	}
	switch op {
	case x86asm.CALL:
		if direct {
			if s.call(a, target, regs) {
				return end(ctl{term: TermNoReturn})
			}
		} else {
			s.indirect(&in, false)
		}
		regs.reset()
	case x86asm.JMP:
		if !direct {
			s.indirect(&in, true)
			return end(s.indirectEnd())
		}
		alts := s.altTargets(a)
		if s.own(target) {
			c := ctl{term: TermJump}
			c.add(target, EdgeJump)
			return end(s.withAlts(c, alts))
		}
		c := s.tail(a, target, regs)
		return end(s.withAlts(c, alts))
	case x86asm.IRETQ:
		// sync_core goes on behind its own iret, whose address it has pushed.
		if o := a - p.start; o >= 5 && p.code[o-5] == 0x68 && uint64(int64(int32(le.Uint32(p.code[o-4:])))) == next {
			return end(ctl{term: TermFall, falls: true})
		}
		return end(ctl{term: TermReturn})
	case x86asm.RET, x86asm.LRET, x86asm.IRET, x86asm.IRETD, x86asm.SYSRET, x86asm.SYSEXIT:
		return end(ctl{term: TermReturn})
	case x86asm.UD2, x86asm.UD1:
		if w, ok := t.warn[a]; ok && w {
			return next, false
		}
		return end(ctl{term: TermNoReturn})
	case x86asm.INT:
		// int3 padding is never executed; a single one is a probe or self-test.
		if code[0] == 0xcc && (len(code) == 1 || code[1] == 0xcc) {
			return end(ctl{term: TermNoReturn})
		}
	case 0: // x86asm does not know it
		m := in.Machine()
		e := m.Effects()
		if e.Flow == machine.FlowReturn { // of FRED and the like
			return end(ctl{term: TermReturn})
		}
		if e.Side&machine.SideInterrupts != 0 {
			s.out.flags |= FuncContext
		}
		regs.forget(&in)
	default:
		if direct && in.Len == 0 || rel && op != x86asm.XBEGIN { // conditional
			if s.own(target) {
				c := ctl{term: TermCond, falls: true}
				c.add(target, EdgeJump)
				return end(c)
			}
			c := s.tail(a, target, regs)
			if c.term == TermReturn { // jcc to the return thunk
				return end(ctl{term: TermCond, falls: true})
			}
			return end(ctl{term: TermCondTail, falls: true})
		}
		s.track(&in, regs)
	}
	if alts := s.altTargets(a); len(alts) > 0 {
		return end(s.withAlts(ctl{term: TermCond, falls: true}, alts))
	}
	if _, ok := t.fixup[a]; ok {
		return end(ctl{term: TermFall, falls: true})
	}
	return next, false
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
		in, err := Decode(whole, a)
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
			if n := int(p.mark[o] & 0xf); n != 0 && o+n == len(p.mark) {
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

// call records a direct call and reports whether it is known not to return.
func (s *scanner) call(site, target uint64, regs *argRegs) bool {
	b := s.b
	c := Call{Site: site, Caller: s.fn, Via: NoFunc, Kind: CallDirect}
	c.Target = b.funcAt(target)
	if c.Target == NoFunc {
		s.out.calls = append(s.out.calls, c)
		return false
	}
	t := &b.m.Funcs[c.Target]
	switch {
	case b.indirectThunk[c.Target]:
		c.Kind, c.Via, c.Target = CallIndirect, c.Target, NoFunc
		s.out.flags |= FuncIndirect
	case t.Flags&FuncTrampoline != 0:
		c.Kind, c.Via, c.Target = CallStatic, c.Target, b.trampoline[c.Target]
	default:
		c.Interior = target != t.Addr
	}
	s.out.calls = append(s.out.calls, c)
	regs.flush(s, site)
	return c.Target != NoFunc && !c.Interior && b.noReturn[c.Target]
}

// tail records a jump out of the function and says how it ends the block.
func (s *scanner) tail(site, target uint64, regs *argRegs) ctl {
	b := s.b
	c := Call{Site: site, Caller: s.fn, Via: NoFunc, Kind: CallTail}
	c.Target = b.funcAt(target)
	if c.Target == NoFunc {
		s.out.flags |= FuncUnknown
		return ctl{term: TermUnknown}
	}
	t := &b.m.Funcs[c.Target]
	switch {
	case b.returnThunk[c.Target]:
		return ctl{term: TermReturn}
	case b.indirectThunk[c.Target]:
		c.Kind, c.Via, c.Target = CallTailInd, c.Target, NoFunc
		s.out.flags |= FuncIndirect
		s.out.calls = append(s.out.calls, c)
		return s.indirectEnd()
	case t.Flags&FuncTrampoline != 0:
		c.Kind, c.Via, c.Target = CallStaticEnd, c.Target, b.trampoline[c.Target]
	default:
		c.Interior = target != t.Addr
	}
	s.out.calls = append(s.out.calls, c)
	if regs != nil {
		regs.flush(s, site)
	}
	return ctl{term: TermTail}
}

// indirect records a call or jump through a register or memory.
func (s *scanner) indirect(in *Inst, jump bool) {
	c := Call{Site: in.Addr, Caller: s.fn, Target: NoFunc, Via: NoFunc, Kind: CallIndirect}
	if jump {
		c.Kind = CallTailInd
	}
	if m, ok := in.Args[0].(x86asm.Mem); ok && m.Segment == 0 {
		if slot, ok := in.MemAddr(m); ok {
			c.Slot = slot
			if s.b.pvOps.Contains(slot) {
				c.Kind = CallParavirt
				if w, err := s.b.p.Read(slot, 8); err == nil {
					c.Target = s.b.entryAt(le.Uint64(w))
				}
			}
		}
	}
	if c.Kind != CallParavirt {
		s.out.flags |= FuncIndirect
	}
	s.out.calls = append(s.out.calls, c)
}

// indirectEnd is the end of a block with an indirect jump: a computed goto in
// functions that data holds inner addresses of, a tail call elsewhere.
func (s *scanner) indirectEnd() ctl { return ctl{term: TermIndirect} }

// altTargets lists where replacements of the instruction at a jump to; 0
// stands for a replacement that does not jump.
func (s *scanner) altTargets(a uint64) []uint64 {
	alts := s.b.tab.alt[a]
	if len(alts) == 0 {
		return nil
	}
	var out []uint64
	for _, alt := range alts {
		to := uint64(0)
		if code, err := s.b.p.Read(alt.repl, alt.replLen); err == nil && alt.replLen >= 2 {
			if op, n, disp := quick(append(slices.Clone(code), 0, 0, 0, 0)); op == x86asm.JMP && n <= alt.replLen {
				to = alt.repl + uint64(n) + uint64(disp)
			}
		}
		out = append(out, to)
	}
	if slices.IndexFunc(out, func(t uint64) bool { return t != 0 }) < 0 {
		if code, err := s.b.p.Read(a, 1); err != nil || code[0] != 0xe9 && code[0] != 0xeb {
			return nil // nothing here transfers control
		}
	}
	return out
}

func (s *scanner) withAlts(c ctl, alts []uint64) ctl {
	for _, to := range alts {
		switch {
		case to == 0:
			c.falls = true
		case s.own(to):
			c.add(to, EdgeAlt)
		default:
			s.tail(c.site, to, nil)
		}
	}
	if c.term == TermJump && (c.falls || c.nto > 1) {
		c.term = TermCond
	}
	return c
}

// altCall records a call that a replacement of the instruction at a makes.
func (s *scanner) altCall(a uint64, alt altInsn) {
	code, err := s.b.p.Read(alt.repl, alt.replLen)
	if err != nil || len(code) < 5 || code[0] != 0xe8 {
		return
	}
	t := s.b.funcAt(alt.repl + 5 + uint64(int64(int32(le.Uint32(code[1:])))))
	if t == NoFunc || s.b.indirectThunk[t] {
		return
	}
	s.out.calls = append(s.out.calls, Call{Site: a, Caller: s.fn, Target: t, Via: NoFunc, Kind: CallAlt})
}

// cut makes blocks and edges of the marks.
func (s *scanner) cut() {
	sort.Slice(s.parts[1:], func(i, j int) bool { return s.parts[1+i].start < s.parts[1+j].start })
	slices.SortFunc(s.ctls, func(a, b ctl) int { return cmpU64(a.site, b.site) })
	ctlAt := make(map[uint64]*ctl, len(s.ctls))
	for i := range s.ctls {
		ctlAt[s.ctls[i].site] = &s.ctls[i]
	}
	o := s.out
	index := map[uint64]int32{}
	for pi := range s.parts {
		p := &s.parts[pi]
		end := uint64(0)
		for off := 0; off < len(p.mark); {
			m := p.mark[off]
			if m&0xf == 0 {
				off++
				continue
			}
			a := p.start + uint64(off)
			if m&markLeader != 0 || len(o.blocks) == 0 || o.blocks[len(o.blocks)-1].End != a || o.blocks[len(o.blocks)-1].Term != TermFall || s.partOf(o.blocks[len(o.blocks)-1].Start) != p {
				index[a] = int32(len(o.blocks))
				o.blocks = append(o.blocks, Block{Start: a, Term: TermFall})
			}
			bl := &o.blocks[len(o.blocks)-1]
			bl.Last, bl.End = a, a+uint64(m&0xf)
			end = bl.End
			if m&markCtl != 0 {
				c := ctlAt[a]
				bl.Term = c.term
				if c.term == TermFall {
					// An edge of its own keeps the next instruction apart.
					if int(bl.End-p.start) < len(p.mark) {
						p.mark[bl.End-p.start] |= markLeader
					}
				}
			}
			off += int(m & 0xf)
		}
		if pi > 0 && end > p.start {
			o.parts = append(o.parts, Range{p.start, end})
		}
	}
	interior := s.b.interior[s.fn]
	for i := range o.blocks {
		bl := &o.blocks[i]
		bl.edge = int32(len(o.edges))
		add := func(to uint64, k EdgeKind) {
			if j, ok := index[to]; ok {
				o.edges = append(o.edges, Edge{To: j, Kind: k})
			} else {
				o.flags |= FuncUnknown
				bl.Term = TermUnknown
			}
		}
		c := ctlAt[bl.Last]
		switch {
		case c == nil:
			add(bl.End, EdgeFall)
		default:
			if c.falls {
				add(bl.End, EdgeFall)
			}
			for k := range int(c.nto) {
				add(c.to[k], c.kinds[k])
			}
			if c.term == TermIndirect && len(interior) > 0 {
				for _, a := range interior {
					add(a, EdgeIndirect)
				}
			}
		}
		if n := len(o.edges) - int(bl.edge); n > 255 {
			o.edges = o.edges[:bl.edge+255] // more than any computed goto of the kernel's has
			bl.nedg = 255
			o.flags |= FuncUnknown
		} else {
			bl.nedg = uint8(n)
		}
	}
}

func (s *scanner) partOf(a uint64) *part { return s.part(a) }
