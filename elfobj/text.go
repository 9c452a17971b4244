package elfobj

import (
	"encoding/binary"

	"golang.org/x/arch/arm64/arm64asm"
	"golang.org/x/arch/loong64/loong64asm"
	"golang.org/x/arch/ppc64/ppc64asm"
	"golang.org/x/arch/s390x/s390xasm"
	"golang.org/x/arch/x86/x86asm"
)

// written calls a disassembler of golang.org/x/arch, and takes a panic of it for an instruction
// that it does not know: what it is given may be anything.
func written(disassemble func() (string, error)) (text string, ok bool) {
	defer func() {
		if recover() != nil {
			text, ok = "", false
		}
	}()
	text, err := disassemble()
	// What some do not know they write as data: .long 0x0.
	return text, err == nil && text != "" && text[0] != '.'
}

func (amd64) Text(code []byte, at uint64) (string, bool) {
	return written(func() (string, error) {
		inst, err := x86asm.Decode(code, 64)
		switch {
		case err != nil || inst.Op == 0:
			return "", err
		case inst.Op == x86asm.NOP:
			return "nop", nil // of any length
		}
		return x86asm.GNUSyntax(inst, at, nil), nil
	})
}

func (arm64) Text(code []byte, _ uint64) (string, bool) {
	return written(func() (string, error) {
		inst, err := arm64asm.Decode(code)
		return arm64asm.GNUSyntax(inst), err
	})
}

func (ppc64le) Text(code []byte, at uint64) (string, bool) {
	return written(func() (string, error) {
		inst, err := ppc64asm.Decode(code, binary.LittleEndian)
		return ppc64asm.GNUSyntax(inst, at), err
	})
}

func (s390x) Text(code []byte, at uint64) (string, bool) {
	return written(func() (string, error) {
		inst, err := s390xasm.Decode(code)
		return s390xasm.GNUSyntax(inst, at), err
	})
}

func (loongarch64) Text(code []byte, _ uint64) (string, bool) {
	return written(func() (string, error) {
		inst, err := loong64asm.Decode(code)
		return loong64asm.GNUSyntax(inst), err
	})
}
