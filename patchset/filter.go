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

// FilterDir divides the series into the patches that the source tree dir lacks
// and those that are in it already: these do not apply, but undoing them does.
// A patch that neither applies nor is there as a whole gives a *ConflictError;
// other errors are those of Apply. Each patch is judged on top of those before
// it that were kept.
func (s *Series) FilterDir(dir string, opts ApplyOptions) (kept, present []*Patch, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("open source tree: %w", err)
	}
	defer root.Close()
	return s.Filter(root.FS(), opts)
}

// Filter is FilterDir on a tree.
func (s *Series) Filter(tree fs.FS, opts ApplyOptions) (kept, present []*Patch, err error) {
	for _, patch := range s.Patches {
		err := applies(tree, opts, append(kept[:len(kept):len(kept)], patch)...)
		if err == nil {
			kept = append(kept, patch)
			continue
		}
		var ae *ApplyError
		if !errors.As(err, &ae) {
			return nil, nil, err
		}
		if back := patch.reverse(); back != nil && applies(tree, opts,
			append(kept[:len(kept):len(kept)], back)...) == nil {
			present = append(present, patch)
			continue
		}
		return nil, nil, &ConflictError{Patch: patch, With: rival(tree, opts, kept, patch), Err: err}
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
func rival(tree fs.FS, opts ApplyOptions, kept []*Patch, patch *Patch) *Patch {
	if applies(tree, opts, patch) != nil {
		// It may build on an earlier patch: then the last with which it applied counts.
		for i := len(kept) - 1; i > 0; i-- {
			if applies(tree, opts, append(kept[:i:i], patch)...) == nil {
				return kept[i]
			}
		}
		return nil
	}
	for i := range kept {
		if applies(tree, opts, append(kept[:i+1:i+1], patch)...) != nil {
			return kept[i]
		}
	}
	return nil
}

// reverse is the patch that undoes p, or nil for a change that cannot be
// undone from the patch alone: a copy, or a new mode.
func (p *Patch) reverse() *Patch {
	back := &Patch{ID: p.ID, strip: p.strip}
	for _, change := range p.Files {
		turned := *change
		turned.names.old, turned.names.new = change.names.new, change.names.old
		turned.OldMode, turned.NewMode = change.NewMode, change.OldMode
		turned.explicit = true
		switch change.Kind {
		case Create:
			turned.Kind = Delete
		case Delete:
			turned.Kind = Create
		case Rename:
			turned.Path, turned.OldPath = change.OldPath, change.Path
		case Copy, Mode:
			return nil
		case Modify:
		}
		turned.Hunks = nil
		for _, h := range change.Hunks {
			turned.Hunks = append(turned.Hunks, reverseHunk(h))
		}
		back.Files = append(back.Files, &turned)
	}
	slices.Reverse(back.Files)
	return back
}

func reverseHunk(hunk *gitdiff.TextFragment) *gitdiff.TextFragment {
	back := *hunk
	back.OldPosition, back.NewPosition = hunk.NewPosition, hunk.OldPosition
	back.OldLines, back.NewLines = hunk.NewLines, hunk.OldLines
	back.LinesAdded, back.LinesDeleted = hunk.LinesDeleted, hunk.LinesAdded
	back.Lines = slices.Clone(hunk.Lines)
	for i := range back.Lines {
		switch back.Lines[i].Op {
		case gitdiff.OpAdd:
			back.Lines[i].Op = gitdiff.OpDelete
		case gitdiff.OpDelete:
			back.Lines[i].Op = gitdiff.OpAdd
		case gitdiff.OpContext:
		}
	}
	return &back
}
