package patchset

import (
	"fmt"
	"maps"
	"slices"

	"github.com/klpforge/klpforge/finding"
)

// Overlay is the effect of a series on a tree: every file whose content
// changes. It owns its maps and slices.
type Overlay struct {
	// Files is keyed by the slash path relative to the tree, symbolic links
	// resolved. File.Path is the key.
	Files map[string]*File
	Notes []Note
	// Binary names the changes of binary files, which are not among Files, in the
	// order of the series. Whoever builds decides whether they may be left out.
	Binary []BinaryChange
}

// BinaryChange is a change of a file that has no lines to patch.
type BinaryChange struct {
	Patch string // Patch.ID
	Path  string // relative to the tree
}

// File is one changed file.
type File struct {
	Path string
	// From is the path that a renamed or copied file comes from, else empty.
	From string
	Old  []byte // content in the tree; nil when the file is new, empty but not nil when it is empty
	New  []byte // content after the series; nil when the file is deleted
	// Stable is New with "#line N" directives added so that unchanged code
	// below a change keeps its original __LINE__. It differs from New only
	// for .c and .h files that exist before and after, and otherwise is the
	// same slice. Compile Stable, show New. It keeps __LINE__, not __COUNTER__.
	Stable []byte
	// Hunks are the changed ranges from Old to New, without context, in
	// order, at least one line apart. Empty for new and deleted files.
	Hunks []Range
}

// Range is one changed group of lines. A side without lines has Lines 0 and
// Start at the line after which the other side's lines stand (0 at the top),
// as in a unified diff without context.
type Range struct {
	OldStart, OldLines int // 1-based lines of File.Old
	NewStart, NewLines int // 1-based lines of File.New
}

// Old returns the range in File.Old as 0-based line numbers, the end not included; start
// and end are the same where it has no lines.
func (r Range) Old() (start, end int) { return span(r.OldStart, r.OldLines) }

// New is Old for File.New.
func (r Range) New() (start, end int) { return span(r.NewStart, r.NewLines) }

func span(start, lines int) (int, int) {
	if lines == 0 {
		return start, start
	}
	return start - 1, start - 1 + lines
}

// Note is something a person should know though the series applied.
type Note struct {
	Kind  finding.RemarkKind
	Patch string // Patch.ID, empty when it concerns the series
	File  string // may be empty
	Hunk  int    // 1-based; 0 when the note is about the whole file
	Text  string
}

// Remark is the note as reports show it, with its place before the text.
func (n Note) Remark() finding.Remark { return finding.Remark{Kind: n.Kind, Text: n.String()} }

func (n Note) String() string {
	line := n.Text
	if n.Hunk > 0 {
		line = fmt.Sprintf("hunk %d: %s", n.Hunk, line)
	}
	if n.File != "" {
		line = n.File + ": " + line
	}
	if n.Patch != "" {
		line = "patch " + n.Patch + ": " + line
	}
	return line
}

// Paths returns the keys of Files, sorted.
func (o *Overlay) Paths() []string {
	return slices.Sorted(maps.Keys(o.Files))
}
