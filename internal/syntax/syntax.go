// Package syntax is the error of every reader of a text file that a kernel's
// build writes: file, line and what is wrong there.
package syntax

import "fmt"

// Error is a malformed line of a text file.
type Error struct {
	Path string
	Line int // 1-based
	What string
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.Path, e.Line, e.What) }

// Errorf makes an Error of a line.
func Errorf(path string, line int, format string, args ...any) *Error {
	return &Error{Path: path, Line: line, What: fmt.Sprintf(format, args...)}
}

// Clip shortens a line of input for an error message.
func Clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
