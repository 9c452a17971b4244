package elfobj

import (
	"debug/elf"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The code lies at 0x1000; the function that is looked for at 0x1010.
func TestBranchesTo(t *testing.T) {
	x86, err := ArchOf(elf.EM_X86_64)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		code []byte
		want []uint64
	}{
		{"a call", []byte{0xe8, 0x0b, 0, 0, 0}, []uint64{0x1000}},
		{"a jump", []byte{0xe9, 0x0b, 0, 0, 0}, []uint64{0x1000}},
		{"behind other code", []byte{0x90, 0xe8, 0x0a, 0, 0, 0, 0x90}, []uint64{0x1001}},
		{"two", []byte{0xe8, 0x0b, 0, 0, 0, 0xe9, 0x06, 0, 0, 0}, []uint64{0x1000, 0x1005}},
		{"to the byte before it", []byte{0xe8, 0x0a, 0, 0, 0}, nil},
		{"to the byte after it", []byte{0xe8, 0x0c, 0, 0, 0}, nil},
		{"a conditional jump", []byte{0x0f, 0x84, 0x0a, 0, 0, 0}, nil},
		{"cut short", []byte{0xe8, 0x0b, 0, 0}, nil},
		{"nothing", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, x86.BranchesTo(c.code, 0x1000, 0x1010)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}

	// Backwards, and within 32 bits of an address in the upper half.
	back := append(make([]byte, 16), 0xe8, 0xeb, 0xff, 0xff, 0xff)
	if d := cmp.Diff([]uint64{0xffffffff81000010}, x86.BranchesTo(back, 0xffffffff81000000, 0xffffffff81000000)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// TestBranchesToArm64: calls and jumps in instructions of one length.
func TestBranchesToArm64(t *testing.T) {
	arch, err := ArchOf(elf.EM_AARCH64)
	if err != nil {
		t.Fatal(err)
	}
	// bl +0x10; b +0xc; b.eq +8; bl -4; a part of an instruction
	code := []byte{0x04, 0, 0, 0x94, 0x03, 0, 0, 0x14, 0x40, 0, 0, 0x54, 0xff, 0xff, 0xff, 0x97, 0x94}
	if d := cmp.Diff([]uint64{0x1000, 0x1004}, arch.BranchesTo(code, 0x1000, 0x1010)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if d := cmp.Diff([]uint64{0x100c}, arch.BranchesTo(code, 0x1000, 0x1008)); d != "" {
		t.Errorf("backwards (-want +got)\n%s", d)
	}
}
