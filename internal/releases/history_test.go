package releases

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/patchset"
	"github.com/klpforge/klpforge/pipeline"
)

// TestPrerequisites: a search that did not reach the end of the history says
// so, whether it found something or not.
func TestPrerequisites(t *testing.T) {
	dir := t.TempDir()
	repo, err := git.PlainInit(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := repo.Worktree()
	if err != nil {
		t.Fatal(err)
	}
	var first string
	for i, name := range []string{"helper", "second", "third"} {
		if err := os.WriteFile(filepath.Join(dir, name+".h"), []byte("int "+name+"(void);\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := tree.Add(name + ".h"); err != nil {
			t.Fatal(err)
		}
		who := &object.Signature{Name: "A B", Email: "a@b.c", When: time.Unix(1_700_000_000+int64(i)*86400, 0)}
		h, err := tree.Commit("add "+name, &git.CommitOptions{Author: who, Committer: who})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = h.String()[:12]
		}
	}
	history, err := patchset.OpenHistory(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		depth int
		want  []string // of each finding
	}{
		{"helper", 10, []string{"commit " + first + " (add helper) brings it"}},
		{"helper", 2, []string{"no commit was found that brings helper: searched 2 commits, to 2023-11-15; older ones were not searched"}},
		{"second", 2, []string{"(add second) brings it", "searched 2 commits, to 2023-11-15; older ones were not searched"}},
		{"nowhere", 10, []string{"no commit was found that brings nowhere: searched 3 commits"}},
	}
	for _, tt := range tests {
		history.Contents = tt.depth
		o := &Options{History: history}
		res := &pipeline.Result{Problems: []finding.Finding{{ID: "KLP409", Symbol: tt.name}}}
		got := o.prerequisites(t.Context(), res, nil, nil)
		if len(got) != len(tt.want) {
			t.Errorf("%s, %d: got %+v", tt.name, tt.depth, got)
			continue
		}
		for i, f := range got {
			if !strings.HasSuffix(f.Message, tt.want[i]) || f.Remedy == "" || f.ID != "KLP409" {
				t.Errorf("%s, %d: got %+v, want %q", tt.name, tt.depth, f, tt.want[i])
			}
		}
	}
}
