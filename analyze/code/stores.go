package code

import (
	"slices"
	"strings"

	"golang.org/x/arch/x86/x86asm"

	"github.com/klpforge/klpforge/analyze/model"
)

// Store is one place where code writes to a variable that has a name.
type Store struct {
	To      string // the variable
	Section string // its section, "" when another object defines it
	At      uint64 // of the instruction
	By      string // the function that is given the address and writes there; "" for an instruction
}

// writers are functions that write to where their first argument points, all of it or
// up to a length (include/linux/string.h, include/linux/kernel.h and lib/usercopy.c,
// v6.1 and v6.12).
var writers = func() map[string]bool {
	m := map[string]bool{}
	for _, n := range strings.Fields(`memset __memset memset16 memset32 memset64 memcpy __memcpy memmove __memmove memcpy_and_pad memzero_explicit
 strcpy strncpy strlcpy strscpy strscpy_pad strcat strncat strlcat sprintf snprintf scnprintf vsprintf vsnprintf vscnprintf
 _copy_from_user copy_from_user copy_user_generic __copy_user_nocache copy_from_kernel_nofault bitmap_zero __bitmap_set __bitmap_clear get_random_bytes`) {
		m[n] = true
	}
	return m
}()

// Stores lists where a function writes to variables, in order of place: by instructions
// that name the variable, through registers that hold its address or one counted from
// it, on whatever path, and by functions that are given the address to write there.
// Addresses that pass through memory are not followed.
func (o *Object) Stores(id model.FuncID) []Store {
	blocks := o.Model.Blocks(id)
	if len(blocks) == 0 {
		return nil
	}
	var out []Store
	in := make([]*held, len(blocks))
	in[0] = &held{}
	work := []int{0}
	for len(work) > 0 {
		k := work[0]
		work = work[1:]
		s := *in[k]
		for x := range o.Model.Instructions(&blocks[k]) {
			out = append(out, s.step(o, id, &x)...)
		}
		for _, e := range o.Model.Edges(&blocks[k]) {
			to := int(e.To)
			if in[to] == nil {
				c := s
				in[to] = &c
				work = append(work, to)
				continue
			}
			merged, changed := *in[to], false
			for r := range merged {
				if merged[r] != 0 && merged[r] != s[r] {
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

func cmpStore(a, b *Store) int {
	switch {
	case a.At != b.At && a.At < b.At:
		return -1
	case a.At != b.At:
		return 1
	}
	return strings.Compare(a.To, b.To)
}

// held are the addresses of variables in registers, 0 where there is none.
type held [nregs]uint64

func (s *held) step(o *Object, id model.FuncID, in *model.Inst) []Store {
	if !in.Known {
		*s = held{}
		return nil
	}
	var out []Store
	write := func(at uint64, by string) {
		if st, ok := o.storeTo(at); ok {
			st.At, st.By = in.Addr, by
			out = append(out, st)
		}
	}
	if in.Op == x86asm.CALL || in.Op == x86asm.JMP {
		if name := o.tailName(id, in.Addr); writers[name] && s[rdi] != 0 {
			write(s[rdi], name)
		}
		if in.Op == x86asm.CALL {
			for _, r := range scratch {
				s[r] = 0
			}
		}
		return out
	}
	if storesString(in.Op) && s[rdi] != 0 {
		write(s[rdi], "")
	}
	for i, a := range in.Args {
		m, ok := a.(x86asm.Mem)
		if !ok || in.Op == x86asm.LEA || m.Segment == x86asm.GS || m.Segment == x86asm.FS {
			continue
		}
		if i == 0 && !readsOnly[in.Op] || in.Op == x86asm.XCHG || in.Op == x86asm.XADD {
			if at := s.address(in, m); at != 0 {
				write(at, "")
			}
		}
	}

	value := uint64(0)
	if dst, size, ok := regArg(in.Args[0]); ok && !readsOnly[in.Op] {
		switch src := in.Args[1].(type) {
		case x86asm.Imm:
			switch {
			case in.Op == x86asm.MOV && size >= 4 && !ordinary(uint64(int64(int32(src)))) && size == 4:
				value = uint64(int64(int32(src)))
			case in.Op == x86asm.MOV && size >= 4 && !ordinary(uint64(src)):
				value = uint64(src)
			case in.Op == x86asm.ADD || in.Op == x86asm.SUB:
				value = s[dst]
			}
		case x86asm.Reg:
			n, _, known := regOf(src)
			switch {
			case known && in.Op == x86asm.MOV:
				value = s[n]
			case known && in.Op == x86asm.ADD:
				if value = s[dst]; value == 0 {
					value = s[n]
				}
			}
		case x86asm.Mem:
			if in.Op == x86asm.LEA {
				value = s.address(in, src)
			}
		}
		if in.Op == x86asm.INC || in.Op == x86asm.DEC {
			value = s[dst]
		}
		s[dst] = value
	}
	for _, r := range implicit(in.Op) {
		if storesString(in.Op) && (r == rdi || r == rsi) {
			continue // it goes on in the same variable
		}
		s[r] = 0
	}
	return out
}

// address is that of the variable in which a memory operand lies, as far as the
// instruction and the registers tell: the start of what is indexed. 0 when not known.
func (s *held) address(in *model.Inst, m x86asm.Mem) uint64 {
	if at, ok := in.MemAddr(m); ok {
		return at
	}
	for _, r := range []x86asm.Reg{m.Base, m.Index} {
		if n, _, ok := regOf(r); ok && r != 0 && s[n] != 0 && (r == m.Base || m.Scale == 1) {
			return s[n]
		}
	}
	if disp := uint64(m.Disp); !ordinary(disp) && m.Base != x86asm.RIP {
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
