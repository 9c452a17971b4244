package selection

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/klpforge/klpforge/patchset"
)

// commits is an update as a range of commits, oldest first.
type commits struct {
	base    fs.FS // the target's source
	list    []*Slice
	patches []*patchset.Patch
	// after remembers texts by their path and the slices that made them, fails why a slice
	// does not go on top of others.
	after map[string]*text
	fails map[string]error
}

// fromCommits takes each patch of a series as a slice. base is the target's source.
func fromCommits(base fs.FS, series *patchset.Series) *commits {
	out := &commits{base: base, patches: series.Patches, after: map[string]*text{}, fails: map[string]error{}}
	for i, patch := range series.Patches {
		slice := &Slice{Name: patch.ID, Title: patch.Subject, IDs: patch.IDs()}
		if len(patch.Commit) >= 12 {
			slice.Name = patch.Commit[:12]
		}
		for _, change := range patch.Files {
			slice.Files = append(slice.Files, change.Path)
			if change.OldPath != "" {
				slice.Files = append(slice.Files, change.OldPath)
			}
		}
		slices.Sort(slice.Files)
		slice.Files = slices.Compact(slice.Files)
		slice.corrects = corrected(patch, series.Patches[:i])
		out.list = append(out.list, slice)
	}
	return out
}

// corrected are the earlier patches that a patch corrects or takes back.
func corrected(p *patchset.Patch, earlier []*patchset.Patch) []int {
	fixed, reverted := patchset.Corrected(p.Log, earlier)
	var out []int
	for i, older := range earlier {
		if older == reverted || slices.Contains(fixed, older) {
			out = append(out, i)
		}
	}
	return out
}

func (c *commits) slices() []*Slice { return c.list }

// patch renders the commit on top of the others: where it was made, lines may be elsewhere.
func (c *commits) patch(slice int, below []bool) (string, error) {
	before, _, err := c.texts(below)
	if err != nil {
		return "", err
	}
	with := slices.Clone(below)
	with[slice] = true
	after, _, err := c.texts(with)
	if err != nil {
		return "", err
	}

	// Both texts of each of its files: as they were without it and as they are with it.
	var list []patchset.TextChange
	for _, name := range c.list[slice].Files {
		var change [2][]byte
		for i, texts := range []map[string]*text{before, after} {
			if file := texts[name]; file != nil {
				change[i] = file.bytes()
			} else if data, err := fs.ReadFile(c.base, name); err == nil {
				change[i] = append([]byte{}, data...)
			}
		}
		list = append(list, patchset.TextChange{Path: name, Old: change[0], New: change[1]})
	}

	// The head is that of a mail, which keeps the author and the commit (git format-patch).
	patch := c.patches[slice]
	made, err := patchset.FromTexts(patch.ID, patch.Subject, list)
	if err != nil {
		return "", err
	}
	head := fmt.Sprintf("From: %s\nSubject: %s\n\n", patch.Author, patch.Subject)
	if patch.Commit != "" {
		head = fmt.Sprintf("From %s Mon Sep 17 00:00:00 2001\n", patch.Commit) + head
	}
	return head + strings.TrimSpace(patch.Log) + "\n---\n" + made.Diff(), nil
}

func (c *commits) texts(keep []bool) (map[string]*text, map[int]lost, error) {
	now := map[string]*text{}
	chain := map[string]string{} // path -> the slices that changed it
	failed := map[int]lost{}
	for i, patch := range c.patches {
		if !keep[i] {
			continue
		}
		key := ""
		for _, name := range c.list[i].Files {
			key += name + "\x00" + chain[name] + "\x01"
		}
		key = fmt.Sprint(i, "\x02", key)
		if err := c.apply(i, patch, key, now); err != nil {
			var broken patchset.ApplyErrors
			if !errors.As(err, &broken) {
				return nil, nil, err
			}
			failed[i] = c.lost(i, keep, broken)
			continue
		}
		for _, name := range c.list[i].Files {
			chain[name] = fmt.Sprint(chain[name], " ", i)
		}
	}
	for name, file := range now {
		if bytes.Equal(file.bytes(), file.old) && file.exists == (file.old != nil) {
			delete(now, name) // taken back
		}
	}
	return now, failed, nil
}

// apply applies one slice to the texts. key stands for the slice and what is below it.
func (c *commits) apply(i int, p *patchset.Patch, key string, now map[string]*text) error {
	if err, known := c.fails[key]; known {
		return err
	}
	done := true
	for _, name := range c.list[i].Files {
		done = done && c.after[key+"\x03"+name] != nil
	}
	if !done {
		// Applied once for each set of slices below it, since the engine asks again and again.
		overlay, err := (&patchset.Series{Patches: []*patchset.Patch{p}}).Apply(&view{c.base, now},
			patchset.ApplyOptions{})
		var broken patchset.ApplyErrors
		switch {
		case errors.As(err, &broken):
			c.fails[key] = err
			return err
		case errors.Is(err, patchset.ErrEmpty):
			return nil
		case err != nil:
			return err
		}
		for _, name := range overlay.Paths() {
			overlaid := overlay.Files[name]
			file := newText(name, overlaid.Old)
			if below := now[name]; below != nil {
				file = below.clone()
			}
			file.become(overlaid.New, i)
			c.after[key+"\x03"+name] = file
		}

		// A file that the patch leaves as it was is remembered too: its text below stands for it.
		for _, name := range c.list[i].Files {
			if c.after[key+"\x03"+name] == nil && now[name] != nil {
				c.after[key+"\x03"+name] = now[name]
			}
		}
		for _, name := range overlay.Paths() {
			now[name] = c.after[key+"\x03"+name]
		}
		return nil
	}
	for _, name := range c.list[i].Files {
		now[name] = c.after[key+"\x03"+name]
	}
	return nil
}

// lost says what a slice that does not apply lacks: the nearest earlier slice that changes
// one of its files and is left out.
func (c *commits) lost(i int, keep []bool, err patchset.ApplyErrors) lost {
	out := lost{why: err[0].Error()}
	for j := i - 1; j >= 0; j-- {
		shares := slices.ContainsFunc(c.list[j].Files, func(name string) bool {
			return slices.ContainsFunc(err, func(fault *patchset.ApplyError) bool { return fault.File == name })
		})
		if !keep[j] && shares {
			out.needs = []int{j}
			break
		}
	}
	return out
}

// clone is a copy that can be changed.
func (t *text) clone() *text {
	out := *t
	out.items = nil
	out.lines = slices.Clone(t.lines)
	out.removed, out.touched = map[int]int{}, map[int]bool{}
	for number, slice := range t.removed {
		out.removed[number] = slice
	}
	for number := range t.touched {
		out.touched[number] = true
	}
	return &out
}

// view is the target's source with texts in place of some files.
type view struct {
	base  fs.FS
	files map[string]*text
}

// Open implements fs.FS.
func (v *view) Open(name string) (fs.File, error) {
	file := v.files[name]
	if file == nil {
		return v.base.Open(name)
	}
	info, err := v.Stat(name)
	if err != nil {
		return nil, err
	}
	return &openText{bytes.NewReader(file.bytes()), info}, nil
}

// ReadFile implements fs.ReadFileFS.
func (v *view) ReadFile(name string) ([]byte, error) {
	file := v.files[name]
	switch {
	case file == nil:
		return fs.ReadFile(v.base, name)
	case !file.exists:
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	return file.bytes(), nil
}

// Stat implements fs.StatFS.
func (v *view) Stat(name string) (fs.FileInfo, error) {
	file := v.files[name]
	switch {
	case file == nil:
		return fs.Stat(v.base, name)
	case !file.exists:
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return textInfo{path.Base(name), int64(len(file.bytes()))}, nil
}

// Lstat implements fs.ReadLinkFS.
func (v *view) Lstat(name string) (fs.FileInfo, error) {
	if v.files[name] != nil {
		return v.Stat(name)
	}
	info, err := fs.Lstat(v.base, name)
	if errors.Is(err, fs.ErrNotExist) && v.above(name) {
		return directory{textInfo{path.Base(name), 0}}, nil
	}
	return info, err
}

// above reports whether a name is a directory that only new files need.
func (v *view) above(name string) bool {
	for changed, file := range v.files {
		if file.exists && strings.HasPrefix(changed, name+"/") {
			return true
		}
	}
	return false
}

// ReadLink implements fs.ReadLinkFS.
func (v *view) ReadLink(name string) (string, error) { return fs.ReadLink(v.base, name) }

type openText struct {
	*bytes.Reader
	info fs.FileInfo
}

// Stat implements fs.File.
func (o *openText) Stat() (fs.FileInfo, error) { return o.info, nil }

// Close implements fs.File.
func (o *openText) Close() error { return nil }

// textInfo describes a text as a regular file.
type textInfo struct {
	name string
	size int64
}

// Name implements fs.FileInfo.
func (i textInfo) Name() string { return i.name }

// Size implements fs.FileInfo.
func (i textInfo) Size() int64 { return i.size }

// Mode implements fs.FileInfo.
func (i textInfo) Mode() fs.FileMode { return 0o644 }

// ModTime implements fs.FileInfo.
func (i textInfo) ModTime() time.Time { return time.Time{} }

// IsDir implements fs.FileInfo.
func (i textInfo) IsDir() bool { return i.Mode().IsDir() }

// Sys implements fs.FileInfo.
func (i textInfo) Sys() any { return nil }

type directory struct{ textInfo }

// Mode implements fs.FileInfo.
func (directory) Mode() fs.FileMode { return fs.ModeDir | 0o755 }

// IsDir implements fs.FileInfo.
func (directory) IsDir() bool { return true }
