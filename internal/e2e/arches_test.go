//go:build arches

package e2e

import (
	"testing"

	"github.com/klpforge/klpforge/internal/ownkernel"
)

// TestArches builds a livepatch of a built-in function and of a module's for kernels of other
// architectures, and loads it in a machine that QEMU emulates: before the module that it patches, and
// after it; the effect is seen from user space, and is gone when it is unloaded.
func TestArches(t *testing.T) {
	e := env(t)
	bin := buildCLI(t)
	for _, s := range ownkernel.Foreign() {
		t.Run(s.Name, func(t *testing.T) {
			k := ownKernel(t, e, s.Name)
			loadOwn(t, e, k, buildOwn(t, e, bin, k))
		})
	}
}
