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
	for i, p := range series.Patches {
		s := &Slice{Name: p.ID, Title: p.Subject, IDs: p.IDs()}
		if len(p.Commit) >= 12 {
			s.Name = p.Commit[:12]
		}
		for _, f := range p.Files {
			s.Files = append(s.Files, f.Path)
			if f.OldPath != "" {
				s.Files = append(s.Files, f.OldPath)
			}
		}
		slices.Sort(s.Files)
		s.Files = slices.Compact(s.Files)
		s.corrects = corrected(p, series.Patches[:i])
		out.list = append(out.list, s)
	}
	return out
}

// corrected are the earlier patches that a patch corrects or takes back.
func corrected(p *patchset.Patch, earlier []*patchset.Patch) []int {
	fixed, reverted := patchset.Corrected(p.Log, earlier)
	var out []int
	for i, e := range earlier {
		if e == reverted || slices.Contains(fixed, e) {
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
	var list []patchset.TextChange
	for _, f := range c.list[slice].Files {
		var change [2][]byte
		for i, texts := range []map[string]*text{before, after} {
			if t := texts[f]; t != nil {
				change[i] = t.bytes()
			} else if data, err := fs.ReadFile(c.base, f); err == nil {
				change[i] = append([]byte{}, data...)
			}
		}
		list = append(list, patchset.TextChange{Path: f, Old: change[0], New: change[1]})
	}
	p := c.patches[slice]
	made, err := patchset.FromTexts(p.ID, p.Subject, list)
	if err != nil {
		return "", err
	}
	head := fmt.Sprintf("From: %s\nSubject: %s\n\n", p.Author, p.Subject)
	if p.Commit != "" {
		head = fmt.Sprintf("From %s Mon Sep 17 00:00:00 2001\n", p.Commit) + head
	}
	return head + strings.TrimSpace(p.Log) + "\n---\n" + made.Diff(), nil
}

func (c *commits) texts(keep []bool) (map[string]*text, map[int]lost, error) {
	now := map[string]*text{}
	chain := map[string]string{} // path -> the slices that changed it
	failed := map[int]lost{}
	for i, p := range c.patches {
		if !keep[i] {
			continue
		}
		key := ""
		for _, f := range c.list[i].Files {
			key += f + "\x00" + chain[f] + "\x01"
		}
		key = fmt.Sprint(i, "\x02", key)
		if err := c.apply(i, p, key, now); err != nil {
			var broken patchset.ApplyErrors
			if !errors.As(err, &broken) {
				return nil, nil, err
			}
			failed[i] = c.lost(i, keep, broken)
			continue
		}
		for _, f := range c.list[i].Files {
			chain[f] = fmt.Sprint(chain[f], " ", i)
		}
	}
	for name, t := range now {
		if bytes.Equal(t.bytes(), t.old) && t.exists == (t.old != nil) {
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
	for _, f := range c.list[i].Files {
		done = done && c.after[key+"\x03"+f] != nil
	}
	if !done {
		overlay, err := (&patchset.Series{Patches: []*patchset.Patch{p}}).Apply(&view{c.base, now}, patchset.ApplyOptions{})
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
			f := overlay.Files[name]
			t := newText(name, f.Old)
			if below := now[name]; below != nil {
				t = below.clone()
			}
			t.become(f.New, i)
			c.after[key+"\x03"+name] = t
		}
		for _, f := range c.list[i].Files {
			if c.after[key+"\x03"+f] == nil && now[f] != nil {
				c.after[key+"\x03"+f] = now[f]
			}
		}
		for _, name := range overlay.Paths() {
			now[name] = c.after[key+"\x03"+name]
		}
		return nil
	}
	for _, f := range c.list[i].Files {
		now[f] = c.after[key+"\x03"+f]
	}
	return nil
}

// lost says what a slice that does not apply lacks: the nearest earlier slice that changes
// one of its files and is left out.
func (c *commits) lost(i int, keep []bool, err patchset.ApplyErrors) lost {
	out := lost{why: err[0].Error()}
	for j := i - 1; j >= 0; j-- {
		shares := slices.ContainsFunc(c.list[j].Files, func(f string) bool {
			return slices.ContainsFunc(err, func(e *patchset.ApplyError) bool { return e.File == f })
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
	for k, v := range t.removed {
		out.removed[k] = v
	}
	for k := range t.touched {
		out.touched[k] = true
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
	t := v.files[name]
	if t == nil {
		return v.base.Open(name)
	}
	info, err := v.Stat(name)
	if err != nil {
		return nil, err
	}
	return &openText{bytes.NewReader(t.bytes()), info}, nil
}

// ReadFile implements fs.ReadFileFS.
func (v *view) ReadFile(name string) ([]byte, error) {
	t := v.files[name]
	switch {
	case t == nil:
		return fs.ReadFile(v.base, name)
	case !t.exists:
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	return t.bytes(), nil
}

// Stat implements fs.StatFS.
func (v *view) Stat(name string) (fs.FileInfo, error) {
	t := v.files[name]
	switch {
	case t == nil:
		return fs.Stat(v.base, name)
	case !t.exists:
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return textInfo{path.Base(name), int64(len(t.bytes()))}, nil
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
	for f, t := range v.files {
		if t.exists && strings.HasPrefix(f, name+"/") {
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
