package main

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/internal/syntax"
)

// kind is what is true of a patch as a livepatch.
type kind string

// Kinds.
const (
	hazard   kind = "hazard"   // right as source, dangerous while old and new code run side by side, or for good
	harmless kind = "harmless" // looks like a hazard and is none
)

// half says whether a patch was written before or after the check was changed
// that it is for: what a check was made on, it will see.
type half string

// Halves.
const (
	before half = "before"
	after  half = "after"
)

// truth is one patch and what is true of it, which was decided before any
// check was asked.
type truth struct {
	Name  string // of the file, without .patch
	Path  string
	Check finding.ID // the check that a hazard is for, or that a harmless one resembles
	Kind  kind
	Half  half
	// Standalone says that a verdict (KLP401, KLP402) is right for a harmless patch.
	Standalone bool
	Reason     string
}

// readCases reads the headers of all patches in a directory, by check, half, kind and name.
func readCases(dir string) ([]truth, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.patch"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no patches in %s", dir)
	}
	var cases []truth
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		one, err := parseCase(path, text)
		if err != nil {
			return nil, err
		}
		cases = append(cases, one)
	}
	slices.SortFunc(cases, func(x, y truth) int {
		return cmp.Or(cmp.Compare(x.Check, y.Check), -cmp.Compare(x.Half, y.Half), -cmp.Compare(x.Kind, y.Kind),
			cmp.Compare(x.Name, y.Name))
	})
	return cases, nil
}

// parseCase reads the header of a patch: lines "Key: value" before the
// difference, where a line that begins with a space goes on with the one before.
// Errors are of type *syntax.Error.
func parseCase(path string, text []byte) (truth, error) {
	one := truth{Name: strings.TrimSuffix(filepath.Base(path), ".patch"), Path: path}
	fields := map[string]string{}
	fault := func(line int, format string, args ...any) (truth, error) {
		return truth{}, syntax.Errorf(path, line, format, args...)
	}
	key, number, diff := "", 0, false
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan() && !diff; {
		number++
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "--- ") || strings.HasPrefix(line, "diff "):
			diff = true
		case strings.TrimSpace(line) == "":
			key = ""
		case line[0] == ' ' && key != "":
			fields[key] += " " + strings.TrimSpace(line)
		default:
			name, value, ok := strings.Cut(line, ": ")
			if !ok {
				return fault(number, "%q is no header line", line)
			}
			if _, twice := fields[name]; twice {
				return fault(number, "%s is there twice", name)
			}
			key, fields[name] = name, strings.TrimSpace(value)
		}
	}
	if !diff {
		return fault(number, "no difference")
	}
	for name, value := range fields {
		switch name {
		case "Check":
			one.Check = finding.ID(value)
		case "Kind":
			one.Kind = kind(value)
		case "Half":
			one.Half = half(value)
		case "Reason":
			one.Reason = value
		case "Standalone":
			one.Standalone = value == "yes"
			if value != "yes" {
				return fault(0, "Standalone: %s: the only value is yes", value)
			}
		default:
			return fault(0, "header %s is not known", name)
		}
	}
	_, registered := finding.Lookup(one.Check)
	switch {
	case !registered:
		return fault(0, "Check: %q is no id of a finding", one.Check)
	case one.Kind != hazard && one.Kind != harmless:
		return fault(0, "Kind: %q: want %s or %s", one.Kind, hazard, harmless)
	case one.Half != before && one.Half != after:
		return fault(0, "Half: %q: want %s or %s", one.Half, before, after)
	case one.Reason == "":
		return fault(0, "no Reason")
	case one.Standalone && one.Kind != harmless:
		return fault(0, "Standalone is for harmless patches")
	}
	return one, nil
}
