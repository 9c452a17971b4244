package facts

import (
	"debug/dwarf"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/kimage"
)

// Lines gives the source line of each address, "kernel/signal.c:1406", as far
// as DWARF says: of the image that is looked at or, when it has none, of the
// target's debug package. Without either the result is empty.
func (k *Kernel) Lines(addrs []uint64) (map[uint64]string, error) {
	im := k.Image
	if im.Section(".debug_info") == nil {
		var missing *kernel.MissingPartError
		debug, err := k.Target.DebugImage()
		switch {
		case errors.As(err, &missing):
			return nil, nil
		case err != nil:
			return nil, err
		case debug.Section(".debug_info") == nil:
			return nil, nil
		}
		im = debug
	}
	out, err := sourceLines(im, addrs)
	if err != nil {
		return nil, fmt.Errorf("read DWARF of %s: %w", im.Path, err)
	}
	return out, nil
}

// sourceLines looks addresses up in an image's DWARF. The sections are used
// where they are mapped; only units that hold an address are decoded.
func sourceLines(im *kimage.Image, addrs []uint64) (_ map[uint64]string, err error) {
	defer func() {
		if r := recover(); r != nil { // of debug/dwarf, on hostile input
			err = fmt.Errorf("malformed: %v", r)
		}
	}()
	section := func(name string) []byte {
		if s := im.Section(name); s != nil {
			return s.Data()
		}
		return nil
	}
	d, err := dwarf.New(section(".debug_abbrev"), nil, nil, section(".debug_info"), section(".debug_line"), nil, section(".debug_ranges"), section(".debug_str"))
	if err != nil {
		return nil, err
	}
	for _, name := range []string{".debug_addr", ".debug_line_str", ".debug_rnglists", ".debug_str_offsets"} {
		if b := section(name); b != nil {
			if err := d.AddSection(name, b); err != nil {
				return nil, err
			}
		}
	}
	units := arangesOf(im, section(".debug_aranges"))
	addrs = slices.Clone(addrs)
	slices.Sort(addrs)
	byUnit := map[dwarf.Offset][]uint64{}
	for _, a := range slices.Compact(addrs) {
		i, _ := slices.BinarySearchFunc(units, a, func(u arange, a uint64) int {
			if u.end <= a {
				return -1
			}
			return 1
		})
		if i < len(units) && units[i].start <= a {
			byUnit[units[i].unit] = append(byUnit[units[i].unit], a)
		}
	}
	out := map[uint64]string{}
	for off, list := range byUnit {
		if err := unitLines(d, off, list, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// arange is a range of addresses of one compilation unit.
type arange struct {
	start, end uint64
	unit       dwarf.Offset // of the unit's header in .debug_info
}

// arangesOf decodes .debug_aranges (DWARF 5, 6.1.2), by address. What is
// malformed ends it early.
func arangesOf(im *kimage.Image, b []byte) []arange {
	var out []arange
	for len(b) >= 12 {
		n := uint64(im.Order.Uint32(b))
		if n+4 > uint64(len(b)) || n < 12 || im.Order.Uint16(b[4:]) != 2 || b[10] != 8 {
			break // 64-bit DWARF is not used by kernels
		}
		unit := dwarf.Offset(im.Order.Uint32(b[6:]))
		for p := b[16 : n+4]; len(p) >= 16; p = p[16:] {
			if start, size := im.Order.Uint64(p), im.Order.Uint64(p[8:]); size > 0 && start != 0 {
				out = append(out, arange{start, start + size, unit})
			}
		}
		b = b[n+4:]
	}
	slices.SortFunc(out, func(a, b arange) int {
		if a.start < b.start {
			return -1
		}
		return 1
	})
	return out
}

// unitLines looks up addresses, which ascend, in one unit's line table.
func unitLines(d *dwarf.Data, unit dwarf.Offset, addrs []uint64, out map[uint64]string) error {
	const header = 12 // of a DWARF 5 compilation unit; 11 before
	r := d.Reader()
	var cu *dwarf.Entry
	for _, h := range []dwarf.Offset{header, header - 1} {
		r.Seek(unit + h)
		if e, err := r.Next(); err == nil && e != nil && e.Tag == dwarf.TagCompileUnit {
			cu = e
			break
		}
	}
	if cu == nil {
		return fmt.Errorf("unit at %#x does not begin with a compilation unit", unit)
	}
	lr, err := d.LineReader(cu)
	if err != nil || lr == nil {
		return err
	}
	dir, _ := cu.Val(dwarf.AttrCompDir).(string)
	var e dwarf.LineEntry
	for _, a := range addrs {
		if err := lr.SeekPC(a, &e); errors.Is(err, dwarf.ErrUnknownPC) {
			continue
		} else if err != nil {
			return err
		}
		if e.File != nil && e.Line > 0 {
			out[a] = fmt.Sprintf("%s:%d", inTree(e.File.Name, dir), e.Line)
		}
	}
	return nil
}

// inTree names a source file relative to the kernel's tree, of which the
// compiler ran in a directory dir: the tree itself or one below it.
func inTree(file, dir string) string {
	file, dir = path.Clean(file), path.Clean(dir)
	if !path.IsAbs(file) && path.IsAbs(dir) {
		file = path.Join(dir, file)
	}
	for d := dir; d != "/" && d != "."; d = path.Dir(d) {
		if rest, ok := strings.CutPrefix(file, d+"/"); ok {
			return strings.TrimPrefix(rest, "./")
		}
	}
	return strings.TrimPrefix(file, "./")
}
