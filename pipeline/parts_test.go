package pipeline_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/pipeline"
)

// TestWithoutModules patches built-in code of a kernel whose modules are not at hand, and
// names them where they are needed.
func TestWithoutModules(t *testing.T) {
	k := newTiny(t)
	k.kernel.ModulesDir = ""
	text, err := os.ReadFile(k.kernel.Config)
	if err != nil {
		t.Fatal(err)
	}
	k.kernel.Config = filepath.Join(t.TempDir(), "config") // without versions of symbols, which the tiny kernel has not
	put(t, k.kernel.Config, strings.Replace(string(text), "CONFIG_MODVERSIONS=y\n", "", 1))
	b := k.mustBuild(k.patch(editClamp), nil)
	if got := strings.Join(b.functions(), ", "); got != "vmlinux clamp_value 0" {
		t.Errorf("functions: %s", got)
	}
	_, err = k.build(k.patch(editWeight), nil)
	var missing *kernel.MissingPartError
	if !errors.As(err, &missing) || missing.Part != kernel.PartModules.String() || !strings.Contains(err.Error(), "drivers/tiny/handle.o") {
		t.Errorf("a function of a module: %v", err)
	}
}

// TestMissingParts tells everything that is missing at once.
func TestMissingParts(t *testing.T) {
	k := newTiny(t)
	k.kernel.Config, k.kernel.Symvers, k.kernel.Headers, k.kernel.Source = "", "", "", ""
	res, err := k.build(k.patch(editClamp), nil)
	var missing *kernel.MissingPartsError
	if !errors.As(err, &missing) || len(missing.Parts) != 4 {
		t.Errorf("missing: %v", err)
	}
	if res.Module != "" {
		t.Errorf("a module was made: %s", res.Module)
	}
	// A review needs fewer.
	_, err = k.build(k.patch(editClamp), func(o *pipeline.Options) { o.DiffOnly = true })
	if !errors.As(err, &missing) || len(missing.Parts) != 2 {
		t.Errorf("missing for a review: %v", err)
	}
}

// TestRust patches C and Rust of a kernel that is made of both.
func TestRust(t *testing.T) {
	k := newTiny(t)
	both := k.patch(editClamp, edit{"rust/kernel/print.rs", "", "// printing\n"})
	b := k.mustBuild(both, nil)
	if notes := strings.Join(finding.RemarkTexts(b.res.Notes), "\n"); !strings.Contains(notes, "rust/kernel/print.rs: not built by the target's configuration") {
		t.Errorf("a target without Rust: notes %s", notes)
	}

	text, err := os.ReadFile(k.kernel.Config)
	if err != nil {
		t.Fatal(err)
	}
	k.kernel.Config = filepath.Join(t.TempDir(), "config")
	put(t, k.kernel.Config, string(text)+"CONFIG_RUST=y\n")
	res, err := k.build(both, nil)
	if got := strings.Join(refused(t, res, err), ", "); got != "KLP109 rust/kernel/print.rs" {
		t.Errorf("refused for %s: %v", got, err)
	}
}
