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
	ups, whole, err := h.FollowUps(t.Context(), s.Patches)
	if err != nil || !whole {
		t.Fatal(whole, err)
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

	names, err := h.Introduces(t.Context(), []string{"helper", "nowhere"}, s.Patches)
	if d := cmp.Diff([]Prerequisite{{helper.String(), "x: add helper", "helper"}}, names); err != nil || d != "" {
		t.Errorf("introduces: %v (-want +got)\n%s", err, d)
	}

	files, err := h.Introduces(t.Context(), []string{"linux/new.h"}, s.Patches)
	if d := cmp.Diff([]Prerequisite{{header.String(), "x: add header", "linux/new.h"}}, files); err != nil || d != "" {
		t.Errorf("introduces: %v (-want +got)\n%s", err, d)
	}

	// A tree as it was at the start lacks what the fix was made on.
	tree := t.TempDir()
	if err := os.WriteFile(filepath.Join(tree, "x.c"), []byte(body("one();")), 0o666); err != nil {
		t.Fatal(err)
	}
	before, err := h.Before(t.Context(), s.Patches[0], tree, s.Patches)
	if d := cmp.Diff([]Prerequisite{{prep.String(), "x: prepare", "x.c"}}, before); err != nil || d != "" {
		t.Errorf("before: %v (-want +got)\n%s", err, d)
	}
	if _, err := OpenHistory(r.dir, "nowhere"); err == nil {
		t.Error("a head that is not there is accepted")
	}
}
