package code

import (
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// Effects is what a function does to the world, as its own instructions show.
// Lists are sorted.
type Effects struct {
	Reads, Writes, Takes []string // named variables: read, written, address taken
	// Stores are the shapes of stores elsewhere than to the stack: width,
	// displacement and constant. Each shape once.
	Stores []string
	Calls  []string // one name for each call site
	// Locks are the lock primitives called, with the shape of the first
	// argument, one for each call site.
	Locks []string
	// Unknown says what hides effects; empty when nothing does.
	Unknown []string
}

// Effects looks at every instruction of a function.
func (o *Object) Effects(id model.FuncID) Effects {
	var e Effects
	f := o.Model.Func(id)
	if f.Unknown() {
		e.Unknown = append(e.Unknown, "control flow cannot be followed")
	}
	if f.Flags&model.FuncContext != 0 {
		e.Unknown = append(e.Unknown, "its instructions change the interrupt flag or the preempt count")
	}
	names, indirect := o.CallNames(id)
	if indirect > 0 {
		e.Unknown = append(e.Unknown, fmt.Sprintf("calls through pointers: %d", indirect))
	}
	for _, n := range names {
		if kind, _ := kfuncs.CalleeOf(n); kind != kfuncs.CalleeHook && kind != kfuncs.CalleeReturn {
			e.Calls = append(e.Calls, n)
		}
	}
	blocks := o.Model.Blocks(id)
	for k := range blocks {
		first := "?" // shape of the first argument
		for in := range o.Model.Instructions(&blocks[k]) {
			does := in.Effects()
			if does.Unknown {
				e.Unknown = append(e.Unknown, "some instructions have no known meaning")
			} else {
				o.effect(&e, &in, &does)
			}
			if in.Op == machine.Call || in.Op == machine.Jump {
				if name := o.tailName(id, in.Addr); kfuncs.IsLock(name) {
					switch arg, given := kfuncs.LockArg(name); {
					case !given:
						e.Locks = append(e.Locks, name+"()")
					case arg != 0 || first == "?":
						e.Unknown = append(e.Unknown, "which lock is given to "+name+" is not seen")
					default:
						e.Locks = append(e.Locks, name+"("+first+")")
					}
				}
				first = "?"
				continue
			}
			if !does.Writes.Has(convention.Args[0]) {
				continue
			}
			first = "?"
			if n, _, ok := general(&in, 0); ok && n == convention.Args[0] && in.Writes(0) {
				first = o.shape(&in)
			}
		}
	}
	for _, l := range []*[]string{&e.Reads, &e.Writes, &e.Takes, &e.Stores, &e.Unknown} {
		slices.Sort(*l)
		*l = slices.Compact(*l)
	}
	slices.Sort(e.Locks)
	return e
}

func (o *Object) effect(e *Effects, in *machine.Inst, does *machine.Effects) {
	if storesString(in, does) {
		e.Stores = append(e.Stores, "string "+in.Name)
	}
	if in.Lock {
		e.Unknown = append(e.Unknown, "it has locked instructions")
	}
	for i := range in.Args {
		a := &in.Args[i]
		switch a.Kind {
		case machine.KindMem:
			if in.Hint() {
				continue
			}
			at, fixed := in.FixedAddr(a.Mem)
			name := o.memName(in, a.Mem)
			writes := in.Writes(i)
			switch {
			case name != "" && in.Op == machine.Address:
				e.Takes = append(e.Takes, name)
			case name != "" && writes:
				e.Writes = append(e.Writes, name)
				e.Stores = append(e.Stores, fmt.Sprintf("%s %d bytes of %s%s", in.Name, a.Mem.Width, name, o.stored(in)))
			case name != "":
				e.Reads = append(e.Reads, name)
			case writes && fixed:
				// A variable that does not count, of which the context tells, or
				// none that is known.
				if !o.named(at) {
					e.Unknown = append(e.Unknown, "it stores to an address without a name")
				}
			case writes && a.Mem.Base != machine.RSP:
				e.Stores = append(e.Stores, fmt.Sprintf("%s %d bytes at %+#x%s", in.Name, a.Mem.Width, a.Mem.Disp, o.stored(in)))
			}
		case machine.KindImm:
			if name := o.dataName(uint64(a.Imm)); name != "" && in.Op != machine.Compare {
				e.Takes = append(e.Takes, name)
			}
		}
	}
}

// stored says which constant a store writes.
func (o *Object) stored(in *machine.Inst) string {
	if a := &in.Args[1]; a.Kind == machine.KindImm {
		if name := o.dataName(uint64(a.Imm)); name != "" {
			return " = " + name
		}
		if text, ok := o.constant(uint64(a.Imm)); ok {
			return " = " + text
		}
		return fmt.Sprintf(" = %#x", a.Imm)
	}
	return ""
}

// constant describes what an address of constant data leads to, so that it
// compares between two builds: the text of a string, else the nearest symbol.
func (o *Object) constant(a uint64) (string, bool) {
	if ordinary(a) {
		return "", false
	}
	seg, ok := o.Model.Prog.SegmentAt(a)
	if !ok {
		return "", false
	}
	if strings.Contains(seg.Name, ".str") && a-seg.Addr < uint64(len(seg.Data)) {
		text, _, _ := strings.Cut(string(seg.Data[a-seg.Addr:]), "\x00")
		return fmt.Sprintf("%q", text), true
	}
	s, off, ok := o.Model.Prog.SymbolAt(a)
	if !ok || s.Name == "" {
		return "", false
	}
	return fmt.Sprintf("%s%+#x", s.Name, off), true
}

// shape names a value that an instruction computes, without registers.
func (o *Object) shape(in *machine.Inst) string {
	switch a := &in.Args[1]; a.Kind {
	case machine.KindImm:
		if name := o.dataName(uint64(a.Imm)); name != "" {
			return name
		}
	case machine.KindMem:
		if name := o.memName(in, a.Mem); name != "" {
			return fmt.Sprintf("%s %s", in.Name, name)
		}
		return fmt.Sprintf("%s %+#x", in.Name, a.Mem.Disp)
	}
	return in.Name
}

// memName names the variable that a memory operand lies in, "" if none.
func (o *Object) memName(in *machine.Inst, m machine.Mem) string {
	if a, ok := in.FixedAddr(m); ok {
		return o.varName(a)
	}
	if m.Seg == machine.SegGS {
		return ""
	}
	return o.dataName(uint64(m.Disp))
}

func (o *Object) named(a uint64) bool {
	s, _, ok := o.Model.Prog.SymbolAt(a)
	return ok && s.Name != ""
}

// ordinary tells numbers that are too small to be addresses, or too close to the end.
func ordinary(a uint64) bool { return a < 1<<20 || a > ^uint64(4095) }

// dataName names the variable at an address. Constant data, what is kept for
// messages, and the per-CPU facts of the processor itself have no name here.
func (o *Object) dataName(a uint64) string {
	if ordinary(a) {
		return ""
	}
	return o.varName(a)
}

func (o *Object) varName(a uint64) string {
	s, _, ok := o.Model.Prog.SymbolAt(a)
	if !ok || s.Code || s.Name == "" {
		return ""
	}
	if seg, ok := o.Model.Prog.SegmentAt(a); ok {
		for _, p := range []string{".rodata", "__dyndbg", ".data.once", ".data..once", "__tracepoint", ".text", ".init.text", "__jump_table", "__bug_table"} {
			if strings.HasPrefix(seg.Name, p) {
				return ""
			}
		}
	}
	base, _, _ := strings.Cut(s.Name, ".")
	if infrastructure[base] || strings.HasPrefix(base, "__tracepoint_") || strings.HasPrefix(base, "__UNIQUE_ID") || strings.HasPrefix(base, "__SCK__") {
		return ""
	}
	return s.Name
}

// infrastructure are variables that functions share without telling each other
// anything by them.
var infrastructure = map[string]bool{
	"__preempt_count": true, "pcpu_hot": true, "current_task": true, "this_cpu_off": true, "cpu_number": true, "jiffies": true, "jiffies_64": true,
	"_rs": true, "__key": true, "__already_done": true, "__warned": true, "___done": true, "__func__": true, "descriptor": true, "__ret_warn_on": true,
	"page_offset_base": true, "vmemmap_base": true, "phys_base": true, "boot_cpu_data": true, "pv_ops": true, "__per_cpu_offset": true,
}
