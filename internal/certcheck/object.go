package certcheck

import (
	"debug/elf"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"golang.org/x/arch/x86/x86asm"

	"github.com/klpforge/klpforge/elfobj"
)

// code is one function of an object: its own bytes and its cold part's, laid out at
// addresses of this package's making.
type code struct {
	f     *elfobj.File
	name  string
	parts []part
	cache map[uint64]*inst
	keys  map[uint64]key // static keys, by the address of the code
}

// key is a jump that the kernel makes or leaves out.
type key struct {
	target, name uint64
	turned       bool
}

// part is a range of a section that belongs to the function.
type part struct {
	sec       elfobj.SecID
	off, size uint64
	base      uint64 // made-up address
}

const codeBase, partSize = 0x1000_0000, 0x10_0000

// newCode finds a function by name.
func newCode(f *elfobj.File, name string) (*code, error) {
	side := &code{f: f, name: name, cache: map[uint64]*inst{}}
	for _, want := range []string{name, name + ".cold"} {
		for _, sym := range f.Symbols {
			if sym.Name == want && sym.Sec > 0 && sym.Size > 0 {
				side.parts = append(side.parts, part{sym.Sec, sym.Value, sym.Size, codeBase +
					uint64(len(side.parts))*partSize})
			}
		}
		if want == name && len(side.parts) != 1 {
			return nil, fmt.Errorf("object has %d functions %s", len(side.parts), name)
		}
	}
	return side, side.readKeys()
}

// place names an address as certificates do.
func (c *code) place(a uint64) string {
	index := (a - codeBase) / partSize
	if index == 0 {
		return fmt.Sprintf("+%#x", a-codeBase)
	}
	return fmt.Sprintf("cold%d+%#x", index, a-codeBase-index*partSize)
}

// address is the contrary of place.
func (c *code) address(place string) (uint64, error) {
	var index, off uint64
	place = strings.TrimPrefix(place, "left")
	if _, err := fmt.Sscanf(place, "+0x%x", &off); err != nil {
		if _, err := fmt.Sscanf(place, "cold%d+0x%x", &index, &off); err != nil || index == 0 {
			return 0, fmt.Errorf("%q is no place", place)
		}
	}
	if index >= uint64(len(c.parts)) || off >= c.parts[index].size {
		return 0, fmt.Errorf("%s is not in the function", place)
	}
	return c.parts[index].base + off, nil
}

// inst is one instruction whose fields hold made-up addresses.
type inst struct {
	x86asm.Inst
	at     uint64
	callee string // of a direct call or jump out of the function
	to     uint64 // of one that stays in it
}

// decode relocates and decodes the instruction at an address.
func (c *code) decode(at uint64) (*inst, error) {
	if in := c.cache[at]; in != nil {
		return in, nil
	}
	index := (at - codeBase) / partSize
	if at < codeBase || index >= uint64(len(c.parts)) || at-c.parts[index].base >= c.parts[index].size {
		return nil, fmt.Errorf("%#x is not in the function", at)
	}
	piece := &c.parts[index]
	off := piece.off + at - piece.base
	sec := &c.f.Sections[piece.sec]
	raw := slices.Clone(sec.Data[off:min(off+15, piece.off+piece.size)])
	plainNop(raw)
	first, err := x86asm.Decode(raw, 64)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.place(at), err)
	}
	in := &inst{at: at}
	end := at + uint64(first.Len)
	for _, rel := range sec.Relocs {
		if rel.Off < off || rel.Off >= off+uint64(first.Len) {
			continue
		}
		if rel.Off+4 > off+uint64(first.Len) {
			return nil, fmt.Errorf("%s: a relocation reaches over the instruction's end", c.place(at))
		}
		name, value, err := c.symbol(rel)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.place(at), err)
		}
		field := raw[rel.Off-off:]
		switch rel.Type {
		case uint32(elf.R_X86_64_PC32), uint32(elf.R_X86_64_PLT32):
			put32(field, uint32(value-(at+rel.Off-off)))
			if name == "" {
				name = c.named(rel, 4)
			}
			if raw[0] == 0xe8 || raw[0] == 0xe9 || raw[0] == 0x0f && raw[1]&0xf0 == 0x80 {
				in.callee, in.to = name, value+4
			}
		case uint32(elf.R_X86_64_32), uint32(elf.R_X86_64_32S):
			put32(field, uint32(value))
		default:
			return nil, fmt.Errorf("%s: relocation type %d", c.place(at), rel.Type)
		}
	}
	if in.Inst, err = x86asm.Decode(raw, 64); err != nil {
		return nil, err
	}
	if rel, ok := in.Args[0].(x86asm.Rel); ok {
		if in.to == 0 {
			in.to = end + uint64(int64(rel))
		}
		if in.to >= codeBase && in.to < codeBase+16*partSize {
			in.callee = ""
		}
	}
	c.cache[at] = in
	return in, nil
}

// named finds the function that a relocation against a section means.
func (c *code) named(r elfobj.Reloc, behind uint64) string {
	to := c.f.Symbols[r.Sym]
	for _, sym := range c.f.Symbols {
		if sym.Sec > 0 && sym.Sec == to.Sec && sym.Type == elf.STT_FUNC &&
			sym.Value == to.Value+uint64(r.Addend)+behind {
			return sym.Name
		}
	}
	return ""
}

// readKeys reads __jump_table: 16 bytes for each entry, the places of the code, of the
// target and of the key, whose lowest bit turns the question round
// (include/linux/jump_label.h, v6.1).
func (c *code) readKeys() error {
	c.keys = map[uint64]key{}
	for i := range c.f.Sections {
		section := &c.f.Sections[i]
		if section.Name != "__jump_table" {
			continue
		}
		entries := map[uint64][3]elfobj.Reloc{}
		for _, rel := range section.Relocs {
			entry := entries[rel.Off/16]
			entry[min(rel.Off%16/4, 2)] = rel
			entries[rel.Off/16] = entry
		}
		for _, entry := range entries {
			at, ok := c.inside(entry[0])
			to, ok2 := c.inside(entry[1])
			if !ok || !ok2 {
				continue
			}
			_, value, err := c.symbol(entry[2])
			if err != nil {
				return err
			}
			c.keys[at] = key{to, value &^ 1, value&1 == 1}
		}
	}
	return nil
}

// inside gives the address of the place in the function that a relocation means.
func (c *code) inside(r elfobj.Reloc) (uint64, bool) {
	sym := &c.f.Symbols[r.Sym]
	off := sym.Value + uint64(r.Addend)
	for _, piece := range c.parts {
		if sym.Sec == piece.sec && off >= piece.off && off < piece.off+piece.size {
			return piece.base + off - piece.off, true
		}
	}
	return 0, false
}

// plainNop writes 0f 1f /0 in place of the other opcodes that are kept for hints and do
// nothing on any processor without them (Intel SDM vol. 2, opcode map of 0f,
// "reserved NOP"): x86asm knows that one only. Those with f3 and two registers mean
// something.
func plainNop(code []byte) {
	// endbr64 and endbr32: where an indirect jump may lead, and nothing else.
	if len(code) >= 4 && code[0] == 0xf3 && code[1] == 0x0f && code[2] == 0x1e && (code[3] == 0xfa || code[3] == 0xfb) {
		copy(code, []byte{0x0f, 0x1f, 0x40, 0x00})
		return
	}
	at := 0
	for at < len(code) && (slices.Contains([]byte{0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65},
		code[at]) || code[at]&0xf0 == 0x40) {
		at++
	}
	if at+2 >= len(code) || code[at] != 0x0f || code[at+1] < 0x19 || code[at+1] > 0x1f {
		return
	}
	if slices.Contains(code[:at], 0xf3) && code[at+2]>>6 == 3 {
		return
	}
	code[at+1], code[at+2] = 0x1f, code[at+2]&^0x38
}

func put32(b []byte, v uint32) {
	b[0], b[1], b[2], b[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
}

// symbol gives a relocation's symbol an address: one of 31 bits that depends on
// its name, or on its contents where it has none, so that it is the same in both objects.
func (c *code) symbol(r elfobj.Reloc) (string, uint64, error) {
	sym := &c.f.Symbols[r.Sym]
	if sym.Sec > 0 {
		off := sym.Value + uint64(r.Addend)
		for _, piece := range c.parts { // a jump to the other part; the addend counts from the end of the field
			if sym.Sec == piece.sec && off+4 >= piece.off && off+4 < piece.off+piece.size {
				return c.name, piece.base + off - piece.off, nil
			}
		}
	}
	if sym.Name != "" && sym.Type != elf.STT_SECTION {
		return sym.Name, made("symbol "+sym.Name) + uint64(r.Addend), nil
	}
	if sym.Sec <= 0 {
		return "", 0, fmt.Errorf("a relocation without a symbol")
	}
	sec := &c.f.Sections[sym.Sec]
	off := sym.Value + uint64(r.Addend)
	if sec.Flags&elf.SHF_STRINGS != 0 && off < uint64(len(sec.Data)) {
		text, _, _ := strings.Cut(string(sec.Data[off:]), "\x00")
		return "", made("text " + text), nil
	}
	return "", made("section "+sec.Name+string(sec.Data)) + off, nil
}

// made makes an address up: positive as 4 bytes, and far from the next one.
func made(name string) uint64 {
	digest := fnv.New64a()
	digest.Write([]byte(name))
	return 0x2000_0000 | digest.Sum64()&0x1fff_f000
}
