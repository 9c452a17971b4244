package typecheck

import (
	"crypto/sha256"
	"debug/dwarf"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"path"
	"strings"
	"sync"
)

// Image is the DWARF of a linked vmlinux. It has hundreds of megabytes: units are read
// when a name is asked for, those of [Image.Prefer] first.
type Image struct {
	name   string
	data   *dwarf.Data
	digest func() string

	mu    sync.Mutex
	units []imageUnit
	at    int // of units, the next to read
	types map[string][]Type
	enums map[string][]int64
	funcs map[string][]Func
	read  map[dwarf.Offset]bool
}

// imageUnit is one compilation unit that is not read yet.
type imageUnit struct {
	off  dwarf.Offset // of its first entry
	name string       // source file
}

var _ Source = (*Image)(nil)

// OpenImage opens debug information by its sections.
func OpenImage(name string, section func(name string) []byte) (im *Image, err error) {
	defer func() {
		if r := recover(); r != nil { // of debug/dwarf, on hostile input
			im, err = nil, fmt.Errorf("read %s: %v", name, r)
		}
	}()
	info := section(".debug_info")
	data, err := dwarf.New(section(".debug_abbrev"), nil, nil, info, section(".debug_line"), nil,
		section(".debug_ranges"), section(".debug_str"))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	for _, s := range []string{".debug_addr", ".debug_line_str", ".debug_rnglists", ".debug_str_offsets"} {
		if b := section(s); b != nil {
			if err := data.AddSection(s, b); err != nil {
				return nil, fmt.Errorf("read %s: %w", name, err)
			}
		}
	}
	im = &Image{name: name, data: data, types: map[string][]Type{}, enums: map[string][]int64{},
		funcs: map[string][]Func{}, read: map[dwarf.Offset]bool{}}
	im.digest = sync.OnceValue(func() string {
		sum := sha256.Sum256(info)
		return hex.EncodeToString(sum[:])
	})
	return im, im.index(info)
}

// index lists the units by their headers (DWARF 5, 7.5.1). 64-bit DWARF is not used by
// kernels.
func (im *Image) index(info []byte) error {
	in := im.data.Reader()
	for off := 0; off+12 <= len(info); {
		size := int(binary.LittleEndian.Uint32(info[off:]))
		header := 11
		if binary.LittleEndian.Uint16(info[off+4:]) >= 5 {
			header = 12
		}
		if size < header-4 || size >= 0xfffffff0 || off+4+size > len(info) {
			return fmt.Errorf("read %s: the unit at %#x has no end", im.name, off)
		}
		in.Seek(dwarf.Offset(off + header))
		e, err := in.Next()
		if err == nil && e != nil && e.Tag == dwarf.TagCompileUnit {
			name, _ := e.Val(dwarf.AttrName).(string)
			im.units = append(im.units, imageUnit{e.Offset, name})
		}
		off += 4 + size
	}
	return nil
}

// Prefer reads the units of a source file now.
func (im *Image) Prefer(source string) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	for _, u := range im.units {
		if clean := path.Clean(u.name); clean == source || strings.HasSuffix(clean, "/"+source) {
			if err := im.unit(u); err != nil {
				return err
			}
		}
	}
	return nil
}

// unit reads one unit.
func (im *Image) unit(unit imageUnit) (err error) {
	if im.read[unit.off] {
		return nil
	}
	im.read[unit.off] = true
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("read %s: unit %s: %v", im.name, unit.name, r)
		}
	}()
	in := im.data.Reader()
	in.Seek(unit.off)
	e, err := in.Next()
	if err != nil || e == nil {
		return fmt.Errorf("read %s: unit %s: %w", im.name, unit.name, err)
	}
	r := &unitReader{d: im.data}
	if err := r.read(in, e); err != nil {
		return fmt.Errorf("read %s: unit %s: %w", im.name, unit.name, err)
	}
	obj := r.object()
	for _, t := range obj.Types {
		if t.Name != "" && !contains(im.types[t.Name], &t) {
			im.types[t.Name] = append(im.types[t.Name], t)
		}
		for _, p := range t.Parts {
			if t.Enum {
				im.enums[p.Name] = append(im.enums[p.Name], p.Value)
			}
		}
	}
	for _, f := range obj.Funcs {
		if f.Return == "void" && len(f.Params) == 0 {
			continue // the assembler's, or so it looks; see BTF.Funcs
		}
		if list := im.funcs[f.Name]; len(list) == 0 || list[len(list)-1].String() != f.String() {
			im.funcs[f.Name] = append(list, f)
		}
	}
	return nil
}

func contains(list []Type, t *Type) bool {
	for i := range list {
		if len(list[i].Parts) == len(t.Parts) && len(Compare(t, &list[i])) == 0 {
			return true
		}
	}
	return false
}

// maxUnits bounds how many units are read for names that the object's own source does
// not show. A new type of a patch is in none of the thousands.
const maxUnits = 200

// until reads units until found says that it suffices, or enough were read.
func (im *Image) until(found func() bool) error {
	for !found() && im.at < min(len(im.units), maxUnits) {
		if err := im.unit(im.units[im.at]); err != nil {
			return err
		}
		im.at++
	}
	return nil
}

// Name implements Source.
func (im *Image) Name() string { return im.name }

// Digest implements Source: of .debug_info.
func (im *Image) Digest() string { return im.digest() }

// Types implements Source. One that neither the preferred nor the first maxUnits units
// have is not found.
func (im *Image) Types(name string) ([]Type, error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	err := im.until(func() bool { return len(im.types[name]) > 0 })
	return im.types[name], err
}

// Enumerators implements Source, as far as units were read.
func (im *Image) Enumerators(names []string) (map[string][]int64, error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	out := map[string][]int64{}
	for _, n := range names {
		out[n] = im.enums[n]
	}
	return out, nil
}

// Funcs implements Source, as far as units were read: the declaration that the
// object's own source sees is among them.
func (im *Image) Funcs(name string) ([]Func, error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	return im.funcs[name], nil
}
