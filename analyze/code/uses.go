package code

import (
	"strings"

	"golang.org/x/arch/x86/x86asm"

	"github.com/klpforge/klpforge/analyze/model"
)

// Use says what a caller does with a result.
type Use uint8

// Uses, from harmless to harmful. Of several paths the most harmful counts.
const (
	UseTested       Use = iota // compared or tested before anything else
	UsePassedOn                // returned, stored or given to another function
	UseUnknown                 // could not be followed
	UseIgnored                 // overwritten without a look, on every path
	UseDereferenced            // used as an address without a test
)

func (u Use) String() string {
	return [...]string{"tests the result", "passes the result on", "use of the result is not known", "ignores the result", "uses the result as an address without a test"}[u]
}

// maxFollowed bounds the instructions looked at behind one call.
const maxFollowed = 600

// ResultUse follows the result of one call through registers until something
// is done with it. The bound and everything in memory give UseUnknown.
func (o *Object) ResultUse(c *model.Call) Use {
	if c.Kind.IsTail() {
		return UsePassedOn
	}
	blocks := o.Model.Blocks(c.Caller)
	w := &useWalk{o: o, caller: c.Caller, blocks: blocks, seen: map[useState]bool{}}
	for k := range blocks {
		if blocks[k].Start <= c.Site && c.Site <= blocks[k].Last {
			return w.walk(useState{block: k, holds: 1 << rax}, c.Site+1)
		}
	}
	return UseUnknown
}

type useState struct {
	block int
	holds uint16 // registers with the result
}

type useWalk struct {
	o      *Object
	caller model.FuncID
	blocks []model.Block
	seen   map[useState]bool
	count  int
}

// walk looks from the address on. Paths that meet an earlier one add nothing.
func (w *useWalk) walk(s useState, from uint64) Use {
	b := &w.blocks[s.block]
	for in := range w.o.Model.Instructions(b) {
		if in.Addr < from {
			continue
		}
		if w.count++; w.count > maxFollowed || !in.Known {
			return UseUnknown
		}
		if use, done := s.step(&in); done {
			return use
		}
	}
	switch b.Term {
	case model.TermReturn:
		if s.holds&(1<<rax) != 0 {
			return UsePassedOn
		}
		return UseIgnored
	case model.TermTail:
		return w.tail(b, s.holds)
	case model.TermIndirect, model.TermUnknown, model.TermCondTail:
		return UseUnknown
	case model.TermNoReturn:
		return UseTested // dies on this path: nothing depends on the result
	}
	all, some := UseUnknown, false
	for _, e := range w.o.Model.Edges(b) {
		next := useState{int(e.To), s.holds}
		if w.seen[next] {
			continue
		}
		w.seen[next] = true
		u := w.walk(next, 0)
		switch {
		case u == UseDereferenced:
			return u
		case !some:
			all, some = u, true
		case all != u:
			// Ignored on some paths and used on others: a person's case.
			all = mix(all, u)
		}
	}
	return all
}

// tail judges a jump to another function: registers of arguments go on, all
// others are dead.
func (w *useWalk) tail(b *model.Block, holds uint16) Use {
	name := w.o.tailName(w.caller, b.Last)
	switch {
	case strings.Contains(name, "return_thunk"):
		if holds&(1<<rax) != 0 {
			return UsePassedOn
		}
		return UseIgnored
	case name == "":
		return UseUnknown
	}
	for _, r := range arguments {
		if holds&(1<<r) != 0 {
			return UsePassedOn
		}
	}
	return UseIgnored
}

func mix(a, b Use) Use {
	if a == UseIgnored || b == UseIgnored || a == UseUnknown || b == UseUnknown {
		return UseUnknown
	}
	return max(a, b)
}

// step follows one instruction; done says that the use is decided.
func (s *useState) step(in *model.Inst) (use Use, done bool) {
	has := func(n int) bool { return s.holds&(1<<n) != 0 }
	for _, a := range in.Args {
		if m, ok := a.(x86asm.Mem); ok && in.Op != x86asm.LEA && in.Op != x86asm.NOP {
			if n, _, ok := regOf(m.Base); ok && m.Base != 0 && has(n) {
				return UseDereferenced, true
			}
			if n, _, ok := regOf(m.Index); ok && m.Index != 0 && has(n) {
				return UsePassedOn, true
			}
		}
	}
	switch in.Op {
	case x86asm.CALL:
		for _, r := range arguments {
			if has(r) {
				return UsePassedOn, true // perhaps: it may only linger in the register
			}
		}
		for _, r := range scratch {
			s.holds &^= 1 << r
		}
		if s.holds == 0 {
			return UseIgnored, true
		}
		return 0, false
	case x86asm.CMP, x86asm.TEST:
		for _, a := range in.Args[:2] {
			if n, _, ok := regArg(a); ok && has(n) {
				return UseTested, true
			}
		}
		return 0, false
	}
	if readsOnly[in.Op] {
		if n, _, ok := regArg(in.Args[0]); ok && has(n) && in.Op != x86asm.RET {
			return UsePassedOn, true
		}
		return 0, false
	}
	dst, size, dstReg := regArg(in.Args[0])
	src, _, srcReg := regArg(in.Args[1])
	switch {
	case in.Op == x86asm.XOR && dstReg && srcReg && dst == src:
		s.holds &^= 1 << dst
	case (in.Op == x86asm.MOV || in.Op == x86asm.MOVSXD) && dstReg && srcReg && has(src) && size >= 4:
		s.holds |= 1 << dst
	case srcReg && has(src):
		return UsePassedOn, true // stored, or computed with
	case in.Op == x86asm.MOV && dstReg || in.Op == x86asm.MOVZX || in.Op == x86asm.MOVSX || in.Op == x86asm.LEA || in.Op == x86asm.POP:
		if dstReg && size >= 4 {
			s.holds &^= 1 << dst
		}
	case dstReg && has(dst):
		return UseTested, true // and, shift, neg: their flags and value are looked at
	}
	for _, r := range implicit(in.Op) {
		if has(r) {
			return UsePassedOn, true
		}
	}
	if s.holds == 0 {
		return UseIgnored, true
	}
	return 0, false
}
