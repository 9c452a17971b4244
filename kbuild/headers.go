package kbuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// otherHeaders names the headers of the source, by their places in the tree, that the
// target's header packages have otherwise. Types can be compared with the target's BTF;
// of constants and inline functions, these headers alone tell.
func (p *preparation) otherHeaders() ([]string, error) {
	var out []string
	for _, dir := range p.Headers {
		for _, top := range []string{"include", "arch/" + p.Arch + "/include"} {
			err := filepath.WalkDir(filepath.Join(dir, top), func(name string, item fs.DirEntry, err error) error {
				if err != nil {
					if errors.Is(err, fs.ErrNotExist) {
						return nil
					}
					return err
				}
				rel, err := filepath.Rel(dir, name)
				if err != nil {
					return err
				}
				rel = filepath.ToSlash(rel)
				switch {
				case item.IsDir() && (item.Name() == "generated" || rel == "include/config"):
					return fs.SkipDir // compareGenerated looks at what is made of the configuration
				case !item.Type().IsRegular() || path.Ext(rel) != ".h":
					return nil
				}
				same, err := sameText(name, filepath.Join(p.tree, rel))
				if err == nil && !same {
					out = append(out, rel)
				}
				return err
			})
			if err != nil {
				return nil, fmt.Errorf("compare the source's headers with the target's: %w", err)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// sameText compares two files by size and content. A file that the tree does not have
// is none of its headers, and counts as the same.
func sameText(theirs, ours string) (bool, error) {
	left, err := os.Stat(theirs)
	if err != nil {
		return false, err
	}
	right, err := os.Stat(ours)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if left.Size() != right.Size() {
		return false, nil
	}
	x, err := os.ReadFile(theirs)
	if err != nil {
		return false, err
	}
	y, err := os.ReadFile(ours)
	return bytes.Equal(x, y), err
}

// OtherText is an object's source preprocessed with the target's own headers.
type OtherText struct {
	Text []byte
	// Headers are those that were read in place of the source's, by their places in the
	// tree.
	Headers []string
	// Changed are headers that differ from the target's and that were changed since, so
	// that the target's could not be read instead.
	Changed []string
}

// TargetText preprocesses an object, as the tree is now, with the target's headers in
// place of those of the source that differ. It returns nil when none does.
func (w *Work) TargetText(ctx context.Context, object string) (*OtherText, error) {
	if len(w.tree.meta.OtherHeaders) == 0 {
		return nil, nil
	}
	cmds, err := w.Commands(ctx, []string{object})
	if err != nil {
		return nil, err
	}
	argv, err := preprocessCall(cmds[object], "-E")
	if err != nil {
		return nil, fmt.Errorf("preprocess %s: %w", object, err)
	}

	// The target's headers go to a directory that is looked into first. What the patch changes is
	// left as the patch has it.
	out := &OtherText{}
	dir := filepath.Join(w.base, "target")
	put := map[string]bool{}
	for _, rel := range w.tree.meta.OtherHeaders {
		w.mu.Lock()
		changed := w.changed[rel]
		w.mu.Unlock()
		if changed {
			out.Changed = append(out.Changed, rel)
			continue
		}
		if err := w.copyTargetHeader(dir, rel); err != nil {
			return nil, err
		}
		put[rel] = true
	}

	text, err := w.runPreprocessor(ctx, object, lookFirst(argv, dir, put))
	if err != nil {
		return nil, err
	}
	out.Text = text
	for line := range bytes.Lines(text) {
		if name, ok := markedFile(line); ok {
			if rel, ok := strings.CutPrefix(path.Clean(name), dir+"/"); ok {
				out.Headers = append(out.Headers, rel)
			}
		}
	}
	slices.Sort(out.Headers)
	out.Headers = slices.Compact(out.Headers)
	return out, nil
}

// copyTargetHeader puts the target's text of a header below dir.
func (w *Work) copyTargetHeader(dir, rel string) error {
	for _, from := range w.tree.headers {
		data, err := os.ReadFile(filepath.Join(from, rel))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.MkdirAll(filepath.Join(dir, path.Dir(rel)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, rel), data, 0o644)
		}
		if err != nil {
			return fmt.Errorf("read the target's headers: %w", err)
		}
		return nil
	}
	return fmt.Errorf("read the target's headers: %s is no more in %s", rel, strings.Join(w.tree.headers, ", "))
}

// lookFirst makes a compiler's call look below dir before it looks into the tree's
// directories. put are the files that dir has.
func lookFirst(argv []string, dir string, put map[string]bool) []string {
	var out []string
	for i, arg := range argv {
		if in, ok := strings.CutPrefix(arg, "-I"); ok && in != "" && !path.IsAbs(in) {
			out = append(out, "-I"+path.Join(dir, in))
		}
		if i > 0 && argv[i-1] == "-include" && put[path.Clean(arg)] {
			arg = path.Join(dir, arg)
		}
		out = append(out, arg)
	}
	return out
}

// markedFile is the file that a line marker of preprocessed text names.
func markedFile(line []byte) (string, bool) {
	rest, ok := bytes.CutPrefix(line, []byte("# "))
	if !ok {
		return "", false
	}
	_, rest, ok = bytes.Cut(rest, []byte(` "`))
	if !ok {
		return "", false
	}
	name, _, ok := bytes.Cut(rest, []byte(`"`))
	return string(name), ok
}
