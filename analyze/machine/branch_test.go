package machine

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/arch/x86/x86asm"
)

// Branches are what x86asm makes of them.
func TestBranches(t *testing.T) {
	for op := range 0x100 {
		for _, head := range [][]byte{{byte(op)}, {0x0f, byte(op)}} {
			for _, rest := range [][]byte{{0x12, 0x34, 0x56, 0x78}, {0xf0, 0xff, 0xff, 0xff}, {0x80, 0, 0, 0x80}} {
				code := append(append([]byte{}, head...), rest...)
				got, ok := x86Branch(code)
				x, err := x86asm.Decode(code, 64)
				_, rel := x.Args[0].(x86asm.Rel)
				if want := err == nil && rel && x86FromNative(&x).Cond != CondCount; ok != want {
					t.Errorf("% x is a branch: %v, want %v", code, ok, want)
					continue
				}
				if !ok {
					continue
				}
				want := x86FromNative(&x)
				if d := cmp.Diff(fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", got)); d != "" {
					t.Errorf("% x (-want +got)\n%s", code, d)
				}
				for n := range got.Len {
					if _, ok := x86Branch(code[:n]); ok {
						t.Errorf("%d bytes of % x are a branch", n, code)
					}
				}
			}
		}
	}
}

// holds evaluates a condition on a comparison of bytes, by the flags that the processor's
// manual gives for one.
func holds(c Cond, a, b int8) bool {
	diff := a - b
	carry, zero, sign := uint8(a) < uint8(b), diff == 0, diff < 0
	overflow := int(diff) != int(a)-int(b)
	basic, contrary := c.Basic()
	value := map[Cond]bool{CondO: overflow, CondB: carry, CondE: zero, CondBE: carry || zero, CondS: sign, CondL: sign != overflow, CondLE: zero || sign != overflow}[basic]
	return value != contrary
}

// TestSwapped: a condition holds for a and b when the other one does for b and a.
func TestSwapped(t *testing.T) {
	for _, c := range []Cond{CondO, CondNO, CondB, CondAE, CondE, CondNE, CondBE, CondA, CondS, CondNS, CondL, CondGE, CondLE, CondG} {
		same := func(other Cond) bool {
			for a := -128; a < 128; a++ {
				for b := -128; b < 128; b++ {
					if holds(c, int8(a), int8(b)) != holds(other, int8(b), int8(a)) {
						return false
					}
				}
			}
			return true
		}
		if swapped, ok := c.Swapped(); ok && !same(swapped) {
			t.Errorf("%v of b and a is no %v of a and b", swapped, c)
		} else if !ok && c != CondO && c != CondNO && c != CondS && c != CondNS {
			t.Errorf("%v has no contrary", c)
		}
	}
	for _, c := range []Cond{CondO, CondNO, CondS, CondNS, CondP, CondNP} {
		if swapped, ok := c.Swapped(); ok {
			t.Errorf("%v swapped is %v", c, swapped)
		}
	}
}
