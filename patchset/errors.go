package patchset

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrEmpty reports a patch, or a whole series, that changes no file content:
// no diff in it, only file modes, or patches that cancel each other.
var ErrEmpty = errors.New("patch changes nothing")

// ParseError reports text that is not a well-formed unified diff.
type ParseError struct {
	Patch string // Patch.ID
	Line  int    // 1-based line of the input (of the mail body, for mails); 0 if unknown
	Err   error
}

func (e *ParseError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("parse patch %s: line %d: %v", e.Patch, e.Line, e.Err)
	}
	return fmt.Sprintf("parse patch %s: %v", e.Patch, e.Err)
}

func (e *ParseError) Unwrap() error { return e.Err }

// PathError reports a file name that could lead out of the source tree, or
// one that has no meaning inside it.
type PathError struct {
	Patch  string // Patch.ID or the series file
	Path   string // the offending name, as found
	Line   int    // 1-based line of the input where the change starts; 0 if unknown
	Reason string
}

func (e *PathError) Error() string {
	where := ""
	if e.Line > 0 {
		where = fmt.Sprintf("line %d: ", e.Line)
	}
	return fmt.Sprintf("patch %s: %srefuse path %s: %s", e.Patch, where, shortQuote(e.Path), e.Reason)
}

// shortQuote quotes a name; of one that is no name any more, only the start.
func shortQuote(name string) string {
	const most = 300 // bytes
	if len(name) <= most {
		return strconv.Quote(name)
	}
	return strconv.Quote(name[:most]) + "…"
}

// BinaryError reports a change to a binary file, which has no lines to patch.
type BinaryError struct {
	Patch string
	Path  string // as found, may be empty
}

func (e *BinaryError) Error() string {
	return fmt.Sprintf("patch %s: %s is a binary change: remove it from the patch, only text can be patched", e.Patch,
		orUnnamed(e.Path))
}

// UnsupportedError reports a change of a kind that cannot be carried over,
// such as a symbolic link or a submodule.
type UnsupportedError struct {
	Patch string
	Path  string // may be empty
	What  string
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("patch %s: %s: %s", e.Patch, orUnnamed(e.Path), e.What)
}

func orUnnamed(p string) string {
	if p == "" {
		return "unnamed file"
	}
	return p
}

// ApplyError reports one hunk, or one whole file, that does not apply.
type ApplyError struct {
	Patch   string   // Patch.ID
	File    string   // slash path, relative to the tree
	Hunk    int      // 1-based among the hunks of this file in this patch; 0 = the file as a whole
	Line    int      // 1-based line in the unpatched file that the hunk names; 0 for a whole file
	Context []string // the lines the hunk expects to find, without line ends
	Reason  string   // why, with the remedy where there is one
	Applied bool     // the change seems to be in the tree already: the hunk applies in reverse
}

func (e *ApplyError) Error() string {
	var out strings.Builder
	fmt.Fprintf(&out, "patch %s does not apply: %s", e.Patch, e.File)
	if e.Hunk > 0 {
		fmt.Fprintf(&out, ": hunk %d at line %d", e.Hunk, e.Line)
	}
	fmt.Fprintf(&out, ": %s", e.Reason)
	if e.Applied {
		out.WriteString(" (it looks already applied)")
	}
	return out.String()
}

// ApplyErrors lists every failing hunk of a series, in patch, file and hunk
// order. It is never empty when returned. errors.As finds the first
// [ApplyError] in it.
type ApplyErrors []*ApplyError

func (e ApplyErrors) Error() string {
	lines := make([]string, 0, len(e))
	for _, one := range e {
		lines = append(lines, one.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the single failures to errors.Is and errors.As.
func (e ApplyErrors) Unwrap() []error {
	errs := make([]error, 0, len(e))
	for _, one := range e {
		errs = append(errs, one)
	}
	return errs
}

var (
	_ error = (*ParseError)(nil)
	_ error = (*PathError)(nil)
	_ error = (*BinaryError)(nil)
	_ error = (*UnsupportedError)(nil)
	_ error = (*ApplyError)(nil)
	_ error = ApplyErrors(nil)
)
