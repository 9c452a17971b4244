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
	var effects Effects
	f := o.Model.Func(id)
	if f.Unknown() {
		effects.Unknown = append(effects.Unknown, "control flow cannot be followed")
	}
	if f.Flags&model.FuncContext != 0 {
		effects.Unknown = append(effects.Unknown, "its instructions change the interrupt flag or the preempt count")
	}
	names, indirect := o.CallNames(id)
	if indirect > 0 {
		effects.Unknown = append(effects.Unknown, fmt.Sprintf("calls through pointers: %d", indirect))
	}
	for _, n := range names {
		if kind, _ := kfuncs.CalleeOf(n); kind != kfuncs.CalleeHook && kind != kfuncs.CalleeReturn {
			effects.Calls = append(effects.Calls, n)
		}
	}
	blocks := o.Model.Blocks(id)
	for k := range blocks {
		first := "?" // shape of the first argument
		for in := range o.Model.Instructions(&blocks[k]) {
			does := in.Effects()
			if does.Unknown {
				effects.Unknown = append(effects.Unknown, "some instructions have no known meaning")
			} else {
				o.effect(&effects, &in, &does)
			}
			if in.Op == machine.Call || in.Op == machine.Jump {
				if name := o.tailName(id, in.Addr); kfuncs.IsLock(name) {
					switch arg, given := kfuncs.LockArg(name); {
					case !given:
						effects.Locks = append(effects.Locks, name+"()")
					case arg != 0 || first == "?":
						effects.Unknown = append(effects.Unknown, "which lock is given to "+name+" is not seen")
					default:
						effects.Locks = append(effects.Locks, name+"("+first+")")
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
	for _, l := range []*[]string{&effects.Reads, &effects.Writes, &effects.Takes, &effects.Stores, &effects.Unknown} {
		slices.Sort(*l)
		*l = slices.Compact(*l)
	}
	slices.Sort(effects.Locks)
	return effects
}

func (o *Object) effect(effects *Effects, in *machine.Inst, does *machine.Effects) {
	if storesString(in, does) {
		effects.Stores = append(effects.Stores, "string "+in.Name)
	}
	if in.Lock {
		effects.Unknown = append(effects.Unknown, "it has locked instructions")
	}
	for i := range in.Args {
		operand := &in.Args[i]
		switch operand.Kind {
		case machine.KindMem:
			if in.Hint() {
				continue
			}
			at, fixed := in.FixedAddr(operand.Mem)
			name := o.memName(in, operand.Mem)
			writes := in.Writes(i)
			switch {
			case name != "" && in.Op == machine.Address:
				effects.Takes = append(effects.Takes, name)
			case name != "" && writes:
				effects.Writes = append(effects.Writes, name)
				effects.Stores = append(effects.Stores, fmt.Sprintf("%s %d bytes of %s%s", in.Name, operand.Mem.Width,
					name, o.stored(in)))
			case name != "":
				effects.Reads = append(effects.Reads, name)
			case writes && fixed:
				// A variable that does not count, of which the context tells, or
				// none that is known.
				if !o.named(at) {
					effects.Unknown = append(effects.Unknown, "it stores to an address without a name")
				}
			case writes && operand.Mem.Base != machine.RSP:
				effects.Stores = append(effects.Stores, fmt.Sprintf("%s %d bytes at %+#x%s", in.Name, operand.Mem.Width,
					operand.Mem.Disp, o.stored(in)))
			}
		case machine.KindImm:
			if name := o.dataName(uint64(operand.Imm)); name != "" && in.Op != machine.Compare {
				effects.Takes = append(effects.Takes, name)
			}
		}
	}
}

// stored says which constant a store writes.
func (o *Object) stored(in *machine.Inst) string {
	if operand := &in.Args[1]; operand.Kind == machine.KindImm {
		if name := o.dataName(uint64(operand.Imm)); name != "" {
			return " = " + name
		}
		if text, ok := o.constant(uint64(operand.Imm)); ok {
			return " = " + text
		}
		return fmt.Sprintf(" = %#x", operand.Imm)
	}
	return ""
}

// constant describes what an address of constant data leads to, so that it
// compares between two builds: the text of a string, else the nearest symbol.
func (o *Object) constant(addr uint64) (string, bool) {
	if ordinary(addr) {
		return "", false
	}
	seg, ok := o.Model.Prog.SegmentAt(addr)
	if !ok {
		return "", false
	}
	if strings.Contains(seg.Name, ".str") && addr-seg.Addr < uint64(len(seg.Data)) {
		text, _, _ := strings.Cut(string(seg.Data[addr-seg.Addr:]), "\x00")
		return fmt.Sprintf("%q", text), true
	}
	s, off, ok := o.Model.Prog.SymbolAt(addr)
	if !ok || s.Name == "" {
		return "", false
	}
	return fmt.Sprintf("%s%+#x", s.Name, off), true
}

// shape names a value that an instruction computes, without registers.
func (o *Object) shape(in *machine.Inst) string {
	switch operand := &in.Args[1]; operand.Kind {
	case machine.KindImm:
		if name := o.dataName(uint64(operand.Imm)); name != "" {
			return name
		}
	case machine.KindMem:
		if name := o.memName(in, operand.Mem); name != "" {
			return fmt.Sprintf("%s %s", in.Name, name)
		}
		return fmt.Sprintf("%s %+#x", in.Name, operand.Mem.Disp)
	}
	return in.Name
}

// memName names the variable that a memory operand lies in, "" if none.
func (o *Object) memName(in *machine.Inst, mem machine.Mem) string {
	if a, ok := in.FixedAddr(mem); ok {
		return o.varName(a)
	}
	if mem.Seg == machine.SegGS {
		return ""
	}
	return o.dataName(uint64(mem.Disp))
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
	sym, _, ok := o.Model.Prog.SymbolAt(a)
	if !ok || sym.Code || sym.Name == "" {
		return ""
	}
	if seg, ok := o.Model.Prog.SegmentAt(a); ok {
		for _, p := range []string{".rodata", "__dyndbg", ".data.once", ".data..once", "__tracepoint", ".text",
			".init.text", "__jump_table", "__bug_table"} {
			if strings.HasPrefix(seg.Name, p) {
				return ""
			}
		}
	}
	base, _, _ := strings.Cut(sym.Name, ".")
	if infrastructure[base] || strings.HasPrefix(base, "__tracepoint_") || strings.HasPrefix(base, "__UNIQUE_ID") ||
		strings.HasPrefix(base, "__SCK__") {
		return ""
	}
	return sym.Name
}

// infrastructure are variables that functions share without telling each other
// anything by them.
var infrastructure = map[string]bool{
	"__preempt_count": true, "pcpu_hot": true, "current_task": true, "this_cpu_off": true, "cpu_number": true,
	"jiffies": true, "jiffies_64": true,
	"_rs": true, "__key": true, "__already_done": true, "__warned": true, "___done": true, "__func__": true,
	"descriptor": true, "__ret_warn_on": true,
	"page_offset_base": true, "vmemmap_base": true, "phys_base": true, "boot_cpu_data": true, "pv_ops": true,
	"__per_cpu_offset": true,
}
