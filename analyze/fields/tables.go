package fields

import (
	"slices"

	"github.com/cilium/ebpf/btf"
)

// Tables tell which structure a table of function pointers in data is, by the
// prototypes of what it holds.
type Tables struct {
	base  *Tables            // the kernel's, for a module's; its structures have the first numbers
	at    map[string][]place // by signature
	sizes []int64            // of each structure
	types []*btf.Struct
}

type place struct {
	structure int
	off       int64
	inner     string // as Field.Inner
}

// Entry is one function pointer in data.
type Entry struct {
	Off int64  // from the start of the object
	Sig string // of the function; "" when not known
}

// newTables indexes all structures with function pointers, those of base included.
func newTables(spec *btf.Spec, base *Tables) (*Tables, error) {
	tables := &Tables{base: base, at: map[string][]place{}}
	if base != nil {
		tables.sizes, tables.types = slices.Clone(base.sizes), slices.Clone(base.types)
	}
	for typ, err := range spec.All() {
		if err != nil {
			return nil, err
		}
		aggregate, ok := typ.(*btf.Struct)
		if !ok || aggregate.Name == "" {
			continue
		}
		n := len(tables.sizes)
		if tables.add(n, aggregate, 0, "", 0) {
			tables.sizes, tables.types = append(tables.sizes, int64(aggregate.Size)), append(tables.types, aggregate)
		}
	}
	return tables, nil
}

// add records the function pointers of a structure; none means false.
func (t *Tables) add(offset int, typ btf.Type, base int64, inner string, depth int) bool {
	if depth > 6 {
		return false
	}
	var members []btf.Member
	switch under := typ.(type) {
	case *btf.Struct:
		members = under.Members
	case *btf.Union:
		members = under.Members
	case *btf.Array:
		size, err := btf.Sizeof(under.Type)
		if err != nil || under.Nelems > 64 {
			return false
		}
		some := false
		for i := range int64(under.Nelems) {
			some = t.element(offset, under.Type, base+i*int64(size), inner, depth) || some
		}
		return some
	}

	// Members of a type without a name count as the outer one's.
	if name := structName(typ); name != "" {
		inner = name
	}
	some := false
	for i := range members {
		m := &members[i]
		in := inner
		if m.Name != "" {
			in += "." + m.Name
		}
		some = t.element(offset, m.Type, base+int64(m.Offset.Bytes()), in, depth) || some
	}
	return some
}

func (t *Tables) element(n int, typ btf.Type, off int64, inner string, depth int) bool {
	if sig := PointerSignature(typ); sig != "" {
		t.at[sig] = append(t.at[sig], place{n, off, inner})
		return true
	}
	return t.add(n, btf.UnderlyingType(typ), off, inner, depth+1)
}

// places are those of the members with a signature.
func (t *Tables) places(sig string) []place {
	if t.base == nil {
		return t.at[sig]
	}
	return slices.Concat(t.base.places(sig), t.at[sig])
}

// Number is the number of a structure that Members has returned. The same types give
// the same number.
func (t *Tables) Number(s *btf.Struct) int { return slices.Index(t.types, s) }

// Struct is the structure of a number; nil for none.
func (t *Tables) Struct(n int) btf.Type {
	if t == nil || n < 0 || n >= len(t.types) {
		return nil
	}
	return t.types[n]
}

// Members returns for each entry of one data object the members that it may
// be, as Field.Inner names them: those of all structures that have pointers of
// these prototypes in these places. The object may be an array. An entry
// without a signature takes no part and gets nothing. The structure is that of
// the object, when only one is possible.
func (t *Tables) Members(entries []Entry) (members [][]string, structure *btf.Struct) {
	members, common := t.match(entries, func(off int64, _ int) int64 { return off })
	if len(common) == 0 { // an array: each entry counts from the start of its element
		members, common = t.match(entries, func(off int64, s int) int64 { return off % max(t.sizes[s], 1) })
	}
	if len(common) == 1 {
		for s := range common {
			structure = t.types[s]
		}
	}
	return members, structure
}

func (t *Tables) match(entries []Entry, at func(int64, int) int64) ([][]string, map[int]bool) {
	var common map[int]bool
	for _, entry := range entries {
		if entry.Sig == "" {
			continue
		}
		fits := map[int]bool{}
		for _, p := range t.places(entry.Sig) {
			if p.off == at(entry.Off, p.structure) && (common == nil || common[p.structure]) {
				fits[p.structure] = true
			}
		}
		common = fits
	}
	out := make([][]string, len(entries))
	for i, e := range entries {
		for _, p := range t.places(e.Sig) {
			if common[p.structure] && p.off == at(e.Off, p.structure) && !slices.Contains(out[i], p.inner) {
				out[i] = append(out[i], p.inner)
			}
		}
	}
	return out, common
}
