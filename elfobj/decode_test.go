package elfobj

import (
	"bufio"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// insnLine is one instruction as objdump sees it.
type insnLine struct {
	off, n uint64
	text   string
}

func parseLengths(t *testing.T, text []byte) []insnLine {
	t.Helper()
	var out []insnLine
	sc := bufio.NewScanner(bytes.NewReader(text))
	for sc.Scan() {
		var l insnLine
		if _, err := fmt.Sscanf(sc.Text(), "%x %d", &l.off, &l.n); err != nil {
			t.Fatalf("%q: %v", sc.Text(), err)
		}
		l.text = sc.Text()
		out = append(out, l)
	}
	return out
}

// TestDecodeLengths walks the fixture of odd instructions. Every length must
// be what objdump found.
func TestDecodeLengths(t *testing.T) {
	f := parse(t, fixture(t, "insns.o"))
	lines := parseLengths(t, fixture(t, "insns.len"))
	if len(lines) < 250 {
		t.Fatalf("only %d instructions in the fixture", len(lines))
	}
	arch, err := ArchOf(f.Machine)
	if err != nil {
		t.Fatal(err)
	}
	s := &f.Sections[1]
	for _, l := range lines {
		in, err := arch.Decode(s.Data[l.off:])
		if err != nil || uint64(in.Len) != l.n {
			t.Errorf("%s: length %d, error %v; bytes % x", l.text, in.Len, err, s.Data[l.off:l.off+l.n])
		}
		// The same without anything behind it.
		if in, err = arch.Decode(s.Data[l.off : l.off+l.n]); err != nil || uint64(in.Len) != l.n {
			t.Errorf("%s: alone: length %d, error %v", l.text, in.Len, err)
		}
	}
}

// TestDecodeBias checks the distance from a PC-relative field to the end of
// its instruction: the assembler put its negative into the addend, because the
// symbol is not defined in the object.
func TestDecodeBias(t *testing.T) {
	f := parse(t, fixture(t, "insns.o"))
	arch, err := ArchOf(f.Machine)
	if err != nil {
		t.Fatal(err)
	}
	s := &f.Sections[1]
	seen := map[int64]int{}
	next := 0
	for off := uint64(0); off < s.Size; {
		in, err := arch.Decode(s.Data[off:])
		if err != nil {
			t.Fatalf("+%#x: %v", off, err)
		}
		end := off + uint64(in.Len)
		for ; next < len(s.Relocs) && s.Relocs[next].Off < end; next++ {
			r := s.Relocs[next]
			if !arch.PCRelative(r.Type) {
				if in.PCLen > 0 && r.Off == off+uint64(in.PCOff) {
					t.Errorf("+%#x: absolute field taken for a PC-relative one", off)
				}
				continue
			}
			bias := int64(end - r.Off)
			seen[bias]++
			if bias != -r.Addend {
				t.Errorf("+%#x: % x: field %d bytes before the end, assembler says %d", off, s.Data[off:end], bias, -r.Addend)
			}
			if in.PCLen != 4 || uint64(in.PCOff) != r.Off-off {
				t.Errorf("+%#x: % x: PC-relative field at %d (%d bytes), want %d", off, s.Data[off:end], in.PCOff, in.PCLen, r.Off-off)
			}
		}
		off = end
	}
	if next != len(s.Relocs) {
		t.Errorf("%d of %d relocations lie in instructions", next, len(s.Relocs))
	}
	for _, b := range []int64{4, 5, 6, 8} {
		if seen[b] == 0 {
			t.Errorf("the fixture has no field %d bytes before the end of its instruction", b)
		}
	}
}

func TestDecodeKinds(t *testing.T) {
	tests := []struct {
		name string
		code []byte
		want Insn
	}{
		{"call", []byte{0xe8, 1, 0, 0, 0}, Insn{Len: 5, Kind: BranchCall, PCOff: 1, PCLen: 4, Disp: 1}},
		{"jmp near", []byte{0xe9, 0xfb, 0xff, 0xff, 0xff}, Insn{Len: 5, Kind: BranchJump, PCOff: 1, PCLen: 4, Disp: -5}},
		{"jmp short", []byte{0xeb, 0xfe}, Insn{Len: 2, Kind: BranchJump, PCOff: 1, PCLen: 1, Disp: -2}},
		{"jmp short padded", []byte{0xeb, 0xfe, 0x90, 0x90, 0x90}, Insn{Len: 2, Kind: BranchJump, PCOff: 1, PCLen: 1, Disp: -2}},
		{"je short", []byte{0x74, 4}, Insn{Len: 2, Kind: BranchCond, PCOff: 1, PCLen: 1, Disp: 4}},
		{"jne near", []byte{0x0f, 0x85, 0, 1, 0, 0}, Insn{Len: 6, Kind: BranchCond, PCOff: 2, PCLen: 4, Disp: 256}},
		{"jrcxz", []byte{0xe3, 1}, Insn{Len: 2, Kind: BranchCond, PCOff: 1, PCLen: 1, Disp: 1}},
		{"loop", []byte{0xe2, 1}, Insn{Len: 2, Kind: BranchCond, PCOff: 1, PCLen: 1, Disp: 1}},
		{"ret", []byte{0xc3}, Insn{Len: 1, Kind: BranchReturn}},
		{"rep ret", []byte{0xf3, 0xc3}, Insn{Len: 2, Kind: BranchReturn}},
		{"jmp *rax", []byte{0xff, 0xe0}, Insn{Len: 2, Kind: BranchIndirect}},
		{"notrack jmp *rax", []byte{0x3e, 0xff, 0xe0}, Insn{Len: 3, Kind: BranchIndirect}},
		{"call *(rip)", []byte{0xff, 0x15, 2, 0, 0, 0}, Insn{Len: 6, Kind: BranchIndirect, PCOff: 2, PCLen: 4, Disp: 2}},
		{"iretq", []byte{0x48, 0xcf}, Insn{Len: 2, Kind: BranchReturn}},
		{"cmpl imm32", []byte{0x81, 0x3d, 1, 0, 0, 0, 2, 0, 0, 0}, Insn{Len: 10, PCOff: 2, PCLen: 4, Disp: 1}},
		{"vpermt2w rip", []byte{0x62, 0xf2, 0xf5, 0x48, 0x7d, 0x15, 1, 0, 0, 0}, Insn{Len: 10, PCOff: 6, PCLen: 4, Disp: 1}},
		{"push", []byte{0x55}, Insn{Len: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// Displacements count from the end of the instruction.
			tt.want.PCBase = tt.want.Len
			tt.want.PCType = map[int]uint32{0: 0, 1: uint32(elf.R_X86_64_PC8), 4: uint32(elf.R_X86_64_PC32)}[tt.want.PCLen]
			got, err := amd64{}.Decode(tt.code)
			if err != nil || got != tt.want {
				t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
			}
			for n := range tt.code[:tt.want.Len] {
				if in, err := (amd64{}).Decode(tt.code[:n]); err == nil && in.Len > n {
					t.Errorf("%d of %d bytes: length %d", n, tt.want.Len, in.Len)
				}
			}
		})
	}
}

func TestDecodeRejects(t *testing.T) {
	for _, code := range [][]byte{nil, {}, {0x0f}, {0x66}, {0x62}, {0xc4, 0xe2}, {0x0f, 0x38}, {0x48, 0x8b, 0x05, 0, 0},
		{0x06}, {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90}} {
		if in, err := (amd64{}).Decode(code); !errors.Is(err, ErrUndecodable) {
			t.Errorf("% x: %+v, error %v", code, in, err)
		}
	}
}

func TestApply(t *testing.T) {
	tests := []struct {
		typ          elf.R_X86_64
		value, place uint64
		want         []byte
		fails        bool
	}{
		{typ: elf.R_X86_64_64, value: 0x1122334455667788, want: []byte{0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11}},
		{typ: elf.R_X86_64_PC32, value: 0xffffffff81000000 - 4, place: 0xffffffff81000010, want: []byte{0xec, 0xff, 0xff, 0xff}},
		{typ: elf.R_X86_64_PLT32, value: 0x1000, place: 0x800, want: []byte{0, 8, 0, 0}},
		{typ: elf.R_X86_64_32S, value: 0xffffffff81234567, want: []byte{0x67, 0x45, 0x23, 0x81}},
		{typ: elf.R_X86_64_32, value: 0x81234567, want: []byte{0x67, 0x45, 0x23, 0x81}},
		{typ: elf.R_X86_64_PC32, value: 1 << 40, fails: true},
		{typ: elf.R_X86_64_32, value: 1 << 32, fails: true},
		{typ: elf.R_X86_64_32S, value: 0x81234567, fails: true},
		{typ: elf.R_X86_64_32, value: 0xffffffff81234567, fails: true},
		{typ: elf.R_X86_64_PC32, value: 0x80000000, fails: true},
		{typ: elf.R_X86_64_PC8, value: 0x90, place: 0x100, want: []byte{0x90}},
		{typ: elf.R_X86_64_PC8, value: 0x190, place: 0x100, fails: true},
		{typ: elf.R_X86_64_16, value: 0x12345, fails: true},
		{typ: elf.R_X86_64_NONE, value: 5, want: []byte{}},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%v/%#x", tt.typ, tt.value), func(t *testing.T) {
			buf := make([]byte, 8)
			err := amd64{}.Apply(buf, uint32(tt.typ), tt.value, tt.place)
			if tt.fails {
				if err == nil {
					t.Errorf("no error, wrote % x", buf)
				}
				return
			}
			if err != nil || !bytes.Equal(buf[:len(tt.want)], tt.want) {
				t.Errorf("wrote % x, error %v; want % x", buf, err, tt.want)
			}
		})
	}
	if err := (amd64{}).Apply(make([]byte, 3), uint32(elf.R_X86_64_PC32), 0, 0); err == nil {
		t.Error("a field of 3 bytes took a 32-bit relocation")
	}
}

func TestBranchReloc(t *testing.T) {
	tests := []struct {
		name string
		code []byte
		off  uint64
		typ  elf.R_X86_64
		want bool
	}{
		{"call plt", []byte{0xe8, 0, 0, 0, 0}, 1, elf.R_X86_64_PLT32, true},
		{"call pc", []byte{0xe8, 0, 0, 0, 0}, 1, elf.R_X86_64_PC32, true},
		{"jmp pc", []byte{0xe9, 0, 0, 0, 0}, 1, elf.R_X86_64_PC32, true},
		{"jcc pc", []byte{0x0f, 0x84, 0, 0, 0, 0}, 2, elf.R_X86_64_PC32, true},
		{"lea", []byte{0x48, 0x8d, 0x3d, 0, 0, 0, 0}, 3, elf.R_X86_64_PC32, false},
		{"mov imm", []byte{0x48, 0xc7, 0xc7, 0, 0, 0, 0}, 3, elf.R_X86_64_32S, false},
		{"call through memory", []byte{0xff, 0x15, 0, 0, 0, 0}, 2, elf.R_X86_64_PC32, false},
		{"at the start", []byte{0, 0, 0, 0}, 0, elf.R_X86_64_PC32, false},
		{"outside", []byte{0xe8}, 5, elf.R_X86_64_PC32, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (amd64{}).BranchReloc(tt.code, Reloc{Off: tt.off, Type: uint32(tt.typ)}); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// TestDecodeReal compares every instruction of real objects with objdump.
func TestDecodeReal(t *testing.T) {
	objdump := tool(t, "objdump")
	for _, path := range realObjects(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			f, err := ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text, err := exec.Command(objdump, "-dw", "-z", path).Output()
			if err != nil {
				t.Fatal(err)
			}
			checkDump(t, f, string(text))
		})
	}
}

func checkDump(t *testing.T, f *File, text string) {
	sections := map[string]int{}
	for i := range f.Sections {
		if f.Sections[i].Flags&elf.SHF_EXECINSTR != 0 && f.Sections[i].Size > 0 {
			if _, dup := sections[f.Sections[i].Name]; !dup {
				sections[f.Sections[i].Name] = i
			}
		}
	}
	var data []byte
	n, wrong := 0, 0
	last := uint64(0)
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, "Disassembly of section "); ok {
			name = strings.TrimSuffix(strings.TrimSpace(name), ":")
			data, last = nil, 0
			if i, ok := sections[name]; ok {
				data = f.Sections[i].Data
				delete(sections, name)
			}
			continue
		}
		fields := strings.SplitN(line, "\t", 3)
		var off uint64
		if data == nil || len(fields) < 2 {
			continue
		}
		if _, err := fmt.Sscanf(strings.TrimSpace(fields[0]), "%x:", &off); err != nil {
			continue
		}
		size := len(strings.Fields(fields[1]))
		if off != last || size > 15 {
			last = off + uint64(size)
			continue
		}
		last = off + uint64(size)
		n++
		in, err := amd64{}.Decode(data[off:])
		if err != nil || in.Len != size {
			if wrong++; wrong < 10 {
				t.Errorf("%s: length %d, error %v", strings.TrimSpace(line), in.Len, err)
			}
		}
	}
	if n == 0 {
		t.Error("objdump shows no instruction")
	}
	t.Logf("%d instructions, %d lengths wrong", n, wrong)
}
