package kernel

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNoBytes means that an address range is not stored in the image (.bss,
// or outside every segment).
var ErrNoBytes = errors.New("no bytes in the image")

// ErrNoKallsyms means that an image holds no kallsyms tables that could be
// decoded.
var ErrNoKallsyms = errors.New("no kallsyms tables in the image")

// UnknownReleaseError means that nothing of a release was found anywhere.
type UnknownReleaseError struct {
	Release  string
	Searched []string // the paths looked at, in order
}

func (e *UnknownReleaseError) Error() string {
	return fmt.Sprintf("no kernel %s found (looked at %s); run `klpforge kernel fetch %s` or name where its packages are unpacked with --root",
		e.Release, searchedText(e.Searched), e.Release)
}

// MissingPartError means that the release is known but one part of it was
// not found.
type MissingPartError struct {
	Release  string
	Part     string   // for people: "Module.symvers", "kernel headers"
	Searched []string // the paths looked at, in order
	Remedy   string   // what to do, an imperative sentence without a full stop
}

func (e *MissingPartError) Error() string {
	s := fmt.Sprintf("no %s for kernel %s", e.Part, e.Release)
	if len(e.Searched) > 0 {
		s += " (looked at " + searchedText(e.Searched) + ")"
	}
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

// SourceMismatchError means that a source tree is not the one the target was
// built from.
type SourceMismatchError struct {
	Release string
	Path    string
	Have    string // version of the source
	Want    string // version the kernel was built from
}

func (e *SourceMismatchError) Error() string {
	return fmt.Sprintf("source %s is version %s, but kernel %s was built from %s; run `klpforge kernel fetch %s` or name the right source with --source",
		e.Path, e.Have, e.Release, e.Want, e.Release)
}

// PartsMismatchError means that two parts of a target do not belong to the
// same build.
type PartsMismatchError struct {
	Release string
	What    string // which fact differs: "release string", "build version"
	A, B    string // the two values
	PathA   string
	PathB   string
}

func (e *PartsMismatchError) Error() string {
	return fmt.Sprintf("parts of kernel %s do not belong together: %s is %q in %s but %q in %s",
		e.Release, e.What, e.A, e.PathA, e.B, e.PathB)
}

// SyntaxError is a malformed line of a text file.
type SyntaxError struct {
	Path string
	Line int // 1-based
	What string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s:%d: %s", e.Path, e.Line, e.What)
}

// AddressError means that the image has no bytes for an address range. It
// wraps [ErrNoBytes].
type AddressError struct {
	Addr uint64
	N    int
}

func (e *AddressError) Error() string {
	return fmt.Sprintf("read %d bytes at %#x: %v", e.N, e.Addr, ErrNoBytes)
}

func (e *AddressError) Unwrap() error { return ErrNoBytes }

// ModuleNotFoundError means that the release ships no such module. Builtin
// says that it is compiled into vmlinux instead.
type ModuleNotFoundError struct {
	Release string
	Name    string
	Builtin bool
}

func (e *ModuleNotFoundError) Error() string {
	if e.Builtin {
		return fmt.Sprintf("%s is built into vmlinux of kernel %s, not a module", e.Name, e.Release)
	}
	return fmt.Sprintf("kernel %s has no module %s", e.Release, e.Name)
}

// searchedText names the first of the places looked at; the errors keep all.
func searchedText(paths []string) string {
	const show = 3
	if len(paths) <= show+1 {
		return strings.Join(paths, ", ")
	}
	return fmt.Sprintf("%s and %d more places", strings.Join(paths[:show], ", "), len(paths)-show)
}
