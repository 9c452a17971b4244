package model_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/analyze/model"
)

// The code lies at 0x1000; the function that is looked for at 0x1010.
func TestBranchesTo(t *testing.T) {
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
			if d := cmp.Diff(c.want, model.BranchesTo(c.code, 0x1000, 0x1010)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}

	// Backwards, and within 32 bits of an address in the upper half.
	back := append(make([]byte, 16), 0xe8, 0xeb, 0xff, 0xff, 0xff)
	if d := cmp.Diff([]uint64{0xffffffff81000010}, model.BranchesTo(back, 0xffffffff81000000, 0xffffffff81000000)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}
