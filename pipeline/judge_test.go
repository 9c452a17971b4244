package pipeline

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/internal/checktest"
)

// A refusal before anything was compared still tells what is known.
func TestAnalyzeEarly(t *testing.T) {
	p := finding.Finding{ID: "KLP109", Severity: finding.Error, Message: "assembly"}.InFile(finding.Position{File: "arch/x86/lib/clear_page_64.S"})
	say := quiet()
	say.found(p)
	if err := judge(&analyze.Input{Plan: &say.res.Plan}, say); err != nil {
		t.Fatal(err)
	}
	if len(say.res.Findings) != 1 || say.res.Findings[0].ID != "KLP109" {
		t.Errorf("findings %+v", say.res.Findings)
	}
	if d := cmp.Diff([]finding.Finding{p}, say.res.Problems); d != "" {
		t.Errorf("problems (-want +got)\n%s", d)
	}
}

// What a check calls an error stops a build, unless it is accepted.
func TestAnalyzeErrorsStop(t *testing.T) {
	in := checktest.Load(t, "../analyze/passes/lockeffect/testdata/takes")
	for _, allow := range []map[finding.ID]string{nil, {"KLP201": "no caller runs now", "KLP214": "nor this one"}} {
		say := quiet()
		say.res.Plan = *in.Plan
		if err := judge(&analyze.Input{Plan: &say.res.Plan, Allow: allow, Units: in.Units}, say); err != nil {
			t.Fatal(err)
		}
		if got := say.verdict(); (got == nil) != (allow != nil) {
			t.Errorf("allowed %v: verdict %v", allow, got)
		}
		var ids []finding.ID
		for _, p := range say.res.Problems {
			ids = append(ids, p.ID)
			if p.Symbol != "prepare" || p.Allowed != allow[p.ID] {
				t.Errorf("problem %+v", p)
			}
		}
		if d := cmp.Diff([]finding.ID{"KLP201", "KLP214"}, ids); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
	}
}
