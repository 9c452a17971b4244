package pipeline

import (
	"slices"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/kernel/karch"
)

// TestCheckArch: a kernel of an architecture that livepatches are not built for is refused by name.
func TestCheckArch(t *testing.T) {
	refused := 0
	for _, a := range karch.All() {
		err := checkArch(a)
		if slices.Contains([]string{"x86", "arm64"}, a.Name) {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		refused++
		if err == nil || !strings.Contains(err.Error(), "is for "+a.Name) || !strings.Contains(err.Error(), "x86-64, arm64 only") {
			t.Errorf("%s: %v", a.Name, err)
		}
	}
	if refused < 3 {
		t.Errorf("%d architectures were refused", refused)
	}
}
