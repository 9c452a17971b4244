package patchset

import (
	"io/fs"

	"github.com/bluekeyes/go-gitdiff/gitdiff"

	"github.com/klpforge/klpforge/finding"
)

// Series is an ordered list of patches; each applies on top of those before it.
type Series struct {
	Patches []*Patch
	Notes   []finding.Remark // what the reader left out or understood in its own way
}

// Patch is one patch: a file, a mail or a commit.
type Patch struct {
	// ID is the base name of the patch file ("<stdin>" for standard input),
	// with "#n" (1-based) appended for mail n of a file with several
	// patches; for a git range the full commit hash. IDs need not be unique.
	ID      string
	Subject string   // first line of the description, without "[PATCH n/m]"; may be empty
	Author  string   // "Name <mail>"; may be empty
	Log     string   // the rest of the description, as far as the input has one
	Commit  string   // full commit hash when the input names it
	Known   []string // ids that it was given beside its text
	Files   []*Change
	Binary  []*Change // of files that have no lines to patch: without hunks, and nothing of them is applied
	Notes   []string  // lines such as "Only in …" that carry no change

	strip int // as ReadOptions.Strip
}

// Kind says what a Change does to its file.
type Kind int

// The kinds of change.
const (
	Modify Kind = iota
	Create
	Delete
	Rename // OldPath moves to Path, then the hunks apply
	Copy   // OldPath is copied to Path, then the hunks apply to the copy
	Mode   // only the file mode changes
)

func (k Kind) String() string {
	switch k {
	case Modify:
		return "modify"
	case Create:
		return "create"
	case Delete:
		return "delete"
	case Rename:
		return "rename"
	case Copy:
		return "copy"
	case Mode:
		return "mode"
	}
	return "unknown"
}

// Change is what one patch does to one file.
type Change struct {
	// Path is the file's slash path, relative to the tree. With automatic
	// stripping it is the reader's best guess; Apply, which knows the tree,
	// may settle on another number of leading components.
	Path    string
	OldPath string // source of a Rename or Copy; otherwise empty
	Kind    Kind
	Line    int         // 1-based line of the input where the change starts
	OldMode fs.FileMode // raw git mode such as 0o100644; 0 when not given
	NewMode fs.FileMode
	Hunks   []*gitdiff.TextFragment // in input order; owned by the series

	names    names
	explicit bool // the header itself, not a guess from its hunk, says Create
}

// Paths lists every path that the series names (sources of renames and
// copies too), in first-use order, without duplicates.
func (s *Series) Paths() []string {
	var out []string
	seen := map[string]bool{"": true}
	for _, p := range s.Patches {
		for _, c := range p.Files {
			for _, path := range []string{c.OldPath, c.Path} {
				if !seen[path] {
					seen[path] = true
					out = append(out, path)
				}
			}
		}
	}
	return out
}
