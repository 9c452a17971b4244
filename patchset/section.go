package patchset

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"
)

// parseSection turns a section into a Change without paths.
func (s *scanner) parseSection(sec *section) (*Change, error) {
	parsed, err := gitdiffFile(strings.Join(sec.header, "") + strings.Join(sec.hunks, ""))
	if err != nil {
		return nil, s.errorf(sec.line-1, "%w", err)
	}
	change := &Change{
		Line:    s.base + sec.line,
		OldMode: parsed.OldMode,
		NewMode: parsed.NewMode,
		Hunks:   parsed.TextFragments,
		names:   sec.names,
	}
	for _, m := range []fs.FileMode{parsed.OldMode, parsed.NewMode} {
		what := ""
		switch m & 0o170000 {
		case 0o120000:
			what = "is a symbolic link, which a patch set cannot carry"
		case 0o160000:
			what = "is a submodule, which a patch set cannot carry"
		case 0o040000:
			what = "is a directory"
		}
		if what != "" {
			return nil, &UnsupportedError{Patch: s.id, Path: sec.names.new, What: what}
		}
	}
	if err := checkNewlines(change.Hunks); err != nil {
		return nil, s.errorf(sec.line-1, "%w", err)
	}
	first := func(old bool) bool { // the only hunk is empty on that side
		if len(change.Hunks) != 1 {
			return false
		}
		if old {
			return change.Hunks[0].OldLines == 0
		}
		return change.Hunks[0].NewLines == 0
	}
	switch {
	case parsed.IsRename:
		change.Kind = Rename
	case parsed.IsCopy:
		change.Kind = Copy
	case sec.names.git && parsed.IsNew, sec.names.old == devNull:
		change.Kind, change.explicit = Create, true
	case sec.names.git && parsed.IsDelete, sec.names.new == devNull:
		change.Kind = Delete
	case !sec.names.git && epoch(sec.oldTS) && first(true):
		change.Kind = Create
	case !sec.names.git && epoch(sec.newTS) && first(false):
		change.Kind = Delete
	case !sec.names.git && first(true) && change.Hunks[0].OldPosition == 0:
		change.Kind = Create
	case len(change.Hunks) == 0:
		change.Kind = Mode
	}
	if change.Kind == Create && len(change.Hunks) > 0 && !first(true) {
		return nil, s.errorf(sec.line-1, "new file has old lines")
	}
	if change.Kind == Delete && len(change.Hunks) > 0 && !first(false) {
		return nil, s.errorf(sec.line-1, "deleted file keeps lines")
	}
	return change, nil
}

// gitdiffFile parses one section with go-gitdiff and turns a panic of it, if
// hostile text provokes one, into an error.
func gitdiffFile(text string) (f *gitdiff.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			f, err = nil, fmt.Errorf("malformed diff: %v", r)
		}
	}()
	files, _, err := gitdiff.Parse(strings.NewReader(text))
	if err != nil {
		// Its own line numbers count from the section, not the input.
		msg := err.Error()
		if i := strings.LastIndex(msg, "line "); i >= 0 {
			if _, after, ok := strings.Cut(msg[i:], ": "); ok {
				msg = after
			}
		}
		return nil, errors.New(msg)
	}
	if len(files) != 1 {
		return nil, fmt.Errorf("malformed diff: header describes %d files", len(files))
	}
	for i, frag := range files[0].TextFragments {
		if err := frag.Validate(); err != nil {
			return nil, fmt.Errorf("hunk %d: %w", i+1, err)
		}
	}
	return files[0], nil
}

// checkNewlines refuses a line without newline anywhere but at the end of
// its side of the last hunk: applying it would glue two lines together.
func checkNewlines(hunks []*gitdiff.TextFragment) error {
	for i, hunk := range hunks {
		lastOld, lastNew := -1, -1
		for j, line := range hunk.Lines {
			if line.Old() {
				lastOld = j
			}
			if line.New() {
				lastNew = j
			}
		}
		for j, line := range hunk.Lines {
			if !line.NoEOL() {
				continue
			}
			if i != len(hunks)-1 || (line.Old() && j != lastOld) || (line.New() && j != lastNew) {
				return fmt.Errorf("hunk %d: line without newline is not the last of its file", i+1)
			}
		}
	}
	return nil
}
