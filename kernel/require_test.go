package kernel

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/kernel/kerneltest"
)

// TestRequire misses parts, one and several.
func TestRequire(t *testing.T) {
	config := kerneltest.Write(t, filepath.Join(t.TempDir(), "conf"), []byte("CONFIG_SMP=y\n"))
	tg := open(t, Options{Finder: placesOf{PartConfig: config}})
	if err := tg.Require(PartConfig); err != nil {
		t.Errorf("what is there: %v", err)
	}
	var one *MissingPartError
	var several *MissingPartsError
	if err := tg.Require(PartConfig, PartImage); !errors.As(err, &one) || errors.As(err, &several) || one.Part != PartImage.String() {
		t.Errorf("one is missing: %v", err)
	}
	err := tg.Require(PartImage, PartSource, PartConfig, PartHeaders, PartSymvers, PartModules, PartSystemMap, PartVmlinux)
	if !errors.As(err, &several) || len(several.Parts) != 7 || !errors.As(err, &one) {
		t.Fatalf("seven are missing: %v", err)
	}
	for _, want := range []string{PartImage.String(), PartSource.String(), PartSymvers.String(), PartModules.String(), "run make", "check out"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

// TestOwnKernelRemedy asks for parts of a kernel that is in none of a distribution's
// places: nobody can fetch it.
func TestOwnKernelRemedy(t *testing.T) {
	vmlinux := kerneltest.Write(t, filepath.Join(t.TempDir(), "vmlinux"), kerneltest.Vmlinux(kerneltest.Layouts[3], kerneltest.Symbols(true), false))
	tg := open(t, Options{Root: t.TempDir(), Vmlinux: vmlinux})
	err := tg.Require(PartConfig, PartHeaders, PartSymvers, PartSource, PartModules)
	if err == nil || strings.Contains(err.Error(), "kernel fetch") || strings.Count(err.Error(), "--build-tree") != 5 {
		t.Errorf("remedies: %v", err)
	}
}
