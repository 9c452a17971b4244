package patchset

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHistory(t *testing.T) {
	r := newRepo(t)
	r.commit("start", map[string]string{"x.c": body("one();"), "y.c": body("one();")})
	helper := r.commit("x: add helper", map[string]string{"h.h": "int helper(void);\n"})
	header := r.commit("x: add header", map[string]string{"include/linux/new.h": "int n;\n", "y.c": "#include <linux/new.h>\n" + body("one();")})
	r.commit("y: something else", map[string]string{"y.c": body("other();")})
	prep := r.commit("x: prepare", map[string]string{"x.c": body("prepared();")})
	fix := r.commit("x: use helper\n\ncommit 2222222222222222222222222222222222222222 upstream.\n", map[string]string{"x.c": body("helper();")})
	byHash := r.commit("x: fix the fix\n\nFixes: "+fix.String()[:12]+" (\"x: use helper\")\n", map[string]string{"x.c": body("helper(); /* 1 */")})
	bySubject := r.commit("x: fix it again\n\nFixes: 999999999999 (\"x: use helper\")\n", map[string]string{"x.c": body("helper(); /* 2 */")})
	byUpstream := r.commit("x: and again\n\nFixes: 222222222222 (\"other words\")\n", map[string]string{"x.c": body("helper(); /* 3 */")})
	revert := r.commit("Revert \"x\"\n\nThis reverts commit "+fix.String()+".\n", map[string]string{"x.c": body("prepared();")})
	r.commit("other\n\nFixes: 888888888888 (\"unrelated\")\n", map[string]string{"y.c": body("last();")})

	s, err := ReadGitRange(r.dir, prep.String()+".."+fix.String())
	if err != nil {
		t.Fatal(err)
	}
	h, err := OpenHistory(r.dir, "")
	if err != nil {
		t.Fatal(err)
	}
	ups, did, err := h.FollowUps(t.Context(), s.Patches)
	if err != nil || !did.Whole || did.Commits != 11 {
		t.Fatal(did, err)
	}
	var got []string
	for _, f := range ups {
		got = append(got, f.Commit)
		if f.Of != s.Patches[0] || f.Revert != (f.Commit == revert.String()) {
			t.Errorf("%+v", f)
		}
	}
	if d := cmp.Diff([]string{byHash.String(), bySubject.String(), byUpstream.String(), revert.String()}, got); d != "" {
		t.Errorf("follow-ups (-want +got)\n%s", d)
	}
	// What is included is not missing.
	more, err := ReadGitRange(r.dir, prep.String()+".."+byHash.String())
	if err != nil {
		t.Fatal(err)
	}
	ups, _, err = h.FollowUps(t.Context(), more.Patches)
	if err != nil || len(ups) != 3 {
		t.Errorf("with the first follow-up: %v, %v", ups, err)
	}

	names, did, err := h.Introduces(t.Context(), []string{"helper", "nowhere"}, s.Patches)
	if d := cmp.Diff([]Prerequisite{{helper.String(), "x: add helper", "helper"}}, names); err != nil || d != "" || !did.Whole {
		t.Errorf("introduces: %v (-want +got)\n%s", err, d)
	}

	files, _, err := h.Introduces(t.Context(), []string{"linux/new.h"}, s.Patches)
	if d := cmp.Diff([]Prerequisite{{header.String(), "x: add header", "linux/new.h"}}, files); err != nil || d != "" {
		t.Errorf("introduces: %v (-want +got)\n%s", err, d)
	}

	// A tree as it was at the start lacks what the fix was made on.
	tree := t.TempDir()
	if err := os.WriteFile(filepath.Join(tree, "x.c"), []byte(body("one();")), 0o666); err != nil {
		t.Fatal(err)
	}
	before, did, err := h.Before(t.Context(), s.Patches[0], tree, s.Patches)
	if d := cmp.Diff([]Prerequisite{{prep.String(), "x: prepare", "x.c"}}, before); err != nil || d != "" || !did.Whole {
		t.Errorf("before: %v (-want +got)\n%s", err, d)
	}
	if _, err := OpenHistory(r.dir, "nowhere"); err == nil {
		t.Error("a head that is not there is accepted")
	}
}

// TestHistoryBounds: what lies behind the bounds of a search is not found, and
// the search says how far it went.
func TestHistoryBounds(t *testing.T) {
	r := newRepo(t)
	r.commit("start", map[string]string{"x.c": body("one();")})
	r.commit("x: add helper", map[string]string{"h.h": "int helper(void);\n"})
	prep := r.commit("x: prepare", map[string]string{"x.c": body("prepared();")})
	fix := r.commit("x: use helper", map[string]string{"x.c": body("helper();")})
	r.commit("y", map[string]string{"y.c": "int y;\n"})
	r.commit("z\n\nFixes: "+fix.String()[:12]+" (\"x: use helper\")\n", map[string]string{"z.c": "int z;\n"})
	s, err := ReadGitRange(r.dir, prep.String()+".."+fix.String())
	if err != nil {
		t.Fatal(err)
	}
	h, err := OpenHistory(r.dir, "")
	if err != nil {
		t.Fatal(err)
	}
	h.Contents = 4
	found, did, err := h.Introduces(t.Context(), []string{"helper"}, nil)
	if err != nil || len(found) != 1 || found[0].Subject != "x: use helper" {
		t.Errorf("%v, %v", found, err)
	}
	if got, want := did.String(), "searched 4 commits, to 2023-11-14; older ones were not searched"; did.Whole || got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	h.Contents = 6
	if _, did, err = h.Introduces(t.Context(), []string{"helper"}, nil); err != nil || did.String() != "searched 6 commits" {
		t.Errorf("%v, %v", did, err)
	}

	// The way to the patch costs nothing of the bound.
	tree := t.TempDir()
	if err := os.WriteFile(filepath.Join(tree, "x.c"), []byte(body("one();")), 0o666); err != nil {
		t.Fatal(err)
	}
	h.Contents = 1
	before, did, err := h.Before(t.Context(), s.Patches[0], tree, s.Patches)
	if err != nil || len(before) != 1 || did.Whole || did.Commits != 1 {
		t.Errorf("%v, %+v, %v", before, did, err)
	}
	if _, did, err = h.Before(t.Context(), &Patch{Subject: "elsewhere"}, tree, nil); err != nil || did.String() != "searched no commit" {
		t.Errorf("%v, %v", did, err)
	}

	h.Messages = 1
	ups, did, err := h.FollowUps(t.Context(), s.Patches)
	if err != nil || len(ups) != 1 || did.Whole || did.Commits != 1 {
		t.Errorf("%v, %+v, %v", ups, did, err)
	}
}
