package elfdiff

import (
	"strings"
	"testing"

	"github.com/klpforge/klpforge/finding"
)

// TestSystemCallRemedy: the body of a system call that is jumped to cannot travel, and
// the finding says how to define the call instead.
func TestSystemCallRemedy(t *testing.T) {
	f := fixture{"notrace-syscall", compilers[0]}
	for _, p := range f.diff(t).Problems {
		if p.ID == "KLP101" && p.Severity == finding.Error && p.Symbol == "__do_sys_work" {
			if !strings.Contains(p.Remedy, "KPATCH_SYSCALL_DEFINE1") || !strings.Contains(p.Remedy, "__x64_sys_work") {
				t.Errorf("remedy %q", p.Remedy)
			}
			return
		}
	}
	t.Error("no KLP101 for __do_sys_work")
}
