package kimage

import (
	"bytes"
	"fmt"
	"slices"
)

// IndirectEntry says whether a function can be called through a pointer where
// the processor tracks indirect branches (IBT).
type IndirectEntry int8

// Entries of functions. A processor with IBT raises a control-protection fault,
// at which the kernel stops, for all but EntryOpen.
const (
	EntryOpen  IndirectEntry = iota // it begins with endbr64; also: no code, or no kernel with CONFIG_X86_KERNEL_IBT
	EntryPlain                      // the compiler put no endbr64 there: nothing in its file took its address
	// objtool found that nothing takes its address: the kernel overwrites the endbr64 when it
	// boots, a module's when it loads
	EntrySealed
)

func (e IndirectEntry) String() string {
	return [...]string{"begins with endbr64", "has no endbr64",
		"has an endbr64 that the kernel seals (.ibt_endbr_seal)"}[e]
}

var endbr64 = []byte{0xf3, 0x0f, 0x1e, 0xfa}

// EntryOf judges the first bytes of a function; sealed says that a table names it.
func EntryOf(code []byte, sealed bool) IndirectEntry {
	switch {
	case !bytes.HasPrefix(code, endbr64):
		return EntryPlain
	case sealed:
		return EntrySealed
	}
	return EntryOpen
}

// Endbr knows which functions of vmlinux indirect branches may enter. nil
// stands for a kernel that does not track them: all may be entered.
type Endbr struct {
	im     *Image
	sealed []uint64 // addresses, ascending
}

// NewEndbr reads the table of places that apply_seal_endbr overwrites at boot
// (arch/x86/kernel/alternative.c, v6.12): 32-bit distances from the table's own
// entries. Only kernels with CONFIG_X86_KERNEL_IBT have it.
func NewEndbr(im *Image, syms *Symbols) (*Endbr, error) {
	start, ok1 := syms.Unique("__ibt_endbr_seal")
	stop, ok2 := syms.Unique("__ibt_endbr_seal_end")
	if !ok1 || !ok2 {
		return nil, nil
	}
	if stop.Addr < start.Addr || (stop.Addr-start.Addr)%4 != 0 || stop.Addr-start.Addr > 1<<26 {
		return nil, fmt.Errorf("__ibt_endbr_seal..__ibt_endbr_seal_end is %#x..%#x", start.Addr, stop.Addr)
	}
	table, err := im.Read(start.Addr, int(stop.Addr-start.Addr))
	if err != nil {
		return nil, fmt.Errorf("read the table of sealed functions: %w", err)
	}
	sealed := &Endbr{im: im, sealed: make([]uint64, 0, len(table)/4)}
	for off := 0; off < len(table); off += 4 {
		sealed.sealed = append(sealed.sealed, start.Addr+uint64(off)+uint64(int64(int32(im.Order.Uint32(table[off:])))))
	}
	slices.Sort(sealed.sealed)
	return sealed, nil
}

// Entry judges what is at addr.
func (t *Endbr) Entry(addr uint64) IndirectEntry {
	if t == nil || !t.im.Executable(addr) || t.im.writable(addr) {
		return EntryOpen
	}
	code, err := t.im.Read(addr, len(endbr64))
	if err != nil {
		return EntryOpen // the end of the text: no function fits there
	}
	_, sealed := slices.BinarySearch(t.sealed, addr)
	return EntryOf(code, sealed)
}
