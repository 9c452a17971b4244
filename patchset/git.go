package patchset

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/klpforge/klpforge/finding"
)

// maxCommits bounds a git range.
const maxCommits = 10_000

// ReadGitRange reads the commits of a range "A..B" of the repository that
// holds dir (a work tree, a linked work tree, a directory below one, or a
// bare repository), oldest first, one patch per commit. A and B are anything
// that names a commit: a branch, a tag, a full or short hash, HEAD~3; "A.."
// ends at HEAD.
//
// Of merges the first parent is followed, and a merge is one patch with all
// it brought, so that the patches in sequence give exactly what B holds. The
// repository is only read. A range without a change is ErrEmpty.
func ReadGitRange(dir, rng string) (*Series, error) {
	from, to, ok := strings.Cut(rng, "..")
	if !ok || from == "" || strings.HasPrefix(to, ".") || strings.Contains(to, "..") {
		return nil, fmt.Errorf("read git range %q: want the form A..B", rng)
	}
	if to == "" {
		to = "HEAD"
	}

	repo, err := openRepo(dir)
	if err != nil {
		return nil, err
	}
	first, err := commitOf(repo, from)
	if err != nil {
		return nil, fmt.Errorf("git repository %s: %w", dir, err)
	}
	b, err := commitOf(repo, to)
	if err != nil {
		return nil, fmt.Errorf("git repository %s: %w", dir, err)
	}
	commits, err := commitsBetween(repo, first, b)
	if err != nil {
		return nil, fmt.Errorf("walk git range %s: %w", rng, err)
	}

	// One patch for each commit, so that a failure names the commit that causes it.
	series := &Series{}
	for _, commit := range commits {
		patch, err := commitPatch(commit)
		if err != nil {
			return nil, fmt.Errorf("read commit %s: %w", commit.Hash, err)
		}
		if commit.NumParents() > 1 {
			series.Notes = append(series.Notes, finding.Remarkf(finding.RemarkPlain,
				"%s: a merge, taken as one patch against its first parent", patch.ID))
		}
		if len(patch.Files) == 0 && len(patch.Binary) > 0 {
			return nil, &BinaryError{Patch: patch.ID, Path: patch.Binary[0].Path}
		}
		if len(patch.Files) == 0 {
			series.Notes = append(series.Notes, finding.Remarkf(finding.RemarkLeftOut, "%s: left out, it changes no file",
				patch.ID))
			continue
		}
		series.Patches = append(series.Patches, patch)
	}

	if len(series.Patches) == 0 {
		return nil, fmt.Errorf("read git range %s: no commit in it changes a file: %w", rng, ErrEmpty)
	}
	return series, nil
}

// openRepo opens the repository that holds dir, or the bare one that it is.
func openRepo(dir string) (*git.Repository, error) {
	repo, err := git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	if errors.Is(err, git.ErrRepositoryNotExists) {
		repo, err = git.PlainOpen(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open git repository %s: %w", dir, err)
	}
	return repo, nil
}

func commitOf(repo *git.Repository, rev string) (commit *object.Commit, err error) {
	defer func() { // the revision parser meets text a person typed
		if r := recover(); r != nil {
			commit, err = nil, fmt.Errorf("resolve revision %q: %v", rev, r)
		}
	}()
	h, err := repo.ResolveRevision(plumbing.Revision(rev))
	if err != nil {
		return nil, fmt.Errorf("resolve revision %q: %w", rev, err)
	}
	commit, err = repo.CommitObject(*h)
	if err != nil {
		return nil, fmt.Errorf("read commit %q: %w", rev, err)
	}
	return commit, nil
}

// commitsBetween lists the first-parent line of to down to the first commit
// that from reaches too, oldest first.
func commitsBetween(repo *git.Repository, from, to *object.Commit) ([]*object.Commit, error) {
	// The usual case needs no walk over other history: from is on the line.
	var line []*object.Commit
	for commit := to; len(line) < maxCommits; {
		if commit.Hash == from.Hash {
			slices.Reverse(line)
			return line, nil
		}
		line = append(line, commit)
		if commit.NumParents() == 0 {
			break
		}
		next, err := commit.Parent(0)
		if err != nil {
			return nil, err
		}
		commit = next
	}
	only, err := reachedOnlyBy(repo, to, from)
	if err != nil {
		return nil, err
	}
	count := 0
	for count < len(line) && only[line[count].Hash] {
		count++
	}
	if count == maxCommits {
		return nil, fmt.Errorf("more than %d commits", maxCommits)
	}
	line = line[:count]
	slices.Reverse(line)
	return line, nil
}

// Marks of reachedOnlyBy.
const (
	byWanted = 1 << iota
	byOther
)

// slop is how many commits the walk goes on after it seems done, against
// commits whose clocks were wrong.
const slop = 256

// reachedOnlyBy returns the commits that wanted reaches and other does not.
// It walks both histories together, newest first, until what is left is
// reached by other anyway.
func reachedOnlyBy(repo *git.Repository, wanted, other *object.Commit) (map[plumbing.Hash]bool, error) {
	marks := map[plumbing.Hash]int{}
	queue := &commitHeap{}
	open := 0 // queued commits not yet known to be reached by other
	push := func(commit *object.Commit, mark int) {
		if marks[commit.Hash]|mark == marks[commit.Hash] {
			return
		}
		marks[commit.Hash] |= mark
		heap.Push(queue, queued{commit, marks[commit.Hash]})
		if marks[commit.Hash]&byOther == 0 {
			open++
		}
	}
	push(wanted, byWanted)
	push(other, byOther)
	for left := slop; queue.Len() > 0 && left > 0; {
		next := heap.Pop(queue).(queued)
		if next.mark&byOther == 0 {
			open--
		}
		for _, h := range next.ParentHashes {
			if marks[h]|next.mark == marks[h] {
				continue
			}
			parent, err := repo.CommitObject(h)
			if errors.Is(err, plumbing.ErrObjectNotFound) {
				continue // a shallow clone ends here
			}
			if err != nil {
				return nil, err
			}
			push(parent, next.mark)
		}
		if open == 0 {
			left--
		}
	}
	only := map[plumbing.Hash]bool{}
	for h, m := range marks {
		if m == byWanted {
			only[h] = true
		}
	}
	return only, nil
}

// queued is a commit with the marks it had when it was queued.
type queued struct {
	*object.Commit
	mark int
}

// commitHeap is a heap of commits, newest first.
type commitHeap []queued

func (h commitHeap) Len() int { return len(h) }
func (h commitHeap) Less(i, j int) bool {
	return h[i].Committer.When.After(h[j].Committer.When)
}
func (h commitHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *commitHeap) Push(x any)   { *h = append(*h, x.(queued)) }
func (h *commitHeap) Pop() any {
	old := *h
	item := old[len(old)-1]
	*h = old[:len(old)-1]
	return item
}

// commitPatch makes the patch of one commit against its first parent.
func commitPatch(commit *object.Commit) (*Patch, error) {
	subject, log, _ := strings.Cut(strings.TrimLeft(commit.Message, "\n"), "\n")
	patch := &Patch{
		ID:      commit.Hash.String(),
		Commit:  commit.Hash.String(),
		Subject: strings.TrimSpace(subject),
		Log:     log,
		Author:  fmt.Sprintf("%s <%s>", commit.Author.Name, commit.Author.Email),
		strip:   StripNone,
	}
	newer, err := commit.Tree()
	if err != nil {
		return nil, err
	}
	old := &object.Tree{}
	if commit.NumParents() > 0 {
		parent, err := commit.Parent(0)
		if err != nil {
			return nil, err
		}
		if old, err = parent.Tree(); err != nil {
			return nil, err
		}
	}
	changes, err := object.DiffTreeWithOptions(context.Background(), old, newer, object.DefaultDiffTreeOptions)
	if err != nil {
		return nil, err
	}
	for _, ch := range changes {
		one, err := commitChange(patch.ID, ch)
		var binary *BinaryError
		if errors.As(err, &binary) {
			patch.Binary = append(patch.Binary, one)
			continue
		}
		if err != nil {
			return nil, err
		}
		patch.Files = append(patch.Files, one)
	}
	// Sources of renames must still be there when copies of them are made,
	// and the order must not depend on the tree walk.
	slices.SortStableFunc(patch.Files, func(a, b *Change) int { return strings.Compare(a.Path, b.Path) })
	return patch, nil
}

// commitChange turns one tree change into a Change. With a *BinaryError it is one
// without hunks.
func commitChange(id string, ch *object.Change) (*Change, error) {
	change := &Change{Kind: Modify, Path: ch.To.Name, explicit: true}
	switch {
	case ch.From.Name == "":
		change.Kind = Create
	case ch.To.Name == "":
		change.Kind, change.Path = Delete, ch.From.Name
	case ch.From.Name != ch.To.Name:
		change.Kind, change.OldPath = Rename, ch.From.Name
	}

	// Names come from a tree and not from a header, so nothing is to be stripped; they can be
	// hostile all the same.
	change.names = names{old: ch.From.Name, new: ch.To.Name, git: true, bare: true}
	for _, path := range []string{change.Path, change.OldPath} {
		if path == "" {
			continue
		}
		if _, err := checkPath(id, path); err != nil {
			return nil, err
		}
	}

	for _, e := range []object.ChangeEntry{ch.From, ch.To} {
		switch e.TreeEntry.Mode {
		case filemode.Symlink:
			return nil, &UnsupportedError{Patch: id, Path: change.Path,
				What: "is a symbolic link, which a patch set cannot carry"}
		case filemode.Submodule:
			return nil, &UnsupportedError{Patch: id, Path: change.Path,
				What: "is a submodule, which a patch set cannot carry"}
		}
	}
	change.OldMode, change.NewMode = fs.FileMode(ch.From.TreeEntry.Mode), fs.FileMode(ch.To.TreeEntry.Mode)

	from, to, err := ch.Files()
	if err != nil {
		return nil, err
	}
	old, err := blob(id, from)
	if err != nil {
		return change, err
	}
	newer, err := blob(id, to)
	if err != nil {
		return change, err
	}
	if change.Hunks, err = fragments(old, newer); err != nil {
		return nil, fmt.Errorf("compare %s: %w", change.Path, err)
	}

	if change.Kind == Modify && len(change.Hunks) == 0 {
		change.Kind = Mode
	}
	return change, nil
}

// blob reads a text file of a commit; nil gives "".
func blob(id string, file *object.File) (string, error) {
	if file == nil {
		return "", nil
	}
	text, err := file.Contents()
	if err != nil {
		return "", err
	}
	if strings.IndexByte(text, 0) >= 0 {
		return "", &BinaryError{Patch: id, Path: file.Name}
	}
	return text, nil
}
