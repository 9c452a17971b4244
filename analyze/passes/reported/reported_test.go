package reported

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/elfdiff"
)

func TestFindings(t *testing.T) {
	r, err := analyze.NewRegistry(New())
	if err != nil {
		t.Fatal(err)
	}
	in := &analyze.Input{Allow: map[string]string{"KLP103": "set by the callback"}, Problems: []analyze.Problem{
		{Problem: elfdiff.Problem{ID: "KLP109", Severity: elfdiff.Warning, Symbol: "fs/proc/Kconfig", Message: "build rules"}},
		{Problem: elfdiff.Problem{ID: "KLP103", Severity: elfdiff.Error, Symbol: "limit", Section: ".data", Message: "changed", Remedy: "callback"}, Object: "vmlinux", Unit: "a/b.o"},
	}}
	got, err := r.Run(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := analyze.Place{File: "a/b.c"}
	want := []analyze.Finding{
		{ID: "KLP103", Severity: elfdiff.Error, Function: "limit", Object: "vmlinux", Unit: "a/b.o", Old: b, New: b, Message: "changed", Remedy: "callback", Evidence: []string{"section .data"}, Allowed: "set by the callback"},
		{ID: "KLP109", Severity: elfdiff.Warning, Function: "fs/proc/Kconfig", New: analyze.Place{File: "fs/proc/Kconfig"}, Message: "build rules", Evidence: []string{"file fs/proc/Kconfig"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestTexts(t *testing.T) {
	list := checks(ids)
	if len(list) != strings.Count("\n"+ids, "\nKLP") {
		t.Errorf("%d texts, but %d headings", len(list), strings.Count("\n"+ids, "\nKLP"))
	}
	for _, c := range list {
		if len(c.Doc) < 40 {
			t.Errorf("%s has hardly a text: %q", c.ID, c.Doc)
		}
	}
}
