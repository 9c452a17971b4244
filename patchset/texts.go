package patchset

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/utils/diff"
	"github.com/sergi/go-diff/diffmatchpatch"
)

// TextChange is the text of a file before and after a change; nil where there is none.
type TextChange struct {
	Path     string // slash path, relative to the tree
	Old, New []byte
}

// FromTexts makes a patch that turns the old texts into the new ones. Texts that are the
// same are left out.
func FromTexts(id, subject string, list []TextChange) (*Patch, error) {
	patch := &Patch{ID: id, Subject: subject, strip: StripNone}
	for _, text := range list {
		if bytes.Equal(text.Old, text.New) && (text.Old == nil) == (text.New == nil) {
			continue
		}
		if _, err := checkPath(id, text.Path); err != nil {
			return nil, err
		}
		change := &Change{Kind: Modify, Path: text.Path, explicit: true, names: names{old: text.Path, new: text.Path,
			git: true, bare: true}}
		switch {
		case text.Old == nil:
			change.Kind, change.names.old = Create, ""
		case text.New == nil:
			change.Kind, change.names.new = Delete, ""
		}
		var err error
		if change.Hunks, err = fragments(string(text.Old), string(text.New)); err != nil {
			return nil, fmt.Errorf("compare %s: %w", text.Path, err)
		}
		patch.Files = append(patch.Files, change)
	}
	slices.SortStableFunc(patch.Files, func(a, b *Change) int { return strings.Compare(a.Path, b.Path) })
	return patch, nil
}

// Diff renders the changes of a patch as git does. Renames and copies, which FromTexts
// does not make, and file modes are not rendered.
func (p *Patch) Diff() string {
	var out strings.Builder
	for _, change := range p.Files {
		old, newer := "a/"+change.Path, "b/"+change.Path
		fmt.Fprintf(&out, "diff --git %s %s\n", old, newer)
		switch change.Kind {
		case Create:
			old = os.DevNull
			out.WriteString("new file mode 100644\n")
		case Delete:
			newer = os.DevNull
			out.WriteString("deleted file mode 100644\n")
		}
		fmt.Fprintf(&out, "--- %s\n+++ %s\n", old, newer)
		for _, hunk := range change.Hunks {
			out.WriteString(hunk.String())
		}
	}
	return out.String()
}

// Edits compares two texts by line and lists the ranges that differ, without context, in
// order.
func Edits(old, newer []byte) []Range {
	var lines []srcLine
	number := 0
	for _, part := range diff.Do(string(old), string(newer)) {
		for _, l := range splitLines(part.Text) {
			switch part.Type {
			case diffmatchpatch.DiffDelete:
				number++
			case diffmatchpatch.DiffInsert:
				lines = append(lines, srcLine{text: l})
			case diffmatchpatch.DiffEqual:
				number++
				lines = append(lines, srcLine{l, number})
			}
		}
	}
	return ranges(lines, number)
}

// maxTreeFile bounds one file of a source tree that is read.
const maxTreeFile = 64 << 20

// CompareDirs lists the files of two source trees whose contents differ, by path. Binary
// files among them have no texts and are named apart. Symbolic links are not followed
// and count as nothing; what git and editors keep beside the source is left out.
func CompareDirs(older, newer string) (changes []TextChange, binary []string, err error) {
	roots := [2]*os.Root{}
	listing := [2]map[string]int64{}
	for i, dir := range []string{older, newer} {
		if roots[i], err = os.OpenRoot(dir); err != nil {
			return nil, nil, fmt.Errorf("open source tree: %w", err)
		}
		defer roots[i].Close()
		if listing[i], err = listTree(roots[i].FS()); err != nil {
			return nil, nil, fmt.Errorf("list source tree %s: %w", dir, err)
		}
	}

	names := map[string]bool{}
	for _, files := range listing {
		for name := range files {
			names[name] = true
		}
	}
	for name := range names {
		change := TextChange{Path: name}
		for i, into := range []*[]byte{&change.Old, &change.New} {
			size, there := listing[i][name]
			if !there {
				continue
			}
			if size > maxTreeFile {
				return nil, nil, fmt.Errorf("read %s: %d bytes are too many for a source file", name, size)
			}
			data, err := roots[i].ReadFile(name)
			if err != nil {
				return nil, nil, fmt.Errorf("read source tree: %w", err)
			}
			*into = append([]byte{}, data...)
		}
		switch {
		case change.Old != nil && change.New != nil && bytes.Equal(change.Old, change.New):
		case bytes.IndexByte(change.Old, 0) >= 0 || bytes.IndexByte(change.New, 0) >= 0:
			binary = append(binary, name)
		default:
			changes = append(changes, change)
		}
	}
	slices.SortFunc(changes, func(a, b TextChange) int { return strings.Compare(a.Path, b.Path) })
	slices.Sort(binary)
	return changes, binary, nil
}

// listTree lists the regular files of a tree with their sizes.
func listTree(tree fs.FS) (map[string]int64, error) {
	out := map[string]int64{}
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		switch {
		case entry.IsDir() && (base == ".git" || base == ".pc"):
			return fs.SkipDir
		case !entry.Type().IsRegular() || strings.HasSuffix(base, "~") || strings.HasSuffix(base, ".orig") ||
			strings.HasSuffix(base, ".rej"):
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		out[name] = info.Size()
		return nil
	})
	return out, err
}
