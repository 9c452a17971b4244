package typecheck

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// Source is where the types of a kernel are looked up. One name can stand for
// several. It is safe for concurrent use.
type Source interface {
	// Name says what it is, "vmlinux's BTF".
	Name() string
	// Digest identifies the information: SHA-256, hexadecimal.
	Digest() string
	// Types returns the structures, unions or enumerations of a name as in
	// [Type.Name].
	Types(name string) ([]Type, error)
	// Enumerators returns the values of enumerators, whatever enumeration they are of.
	Enumerators(names []string) (map[string][]int64, error)
	// Funcs returns the prototypes of a function.
	Funcs(name string) ([]Func, error)
}

// BTF is the type information of a kernel, or of a module with the kernel's.
type BTF struct {
	name string
	raw  []byte
	base *BTF // nil for the kernel's own
	spec *btf.Spec
}

var _ Source = (*BTF)(nil)

// LoadBTF reads raw BTF, for example section .BTF of a vmlinux. That of a module
// counts on from the kernel's, which is then given as base. raw must stay as it is.
func LoadBTF(name string, raw []byte, base *BTF) (*BTF, error) {
	info := &BTF{name: name, raw: raw, base: base}
	var err error
	if base != nil {
		info.spec, err = btf.LoadSplitSpecFromReader(bytes.NewReader(raw), base.spec)
	} else {
		info.spec, err = btf.LoadSpecFromReader(bytes.NewReader(raw))
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return info, nil
}

// Name implements Source.
func (b *BTF) Name() string { return b.name }

// Digest implements Source. That of a module covers the kernel's too.
func (b *BTF) Digest() string { return DigestBTF(b.raw, b.baseRaw()) }

func (b *BTF) baseRaw() []byte {
	if b.base == nil {
		return nil
	}
	return b.base.raw
}

// DigestBTF is the digest of a module's BTF on top of the kernel's, or of the
// kernel's alone.
func DigestBTF(raw, base []byte) string {
	h := sha256.New()
	h.Write(base)
	h.Write(raw)
	return hex.EncodeToString(h.Sum(nil))
}

// Types implements Source.
func (b *BTF) Types(name string) ([]Type, error) {
	kind, tag, ok := strings.Cut(name, " ")
	if !ok {
		kind, tag = "", name
	}
	found, err := b.lookUp(tag)
	if err != nil {
		return nil, err
	}

	// Of one name there may be several: a structure and an enum, or definitions of different
	// files.
	var out []Type
	for _, typ := range found {
		switch typed := typ.(type) {
		case *btf.Struct:
			if kind != "struct" {
				continue
			}
		case *btf.Union:
			if kind != "union" {
				continue
			}
		case *btf.Enum:
			if kind != "enum" || len(typed.Values) == 0 {
				continue
			}
		case *btf.Typedef:
			if kind != "" {
				continue
			}
			typ = typed.Type
		default:
			continue
		}
		if ty := btfType(name, typ); ty != nil {
			out = append(out, *ty)
		}
	}
	return out, nil
}

// Funcs implements Source. A prototype without parameters and result is left out: the
// assembler describes its functions so, as copy_page of x86, and nothing tells them
// from functions of C.
func (b *BTF) Funcs(name string) ([]Func, error) {
	found, err := b.lookUp(name)
	if err != nil {
		return nil, err
	}
	var out []Func
	for _, t := range found {
		if f, ok := t.(*btf.Func); ok {
			if p, ok := f.Type.(*btf.FuncProto); ok {
				f := Func{Name: name, Return: btfShape(p.Return, 0), Params: btfParams(p, 0)}
				if f.Return != "void" || len(f.Params) > 0 {
					out = append(out, f)
				}
			}
		}
	}
	return out, nil
}

// lookUp returns the module's own types first, then the kernel's.
func (b *BTF) lookUp(name string) ([]btf.Type, error) {
	var out []btf.Type
	for at := b; at != nil; at = at.base {
		found, err := at.spec.AnyTypesByName(name)
		if err != nil && !errors.Is(err, btf.ErrNotFound) {
			return nil, fmt.Errorf("look up %s in %s: %w", name, at.name, err)
		}
		out = append(out, found...)
	}
	return out, nil
}

// Enumerators implements Source. The library has no index of them, so that the
// records are read here (Documentation/bpf/btf.rst, v6.12).
func (b *BTF) Enumerators(names []string) (map[string][]int64, error) {
	wanted := make(map[string][]int64, len(names))
	for _, n := range names {
		wanted[n] = nil
	}
	for at := b; at != nil; at = at.base {
		if err := at.enumerators(wanted); err != nil {
			return nil, fmt.Errorf("read enumerators of %s: %w", at.name, err)
		}
	}
	return wanted, nil
}

// Kinds of records that matter here, and bytes that others have behind their head.
const (
	btfKindEnum   = 6
	btfKindEnum64 = 19
)

var btfFixed = map[uint32]int{1: 4, 3: 12, 14: 4, 17: 4} // INT, ARRAY, VAR, DECL_TAG
// STRUCT, UNION, ENUM, FUNC_PROTO, DATASEC, ENUM64
var btfEach = map[uint32]int{4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}

var errBTF = errors.New("malformed")

func (b *BTF) enumerators(wanted map[string][]int64) error {
	types, strs, order, err := btfSections(b.raw)
	if err != nil {
		return err
	}
	first := 0
	var base []byte
	if b.base != nil {
		if _, base, _, err = btfSections(b.base.raw); err != nil {
			return err
		}
		first = len(base)
	}
	for len(types) >= 12 {
		info, size := order.Uint32(types[4:]), order.Uint32(types[8:])
		kind, n := info>>24&0x1f, int(info&0xffff)
		each := btfEach[kind]
		end := 12 + btfFixed[kind] + n*each
		if end > len(types) {
			return errBTF
		}
		if kind == btfKindEnum || kind == btfKindEnum64 {
			for rec := types[12:end]; len(rec) >= each; rec = rec[each:] {
				name := btfString(base, strs, int(order.Uint32(rec)), first)
				have, ok := wanted[string(name)]
				if !ok {
					continue
				}
				val := int64(int32(order.Uint32(rec[4:])))
				if kind == btfKindEnum64 {
					val = int64(uint64(order.Uint32(rec[8:]))<<32 | uint64(order.Uint32(rec[4:])))
				} else if size > 4 {
					val = int64(uint32(val)) // cut
				}
				wanted[string(name)] = append(have, val)
			}
		}
		types = types[end:]
	}
	return nil
}

// btfSections cuts raw BTF into its records and its strings.
func btfSections(raw []byte) (types, strs []byte, order binary.ByteOrder, err error) {
	const header = 24
	if len(raw) < header {
		return nil, nil, nil, errBTF
	}
	order = binary.ByteOrder(binary.LittleEndian)
	if order.Uint16(raw) != 0xeb9f {
		order = binary.BigEndian
	}
	at := uint64(order.Uint32(raw[4:]))
	cut := func(off int) ([]byte, bool) {
		start := at + uint64(order.Uint32(raw[off:]))
		end := start + uint64(order.Uint32(raw[off+4:]))
		if order.Uint16(raw) != 0xeb9f || end > uint64(len(raw)) {
			return nil, false
		}
		return raw[start:end], true
	}
	types, ok := cut(8)
	strs, ok2 := cut(16)
	if !ok || !ok2 {
		return nil, nil, nil, errBTF
	}
	return types, strs, order, nil
}

// btfString returns the string at an offset; those from first on are in strs.
func btfString(base, strs []byte, off, first int) []byte {
	text := strs
	if off < first {
		text = base
	} else {
		off -= first
	}
	if off >= len(text) {
		return nil
	}
	text = text[off:]
	if i := bytes.IndexByte(text, 0); i >= 0 {
		return text[:i]
	}
	return nil
}
