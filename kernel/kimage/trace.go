package kimage

import (
	"fmt"
	"slices"
	"sort"

	"github.com/klpforge/klpforge/kernel/karch"
)

// Tri is a truth value that may be unknown.
type Tri int8

const (
	Unknown Tri = iota
	No
	Yes
)

func (t Tri) String() string { return [...]string{"unknown", "no", "yes"}[t] }

// Trace knows where ftrace can hook into vmlinux and which code is special.
type Trace struct {
	// Why says why ftrace locations are not known; "" when they are.
	Why string
	// Locs are the ftrace locations (link-time addresses), ascending. Some
	// belong to no symbol: the code of a weak function that another one
	// overrides stays in the kernel, its name does not.
	Locs []uint64
	// Blacklist holds the addresses of functions that kprobes refuse
	// (NOKPROBE_SYMBOL), ascending. ftrace and livepatch do not refuse them.
	Blacklist []uint64
	regions   []Region
	arch      karch.Arch
}

// Region is a range of vmlinux text with a special meaning.
type Region struct {
	Name       string // "noinstr", "entry", "init", …
	Start, End uint64 // End is exclusive
}

// regionBounds are the symbols that include/asm-generic/vmlinux.lds.h and the
// architectures' linker scripts put around special text.
var regionBounds = []struct{ name, start, end string }{
	{"entry", "__entry_text_start", "__entry_text_end"},
	{"irqentry", "__irqentry_text_start", "__irqentry_text_end"},
	{"softirqentry", "__softirqentry_text_start", "__softirqentry_text_end"},
	{"noinstr", "__noinstr_text_start", "__noinstr_text_end"},
	{"kprobes", "__kprobes_text_start", "__kprobes_text_end"},
	{"cpuidle", "__cpuidle_text_start", "__cpuidle_text_end"},
	{"static_call", "__static_call_text_start", "__static_call_text_end"},
	{"thunk", "__indirect_thunk_start", "__indirect_thunk_end"},
	{"sched", "__sched_text_start", "__sched_text_end"},
	{"lock", "__lock_text_start", "__lock_text_end"},
	{"init", "_sinittext", "_einittext"},
}

// NewTrace reads the tables from the image.
func NewTrace(im *Image, syms *Symbols) *Trace {
	trace := &Trace{arch: im.Arch}
	for _, b := range regionBounds {
		sym, ok1 := syms.Unique(b.start)
		e, ok2 := syms.Unique(b.end)
		if ok1 && ok2 && sym.Addr < e.Addr {
			trace.regions = append(trace.regions, Region{b.name, sym.Addr, e.Addr})
		}
	}
	if s := im.Section(".exit.text"); s != nil && s.Size > 0 {
		trace.regions = append(trace.regions, Region{"exit", s.Addr, s.Addr + s.Size})
	}
	sort.SliceStable(trace.regions, func(i, j int) bool { return trace.regions[i].Start < trace.regions[j].Start })

	trace.Blacklist, _ = wordTable(im, syms, "__start_kprobe_blacklist", "__stop_kprobe_blacklist")
	locs, why := wordTable(im, syms, "__start_mcount_loc", "__stop_mcount_loc")
	if why != "" {
		trace.Why = why
		return trace
	}
	// An entry that does not point into code is one that the linker or
	// sorttable cleared (kernel/trace/ftrace.c, ftrace_process_locs, skips
	// them); when none does, boot-time relocations fill the table.
	for _, a := range locs {
		if im.Executable(a) {
			trace.Locs = append(trace.Locs, a)
		}
	}
	if len(trace.Locs) == 0 {
		trace.Why = "the ftrace locations in the image are filled in by relocations at boot"
	}
	return trace
}

// wordTable reads the 8-byte words between two symbols, sorted. why is "" on
// success.
func wordTable(im *Image, syms *Symbols, start, stop string) (words []uint64, why string) {
	first, ok1 := syms.Unique(start)
	end, ok2 := syms.Unique(stop)
	if !ok1 || !ok2 {
		return nil, fmt.Sprintf("no symbols %s and %s", start, stop)
	}
	if end.Addr <= first.Addr || (end.Addr-first.Addr)%8 != 0 || end.Addr-first.Addr > 1<<28 {
		return nil, fmt.Sprintf("%s..%s is %#x..%#x", start, stop, first.Addr, end.Addr)
	}
	table, err := im.Read(first.Addr, int(end.Addr-first.Addr))
	if err != nil {
		return nil, fmt.Sprintf("%s: %v", start, err)
	}
	words = make([]uint64, len(table)/8)
	for i := range words {
		words[i] = im.Order.Uint64(table[8*i:])
	}
	if !slices.IsSorted(words) {
		slices.Sort(words)
	}
	return words, ""
}

// Loc returns the ftrace location at the entry of the function at addr, size
// bytes long: the one that a livepatch hooks. The kernel would take the first
// one anywhere up to the next symbol (ftrace_location, kernel/trace/ftrace.c
// since 5.18), but one further behind is that of an overridden weak function,
// and hooking it has no effect.
func (t *Trace) Loc(addr, size uint64) (uint64, bool) {
	i, _ := slices.BinarySearch(t.Locs, addr-min(t.arch.FtraceBefore, addr))
	if i < len(t.Locs) && t.arch.AtEntry(t.Locs[i], addr, size) {
		return t.Locs[i], true
	}
	return 0, false
}

// Traceable reports whether the function at addr, size bytes long, has an
// ftrace location at its entry. It is Unknown when the image does not say (see Why).
func (t *Trace) Traceable(addr, size uint64) Tri {
	if t.Why != "" {
		return Unknown
	}
	if _, ok := t.Loc(addr, size); ok {
		return Yes
	}
	return No
}

// Blacklisted reports whether kprobes refuse the function at addr.
func (t *Trace) Blacklisted(addr uint64) bool {
	_, ok := slices.BinarySearch(t.Blacklist, addr)
	return ok
}

// Region names the special part of text that addr lies in; the smallest when
// they nest.
func (t *Trace) Region(addr uint64) (Region, bool) {
	var best Region
	for _, r := range t.regions {
		if addr >= r.Start && addr < r.End && (best.Name == "" || r.End-r.Start < best.End-best.Start) {
			best = r
		}
	}
	return best, best.Name != ""
}

// Regions returns all special parts of text, by start address.
func (t *Trace) Regions() []Region { return slices.Clone(t.regions) }
