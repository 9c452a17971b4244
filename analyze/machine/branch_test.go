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
