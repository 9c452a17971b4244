package kbuild

import (
	"errors"
	"fmt"
	"strings"
)

// ErrClosed reports the use of a Work after Close.
var ErrClosed = errors.New("work tree is closed")

// ErrUnsafePath reports a path that is absolute or leaves the tree.
var ErrUnsafePath = errors.New("path leaves the kernel tree")

// RunError reports a command that could not be run or failed.
type RunError struct {
	Command string // short form of the command line
	Dir     string
	Tail    string // the lines of output that say most about the failure
	Log     string // path of the complete output, "" if there is none
	Err     error  // what os/exec reported
}

func (e *RunError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "run %s: %v", e.Command, e.Err)
	if e.Tail != "" {
		text.WriteString("\n\t" + strings.ReplaceAll(e.Tail, "\n", "\n\t"))
	}
	if e.Log != "" {
		fmt.Fprintf(&text, "\n\t(full output: %s)", e.Log)
	}
	return text.String()
}

func (e *RunError) Unwrap() error { return e.Err }

// CompileError reports an object that did not compile.
type CompileError struct {
	Object string // "fs/ext4/mballoc.o"
	Output string // the end of the compiler's output, errors first
	Log    string // path of the complete output
}

func (e *CompileError) Error() string {
	msg := fmt.Sprintf("compile %s: %s", e.Object, firstLines(e.Output, shownLines))
	if e.Log != "" {
		msg += fmt.Sprintf("\n\t(full output: %s)", e.Log)
	}
	return msg
}

// shownLines is how many lines of a compiler's output an error shows.
const shownLines = 3

func firstLines(s string, n int) string {
	lines := strings.SplitN(strings.TrimSpace(s), "\n", n+1)
	if len(lines) > n {
		lines = lines[:n]
	}
	return strings.Join(lines, "\n\t")
}

// MissingToolsError names what must be installed before a kernel can be built.
type MissingToolsError struct {
	Tools    []string // commands or headers that were not found
	Packages []string // the Debian packages that hold them, sorted
	// Where the compiler is missing: the version text of the one that built the
	// target, and what compilers of its kind that are here say of themselves.
	Compiler string
	Have     []string
}

func (e *MissingToolsError) Error() string {
	text := fmt.Sprintf("find build tools: %s missing; install them with: apt-get install %s",
		strings.Join(e.Tools, ", "), strings.Join(e.Packages, " "))
	if e.Compiler == "" {
		return text
	}
	have := "no other one of its kind is here"
	if len(e.Have) > 0 {
		have = "here are only " + strings.Join(e.Have, ", ")
	}
	return text +
		fmt.Sprintf("\n\tthe kernel was built by %q; %s. Code of another compiler differs. Where no package source "+
			"of this system has the right one,"+
			" build in a container of the distribution release that the kernel is of", e.Compiler, have)
}

// CompilerMismatchError reports a compiler other than the one that built the
// target, according to its configuration.
type CompilerMismatchError struct {
	CC         string
	Want, Got  string // CONFIG_CC_VERSION_TEXT, or the version number where only that differs
	WantNumber string // CONFIG_GCC_VERSION or CONFIG_CLANG_VERSION of the target
}

func (e *CompilerMismatchError) Error() string {
	return fmt.Sprintf("check compiler: the kernel was built by %q, but %s is %q; install that compiler or name it "+
		"with --cc",
		e.Want, e.CC, e.Got)
}

// SourceMismatchError reports a source tree of another version than the
// configuration was made for.
type SourceMismatchError struct {
	Source, Config string // version numbers as in "6.1.192"
}

func (e *SourceMismatchError) Error() string {
	return fmt.Sprintf("check source: the source is Linux %s, but the target's configuration is for %s; give the "+
		"source of the target's version with --source",
		e.Source, e.Config)
}

// GeneratedChangedError reports that a changed header changes the contents of a
// header which kbuild generates for the whole kernel, such as asm-offsets.h.
type GeneratedChangedError struct {
	Source string // the file the header is generated from, "kernel/bounds.c"
}

func (e *GeneratedChangedError) Error() string {
	return fmt.Sprintf("compare generated headers: the change alters constants generated from %s, which assembly and "+
		"other objects of the running kernel were built with; a livepatch cannot change those", e.Source)
}
