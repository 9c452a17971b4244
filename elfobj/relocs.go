package elfobj

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// relocFact describes one relocation type of an architecture whose relocations
// fill bit fields of instructions.
type relocFact struct {
	width int    // bytes
	bits  uint64 // written, in the integer of width bytes that the place holds
	pcrel bool
	// branch: of a direct call or jump only.
	branch bool
	// near: the field is too short, or the module loader lacks what it takes, to
	// lead to a symbol outside of the module.
	near bool
}

// whole is a field of data.
func whole(width int, pcrel bool) relocFact {
	return relocFact{width: width, bits: ^uint64(0) >> (64 - 8*width), pcrel: pcrel}
}

// relocFacts are the relocation types of one architecture by number.
type relocFacts map[uint32]relocFact

func (f relocFacts) Known(t uint32) bool      { _, ok := f[t]; return ok }
func (f relocFacts) PCRelative(t uint32) bool { return f[t].pcrel }
func (f relocFacts) Width(t uint32) int       { return f[t].width }

// store puts value into the bits of field that the relocation writes.
func (f relocFacts) store(bo binary.ByteOrder, field []byte, t uint32, value uint64) {
	bits := f[t].bits
	switch f[t].width {
	case 1:
		field[0] = field[0]&^byte(bits) | byte(value&bits)
	case 2:
		bo.PutUint16(field, bo.Uint16(field)&^uint16(bits)|uint16(value&bits))
	case 4:
		bo.PutUint32(field, bo.Uint32(field)&^uint32(bits)|uint32(value&bits))
	case 8:
		bo.PutUint64(field, bo.Uint64(field)&^bits|value&bits)
	}
}

// errField means that a relocation of an instruction is to be stored.
var errField = errors.New("storing into instructions of this architecture is not supported")

// apply stores a relocation of data.
func (f relocFacts) apply(bo binary.ByteOrder, name string, buf []byte, typ uint32, value, place uint64) error {
	fact, ok := f[typ]
	switch {
	case !ok:
		return fmt.Errorf("relocation %s is not known", name)
	case fact.width == 0:
		return nil
	case len(buf) < fact.width:
		return fmt.Errorf("relocation %s: %d bytes left", name, len(buf))
	case fact.bits != whole(fact.width, false).bits || fact.branch:
		return fmt.Errorf("relocation %s: %w", name, errField)
	}
	if fact.pcrel {
		value -= place
	}
	shift := 64 - 8*fact.width
	signed := int64(value)<<shift>>shift == int64(value)
	if unsigned := value<<shift>>shift == value; !signed && (fact.pcrel || !unsigned) {
		return fmt.Errorf("relocation %s: value %#x does not fit", name, value)
	}
	f.store(bo, buf, typ, value)
	return nil
}

// errNear means that a field is too short for an address outside of the module.
var errNear = errors.New("it cannot reach what is outside of the module")

func (f relocFacts) outside(name string, t uint32) error {
	if f[t].near {
		return fmt.Errorf("relocation %s: %w", name, errNear)
	}
	return nil
}

// field extracts the signed number in the bits [lo, lo+n) of an instruction.
func field(insn uint32, lo, n uint) int64 { return int64(insn) << (64 - lo - n) >> (64 - n) }

// insnAt is the little-endian instruction of 32 bits that a relocation is for.
func insnAt(code []byte, rel Reloc) (uint32, bool) {
	if rel.Off+4 < rel.Off || rel.Off+4 > uint64(len(code)) {
		return 0, false
	}
	return binary.LittleEndian.Uint32(code[rel.Off:]), true
}

// linked reads back a relocation of data. Nothing is known of fields of instructions.
func (f relocFacts) linked(bo binary.ByteOrder, code []byte, typ uint32, place uint64) (value, known uint64) {
	fact, ok := f[typ]
	if !ok || fact.width == 0 || len(code) < fact.width || fact.branch || fact.bits != whole(fact.width, false).bits {
		return 0, 0
	}
	switch fact.width {
	case 1:
		value = uint64(int64(int8(code[0])))
	case 2:
		value = uint64(int64(int16(bo.Uint16(code))))
	case 4:
		value = uint64(int64(int32(bo.Uint32(code))))
	case 8:
		value = bo.Uint64(code)
	}
	if fact.pcrel {
		return value + place, ^uint64(0)
	}
	return value, fact.bits
}
