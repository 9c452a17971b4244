package code

import (
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// Store is one place where code writes to a variable that has a name.
type Store struct {
	To      string // the variable
	Section string // its section, "" when another object defines it
	At      uint64 // of the instruction
	By      string // the function that is given the address and writes there; "" for an instruction
}

// Stores lists where a function writes to variables, in order of place: by instructions
// that name the variable, through registers that hold its address or one counted from
// it, on whatever path, and by functions that are given the address to write there.
// Addresses that pass through memory are not followed.
func (o *Object) Stores(id model.FuncID) []Store {
	blocks := o.Model.Blocks(id)
	if len(blocks) == 0 {
		return nil
	}

	// Blocks are repeated until nothing changes: a register holds an address only where all
	// paths into the block agree.
	var out []Store
	in := make([]*held, len(blocks))
	in[0] = &held{}
	work := []int{0}
	for len(work) > 0 {
		block := work[0]
		work = work[1:]
		slots := *in[block]
		for x := range o.Model.Instructions(&blocks[block]) {
			out = append(out, slots.step(o, id, &x)...)
		}
		for _, e := range o.Model.Edges(&blocks[block]) {
			to := int(e.To)
			if in[to] == nil {
				c := slots
				in[to] = &c
				work = append(work, to)
				continue
			}
			merged, changed := *in[to], false
			for r := range merged {
				if merged[r] != 0 && merged[r] != slots[r] {
					merged[r], changed = 0, true
				}
			}
			if changed {
				in[to] = &merged
				work = append(work, to)
			}
		}
	}

	slices.SortFunc(out, func(a, b Store) int {
		return cmpStore(&a, &b)
	})
	return slices.Compact(out)
}

func cmpStore(left, right *Store) int {
	switch {
	case left.At != right.At && left.At < right.At:
		return -1
	case left.At != right.At:
		return 1
	}
	return strings.Compare(left.To, right.To)
}

// held are the addresses of variables in registers, 0 where there is none.
type held [nregs]uint64

func (s *held) step(obj *Object, id model.FuncID, in *machine.Inst) []Store {
	does := in.Effects()
	if does.Unknown {
		*s = held{}
		return nil
	}
	var out []Store
	write := func(at uint64, by string) {
		if st, ok := obj.storeTo(at); ok {
			st.At, st.By = in.Addr, by
			out = append(out, st)
		}
	}

	first := convention.Args[0]
	if in.Op == machine.Call || in.Op == machine.Jump {
		if name := obj.tailName(id, in.Addr); kfuncs.Fills(name) && s[first] != 0 {
			write(s[first], name)
		}
		if in.Op == machine.Call {
			for n := range convention.Scratch.All {
				s[n] = 0
			}
		}
		return out
	}

	// Where it writes, as the registers are before it.
	strings := storesString(in, &does)
	if strings && s[machine.RDI] != 0 {
		write(s[machine.RDI], "")
	}
	for i := range in.Args {
		a := &in.Args[i]
		if a.Kind != machine.KindMem || !in.Writes(i) || a.Mem.Seg != machine.SegNone {
			continue
		}
		if at := s.address(in, a.Mem); at != 0 {
			write(at, "")
		}
	}

	// Which registers hold an address behind it.
	value, kept := s.value(in)
	for n := range does.Writes.All {
		if strings && (n == machine.RDI || n == machine.RSI) {
			continue // it goes on in the same variable
		}
		s[n] = 0
	}
	if kept != machine.NoReg && does.Writes.Has(kept) {
		s[kept] = value
	}
	return out
}

// value is the address that an instruction puts into its first operand, a
// register, or moves on in it; 0 for none.
func (s *held) value(in *machine.Inst) (at uint64, reg machine.Num) {
	dst, size, ok := in.Args[0].General()
	if !ok || size < 4 {
		return 0, machine.NoReg
	}
	src := &in.Args[1]
	switch in.Op {
	case machine.Move, machine.MoveIf:
		if src.Kind == machine.KindImm && !ordinary(uint64(src.Imm)) {
			return uint64(src.Imm), dst
		}
		if n, _, ok := src.General(); ok {
			return s[n], dst
		}
	case machine.Address:
		return s.address(in, src.Mem), dst
	case machine.Add, machine.Sub, machine.Increment, machine.Decrement:
		if n, _, ok := src.General(); ok && s[dst] == 0 && in.Op == machine.Add {
			return s[n], dst
		}
		return s[dst], dst
	}
	return 0, machine.NoReg
}

// address is that of the variable in which a memory operand lies, as far as the
// instruction and the registers tell: the start of what is indexed. 0 when not known.
func (s *held) address(in *machine.Inst, mem machine.Mem) uint64 {
	if at, ok := in.FixedAddr(mem); ok {
		return at
	}
	if mem.Base != machine.NoReg && s[mem.Base] != 0 {
		return s[mem.Base]
	}
	if mem.Index != machine.NoReg && mem.Scale == 1 && s[mem.Index] != 0 {
		return s[mem.Index]
	}
	if disp := uint64(mem.Disp); !ordinary(disp) && !mem.PC {
		return disp
	}
	return 0
}

func (o *Object) storeTo(at uint64) (Store, bool) {
	sym, _, ok := o.Model.Prog.SymbolAt(at)
	if !ok || sym.Code || sym.Name == "" {
		return Store{}, false
	}
	st := Store{To: sym.Name}
	if seg, ok := o.Model.Prog.SegmentAt(at); ok {
		st.Section = seg.Name
	}
	return st, true
}
