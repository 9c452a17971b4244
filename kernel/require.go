package kernel

import (
	"errors"
	"fmt"
	"strings"
)

// MissingPartsError means that several parts of a release were not found. It wraps the
// [MissingPartError] of each.
type MissingPartsError struct {
	Release string
	Parts   []*MissingPartError
}

func (e *MissingPartsError) Error() string {
	var out strings.Builder
	fmt.Fprintf(&out, "kernel %s lacks %d parts:", e.Release, len(e.Parts))
	for _, missing := range e.Parts {
		text := strings.TrimPrefix(strings.TrimSpace(missing.rest()), "; ")
		fmt.Fprintf(&out, "\n\t%s: %s", missing.Part, text)
	}
	return out.String()
}

// Unwrap returns the error of each part.
func (e *MissingPartsError) Unwrap() []error {
	out := make([]error, len(e.Parts))
	for i, p := range e.Parts {
		out[i] = p
	}
	return out
}

// Require looks for parts without reading them, and reports all that are missing at
// once: a [MissingPartError] for one, a [MissingPartsError] for more.
func (t *Target) Require(parts ...Part) error {
	all := &MissingPartsError{Release: t.release}
	for _, p := range parts {
		var missing *MissingPartError
		switch err := t.has(p); {
		case errors.As(err, &missing):
			all.Parts = append(all.Parts, missing)
		case err != nil:
			return err
		}
	}
	switch len(all.Parts) {
	case 0:
		return nil
	case 1:
		return all.Parts[0]
	}
	return all
}

// has finds a part, as those who read it do.
func (t *Target) has(p Part) error {
	var err error
	switch p {
	case PartConfig:
		_, err = t.ConfigPath()
	case PartSymvers:
		_, err = t.SymversPath()
	case PartImage:
		_, err = t.ImagePath()
	case PartVmlinux:
		_, err = t.DebugImagePath()
	case PartSystemMap:
		_, err = t.part(t.opts.SystemMap, PartSystemMap)
	case PartModules:
		_, err = t.ModulesPath()
	case PartHeaders, PartCommonHeaders:
		_, err = t.Headers()
	case PartSource:
		_, err = t.part(t.opts.Source, PartSource)
	}
	return err
}

// BuildTree is the directory that the kernel was built in, where its [Finder] knows it;
// "" otherwise.
func (t *Target) BuildTree() string {
	if f, ok := t.finder.(interface{ BuildTree() string }); ok {
		return f.BuildTree()
	}
	return ""
}
