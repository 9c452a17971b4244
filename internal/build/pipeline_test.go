package build_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A function changes: it alone is replaced, by its name and position, and reaches
// what stays in the kernel by livepatch symbols.
func TestOneFunction(t *testing.T) {
	k := newTiny(t)
	b := k.mustBuild(k.patch(edit{"kernel/core.c", "seen++;", "seen += 2;"}), nil)
	if d := cmp.Diff([]string{"vmlinux clamp_value 1"}, b.functions()); d != "" {
		t.Errorf("functions (-want +got)\n%s", d)
	}
	if d := cmp.Diff([]string{".klp.sym.vmlinux.core_limit,0", ".klp.sym.vmlinux.seen,0"}, b.klpSymbols()); d != "" {
		t.Errorf("symbols (-want +got)\n%s", d)
	}
}
