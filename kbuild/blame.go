package kbuild

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
)

// brokenCompiler is what compilers say when they, or the machine, are at fault, and
// not the source.
var brokenCompiler = regexp.MustCompile(`No space left on device|Disk quota exceeded|[Cc]annot allocate memory|out of memory|` +
	`internal compiler error|[Kk]illed signal|Input/output error|Read-only file system`)

// SourceFault reports whether the source that was compiled is the cause of an error of
// Work.After and its like: it does not compile, or it alters what is generated for the
// whole kernel. Everything else, a compiler that ran out of memory included, is the
// fault of the machine.
func SourceFault(err error) bool {
	var compile *CompileError
	if errors.As(err, &compile) {
		return !brokenCompiler.MatchString(compile.Output)
	}
	var generated *GeneratedChangedError
	return errors.As(err, &generated)
}

// undeclared is how gcc and clang name what a source does not declare.
var undeclared = regexp.MustCompile(`(?:implicit declaration of function|call to undeclared function|has no member named|` +
	`no member named|use of undeclared identifier|unknown type name) [‘']([A-Za-z_]\w*)[’']|[‘']([A-Za-z_]\w*)[’'] undeclared|` +
	`fatal error: [‘']?(\w[\w/.-]*/[\w.-]+\.h)[’']?(?: file not found|: No such file)`)

// Undeclared lists the functions, members, types, constants and headers that compiled
// source uses and the tree does not have, from an error of Work.After and its like. It
// reads the compiler's first errors only: later ones follow from these.
func Undeclared(err error) []string {
	var compile *CompileError
	if !errors.As(err, &compile) {
		return nil
	}
	var names []string
	for _, m := range undeclared.FindAllStringSubmatch(firstLines(compile.Output, shownLines), -1) {
		names = append(names, m[1]+m[2]+m[3])
	}
	return names
}

// Diagnostic is one error of a compiler.
type Diagnostic struct {
	File    string // as the compiler names it, mostly tree-relative
	Line    int    // 1-based; by the line numbers that the source gives itself
	Message string
	Names   []string // that the message quotes
}

var (
	// errorAt is an error line of gcc and clang.
	errorAt = regexp.MustCompile(`(?m)^(\S+?):(\d+):\d+: (?:fatal )?error: (.*)$`)
	// quotedName is a name that they quote.
	quotedName = regexp.MustCompile("[‘'`]([A-Za-z_]\\w*)(?:[’']|\\()")
)

// Diagnostics reads the errors that the compiler gives, in its order.
func (e *CompileError) Diagnostics() []Diagnostic {
	var out []Diagnostic
	for _, m := range errorAt.FindAllStringSubmatch(e.Output, -1) {
		line, err := strconv.Atoi(m[2])
		if err != nil {
			continue
		}
		d := Diagnostic{File: strings.TrimPrefix(m[1], "./"), Line: line, Message: m[3]}
		for _, q := range quotedName.FindAllStringSubmatch(m[3], -1) {
			d.Names = append(d.Names, q[1])
		}
		out = append(out, d)
	}
	return out
}
