package reported

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/finding"
)

func TestFindings(t *testing.T) {
	r, err := analyze.NewRegistry(New())
	if err != nil {
		t.Fatal(err)
	}
	in := &analyze.Input{Allow: map[finding.ID]string{"KLP103": "set by the callback"}, Problems: []finding.Finding{
		finding.Finding{ID: "KLP109", Severity: finding.Warning, Message: "build rules"}.InFile(finding.Position{File: "fs/proc/Kconfig"}),
		{ID: "KLP103", Severity: finding.Error, Symbol: "limit", Section: ".data", Message: "changed", Remedy: "callback", Object: "vmlinux", Unit: "a/b.o"},
	}}
	got, err := r.Run(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := finding.Position{File: "a/b.c"}
	want := []finding.Finding{
		{ID: "KLP103", Severity: finding.Error, Symbol: "limit", Object: "vmlinux", Unit: "a/b.o", Old: b, New: b, Message: "changed", Remedy: "callback", Evidence: []string{"section .data"}, Allowed: "set by the callback"},
		{ID: "KLP109", Severity: finding.Warning, Symbol: "fs/proc/Kconfig", New: finding.Position{File: "fs/proc/Kconfig"}, Message: "build rules", Evidence: []string{"file fs/proc/Kconfig"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}
