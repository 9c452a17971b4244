package code

import (
	"strings"

	"golang.org/x/arch/x86/x86asm"

	"github.com/klpforge/klpforge/analyze/model"
)

// Fate is what becomes of an address that code takes.
type Fate uint8

// What becomes of it.
const (
	Unseen Fate = iota // it is returned, or is still held where the code branches
	Kept               // it goes nowhere: compared, or stored in the function's own frame
	Given              // it becomes the argument of a call
	Stored             // it is stored in memory other than the function's frame
)

// Escape is one place where code takes the address of a function or a variable
// of its object.
type Escape struct {
	Of   string // name of the function or variable
	At   uint64 // of the instruction
	Fate Fate
	To   string // Given: what is called, "" through a pointer
	Call uint64 // Given: of the call or jump
}

// Escapes lists where a function takes the address of what wanted names, in
// order of place, and follows each through the registers of straight-line code.
func (o *Object) Escapes(id model.FuncID, wanted func(name string) bool) []Escape {
	var out []Escape
	blocks := o.Model.Blocks(id)
	for k := range blocks {
		var open []*tracked
		for in := range o.Model.Instructions(&blocks[k]) {
			for _, t := range open {
				t.step(o, id, &in)
			}
			if name, ok := o.taken(&in); ok && wanted(name) {
				t := &tracked{Escape: Escape{Of: name, At: in.Addr}}
				t.begin(&in)
				open = append(open, t)
			}
		}
		for _, t := range open {
			if !t.over && t.held != [nregs]bool{} {
				t.Fate = Unseen
			}
			out = append(out, t.Escape)
		}
	}
	return out
}

// taken names what lies at the address that an instruction computes.
func (o *Object) taken(in *model.Inst) (string, bool) {
	var at uint64
	switch in.Op {
	case x86asm.MOV, x86asm.PUSH, x86asm.CMP:
		for _, a := range in.Args {
			if imm, ok := a.(x86asm.Imm); ok {
				at = uint64(imm)
			}
		}
	case x86asm.LEA:
		if m, ok := in.Args[1].(x86asm.Mem); ok {
			at, _ = in.MemAddr(m)
		}
	}
	if ordinary(at) {
		return "", false
	}
	s, _, ok := o.Model.Prog.SymbolAt(at)
	return s.Name, ok && s.Name != ""
}

// tracked is an address on its way.
type tracked struct {
	Escape
	held [nregs]bool
	over bool // its fate is decided
}

func (t *tracked) decide(f Fate) { t.Fate, t.over = f, true }

func (t *tracked) begin(in *model.Inst) {
	switch dst := in.Args[0].(type) {
	case x86asm.Mem:
		t.put(in, dst)
	case x86asm.Reg:
		n, size, ok := regOf(dst)
		if in.Op == x86asm.CMP || !ok || size < 4 {
			t.decide(Kept)
			return
		}
		t.held[n] = true
	default:
		t.decide(Kept) // pushed
	}
}

// put has the address be an operand of an instruction on memory.
func (t *tracked) put(in *model.Inst, m x86asm.Mem) {
	if in.Op == x86asm.CMP || in.Op == x86asm.TEST || m.Base == x86asm.RSP && m.Segment == 0 {
		t.Fate = Kept // until more is seen of it
		return
	}
	t.decide(Stored)
}

func (t *tracked) step(o *Object, id model.FuncID, in *model.Inst) {
	if t.over {
		return
	}
	if in.Op == x86asm.CALL || in.Op == x86asm.JMP {
		t.call(o, id, in)
		return
	}
	if in.Op == x86asm.RET {
		if t.held[rax] {
			t.decide(Unseen)
		}
		return
	}
	src, size, ok := regArg(in.Args[1])
	if carries := ok && size >= 4 && t.held[src]; carries {
		switch dst := in.Args[0].(type) {
		case x86asm.Mem:
			t.put(in, dst)
			return
		case x86asm.Reg:
			if n, _, ok := regOf(dst); ok && in.Op == x86asm.MOV {
				t.held[n] = true
				return
			}
		}
	}
	if n, _, ok := regArg(in.Args[0]); ok && !readsOnly[in.Op] {
		t.drop(n)
	}
	for _, n := range implicit(in.Op) {
		t.drop(n)
	}
}

func (t *tracked) call(o *Object, id model.FuncID, in *model.Inst) {
	for _, c := range o.Model.Calls(id) {
		if c.Site != in.Addr {
			continue
		}
		for _, n := range arguments {
			if !t.held[n] {
				continue
			}
			if c.Target != model.NoFunc {
				t.To = o.Model.Func(c.Target).Name
			}
			t.Call = c.Site
			t.decide(Given)
			return
		}
		for _, n := range scratch {
			t.drop(n)
		}
		return
	}
}

// drop has a register lose the address; in none any more, nothing became of it.
func (t *tracked) drop(n int) {
	if !t.held[n] {
		return
	}
	t.held[n] = false
	if t.held == [nregs]bool{} {
		t.decide(Kept)
	}
}

// AtOnce reports whether a function of that name is over with a function that it is
// given when it returns: it calls that at once, or never (v6.1).
func AtOnce(name string) bool { return atOnce[name] }

var atOnce = func() map[string]bool {
	m := map[string]bool{}
	for _, n := range strings.Fields(`sort sort_r bsearch list_sort stop_machine stop_machine_cpuslocked on_each_cpu_cond_mask smp_call_function smp_call_function_single
 smp_call_function_many smp_call_function_any smp_call_on_cpu work_on_cpu work_on_cpu_safe iterate_dir iterate_fd iterate_supers iterate_supers_type
 bus_for_each_dev bus_for_each_drv bus_find_device class_for_each_device class_find_device device_for_each_child device_for_each_child_reverse
 device_find_child driver_for_each_device driver_find_device idr_for_each walk_page_range walk_page_vma rmap_walk
 kallsyms_on_each_symbol walk_system_ram_range walk_iomem_res_desc acpi_walk_namespace acpi_get_devices acpi_walk_resources
 pci_walk_bus blk_mq_tagset_busy_iter blk_mq_queue_tag_busy_iter apply_to_page_range
 out_of_line_wait_on_bit __wait_on_bit iget5_locked ilookup5 ilookup5_nowait sget sget_fc
 klp_shadow_alloc klp_shadow_get_or_alloc klp_shadow_free klp_shadow_free_all`) {
		m[n] = true
	}
	return m
}()
