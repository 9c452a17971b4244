package pipeline

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/patchset"
)

// quiet is a journal that nobody follows.
func quiet() *journal { return &journal{res: &Result{}, progress: func(string, int, int) {}} }

func TestSuppressions(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	mail := write("a.patch", "Subject: [PATCH] x\n\nKlpforge: allow KLP103  the callback sets it \nklpforge: allow KLP210 both are idempotent\n---\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-klpforge: allow KLP101 no\n+klpforge: allow KLP102 no\n klpforge: allow KLP105 no\n")
	write("quilt.patch", "# klpforge: allow KLP205 callers are patched too\n")
	series := write("series", "# comment\nquilt.patch -p1\nmissing.patch\n")
	read := &patchset.Series{Patches: []*patchset.Patch{
		{ID: "<stdin>", Log: "Why.\n\nklpforge: allow KLP213 probes again\n"},
		{ID: "a.patch", Log: "klpforge: allow KLP204 no: a file is read as it is\n"},
	}}
	say := quiet()
	allow, err := acceptedFindings(&Options{Patches: []string{mail, series, "-"}, Allow: map[finding.ID]string{"KLP103": "I say so"}}, read, say)
	if err != nil {
		t.Fatal(err)
	}
	want := []Suppression{{"KLP103", "I say so", "command line"}, {"KLP210", "both are idempotent", "a.patch:4"}, {"KLP205", "callers are patched too", "quilt.patch:1"}, {"KLP213", "probes again", "<stdin>:3"}}
	if d := cmp.Diff(want, say.res.Suppressions); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if d := cmp.Diff(map[finding.ID]string{"KLP103": "I say so", "KLP210": "both are idempotent", "KLP205": "callers are patched too", "KLP213": "probes again"}, allow); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	for _, bad := range []string{"klpforge: allow KLP103\n", "klpforge: allow everything please\n", "klpforge: allow\n"} {
		if _, err := acceptedFindings(&Options{Patches: []string{write("bad.patch", bad)}}, &patchset.Series{}, quiet()); !errors.As(err, new(*PatchError)) {
			t.Errorf("%q: error %v", bad, err)
		}
	}
}
