package patchset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/bluekeyes/go-gitdiff/gitdiff"
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
	a := &applier{tree: tree, fuzz: max(opts.Fuzz, 0), files: map[string]*text{}}
	for _, p := range s.Patches {
		if err := a.patch(p); err != nil {
			return nil, err
		}
	}
	if a.untried > 0 {
		last := a.failed[len(a.failed)-1]
		a.failed = append(a.failed, &ApplyError{Patch: last.Patch, File: last.File, Reason: fmt.Sprintf("after so many failures, %d more changes were not tried", a.untried)})
	}
	if len(a.failed) > 0 {
		return nil, a.failed
	}
	o := &Overlay{Files: map[string]*File{}, Notes: a.notes, Binary: a.binary}
	for path, t := range a.files {
		if f := t.file(path); f != nil {
			o.Files[path] = f
		}
	}
	for _, path := range o.Paths() {
		if note := o.Files[path].stabilize(a.files[path].lines); note != "" {
			o.Notes = append(o.Notes, Note{File: path, Text: note})
		}
	}
	if len(o.Files) == 0 {
		return nil, fmt.Errorf("apply patches: no file content differs in the end: %w", ErrEmpty)
	}
	return o, nil
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
	t := &text{old: old, exists: old != nil}
	for i, l := range splitLines(string(old)) {
		t.lines = append(t.lines, srcLine{l, i + 1})
	}
	return t
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
	f := &File{Path: path, From: t.from, Old: t.old}
	if t.exists {
		f.New = t.bytes()
	}
	if f.Old == nil && f.New == nil {
		return nil
	}
	if f.Old != nil && f.New != nil {
		if string(f.Old) == string(f.New) {
			return nil
		}
		t.settle()
		f.Hunks = ranges(t.lines, len(splitLines(string(f.Old))))
	}
	return f
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
	t := newText(data)
	a.files[actual] = t
	return t, actual, nil
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

func (a *applier) patch(p *Patch) error {
	var err error
	level := a.strip(p)
	jobs := make([]job, len(p.Files))
	for i, c := range p.Files {
		j := job{Change: c, path: c.Path, oldPath: c.OldPath}
		if level >= 0 {
			if j.path, j.oldPath, err = c.pathsAt(p.ID, level); err != nil {
				return err
			}
		} else if j.path, err = checkPath(p.ID, j.path); err != nil {
			return err
		}
		if c.Kind != Create && c.Kind != Rename && c.Kind != Copy {
			j.path = a.alternative(p.ID, c, j.path, level)
		}
		jobs[i] = j
	}
	for _, c := range p.Binary {
		path := c.Path
		if level >= 0 {
			if path, _, err = c.pathsAt(p.ID, level); err != nil {
				return err
			}
		}
		a.binary = append(a.binary, BinaryChange{p.ID, path})
	}
	if err := a.sources(p, jobs); err != nil {
		return err
	}
	hunkNo := map[string]int{} // hunks seen per file, when one file comes in several sections
	for _, j := range jobs {
		if err := a.change(p, j, hunkNo); err != nil {
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
func (a *applier) sources(p *Patch, jobs []job) error {
	kept := map[string]bool{}
	for _, j := range jobs {
		if j.Kind == Modify {
			kept[j.path] = true
		}
	}
	var gone []*text
	for i := range jobs {
		j := &jobs[i]
		if j.Kind != Rename && j.Kind != Copy {
			continue
		}
		t, actual, err := a.load(p.ID, j.oldPath)
		if err != nil {
			return err
		}
		j.source = &source{real: actual, lines: t.lines, exists: t.exists, bad: t.bad}
		if j.Kind == Rename && !kept[j.oldPath] {
			gone = append(gone, t)
		}
	}
	for _, t := range gone {
		t.exists, t.lines = false, nil
	}
	return nil
}

// strip returns the strip level for a whole patch when the reader's guess
// does not fit the tree and another level fits every file; otherwise -1.
// Levels above one must leave a directory in each name, lest a patch for
// another tree hits a file that happens to have a common base name.
func (a *applier) strip(p *Patch) int {
	if p.strip != 0 {
		return -1
	}
	var need []*Change
	deepest := 0
	for _, c := range p.Files {
		deepest = max(deepest, strings.Count(c.names.old, "/"), strings.Count(c.names.new, "/"))
		if c.Kind != Create && !c.names.bare {
			need = append(need, c)
		}
	}
	fits := func(path func(c *Change) string) bool {
		for _, c := range need {
			if !a.present(p.ID, path(c)) {
				return false
			}
		}
		return true
	}
	if fits(func(c *Change) string { return a.alternative(p.ID, c, c.Path, -1) }) {
		return -1
	}
	for level := range min(deepest, 64) + 1 {
		if fits(func(c *Change) string {
			path, _, err := c.pathsAt(p.ID, level)
			if err != nil || (level > 1 && !strings.Contains(path, "/")) {
				return ""
			}
			return path
		}) {
			a.notes = append(a.notes, Note{Patch: p.ID, Text: fmt.Sprintf("names fit the source tree after stripping %d leading directories", level)})
			return level
		}
	}
	return -1
}

// alternative settles on the other name of a plain diff ("x.c.orig" against
// "x.c") when only that one is in the tree.
func (a *applier) alternative(id string, c *Change, path string, level int) string {
	if c.names.git || c.Kind == Create || c.names.old == c.names.new || a.present(id, path) {
		return path
	}
	if level < 0 {
		level = strings.Count(pick(c.names.old, c.names.new), "/") - strings.Count(path, "/")
	}
	old, newer := c.names.paths(max(level, 0))
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
func (a *applier) change(p *Patch, j job, hunkNo map[string]int) error {
	c, path := j.Change, j.path
	if len(a.failed) >= maxFailed {
		a.untried++
		return nil
	}
	t, actual, err := a.load(p.ID, path)
	if err != nil {
		return err
	}
	if actual != path {
		a.notes = append(a.notes, Note{Patch: p.ID, File: path, Text: "is a symbolic link to " + actual + ", which is patched instead"})
	}
	fail := func(reason string, applied bool) error {
		a.failed = append(a.failed, &ApplyError{Patch: p.ID, File: path, Reason: reason, Applied: applied})
		t.bad = true
		return nil
	}
	if t.bad {
		return nil
	}
	base := hunkNo[actual]
	hunkNo[actual] += len(c.Hunks)
	if c.OldMode != 0 && c.NewMode != 0 && c.OldMode != c.NewMode {
		a.notes = append(a.notes, Note{Patch: p.ID, File: path, Text: fmt.Sprintf("change of mode %o to %o has no effect on the build and is left out", c.OldMode, c.NewMode)})
	}

	if c.Kind == Rename || c.Kind == Copy {
		switch {
		case j.source.bad:
			t.bad = true
			return nil
		case !j.source.exists:
			return fail(fmt.Sprintf("%s from %s, which is not in the source tree", c.Kind, j.oldPath), t.exists)
		case t.exists:
			return fail(fmt.Sprintf("%s from %s, but the target exists", c.Kind, j.oldPath), false)
		}
		t.exists, t.from, t.lines = true, j.source.real, nil
		for _, l := range j.source.lines {
			t.lines = append(t.lines, srcLine{text: l.text})
		}
		a.hunks(p, c, t, path, base)
		return nil
	}

	switch c.Kind {
	case Create:
		if t.exists && (c.explicit || len(t.lines) > 0) {
			return fail("file to create exists", string(t.bytes()) == added(c))
		}
		t.exists = true
	default:
		if !t.exists {
			if c.Kind == Delete {
				return fail("file to delete is not in the source tree", true)
			}
			return fail("file is not in the source tree: make the patch against this source, or give the strip level that fits its names", false)
		}
	}
	ok := a.hunks(p, c, t, path, base)
	if c.Kind == Delete && ok {
		if len(t.lines) > 0 {
			return fail(fmt.Sprintf("file to delete has %d more lines than the patch knows", len(t.lines)), false)
		}
		t.exists = false
	}
	return nil
}

// added joins the added lines of a change.
func added(c *Change) string {
	var b strings.Builder
	for _, h := range c.Hunks {
		for _, l := range h.Lines {
			if l.Op == gitdiff.OpAdd {
				b.WriteString(l.Line)
			}
		}
	}
	return b.String()
}
