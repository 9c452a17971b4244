package kernel

import (
	"fmt"
	"strings"
)

// UnknownReleaseError means that nothing of a release was found anywhere.
type UnknownReleaseError struct {
	Release  string
	Searched []string // the paths looked at, in order
}

func (e *UnknownReleaseError) Error() string {
	return fmt.Sprintf("no kernel %s found (looked at %s); run `klpforge kernel fetch %s`, "+
		"name where its packages are unpacked with --root, "+
		"or, if it is one of your own, the directory that it was built in with --build-tree",
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
	return fmt.Sprintf("no %s for kernel %s", e.Part, e.Release) + e.rest()
}

// rest says where the part was looked for, and what to do.
func (e *MissingPartError) rest() (text string) {
	if len(e.Searched) > 0 {
		text += " (looked at " + searchedText(e.Searched) + ")"
	}
	if e.Remedy != "" {
		text += "; " + e.Remedy
	}
	return text
}

// SourceMismatchError means that a source tree is not the one the target was
// built from.
type SourceMismatchError struct {
	Release string
	Path    string
	Have    string // version of the source
	Want    string // version the kernel was built from
	Remedy  string // as in MissingPartError
}

func (e *SourceMismatchError) Error() string {
	s := fmt.Sprintf("source %s is version %s, but kernel %s was built from %s", e.Path, e.Have, e.Release, e.Want)
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
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

// searchedText names the first of the places looked at; the errors keep all.
func searchedText(paths []string) string {
	const show = 3
	if len(paths) <= show+1 {
		return strings.Join(paths, ", ")
	}
	return fmt.Sprintf("%s and %d more places", strings.Join(paths[:show], ", "), len(paths)-show)
}
