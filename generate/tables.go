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
func readTables(elfFile *elfobj.File, api klpapi.API) (*klpTables, error) {
	reader := &tableReader{f: elfFile, bo: binary.LittleEndian, api: api, size: map[place]uint64{},
		rel: map[elfobj.SecID][]elfobj.Reloc{}}
	if elfFile.BigEndian {
		reader.bo = binary.BigEndian
	}
	for _, sym := range elfFile.Symbols {
		if sym.Sec > 0 && sym.Type == elf.STT_OBJECT && sym.Size > 0 {
			at := place{sym.Sec, sym.Value}
			reader.size[at] = max(reader.size[at], sym.Size)
		}
	}
	for i := range elfFile.Sections {
		if section := &elfFile.Sections[i]; section.Flags&elf.SHF_ALLOC != 0 && section.Type == elf.SHT_PROGBITS {
			reader.rel[elfobj.SecID(i)] = section.Relocs
		}
	}
	var found *klpTables
	err := errNoTables
	for i := range elfFile.Sections {
		if elfFile.Sections[i].Name == ".gnu.linkonce.this_module" {
			continue
		}
		for _, rel := range reader.rel[elfobj.SecID(i)] {
			if elfFile.Symbols[rel.Sym].Name != "__this_module" || rel.Addend != 0 {
				continue
			}
			tables, failed := reader.patch(place{elfobj.SecID(i), rel.Off})
			switch {
			case failed != nil:
				// Any driver structure may begin with its owner.
				if errors.Is(err, errNoTables) {
					err = fmt.Errorf("%w: %s+%#x: %w", errNoTables, elfFile.Sections[i].Name, rel.Off, failed)
				}
			case found != nil:
				return nil, errors.New("the module's data has two klp_patch structures")
			default:
				found = tables
			}
		}
	}
	if found == nil {
		return nil, err
	}
	return found, nil
}

// pointer returns what the pointer at a place points to; ok is false for a null one.
func (r *tableReader) pointer(at place) (to place, sym *elfobj.Symbol, ok bool) {
	rels := r.rel[at.sec]
	i, ok := slices.BinarySearchFunc(rels, at.off,
		func(rel elfobj.Reloc, off uint64) int { return cmp.Compare(rel.Off, off) })
	if !ok {
		return place{}, nil, false
	}
	sym = &r.f.Symbols[rels[i].Sym]
	if sym.Sec <= 0 {
		return place{}, sym, true
	}
	return place{sym.Sec, sym.Value + uint64(rels[i].Addend)}, sym, true
}

// relocOffs lists the offsets of relocations in [at, at+size), relative to at.
func (r *tableReader) relocOffs(at place, size uint64) []uint64 {
	var out []uint64
	for _, rel := range r.rel[at.sec] {
		if rel.Off >= at.off && rel.Off-at.off < size {
			out = append(out, rel.Off-at.off)
		}
	}
	return out
}

func (r *tableReader) str(at place) (string, error) {
	if at.sec <= 0 || at.off >= uint64(len(r.f.Sections[at.sec].Data)) {
		return "", errors.New("a name lies outside its section")
	}
	data := r.f.Sections[at.sec].Data
	s, _, ok := bytes.Cut(data[at.off:], []byte{0})
	if !ok {
		return "", errors.New("a name does not end")
	}
	return string(s), nil
}

// word reads size bytes at a place.
func (r *tableReader) word(at place, size uint64) (uint64, bool) {
	data := r.f.Sections[at.sec].Data
	if at.off > uint64(len(data)) || uint64(len(data))-at.off < size {
		return 0, false
	}
	switch field := data[at.off:]; size {
	case 1:
		return uint64(field[0]), true
	case 4:
		return uint64(r.bo.Uint32(field)), true
	default:
		return r.bo.Uint64(field), true
	}
}

// stride finds the size of the entries of the table at a place: with n entries and a
// zero one, each entry has relocations at all of the must offsets and at none
// but those and the may offsets.
func (r *tableReader) stride(at place, must, may []uint64) (n int, stride uint64, err error) {
	size, ok := r.size[at]
	if !ok {
		return 0, 0, errors.New("a table has no sized symbol")
	}

	// The number of entries is not stored. Of all that divide the size, only one puts every
	// pointer on a member that may hold one.
	offs := r.relocOffs(at, size)
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

func (r *tableReader) patch(at place) (*klpTables, error) {
	objs, _, ok := r.pointer(place{at.sec, at.off + 8})
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
	found := &klpTables{}
	for i := range uint64(n) {
		if err := r.object(found, place{objs.sec, objs.off + i*stride}, funcs); err != nil {
			return nil, fmt.Errorf("klp_object %d: %w", i, err)
		}
	}
	next := at.off + 16
	if r.api.States {
		if states, _, ok := r.pointer(place{at.sec, next}); ok {
			if err := r.states(found, states); err != nil {
				return nil, err
			}
		}
		next += 8
	}
	if r.api.Replace {
		v, _ := r.word(place{at.sec, next}, 1)
		found.replace = v != 0
	}
	return found, nil
}

func (r *tableReader) object(found *klpTables, at place, funcs uint64) error {
	name := plan.Vmlinux
	if to, _, ok := r.pointer(at); ok {
		var err error
		if name, err = r.str(to); err != nil {
			return err
		}
	}
	found.objects = append(found.objects, name)

	// The pointers of struct klp_callbacks follow the pointer to the functions.
	if r.api.Callbacks {
		for i, field := range []string{"pre_patch", "post_patch", "pre_unpatch", "post_unpatch"} {
			if to, sym, ok := r.pointer(place{at.sec, at.off + funcs + 8 + 8*uint64(i)}); ok {
				found.callbacks = append(found.callbacks, tableCallback{name, field, r.symbolAt(to, sym)})
			}
		}
	}

	// klp_func begins with old_name and new_func, and only these are pointers.
	table, _, _ := r.pointer(place{at.sec, at.off + funcs})
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
		found.funcs = append(found.funcs, fn)
	}
	return nil
}

func (r *tableReader) states(found *klpTables, at place) error {
	size, ok := r.size[at]
	const stride = 24 // unsigned long id; unsigned int version; void *data
	if !ok || size%stride != 0 {
		return errors.New("klp_state: a table has no sized symbol")
	}
	for off := uint64(0); off+stride < size; off += stride {
		id, ok1 := r.word(place{at.sec, at.off + off}, 8)
		version, ok2 := r.word(place{at.sec, at.off + off + 8}, 4)
		if !ok1 || !ok2 {
			return errors.New("klp_state: the table lies outside its section")
		}
		found.states = append(found.states, note.State{ID: id, Version: uint32(version)})
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
