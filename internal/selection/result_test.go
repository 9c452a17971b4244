package selection

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openvex/go-vex/pkg/vex"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/patchset"
	"github.com/klpforge/klpforge/pipeline"
)

// selected is a selection of which each fate has a slice.
func selected(t *testing.T) (*engine, *Result) {
	t.Helper()
	old := map[string]string{"fs/a.c": cfile("x();", "x();"), "net/core/b.c": cfile("x();", "x();")}
	newer := map[string]string{"fs/a.c": cfile("GOOD();", "BAD();"), "net/core/b.c": cfile("GOOD();", "GOOD(1);"),
		"Documentation/x.c": "text\n"}
	c := &compiler{tree: old}
	e := newEngine(fromTrees(texts(old, newer)), c, t.Logf)
	ids := filepath.Join(t.TempDir(), "ids")
	if err := os.WriteFile(ids, []byte("# of the update\nfs/a.c:f0 CVE-2026-1\nfs/a.c:f1 CVE-2026-2 0123456789ab\n"+
		"net/core/b.c CVE-2026-1\nDocumentation/x.c CVE-2026-3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := addIDs(ids, e.slices); err != nil {
		t.Fatal(err)
	}
	if err := e.sort(t.Context(), c, map[int]bool{3: true}); err != nil {
		t.Fatal(err)
	}
	last, err := e.run(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r := e.result(last)
	r.Release, r.Update = "6.1.0-1", "a to b"
	return e, r
}

func TestResult(t *testing.T) {
	_, r := selected(t)
	if diff := cmp.Diff(Totals{Live: 2, Present: 1, Elsewhere: 1, LeftOut: 1, Functions: 2}, r.Totals); diff != "" {
		t.Error(diff)
	}
	if r.Totals.Compiled() != 3 || int(r.Totals.Share()) != 66 {
		t.Errorf("%d compiled, share %.1f", r.Totals.Compiled(), r.Totals.Share())
	}
	want := []CVE{
		{ID: "CVE-2026-2", Status: Affected, Slices: []string{"fs/a.c:f1"}, LeftOut: []string{"fs/a.c:f1"}},
		{ID: "CVE-2026-1", Status: Fixed, Slices: []string{"fs/a.c:f0", "net/core/b.c:f0", "net/core/b.c:f1"}},
		{ID: "CVE-2026-3", Status: NotAffected, Slices: []string{"Documentation/x.c:1"}},
	}
	if diff := cmp.Diff(want, r.CVEs); diff != "" {
		t.Error(diff)
	}
	var bySubsystem []string
	for _, s := range r.Subsystems {
		bySubsystem = append(bySubsystem, s.Name)
	}
	if diff := cmp.Diff([]string{"Documentation", "fs", "net/core"}, bySubsystem); diff != "" {
		t.Error(diff)
	}
	for _, v := range r.Slices {
		if v.Fate == LeftOut && (v.Finding != finding.IDChangedData || v.Rescue == "" || !v.Tried) {
			t.Errorf("%+v", v)
		}
		if v.Name == "fs/a.c:f0" && !cmp.Equal(v.Functions, []string{"vmlinux:f0"}) {
			t.Errorf("%s has the functions %q", v.Name, v.Functions)
		}
	}
}

// TestReports: each report names every slice, and the CVEs.
func TestReports(t *testing.T) {
	_, r := selected(t)
	var text, page bytes.Buffer
	r.Text(&text)
	if err := r.HTML(&page); err != nil {
		t.Fatal(err)
	}
	for name, out := range map[string]string{"text": text.String(), "HTML": page.String()} {
		for _, v := range r.Slices {
			if !strings.Contains(out, v.Name) {
				t.Errorf("%s lacks %s", name, v.Name)
			}
		}
		for _, want := range []string{"CVE-2026-2", "not affected", "2 of 3 slices that change code of 6.1.0-1 go live (66.7 %)", "KLP103 error: f1",
			"pre_patch callback"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s lacks %q:\n%s", name, want, out)
			}
		}
	}
}

// TestVEX: what go-vex reads again is valid, and says of each CVE what the result does.
func TestVEX(t *testing.T) {
	_, r := selected(t)
	text, err := r.VEX("Example", "livepatch_x.ko", time.Unix(1_800_000_000, 0).UTC())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := vex.Parse(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	got := map[string]string{}
	for i := range doc.Statements {
		s := &doc.Statements[i]
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", s.Vulnerability.Name, err)
		}
		if !s.MatchesProduct("pkg:generic/linux@6.1.0-1", "") {
			t.Errorf("%s is not of the kernel: %+v", s.Vulnerability.Name, s.Products)
		}
		got[string(s.Vulnerability.Name)] = string(s.Status)
	}
	if diff := cmp.Diff(map[string]string{"CVE-2026-1": "fixed", "CVE-2026-2": "affected", "CVE-2026-3": "not_affected"}, got); diff != "" {
		t.Error(diff)
	}
	again, err := r.VEX("Example", "livepatch_x.ko", time.Unix(1_800_000_000, 0).UTC())
	if err != nil || !bytes.Equal(text, again) {
		t.Errorf("another text the second time (%v)", err)
	}
}

// TestPatches: the patches of what is live, in their order, make the texts that were
// reviewed.
func TestPatches(t *testing.T) {
	e, _ := selected(t)
	files, ids, err := e.writePatches(t.TempDir())
	if err != nil || len(files) != 2 || len(ids) != 2 {
		t.Fatalf("%q, %q, %v", files, ids, err)
	}
	series, err := patchset.Read(files, patchset.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	base := t.TempDir()
	for _, f := range []string{"fs/a.c", "net/core/b.c"} {
		p := filepath.Join(base, f)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(cfile("x();", "x();")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := series.ApplyDir(base, patchset.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range e.state.texts {
		if got := overlay.Files[name]; got == nil || string(got.New) != string(text.bytes()) {
			t.Errorf("%s is otherwise than reviewed", name)
		}
	}
}

// TestUnknownIDs: a line that names nothing of the update is an error with its number.
func TestUnknownIDs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ids")
	if err := os.WriteFile(file, []byte("a.c CVE-1\nabsent.c CVE-2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := addIDs(file, []*Slice{{Name: "a.c:f", Files: []string{"a.c"}}})
	if err == nil || !strings.Contains(err.Error(), "ids:2: ") || !strings.Contains(err.Error(), "absent.c") {
		t.Error(err)
	}
	if _, ok := err.(*pipeline.PatchError); !ok {
		t.Errorf("%T", err)
	}
}
