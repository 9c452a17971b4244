package pipeline

import (
	"debug/elf"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/kernel/kimage"
)

func TestCheckArch(t *testing.T) {
	if err := checkArch(kimage.Arch{Name: "x86", Machine: elf.EM_X86_64}); err != nil {
		t.Error(err)
	}
	for name, m := range map[string]elf.Machine{"arm64": elf.EM_AARCH64, "powerpc": elf.EM_PPC64, "s390": elf.EM_S390} {
		err := checkArch(kimage.Arch{Name: name, Machine: m})
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "x86-64 only") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
