package patchset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/bluekeyes/go-gitdiff/gitdiff"
)

// ConflictError reports a patch that does not apply, and what it conflicts
// with.
type ConflictError struct {
	Patch *Patch
	// With is the earlier patch after which Patch no longer applies; nil when
	// it does not fit the tree by itself.
	With *Patch
	Err  error // what failed when Patch was applied
}

func (e *ConflictError) Error() string {
	if e.With == nil {
		return fmt.Sprintf("patch %s does not fit the source: %v", e.Patch.Title(), e.Err)
	}
	return fmt.Sprintf("patch %s conflicts with patch %s: %v", e.Patch.Title(), e.With.Title(), e.Err)
}

// Unwrap returns what failed.
func (e *ConflictError) Unwrap() error { return e.Err }

// Title is the ID and, where there is one, the subject.
func (p *Patch) Title() string {
	if p.Subject == "" {
		return p.ID
	}
	return fmt.Sprintf("%s (%s)", p.ID, p.Subject)
}

// SiftDir divides the series into the patches that the source tree dir lacks
// and those that are in it already: these do not apply, but undoing them does.
// A patch that neither applies nor is there as a whole gives a *ConflictError;
// other errors are those of Apply. Each patch is judged on top of those before
// it that were kept.
func (s *Series) SiftDir(dir string, opts ApplyOptions) (kept, present []*Patch, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("open source tree: %w", err)
	}
	defer root.Close()
	for _, p := range s.Patches {
		err := applies(root.FS(), opts, append(kept[:len(kept):len(kept)], p)...)
		if err == nil {
			kept = append(kept, p)
			continue
		}
		var ae *ApplyError
		if !errors.As(err, &ae) {
			return nil, nil, err
		}
		if back := p.reverse(); back != nil && applies(root.FS(), opts, append(kept[:len(kept):len(kept)], back)...) == nil {
			present = append(present, p)
			continue
		}
		return nil, nil, &ConflictError{Patch: p, With: rival(root.FS(), opts, kept, p), Err: err}
	}
	return kept, present, nil
}

func applies(tree fs.FS, opts ApplyOptions, patches ...*Patch) error {
	_, err := (&Series{Patches: patches}).Apply(tree, opts)
	if errors.Is(err, ErrEmpty) { // a patch and its reverse
		return nil
	}
	return err
}

// rival finds the first of kept after which p does not apply any more.
func rival(tree fs.FS, opts ApplyOptions, kept []*Patch, p *Patch) *Patch {
	if applies(tree, opts, p) != nil {
		// It may build on an earlier patch: then the last with which it applied counts.
		for i := len(kept) - 1; i > 0; i-- {
			if applies(tree, opts, append(kept[:i:i], p)...) == nil {
				return kept[i]
			}
		}
		return nil
	}
	for i := range kept {
		if applies(tree, opts, append(kept[:i+1:i+1], p)...) != nil {
			return kept[i]
		}
	}
	return nil
}

// reverse is the patch that undoes p, or nil for a change that cannot be
// undone from the patch alone: a copy, or a new mode.
func (p *Patch) reverse() *Patch {
	r := &Patch{ID: p.ID, strip: p.strip}
	for _, c := range p.Files {
		b := *c
		b.names.old, b.names.new = c.names.new, c.names.old
		b.OldMode, b.NewMode = c.NewMode, c.OldMode
		b.explicit = true
		switch c.Kind {
		case Create:
			b.Kind = Delete
		case Delete:
			b.Kind = Create
		case Rename:
			b.Path, b.OldPath = c.OldPath, c.Path
		case Copy, Mode:
			return nil
		case Modify:
		}
		b.Hunks = nil
		for _, h := range c.Hunks {
			b.Hunks = append(b.Hunks, reverseHunk(h))
		}
		r.Files = append(r.Files, &b)
	}
	slices.Reverse(r.Files)
	return r
}

func reverseHunk(h *gitdiff.TextFragment) *gitdiff.TextFragment {
	b := *h
	b.OldPosition, b.NewPosition = h.NewPosition, h.OldPosition
	b.OldLines, b.NewLines = h.NewLines, h.OldLines
	b.LinesAdded, b.LinesDeleted = h.LinesDeleted, h.LinesAdded
	b.Lines = slices.Clone(h.Lines)
	for i := range b.Lines {
		switch b.Lines[i].Op {
		case gitdiff.OpAdd:
			b.Lines[i].Op = gitdiff.OpDelete
		case gitdiff.OpDelete:
			b.Lines[i].Op = gitdiff.OpAdd
		case gitdiff.OpContext:
		}
	}
	return &b
}
