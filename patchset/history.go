package patchset

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// History is a repository whose commits are searched for what a series needs.
// It only reads.
type History struct {
	// Messages and Contents bound a search, in commits: so many messages are
	// read, and of so many commits what they change. Messages are cheap to read,
	// contents are not. OpenHistory sets the defaults.
	Messages, Contents int

	dir  string
	repo *git.Repository
	head *object.Commit
}

// Defaults of History's bounds.
const (
	DefaultMessages = 300_000
	DefaultContents = 2_000
)

// Searched tells how much of a history was searched.
type Searched struct {
	Commits int       // how many
	Oldest  time.Time // when the last of them was committed; zero when there was none
	Whole   bool      // no older commit was left out that might have mattered
}

func (s Searched) String() string {
	amount := fmt.Sprintf("%d commit", s.Commits)
	if s.Commits != 1 {
		amount += "s"
	}
	switch {
	case s.Commits == 0 && !s.Whole:
		return "searched no commit"
	case s.Whole:
		return "searched " + amount
	}
	return fmt.Sprintf("searched %s, to %s; older ones were not searched", amount, s.Oldest.UTC().Format(time.DateOnly))
}

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
	commit, err := commitOf(repo, head)
	if err != nil {
		return nil, fmt.Errorf("git repository %s: %w", dir, err)
	}
	return &History{Messages: DefaultMessages, Contents: DefaultContents, dir: dir, repo: repo, head: commit}, nil
}

// verdict is what a search makes of one commit.
type verdict int

const (
	passed   verdict = iota // looked at what costs nothing
	searched                // searched
	enough                  // searched, and no further one is needed
)

// walk calls judge for the commits from head, newest first, until it answers
// enough, most were searched, or h.Messages were seen.
func (h *History) walk(ctx context.Context, most int, judge func(*object.Commit) (verdict, error)) (Searched, error) {
	it, err := h.repo.Log(&git.LogOptions{From: h.head.Hash, Order: git.LogOrderCommitterTime})
	if err != nil {
		return Searched{}, fmt.Errorf("walk the history of %s: %w", h.dir, err)
	}
	defer it.Close()

	seen, did := 0, Searched{Whole: true}
	err = it.ForEach(func(commit *object.Commit) error {
		if err := ctx.Err(); err != nil {
			return err
		}

		// Both bounds keep a look into a million commits to seconds; Whole tells the reader that
		// there is more.
		if seen++; seen > h.Messages || did.Commits >= most {
			did.Whole = false
			return storer.ErrStop
		}
		said, err := judge(commit)
		if err != nil || said == passed {
			return err
		}
		did.Commits++
		did.Oldest = commit.Committer.When
		if said == enough {
			return storer.ErrStop
		}
		return nil
	})
	if err != nil {
		return did, fmt.Errorf("walk the history of %s: %w", h.dir, err)
	}
	return did, nil
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

// Corrected finds the patches that a commit's message names in Fixes: lines, in their
// order, and the one that it takes back, nil for none. A patch is known by its ids and,
// because hashes change in backports, by its subject.
func Corrected(message string, patches []*Patch) (fixed []*Patch, reverted *Patch) {
	of := func(hash, subject string) *Patch {
		for _, patch := range patches {
			if subject != "" && subject == patch.Subject ||
				slices.ContainsFunc(patch.IDs(), func(id string) bool { return strings.HasPrefix(id, hash) }) {
				return patch
			}
		}
		return nil
	}
	for _, m := range fixesRE.FindAllStringSubmatch(message, -1) {
		if p := of(m[1], m[2]); p != nil {
			fixed = append(fixed, p)
		}
	}
	if m := revertRE.FindStringSubmatch(message); m != nil {
		reverted = of(m[1], "")
	}
	return fixed, reverted
}

// FollowUps finds the commits that correct a patch of the series, see Corrected, and
// are not in the series themselves.
func (h *History) FollowUps(ctx context.Context, included []*Patch) (found []FollowUp, did Searched, err error) {
	did, err = h.walk(ctx, h.Messages, func(commit *object.Commit) (verdict, error) {
		subject, _, _ := strings.Cut(strings.TrimLeft(commit.Message, "\n"), "\n")
		follow := FollowUp{Commit: commit.Hash.String(), Subject: subject}
		fixed, reverted := Corrected(commit.Message, included)
		if n := len(fixed); n > 0 {
			follow.Of = fixed[n-1]
		} else if reverted != nil {
			follow.Of, follow.Revert = reverted, true
		}
		if follow.Of != nil && !h.includes(included, commit, subject) {
			found = append(found, follow)
		}
		return searched, nil
	})
	slices.Reverse(found)
	return found, did, err
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
// Where not the whole history was searched, an older commit may be the one.
func (h *History) Introduces(ctx context.Context, names []string, included []*Patch) ([]Prerequisite, Searched, error) {
	found := map[string]Prerequisite{}

	// Whole words: a name may be part of a longer one.
	res := make([]*regexp.Regexp, len(names))
	for i, n := range names {
		res[i] = regexp.MustCompile(`\b` + regexp.QuoteMeta(n) + `\b`)
	}
	did, err := h.walk(ctx, h.Contents, func(commit *object.Commit) (verdict, error) {
		// A merge brings what other commits introduce, and those are walked too.
		if commit.NumParents() > 1 {
			return passed, nil
		}
		patch, err := commitPatch(commit)
		var binary *BinaryError
		var unsupported *UnsupportedError
		if errors.As(err, &binary) || errors.As(err, &unsupported) {
			return searched, nil
		}
		if err != nil {
			return passed, err
		}
		if h.includes(included, commit, patch.Subject) {
			return searched, nil
		}
		for i, n := range names {
			if adds(patch, res[i], n) {
				found[n] = Prerequisite{patch.Commit, patch.Subject, n}
			}
		}
		return searched, nil
	})

	// In the order of the names that were asked for.
	var out []Prerequisite
	for _, n := range names {
		if f, ok := found[n]; ok {
			out = append(out, f)
		}
	}
	return out, did, err
}

// adds reports whether the patch makes a file whose path ends in the name, or
// adds lines with it and removes none.
func adds(patch *Patch, name *regexp.Regexp, text string) bool {
	plus, minus := 0, 0
	for _, change := range patch.Files {
		if change.Kind == Create && strings.HasSuffix(change.Path, "/"+text) {
			return true
		}
		if strings.Contains(text, "/") {
			continue // an #include of it is no reason
		}
		for _, h := range change.Hunks {
			for _, line := range h.Lines {
				if line.Old() != line.New() && name.MatchString(line.Line) {
					if line.New() {
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

// Before finds commits before the one that patch is which change a file of it, are
// not in the source tree and would apply to it: what patch was made on top of. The
// nearest come first, at most three. Where it is no commit of what was searched,
// did counts none.
func (h *History) Before(ctx context.Context, patch *Patch, tree string, included []*Patch) (found []Prerequisite,
	did Searched, err error) {
	ids := patch.IDs()
	met := false
	did, err = h.walk(ctx, h.Contents, func(commit *object.Commit) (verdict, error) {
		if !met {
			met = slices.Contains(ids, commit.Hash.String())
			return passed, nil
		}
		if commit.NumParents() != 1 {
			return passed, nil
		}
		file, err := touches(commit, patch)
		if err != nil || file == "" {
			return searched, err
		}
		earlier, err := commitPatch(commit)
		if err != nil {
			return searched, nil // binary files, submodules: no candidate
		}
		if h.includes(included, commit, earlier.Subject) {
			return searched, nil
		}
		kept, _, err := (&Series{Patches: []*Patch{earlier}}).FilterDir(tree, ApplyOptions{})
		if err == nil && len(kept) == 1 {
			found = append(found, Prerequisite{earlier.Commit, earlier.Subject, file})
		}
		if len(found) == 3 {
			return enough, nil
		}
		return searched, nil
	})
	if !met {
		did.Whole = false
	}
	return found, did, err
}

// touches returns a file of the patch that the commit changes, or "".
func touches(commit *object.Commit, patch *Patch) (string, error) {
	parent, err := commit.Parent(0)
	if err != nil {
		return "", err
	}
	before, err := parent.Tree()
	if err != nil {
		return "", err
	}
	after, err := commit.Tree()
	if err != nil {
		return "", err
	}
	for _, change := range patch.Files {
		x, xerr := before.FindEntry(change.Path)
		y, yerr := after.FindEntry(change.Path)
		if xerr == nil && yerr == nil && x.Hash != y.Hash {
			return change.Path, nil
		}
	}
	return "", nil
}
