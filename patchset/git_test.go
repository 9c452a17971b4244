package patchset

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/finding"
)

// repo is a throw-away repository; each commit is a minute after the last.
type repo struct {
	t    *testing.T
	dir  string
	repo *git.Repository
	tree *git.Worktree
	now  time.Time
}

func newRepo(t *testing.T) *repo {
	t.Helper()
	r := &repo{t: t, dir: t.TempDir(), now: time.Unix(1_700_000_000, 0).UTC()}
	var err error
	if r.repo, err = git.PlainInit(r.dir, false); err != nil {
		t.Fatal(err)
	}
	if r.tree, err = r.repo.Worktree(); err != nil {
		t.Fatal(err)
	}
	return r
}

// commit writes files ("" removes one) and commits them.
func (r *repo) commit(msg string, files map[string]string, parents ...plumbing.Hash) plumbing.Hash {
	r.t.Helper()
	for name, text := range files {
		p := filepath.Join(r.dir, name)
		if text == "" {
			if err := os.Remove(p); err != nil {
				r.t.Fatal(err)
			}
		} else {
			if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
				r.t.Fatal(err)
			}
			if target, ok := strings.CutPrefix(text, "-> "); ok {
				if err := os.Symlink(target, p); err != nil {
					r.t.Fatal(err)
				}
			} else if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
				r.t.Fatal(err)
			}
		}
		if _, err := r.tree.Add(name); err != nil {
			r.t.Fatal(err)
		}
	}
	r.now = r.now.Add(time.Minute)
	who := &object.Signature{Name: "A B", Email: "a@b.c", When: r.now}
	h, err := r.tree.Commit(msg, &git.CommitOptions{Author: who, Committer: who, Parents: parents, AllowEmptyCommits: true})
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

// body is a file long enough to be recognised when renamed.
func body(changed string) string {
	return lines("int f(void)", "{", "\ta();", "\tb();", "\tc();", "\t"+changed, "\td();", "\te();", "}", "", "int g;")
}

func TestReadGitRange(t *testing.T) {
	r := newRepo(t)
	start := r.commit("start", map[string]string{"x.c": body("one();"), "old.c": body("old();"), "gone.c": "x\n"})
	if _, err := r.repo.CreateTag("v1", start, &git.CreateTagOptions{Tagger: &object.Signature{When: r.now}, Message: "v1"}); err != nil {
		t.Fatal(err)
	}
	one := r.commit("mm: one\n\nbody\n", map[string]string{"x.c": body("two();"), "gone.c": ""})
	r.commit("nothing", nil)
	two := r.commit("mm: two", map[string]string{"n/new.c": "int n;\n", "old.c": "", "n/moved.c": body("old2();")})
	want := []string{
		one.String() + " | mm: one | A B <a@b.c>", "  delete gone.c 1", "  modify x.c 1",
		two.String() + " | mm: two | A B <a@b.c>", "  rename old.c => n/moved.c 1", "  create n/new.c 1",
	}
	tests := []struct{ dir, rng string }{
		{r.dir, start.String() + ".." + two.String()},
		{r.dir, start.String()[:8] + ".." + two.String()[:9]},
		{r.dir, "v1..HEAD"},
		{r.dir, "v1.."},
		{r.dir, "v1..master"},
		{r.dir, "HEAD~3..HEAD"},
		{filepath.Join(r.dir, "n"), "v1..HEAD"},
		{filepath.Join(r.dir, ".git"), "v1..HEAD"},
	}
	for _, tt := range tests {
		s, err := ReadGitRange(tt.dir, tt.rng)
		if err != nil {
			t.Errorf("%s: %v", tt.rng, err)
			continue
		}
		if diff := cmp.Diff(want, brief(s)); diff != "" {
			t.Errorf("%s: series (-want +got):\n%s", tt.rng, diff)
		}
		if len(s.Notes) != 1 || s.Notes[0].Kind != finding.RemarkLeftOut || !strings.Contains(s.Notes[0].Text, "changes no file") {
			t.Errorf("%s: notes %v, want one about the empty commit", tt.rng, s.Notes)
		}
		o, err := s.Apply(tree(map[string]string{"x.c": "\n" + body("one();"), "old.c": body("old();"), "gone.c": "x\n"}), ApplyOptions{})
		if err != nil {
			t.Errorf("%s: %v", tt.rng, err)
			continue
		}
		wantFiles := map[string]string{"x.c": "\n" + body("two();"), "old.c": "(deleted)", "n/moved.c": body("old2();"), "n/new.c": "int n;\n", "gone.c": "(deleted)"}
		if diff := cmp.Diff(wantFiles, after(o)); diff != "" {
			t.Errorf("%s: overlay (-want +got):\n%s", tt.rng, diff)
		}
	}
}

func TestReadGitRangeErrors(t *testing.T) {
	r := newRepo(t)
	r.commit("one", map[string]string{"x.c": "a\n"})
	r.commit("two", map[string]string{"x.c": "b\n"})
	for _, rng := range []string{"HEAD", "HEAD~1...HEAD", "..HEAD", "a..b..c", "nowhere..HEAD", "HEAD..deadbeef", "HEAD@{..HEAD", ":/..HEAD", "HEAD^{/[}..HEAD"} {
		if s, err := ReadGitRange(r.dir, rng); err == nil {
			t.Errorf("%s: read as %v", rng, brief(s))
		}
	}
	for _, rng := range []string{"HEAD..HEAD", "HEAD..HEAD~1"} {
		if _, err := ReadGitRange(r.dir, rng); !errors.Is(err, ErrEmpty) {
			t.Errorf("%s: error %v, want ErrEmpty", rng, err)
		}
	}
	if _, err := ReadGitRange(t.TempDir(), "A..B"); !errors.Is(err, git.ErrRepositoryNotExists) {
		t.Errorf("no repository: error %v", err)
	}
	r.commit("binary", map[string]string{"x.bin": "a\x00b"})
	var bin *BinaryError
	if _, err := ReadGitRange(r.dir, "HEAD~1..HEAD"); !errors.As(err, &bin) {
		t.Errorf("binary file: error %v, want a BinaryError", err)
	}
	r.commit("link", map[string]string{"l": "-> /etc"})
	var uns *UnsupportedError
	if _, err := ReadGitRange(r.dir, "HEAD~1..HEAD"); !errors.As(err, &uns) {
		t.Errorf("symbolic link: error %v, want an UnsupportedError", err)
	}
}

// TestReadGitRangeBranches: A and B on different branches, and a merge.
func TestReadGitRangeBranches(t *testing.T) {
	r := newRepo(t)
	base := r.commit("base", map[string]string{"x.c": "a\n", "y.c": "a\n"})
	main := r.commit("main: one", map[string]string{"x.c": "b\n"})
	if err := r.tree.Checkout(&git.CheckoutOptions{Hash: base}); err != nil {
		t.Fatal(err)
	}
	side := r.commit("side: one", map[string]string{"y.c": "b\n"})
	s, err := ReadGitRange(r.dir, main.String()+".."+side.String())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{side.String() + " | side: one | A B <a@b.c>", "  modify y.c 1"}, brief(s)); diff != "" {
		t.Errorf("branch (-want +got):\n%s", diff)
	}
	merge := r.commit("merge", map[string]string{"x.c": "b\n"}, side, main)
	s, err = ReadGitRange(r.dir, base.String()+".."+merge.String())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{side.String() + " | side: one | A B <a@b.c>", "  modify y.c 1", merge.String() + " | merge | A B <a@b.c>", "  modify x.c 1"}, brief(s)); diff != "" {
		t.Errorf("merge (-want +got):\n%s", diff)
	}
	if len(s.Notes) != 1 || s.Notes[0].Kind != finding.RemarkPlain || !strings.Contains(s.Notes[0].Text, "merge") {
		t.Errorf("notes %v, want one about the merge", s.Notes)
	}
}

func TestReadGitRangeLinkedWorktree(t *testing.T) {
	bin, err := exec.LookPath("git")
	if err != nil {
		t.Skip("no git to make a linked work tree with")
	}
	r := newRepo(t)
	r.commit("one", map[string]string{"x.c": "a\n"})
	two := r.commit("two", map[string]string{"x.c": "b\n"})
	dir := filepath.Join(t.TempDir(), "linked")
	cmd := exec.Command(bin, "-C", r.dir, "worktree", "add", "-q", "--detach", dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git worktree add: %v\n%s", err, out)
	}
	s, err := ReadGitRange(dir, "HEAD~1..HEAD")
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Patches[0].ID; got != two.String() {
		t.Errorf("patch %s, want %s", got, two)
	}
}

// TestFragmentsManyLines crosses the values that Unicode keeps for surrogates,
// which line comparison by runes must survive.
func TestFragmentsManyLines(t *testing.T) {
	var a, b strings.Builder
	for i := range 70_000 {
		l := strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i%11) + "\n"
		l = l[:len(l)-1] + time.Duration(i).String() + "\n"
		a.WriteString(l)
		if i == 60_000 {
			l = "changed\n"
		}
		b.WriteString(l)
	}
	f, err := fragments(a.String(), b.String())
	if err != nil {
		t.Fatal(err)
	}
	if len(f) != 1 || f[0].OldPosition != 59_998 || f[0].OldLines != 7 {
		t.Errorf("got %d hunks, first %v", len(f), f[0].Header())
	}
}
