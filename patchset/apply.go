package patchset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/bluekeyes/go-gitdiff/gitdiff"

	"github.com/klpforge/klpforge/finding"
)

// ApplyOptions tunes Apply. The zero value wants every context line to match.
type ApplyOptions struct {
	// Fuzz is how many lines at each end of a hunk's context may differ from
	// the tree. 0, the default, allows none; patch(1) allows 2.
	Fuzz int
}

// ApplyDir is Apply on a directory. Symbolic links that lead out of it are
// not followed.
func (s *Series) ApplyDir(dir string, opts ApplyOptions) (*Overlay, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open source tree: %w", err)
	}
	defer root.Close()
	return s.Apply(root.FS(), opts)
}

// Apply applies all patches in order, in memory, and never writes to tree.
//
// A hunk may be found at another line than it names when all its lines match
// there and nowhere else in question; a Note tells the offset. Failures are
// collected, up to some hundreds, and returned as ApplyErrors, except that a file that
// failed in one patch is left alone in later ones; other errors are *PathError
// (a name or symbolic link that leads out of the tree), ErrEmpty when no
// content changes in the end, or an I/O error of the tree.
//
// The result depends only on the series, the options and the files it names.
func (s *Series) Apply(tree fs.FS, opts ApplyOptions) (*Overlay, error) {
	applying := &applier{tree: tree, fuzz: max(opts.Fuzz, 0), files: map[string]*text{}}
	for _, p := range s.Patches {
		if err := applying.patch(p); err != nil {
			return nil, err
		}
	}

	if applying.untried > 0 {
		last := applying.failed[len(applying.failed)-1]
		applying.failed = append(applying.failed, &ApplyError{Patch: last.Patch, File: last.File,
			Reason: fmt.Sprintf("after so many failures, %d more changes were not tried", applying.untried)})
	}
	if len(applying.failed) > 0 {
		return nil, applying.failed
	}

	// Files that end as they began are left out, so that nothing is compiled for them.
	overlay := &Overlay{Files: map[string]*File{}, Notes: applying.notes, Binary: applying.binary}
	for path, t := range applying.files {
		if f := t.file(path); f != nil {
			overlay.Files[path] = f
		}
	}

	// Line numbers are put right last, when all patches of the series are in.
	for _, path := range overlay.Paths() {
		if note := overlay.Files[path].stabilize(applying.files[path].lines); note != "" {
			overlay.Notes = append(overlay.Notes, Note{Kind: finding.RemarkPlain, File: path, Text: note})
		}
	}
	if len(overlay.Files) == 0 {
		return nil, fmt.Errorf("apply patches: no file content differs in the end: %w", ErrEmpty)
	}
	return overlay, nil
}

// srcLine is one line of a file under change.
type srcLine struct {
	text string // with its newline, if it has one
	orig int    // 1-based line in the tree's file, 0 for a line that patches added
}

// text is one file under change.
type text struct {
	old    []byte // as in the tree, nil if it is not there
	lines  []srcLine
	exists bool
	from   string // see File.From
	bad    bool   // a hunk failed; later hunks would only fail after it
}

func newText(old []byte) *text {
	before := &text{old: old, exists: old != nil}
	for i, l := range splitLines(string(old)) {
		before.lines = append(before.lines, srcLine{l, i + 1})
	}
	return before
}

func (t *text) bytes() []byte {
	n := 0
	for _, l := range t.lines {
		n += len(l.text)
	}
	b := make([]byte, 0, n)
	for _, l := range t.lines {
		b = append(b, l.text...)
	}
	return b
}

// file gives the overlay entry, nil when the content is what it was.
func (t *text) file(path string) *File {
	file := &File{Path: path, From: t.from, Old: t.old}
	if t.exists {
		file.New = t.bytes()
	}
	if file.Old == nil && file.New == nil {
		return nil
	}
	if file.Old != nil && file.New != nil {
		if string(file.Old) == string(file.New) {
			return nil
		}
		t.settle()
		file.Hunks = ranges(t.lines, len(splitLines(string(file.Old))))
	}
	return file
}

// applier is the state of one Apply.
type applier struct {
	tree   fs.FS
	fuzz   int
	files  map[string]*text // by resolved path
	failed ApplyErrors
	notes  []Note
	binary []BinaryChange
	// untried counts changes that were passed over after maxFailed failures.
	untried int
}

// maxFailed bounds the failures that are collected: more help nobody.
const maxFailed = 500

// load returns the current text of the file at path and its resolved path.
func (a *applier) load(id, path string) (*text, string, error) {
	actual, err := resolve(a.tree, id, path)
	if err != nil {
		var perr *PathError
		if errors.As(err, &perr) {
			return nil, "", err
		}
		return nil, "", notThere(id, path, "look up", err)
	}
	if t := a.files[actual]; t != nil {
		return t, actual, nil
	}
	data, err := fs.ReadFile(a.tree, actual)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		data = nil
	case err != nil:
		return nil, "", notThere(id, path, "read", err)
	case data == nil:
		data = []byte{}
	}
	before := newText(data)
	a.files[actual] = before
	return before, actual, nil
}

// notThere tells names that cannot be those of a file in the tree, which is
// the patch's fault, from a tree that cannot be read.
func notThere(id, path, what string, err error) error {
	for errno, reason := range map[error]string{
		syscall.EISDIR:       "it is a directory in the source tree",
		syscall.ENOTDIR:      "a part of the name is a file, not a directory, in the source tree",
		syscall.ENAMETOOLONG: "no file can have so long a name",
	} {
		if errors.Is(err, errno) {
			return &PathError{Patch: id, Path: path, Reason: reason}
		}
	}
	return fmt.Errorf("patch %s: %s %s in the source tree: %w", id, what, path, err)
}

// present says whether path is a file after the patches so far.
func (a *applier) present(id, path string) bool {
	actual, err := resolve(a.tree, id, path)
	if err != nil {
		return false
	}
	if t := a.files[actual]; t != nil {
		return t.exists
	}
	info, err := fs.Stat(a.tree, actual)
	return err == nil && info.Mode().IsRegular()
}

func (a *applier) patch(patch *Patch) error {
	var err error
	level := a.strip(patch)
	jobs := make([]job, len(patch.Files))
	for i, change := range patch.Files {
		next := job{Change: change, path: change.Path, oldPath: change.OldPath}
		if level >= 0 {
			if next.path, next.oldPath, err = change.pathsAt(patch.ID, level); err != nil {
				return err
			}
		} else if next.path, err = checkPath(patch.ID, next.path); err != nil {
			return err
		}
		if change.Kind != Create && change.Kind != Rename && change.Kind != Copy {
			next.path = a.alternative(patch.ID, change, next.path, level)
		}
		jobs[i] = next
	}
	for _, change := range patch.Binary {
		path := change.Path
		if level >= 0 {
			if path, _, err = change.pathsAt(patch.ID, level); err != nil {
				return err
			}
		}
		a.binary = append(a.binary, BinaryChange{patch.ID, path})
	}
	if err := a.sources(patch, jobs); err != nil {
		return err
	}
	hunkNo := map[string]int{} // hunks seen per file, when one file comes in several sections
	for _, next := range jobs {
		if err := a.change(patch, next, hunkNo); err != nil {
			return err
		}
	}
	return nil
}

// job is one Change with the names that hold for this tree.
type job struct {
	*Change
	path, oldPath string
	source        *source // of a Rename or Copy
}

// source is a file to rename or copy, as it was before the patch.
type source struct {
	real   string
	lines  []srcLine
	exists bool
	bad    bool
}

// sources takes the sources of all renames and copies before anything else
// in the patch happens, as git does: names on the old side mean the tree
// before the patch. A renamed file goes at once, unless the patch also
// changes what stays under its name.
func (a *applier) sources(patch *Patch, jobs []job) error {
	kept := map[string]bool{}
	for _, entry := range jobs {
		if entry.Kind == Modify {
			kept[entry.path] = true
		}
	}
	var gone []*text
	for i := range jobs {
		entry := &jobs[i]
		if entry.Kind != Rename && entry.Kind != Copy {
			continue
		}
		before, actual, err := a.load(patch.ID, entry.oldPath)
		if err != nil {
			return err
		}
		entry.source = &source{real: actual, lines: before.lines, exists: before.exists, bad: before.bad}
		if entry.Kind == Rename && !kept[entry.oldPath] {
			gone = append(gone, before)
		}
	}
	for _, before := range gone {
		before.exists, before.lines = false, nil
	}
	return nil
}

// strip returns the strip level for a whole patch when the reader's guess
// does not fit the tree and another level fits every file; otherwise -1.
// Levels above one must leave a directory in each name, lest a patch for
// another tree hits a file that happens to have a common base name.
func (a *applier) strip(patch *Patch) int {
	if patch.strip != 0 {
		return -1
	}
	var need []*Change
	deepest := 0
	for _, change := range patch.Files {
		deepest = max(deepest, strings.Count(change.names.old, "/"), strings.Count(change.names.new, "/"))
		if change.Kind != Create && !change.names.bare {
			need = append(need, change)
		}
	}

	fits := func(path func(c *Change) string) bool {
		for _, c := range need {
			if !a.present(patch.ID, path(c)) {
				return false
			}
		}
		return true
	}

	// Names that fit as they are need no guess.
	if fits(func(c *Change) string { return a.alternative(patch.ID, c, c.Path, -1) }) {
		return -1
	}

	// One level for the whole patch: a level for each file would let names slide into wrong
	// directories.
	for level := range min(deepest, 64) + 1 {
		if fits(func(c *Change) string {
			path, _, err := c.pathsAt(patch.ID, level)
			if err != nil || (level > 1 && !strings.Contains(path, "/")) {
				return ""
			}
			return path
		}) {
			a.notes = append(a.notes, Note{Kind: finding.RemarkPlain, Patch: patch.ID,
				Text: fmt.Sprintf("names fit the source tree after stripping %d leading directories", level)})
			return level
		}
	}
	return -1
}

// alternative settles on the other name of a plain diff ("x.c.orig" against
// "x.c") when only that one is in the tree.
func (a *applier) alternative(id string, change *Change, path string, level int) string {
	if change.names.git || change.Kind == Create || change.names.old == change.names.new || a.present(id, path) {
		return path
	}
	if level < 0 {
		level = strings.Count(pick(change.names.old, change.names.new), "/") - strings.Count(path, "/")
	}
	old, newer := change.names.paths(max(level, 0))
	for _, other := range []string{old, newer} {
		clean, err := checkPath(id, other)
		if err == nil && clean != path && a.present(id, clean) {
			return clean
		}
	}
	return path
}

// change applies one Change. Failures to apply are collected; an error is
// returned for what no patch should do.
func (a *applier) change(patch *Patch, work job, hunkNo map[string]int) error {
	change, path := work.Change, work.path
	if len(a.failed) >= maxFailed {
		a.untried++
		return nil
	}
	edited, actual, err := a.load(patch.ID, path)
	if err != nil {
		return err
	}
	if actual != path {
		a.notes = append(a.notes, Note{Kind: finding.RemarkPlain, Patch: patch.ID, File: path,
			Text: "is a symbolic link to " + actual + ", which is patched instead"})
	}

	fail := func(reason string, applied bool) error {
		a.failed = append(a.failed, &ApplyError{Patch: patch.ID, File: path, Reason: reason, Applied: applied})
		edited.bad = true
		return nil
	}
	if edited.bad {
		return nil
	}

	// Hunks of a file are numbered through the whole patch, as its author counts them.
	base := hunkNo[actual]
	hunkNo[actual] += len(change.Hunks)
	if change.OldMode != 0 && change.NewMode != 0 && change.OldMode != change.NewMode {
		a.notes = append(a.notes, Note{Kind: finding.RemarkLeftOut, Patch: patch.ID, File: path,
			Text: fmt.Sprintf("change of mode %o to %o has no effect on the build and is left out", change.OldMode,
				change.NewMode)})
	}

	if change.Kind == Rename || change.Kind == Copy {
		switch {
		case work.source.bad:
			edited.bad = true
			return nil
		case !work.source.exists:
			return fail(fmt.Sprintf("%s from %s, which is not in the source tree", change.Kind, work.oldPath),
				edited.exists)
		case edited.exists:
			return fail(fmt.Sprintf("%s from %s, but the target exists", change.Kind, work.oldPath), false)
		}
		edited.exists, edited.from, edited.lines = true, work.source.real, nil
		for _, l := range work.source.lines {
			edited.lines = append(edited.lines, srcLine{text: l.text})
		}
		a.hunks(patch, change, edited, path, base)
		return nil
	}

	switch change.Kind {
	case Create:
		if edited.exists && (change.explicit || len(edited.lines) > 0) {
			return fail("file to create exists", string(edited.bytes()) == added(change))
		}
		edited.exists = true
	default:
		if !edited.exists {
			if change.Kind == Delete {
				return fail("file to delete is not in the source tree", true)
			}
			return fail("file is not in the source tree: make the patch against this source, or give the strip level "+
				"that fits its names", false)
		}
	}

	ok := a.hunks(patch, change, edited, path, base)
	if change.Kind == Delete && ok {
		if len(edited.lines) > 0 {
			return fail(fmt.Sprintf("file to delete has %d more lines than the patch knows", len(edited.lines)), false)
		}
		edited.exists = false
	}
	return nil
}

// added joins the added lines of a change.
func added(change *Change) string {
	var out strings.Builder
	for _, h := range change.Hunks {
		for _, line := range h.Lines {
			if line.Op == gitdiff.OpAdd {
				out.WriteString(line.Line)
			}
		}
	}
	return out.String()
}
