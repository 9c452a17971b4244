package generate

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/kernel/klpapi"
	"github.com/klpforge/klpforge/module/note"
	"github.com/klpforge/klpforge/plan"
)

// The tables that the kernel reads are found in the module's data without
// knowing the kernel's structures: klp_patch begins with the pointer to
// __this_module, followed by the pointer to the klp_object table; each
// klp_object begins with name and function table, each klp_func with old_name,
// new_func and (4.5) old_sympos. Members behind those differ between kernels,
// so the size of an entry is derived: a table is a sized symbol of n entries
// and a zero one, and only one n fits the places of its relocations.

// tableFunc is one klp_func entry as found in the module.
type tableFunc struct {
	Object, Name, New string
	Sympos            uint64
}

func (t tableFunc) String() string {
	return fmt.Sprintf("%s,%d of %s -> %s", t.Name, t.Sympos, t.Object, t.New)
}

func cmpTableFunc(a, b tableFunc) int {
	return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.Sympos, b.Sympos), cmp.Compare(a.New, b.New))
}

// tableCallback is one callback member as found in the module.
type tableCallback struct{ Object, Field, Symbol string }

// klpTables is the content of klp_patch as far as it is checked.
type klpTables struct {
	objects   []string
	funcs     []tableFunc
	callbacks []tableCallback
	replace   bool
	states    []note.State // without meanings
}

var errNoTables = errors.New("no klp_patch found in the module's data")

// place is a position in a section.
type place struct {
	sec elfobj.SecID
	off uint64
}

type tableReader struct {
	f    *elfobj.File
	bo   binary.ByteOrder
	api  klpapi.API
	size map[place]uint64                // sized data symbols by start
	rel  map[elfobj.SecID][]elfobj.Reloc // sorted by offset
}

// readTables finds and decodes klp_patch.
func readTables(f *elfobj.File, api klpapi.API) (*klpTables, error) {
	r := &tableReader{f: f, bo: binary.LittleEndian, api: api, size: map[place]uint64{}, rel: map[elfobj.SecID][]elfobj.Reloc{}}
	if f.BigEndian {
		r.bo = binary.BigEndian
	}
	for _, s := range f.Symbols {
		if s.Sec > 0 && s.Type == elf.STT_OBJECT && s.Size > 0 {
			p := place{s.Sec, s.Value}
			r.size[p] = max(r.size[p], s.Size)
		}
	}
	for i := range f.Sections {
		if s := &f.Sections[i]; s.Flags&elf.SHF_ALLOC != 0 && s.Type == elf.SHT_PROGBITS {
			r.rel[elfobj.SecID(i)] = s.Relocs
		}
	}
	var found *klpTables
	err := errNoTables
	for i := range f.Sections {
		if f.Sections[i].Name == ".gnu.linkonce.this_module" {
			continue
		}
		for _, rel := range r.rel[elfobj.SecID(i)] {
			if f.Symbols[rel.Sym].Name != "__this_module" || rel.Addend != 0 {
				continue
			}
			t, e := r.patch(place{elfobj.SecID(i), rel.Off})
			switch {
			case e != nil:
				// Any driver structure may begin with its owner.
				if errors.Is(err, errNoTables) {
					err = fmt.Errorf("%w: %s+%#x: %w", errNoTables, f.Sections[i].Name, rel.Off, e)
				}
			case found != nil:
				return nil, errors.New("the module's data has two klp_patch structures")
			default:
				found = t
			}
		}
	}
	if found == nil {
		return nil, err
	}
	return found, nil
}

// pointer returns what the pointer at p points to; ok is false for a null one.
func (r *tableReader) pointer(p place) (to place, sym *elfobj.Symbol, ok bool) {
	rels := r.rel[p.sec]
	i, ok := slices.BinarySearchFunc(rels, p.off, func(rel elfobj.Reloc, off uint64) int { return cmp.Compare(rel.Off, off) })
	if !ok {
		return place{}, nil, false
	}
	sym = &r.f.Symbols[rels[i].Sym]
	if sym.Sec <= 0 {
		return place{}, sym, true
	}
	return place{sym.Sec, sym.Value + uint64(rels[i].Addend)}, sym, true
}

// relocOffs lists the offsets of relocations in [p, p+size), relative to p.
func (r *tableReader) relocOffs(p place, size uint64) []uint64 {
	var out []uint64
	for _, rel := range r.rel[p.sec] {
		if rel.Off >= p.off && rel.Off-p.off < size {
			out = append(out, rel.Off-p.off)
		}
	}
	return out
}

func (r *tableReader) str(p place) (string, error) {
	if p.sec <= 0 || p.off >= uint64(len(r.f.Sections[p.sec].Data)) {
		return "", errors.New("a name lies outside its section")
	}
	data := r.f.Sections[p.sec].Data
	s, _, ok := bytes.Cut(data[p.off:], []byte{0})
	if !ok {
		return "", errors.New("a name does not end")
	}
	return string(s), nil
}

// word reads size bytes at p.
func (r *tableReader) word(p place, size uint64) (uint64, bool) {
	data := r.f.Sections[p.sec].Data
	if p.off > uint64(len(data)) || uint64(len(data))-p.off < size {
		return 0, false
	}
	switch b := data[p.off:]; size {
	case 1:
		return uint64(b[0]), true
	case 4:
		return uint64(r.bo.Uint32(b)), true
	default:
		return r.bo.Uint64(b), true
	}
}

// stride finds the size of the entries of the table at p: with n entries and a
// zero one, each entry has relocations at all of the must offsets and at none
// but those and the may offsets.
func (r *tableReader) stride(p place, must, may []uint64) (n int, stride uint64, err error) {
	size, ok := r.size[p]
	if !ok {
		return 0, 0, errors.New("a table has no sized symbol")
	}
	offs := r.relocOffs(p, size)
	for n := range len(offs)/len(must) + 1 {
		stride := size / uint64(n+1)
		if size%uint64(n+1) != 0 || stride%8 != 0 || stride < 16 {
			continue
		}
		have := make([]int, n+1)
		fits := true
		for _, off := range offs {
			member := off % stride
			if slices.Contains(must, member) {
				have[off/stride]++
			} else if !slices.Contains(may, member) || off/stride == uint64(n) {
				fits = false
			}
		}
		for i, h := range have {
			fits = fits && (i < n && h == len(must) || i == n && h == 0)
		}
		if fits {
			return n, stride, nil
		}
	}
	return 0, 0, fmt.Errorf("a table of %d bytes with %d pointers has no sensible entries", size, len(offs))
}

func (r *tableReader) patch(p place) (*klpTables, error) {
	objs, _, ok := r.pointer(place{p.sec, p.off + 8})
	if !ok || objs.sec <= 0 {
		return nil, errors.New("no object table")
	}
	// Before 4.7 the relocations of the object come before its functions.
	funcs := uint64(8)
	if !r.api.ElfRelocs {
		funcs = 16
	}
	may := []uint64{0}
	if r.api.Callbacks {
		may = append(may, funcs+8, funcs+16, funcs+24, funcs+32)
	}
	n, stride, err := r.stride(objs, []uint64{funcs}, may)
	if err != nil {
		return nil, fmt.Errorf("klp_object: %w", err)
	}
	if n == 0 {
		return nil, errors.New("klp_object: empty table")
	}
	t := &klpTables{}
	for i := range uint64(n) {
		if err := r.object(t, place{objs.sec, objs.off + i*stride}, funcs); err != nil {
			return nil, fmt.Errorf("klp_object %d: %w", i, err)
		}
	}
	next := p.off + 16
	if r.api.States {
		if states, _, ok := r.pointer(place{p.sec, next}); ok {
			if err := r.states(t, states); err != nil {
				return nil, err
			}
		}
		next += 8
	}
	if r.api.Replace {
		v, _ := r.word(place{p.sec, next}, 1)
		t.replace = v != 0
	}
	return t, nil
}

func (r *tableReader) object(t *klpTables, p place, funcs uint64) error {
	name := plan.Vmlinux
	if to, _, ok := r.pointer(p); ok {
		var err error
		if name, err = r.str(to); err != nil {
			return err
		}
	}
	t.objects = append(t.objects, name)
	if r.api.Callbacks {
		for i, field := range []string{"pre_patch", "post_patch", "pre_unpatch", "post_unpatch"} {
			if to, sym, ok := r.pointer(place{p.sec, p.off + funcs + 8 + 8*uint64(i)}); ok {
				t.callbacks = append(t.callbacks, tableCallback{name, field, r.symbolAt(to, sym)})
			}
		}
	}
	table, _, _ := r.pointer(place{p.sec, p.off + funcs})
	n, stride, err := r.stride(table, []uint64{0, 8}, nil)
	if err != nil {
		return fmt.Errorf("klp_func of %s: %w", name, err)
	}
	for i := range uint64(n) {
		entry := place{table.sec, table.off + i*stride}
		to, _, _ := r.pointer(entry)
		fn := tableFunc{Object: name}
		if fn.Name, err = r.str(to); err != nil {
			return fmt.Errorf("klp_func %d of %s: %w", i, name, err)
		}
		to, sym, _ := r.pointer(place{entry.sec, entry.off + 8})
		fn.New = r.symbolAt(to, sym)
		if r.api.OldSympos {
			fn.Sympos, _ = r.word(place{entry.sec, entry.off + 16}, 8)
		}
		t.funcs = append(t.funcs, fn)
	}
	return nil
}

func (r *tableReader) states(t *klpTables, p place) error {
	size, ok := r.size[p]
	const stride = 24 // unsigned long id; unsigned int version; void *data
	if !ok || size%stride != 0 {
		return errors.New("klp_state: a table has no sized symbol")
	}
	for off := uint64(0); off+stride < size; off += stride {
		id, ok1 := r.word(place{p.sec, p.off + off}, 8)
		version, ok2 := r.word(place{p.sec, p.off + off + 8}, 4)
		if !ok1 || !ok2 {
			return errors.New("klp_state: the table lies outside its section")
		}
		t.states = append(t.states, note.State{ID: id, Version: uint32(version)})
	}
	return nil
}

// symbolAt names the function at to: sym itself, or the function that a
// reference through a section symbol means.
func (r *tableReader) symbolAt(to place, sym *elfobj.Symbol) string {
	if sym != nil && sym.Name != "" && (sym.Sec <= 0 || sym.Value == to.off) {
		return sym.Name
	}
	for _, s := range r.f.Symbols {
		if s.Sec == to.sec && s.Value == to.off && s.Type == elf.STT_FUNC {
			return s.Name
		}
	}
	return ""
}
