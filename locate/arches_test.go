//go:build arches

package locate

import (
	"os/exec"
	"strings"
	"testing"
)

// TestArm64Fresh makes the objects again, with the cross compiler that made them.
func TestArm64Fresh(t *testing.T) {
	out, err := exec.Command("aarch64-linux-gnu-gcc-12", "-dumpfullversion").Output()
	if v := strings.TrimSpace(string(out)); err != nil || v != "12.2.0" {
		t.Fatalf("the fixtures are made by gcc 12.2.0 for arm64, here is %q (%v)", v, err)
	}
	checkFresh(t, "testdata/arm64.sh", "arm64.o", "arm64-whole.o", "arm64.elf")
}
