package kbuild

import (
	"errors"
	"regexp"
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
