package patchset

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// History is a repository whose commits are searched for what a series needs.
// It only reads.
type History struct {
	dir  string
	repo *git.Repository
	head *object.Commit
}

// Bounds of a search, in commits from the head backwards. Messages are cheap
// to read, contents are not.
const (
	maxMessages = 300_000
	maxContents = 2_000
)

// OpenHistory opens the repository that holds dir. head is anything that
// names a commit; "" is HEAD.
func OpenHistory(dir, head string) (*History, error) {
	if head == "" {
		head = "HEAD"
	}
	repo, err := openRepo(dir)
	if err != nil {
		return nil, err
	}
	c, err := commitOf(repo, head)
	if err != nil {
		return nil, fmt.Errorf("git repository %s: %w", dir, err)
	}
	return &History{dir, repo, c}, nil
}

// walk calls f for the commits from head, newest first, until it returns false
// or most were seen; it tells whether it came to the end of the history.
func (h *History) walk(ctx context.Context, most int, f func(*object.Commit) (bool, error)) (whole bool, err error) {
	it, err := h.repo.Log(&git.LogOptions{From: h.head.Hash, Order: git.LogOrderCommitterTime})
	if err != nil {
		return false, fmt.Errorf("walk the history of %s: %w", h.dir, err)
	}
	defer it.Close()
	n, whole := 0, true
	err = it.ForEach(func(c *object.Commit) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if n++; n > most {
			whole = false
			return storer.ErrStop
		}
		more, err := f(c)
		if err == nil && !more {
			err = storer.ErrStop
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("walk the history of %s: %w", h.dir, err)
	}
	return whole, nil
}

// FollowUp is a commit that corrects an included patch.
type FollowUp struct {
	Commit  string // full hash
	Subject string
	Of      *Patch
	Revert  bool // it takes Of back; otherwise its Fixes: line names it
}

var (
	fixesRE  = regexp.MustCompile(`(?mi)^\s*Fixes:\s*([0-9a-f]{8,40})\b(?:\s*\(["']?(.*?)["']?\))?\s*$`)
	revertRE = regexp.MustCompile(`(?s)This reverts commit ([0-9a-f]{8,40})`)
)

// FollowUps finds the commits that name a patch of the series in a Fixes: line
// or revert it, and are not in the series themselves. A patch is known by its
// ids and, because hashes change in backports, by its subject. whole is false
// when the history is longer than what was searched.
func (h *History) FollowUps(ctx context.Context, included []*Patch) (found []FollowUp, whole bool, err error) {
	of := func(hash, subject string) *Patch {
		for _, p := range included {
			if subject != "" && subject == p.Subject || slices.ContainsFunc(p.IDs(), func(id string) bool { return strings.HasPrefix(id, hash) }) {
				return p
			}
		}
		return nil
	}
	whole, err = h.walk(ctx, maxMessages, func(c *object.Commit) (bool, error) {
		subject, _, _ := strings.Cut(strings.TrimLeft(c.Message, "\n"), "\n")
		f := FollowUp{Commit: c.Hash.String(), Subject: subject}
		for _, m := range fixesRE.FindAllStringSubmatch(c.Message, -1) {
			if p := of(m[1], m[2]); p != nil {
				f.Of = p
			}
		}
		if m := revertRE.FindStringSubmatch(c.Message); m != nil && f.Of == nil {
			f.Of, f.Revert = of(m[1], ""), true
		}
		if f.Of == nil || h.includes(included, c, subject) {
			return true, nil
		}
		found = append(found, f)
		return true, nil
	})
	slices.Reverse(found)
	return found, whole, err
}

// includes reports whether a commit is one of the patches.
func (h *History) includes(included []*Patch, c *object.Commit, subject string) bool {
	self := &Patch{Commit: c.Hash.String(), Log: c.Message}
	ids := self.IDs()
	return slices.ContainsFunc(included, func(p *Patch) bool {
		return p.Subject == subject || slices.ContainsFunc(p.IDs(), func(id string) bool {
			return !strings.HasPrefix(id, "CVE-") && slices.Contains(ids, id)
		})
	})
}

// Prerequisite is a commit that brings what a series needs.
type Prerequisite struct {
	Commit  string // full hash
	Subject string
	Brings  string // a name, or a file that it changes
}

// Introduces finds for each name the oldest commit, of those searched, that
// adds it and does not take it away elsewhere: where a helper or a field comes
// from. A name with a slash is a file, as #include has it. Commits of the series are left out.
func (h *History) Introduces(ctx context.Context, names []string, included []*Patch) ([]Prerequisite, error) {
	found := map[string]Prerequisite{}
	res := make([]*regexp.Regexp, len(names))
	for i, n := range names {
		res[i] = regexp.MustCompile(`\b` + regexp.QuoteMeta(n) + `\b`)
	}
	_, err := h.walk(ctx, maxContents, func(c *object.Commit) (bool, error) {
		if c.NumParents() > 1 {
			return true, nil
		}
		p, err := commitPatch(c)
		var binary *BinaryError
		var unsupported *UnsupportedError
		if errors.As(err, &binary) || errors.As(err, &unsupported) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if h.includes(included, c, p.Subject) {
			return true, nil
		}
		for i, n := range names {
			if adds(p, res[i], n) {
				found[n] = Prerequisite{p.Commit, p.Subject, n}
			}
		}
		return true, nil
	})
	var out []Prerequisite
	for _, n := range names {
		if f, ok := found[n]; ok {
			out = append(out, f)
		}
	}
	return out, err
}

// adds reports whether the patch makes a file whose path ends in the name, or
// adds lines with it and removes none.
func adds(p *Patch, name *regexp.Regexp, text string) bool {
	plus, minus := 0, 0
	for _, f := range p.Files {
		if f.Kind == Create && strings.HasSuffix(f.Path, "/"+text) {
			return true
		}
		if strings.Contains(text, "/") {
			continue // an #include of it is no reason
		}
		for _, h := range f.Hunks {
			for _, l := range h.Lines {
				if l.Old() != l.New() && name.MatchString(l.Line) {
					if l.New() {
						plus++
					} else {
						minus++
					}
				}
			}
		}
	}
	return plus > 0 && minus == 0
}

// Before finds commits before the one that p is which change a file of p, are
// not in the source tree and would apply to it: what p was made on top of. The
// nearest come first, at most three. p must be a commit of this history.
func (h *History) Before(ctx context.Context, p *Patch, tree string, included []*Patch) ([]Prerequisite, error) {
	var out []Prerequisite
	after := false
	_, err := h.walk(ctx, maxContents, func(c *object.Commit) (bool, error) {
		if !after {
			after = slices.Contains(p.IDs(), c.Hash.String())
			return true, nil
		}
		if c.NumParents() != 1 {
			return true, nil
		}
		file, err := touches(c, p)
		if err != nil || file == "" {
			return err == nil, err
		}
		q, err := commitPatch(c)
		if err != nil {
			return true, nil // binary files, submodules: no candidate
		}
		if h.includes(included, c, q.Subject) {
			return true, nil
		}
		kept, _, err := (&Series{Patches: []*Patch{q}}).SiftDir(tree, ApplyOptions{})
		if err == nil && len(kept) == 1 {
			out = append(out, Prerequisite{q.Commit, q.Subject, file})
		}
		return len(out) < 3, nil
	})
	return out, err
}

// touches returns a file of p that the commit changes, or "".
func touches(c *object.Commit, p *Patch) (string, error) {
	parent, err := c.Parent(0)
	if err != nil {
		return "", err
	}
	a, err := parent.Tree()
	if err != nil {
		return "", err
	}
	b, err := c.Tree()
	if err != nil {
		return "", err
	}
	for _, f := range p.Files {
		x, xerr := a.FindEntry(f.Path)
		y, yerr := b.FindEntry(f.Path)
		if xerr == nil && yerr == nil && x.Hash != y.Hash {
			return f.Path, nil
		}
	}
	return "", nil
}
