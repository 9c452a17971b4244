package kbuild

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Who is to blame when the patched source was not compiled: a person gets another
// message, and another exit code.
func TestSourceFault(t *testing.T) {
	says := func(output string) error {
		return fmt.Errorf("compile: %w", &CompileError{Object: "a.o", Output: output})
	}
	for _, c := range []struct {
		name string
		err  error
		want bool
	}{
		{"an error of syntax", says("a.c:3:1: error: expected ';'"), true},
		{"no output at all", says(""), true},
		{"a full disk", says("a.c: fatal error: error writing to /tmp/x.s: No space left on device"), false},
		{"a quota", says("Disk quota exceeded"), false},
		{"memory", says("cc1: out of memory allocating 65536 bytes"), false},
		{"memory, said otherwise", says("virtual memory exhausted: Cannot allocate memory"), false},
		{"a bug of the compiler", says("a.c:3:1: internal compiler error: Segmentation fault"), false},
		{"a compiler that was killed", says("gcc: fatal error: Killed signal terminated program cc1"), false},
		{"a bad disk", says("a.c: Input/output error"), false},
		{"a disk that cannot be written", says("Read-only file system"), false},
		{"generated headers", fmt.Errorf("x: %w", &GeneratedChangedError{Source: "kernel/bounds.c"}), true},
		{"an interruption", context.Canceled, false},
		{"a command that failed", &RunError{Command: "make"}, false},
		{"a file outside", &OutsideError{Object: "a.o"}, false},
		{"anything", errors.New("anything"), false},
		{"nothing", nil, false},
	} {
		if got := SourceFault(c.err); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// What a source lacks is read from what gcc and clang say, and from nothing else.
func TestUndeclared(t *testing.T) {
	of := func(output string) error {
		return fmt.Errorf("compile the patched source: %w", &CompileError{Object: "a.o", Output: output})
	}
	for _, c := range []struct {
		name string
		err  error
		want []string
	}{
		{"functions and members", of("a.c:1:2: error: implicit declaration of function ‘help_me’; did you mean\n" +
			"a.c:2: error: ‘struct foo’ has no member named ‘newer’"), []string{"help_me", "newer"}},
		{"constants and headers", of("a.c:3: error: ‘LIMIT’ undeclared (first use\n" +
			"a.c:1:10: fatal error: linux/new.h: No such file or directory"), []string{"LIMIT", "linux/new.h"}},
		{"clang", of("a.c:1:2: error: call to undeclared function 'help_me'; ISO C99\na.c:4:9: error: use of undeclared " +
			"identifier 'LIMIT'\na.c:1:10: fatal error: 'linux/new.h' file not found"), []string{"help_me", "LIMIT", "linux/new.h"}},
		{"what follows from the first errors", of("a.c:1: error: expected ';'\nb\nc\na.c:3: error: ‘LIMIT’ undeclared"), nil},
		{"an error of another kind", fmt.Errorf("patch x: ‘LIMIT’ undeclared"), nil},
		{"nothing", nil, nil},
	} {
		if diff := cmp.Diff(c.want, Undeclared(c.err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestDiagnostics: file, line and names of errors, as gcc and clang write them.
func TestDiagnostics(t *testing.T) {
	e := &CompileError{Output: `In file included from net/core/skbuff.c:3:
./include/linux/skbuff.h:12:7: error: ‘struct sk_buff’ has no member named ‘fresh’
net/core/skbuff.c:90:1: warning: unused variable ‘x’ [-Wunused-variable]
net/core/skbuff.c:91:14: error: use of undeclared identifier 'help_me'
net/core/skbuff.c:1:10: fatal error: linux/none.h: No such file or directory
`}
	want := []Diagnostic{
		{"include/linux/skbuff.h", 12, "‘struct sk_buff’ has no member named ‘fresh’", []string{"fresh"}},
		{"net/core/skbuff.c", 91, "use of undeclared identifier 'help_me'", []string{"help_me"}},
		{"net/core/skbuff.c", 1, "linux/none.h: No such file or directory", nil},
	}
	if diff := cmp.Diff(want, e.Diagnostics()); diff != "" {
		t.Error(diff)
	}
}
