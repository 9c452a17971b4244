package kconfig

import (
	"regexp"
	"strconv"
	"strings"
)

// Compiler is what a compiler says about itself in the first line of
// --version, which is also what CONFIG_CC_VERSION_TEXT and the banner hold:
// "gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0".
type Compiler struct {
	Text    string // the line as given, trimmed
	Kind    string // "gcc" or "clang"; "" when not recognised
	Package string // the parenthesised text
	Version string // "12.2.0"
	Major   int
}

var versionWord = regexp.MustCompile(`\d+(?:\.\d+)+|\b\d+\b`)

// ParseCompiler reads the first line of text.
func ParseCompiler(text string) Compiler {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	text = strings.TrimSpace(text)
	compiler := Compiler{Text: text}
	rest := text
	if i := strings.IndexByte(text, '('); i >= 0 {
		if in, after, ok := CutParens(text[i:]); ok {
			compiler.Package = in
			rest = text[:i] + " " + after
		}
	}
	program, _, _ := strings.Cut(text, " ")
	switch {
	case strings.Contains(text, "clang version"):
		compiler.Kind = "clang"
		_, rest, _ = strings.Cut(rest, "clang version")
	case strings.Contains(program, "gcc"), strings.Contains(program, "g++"), compiler.Package != "" && program == "cc":
		compiler.Kind = "gcc"
		_, rest, _ = strings.Cut(rest, " ")
	}
	compiler.Version = versionWord.FindString(rest)
	major, _, _ := strings.Cut(compiler.Version, ".")
	compiler.Major, _ = strconv.Atoi(major)
	return compiler
}

// CutParens splits text, which begins with "(", after the matching ")".
func CutParens(text string) (in, after string, ok bool) {
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return text[1:i], text[i+1:], true
			}
		}
	}
	return "", "", false
}

// CompilerMatch says how close two compilers are.
type CompilerMatch int

const (
	// CompilerUnknown means that one of the two is not recorded or not
	// recognised.
	CompilerUnknown CompilerMatch = iota
	// CompilerDifferent means another kind or version: generated code will
	// differ.
	CompilerDifferent
	// CompilerSameVersion means the same kind and version from another
	// package build: generated code is likely but not surely the same.
	CompilerSameVersion
	// CompilerSame means the same kind, version and package; only the name
	// of the program may differ.
	CompilerSame
)

func (m CompilerMatch) String() string {
	switch m {
	case CompilerDifferent:
		return "different"
	case CompilerSameVersion:
		return "same version, other package"
	case CompilerSame:
		return "same"
	}
	return "unknown"
}

// Match compares the compiler that built the kernel with another one.
func (c Compiler) Match(other Compiler) CompilerMatch {
	switch {
	case c.Kind == "" || other.Kind == "" || c.Version == "" || other.Version == "":
		return CompilerUnknown
	case c.Kind != other.Kind || c.Version != other.Version:
		return CompilerDifferent
	case c.Package != other.Package:
		return CompilerSameVersion
	}
	return CompilerSame
}
