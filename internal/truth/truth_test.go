package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/internal/syntax"
	"github.com/klpforge/klpforge/pipeline"
)

const header = "Check: KLP206\nKind: harmless\nHalf: before\nStandalone: yes\nReason: one thing,\n and another\n\n--- a/x.c\n+++ b/x.c\n"

func TestParseCase(t *testing.T) {
	got, err := parseCase("dir/name.patch", []byte(header))
	if err != nil {
		t.Fatal(err)
	}
	want := truth{Name: "name", Path: "dir/name.patch", Check: finding.IDContext, Kind: harmless, Half: before,
		Standalone: true, Reason: "one thing, and another"}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestParseCaseFaults(t *testing.T) {
	for _, edit := range [][2]string{
		{"KLP206", "KLP999"}, {"harmless", "dangerous"}, {"before", "later"}, {"Kind: harmless", "Kind: hazard"},
		{"Reason: one thing,\n and another\n", ""}, {"Standalone: yes", "Standalone: no"}, {"Half:", "Whole:"},
		{"Check: KLP206\n", "Check: KLP206\nCheck: KLP206\n"}, {"--- a/x.c\n+++ b/x.c\n", ""}, {"Kind: harmless\n", "what\n"},
	} {
		text := strings.Replace(header, edit[0], edit[1], 1)
		if text == header {
			t.Fatalf("%q does not occur", edit[0])
		}
		var fault *syntax.Error
		if got, err := parseCase("name.patch", []byte(text)); !errors.As(err, &fault) {
			t.Errorf("%q for %q: %+v, error %v", edit[1], edit[0], got, err)
		}
	}
}

// TestCases: all patches in the tree have a header, and a check has hazards and
// harmless ones.
func TestCases(t *testing.T) {
	cases, err := readCases("../../testdata/truth")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[finding.ID]map[kind]int{}
	for _, one := range cases {
		if kinds[one.Check] == nil {
			kinds[one.Check] = map[kind]int{}
		}
		kinds[one.Check][one.Kind]++
	}
	for id, of := range kinds {
		if of[hazard] == 0 || of[harmless] == 0 {
			t.Errorf("%s has %d hazards and %d harmless patches", id, of[hazard], of[harmless])
		}
	}
	if _, err := readCases(t.TempDir()); err == nil {
		t.Error("a directory without patches is no error")
	}
}

func TestJudge(t *testing.T) {
	right := func(s finding.Severity) finding.Finding { return finding.Finding{ID: finding.IDContext, Severity: s} }
	other := finding.Finding{ID: finding.IDReturnContract, Severity: finding.Warning}
	given := finding.Finding{ID: finding.IDForce, Given: true}
	refused := finding.Finding{ID: finding.IDNotTraceable, Severity: finding.Error}
	for _, c := range []struct {
		name  string
		kind  kind
		says  []finding.Finding
		err   error
		want  answer
		wrong bool
	}{
		{"error", hazard, []finding.Finding{right(finding.Note), right(finding.Error)}, &pipeline.Refusal{}, found, false},
		{"warning", hazard, []finding.Finding{right(finding.Warning)}, nil, found, false},
		{"note", hazard, []finding.Finding{right(finding.Note), other}, nil, noted, false},
		{"another check", hazard, []finding.Finding{other}, nil, silent, false},
		{"verdict", hazard, []finding.Finding{given}, nil, silent, true},
		{"verdict not given", hazard, []finding.Finding{{ID: finding.IDForce}}, nil, silent, false},
		{"quiet", harmless, []finding.Finding{given, right(finding.Note)}, nil, passed, false},
		{"flagged", harmless, []finding.Finding{other}, nil, flagged, true},
		{"refused", hazard, []finding.Finding{refused, right(finding.Error)}, &pipeline.Refusal{}, unfit, true},
		{"failed", harmless, nil, errors.New("no compiler"), unfit, true},
	} {
		got := judge(truth{Check: finding.IDContext, Kind: c.kind}, &pipeline.Result{Findings: c.says}, c.err)
		if got.Answer != c.want || got.wrong() != c.wrong {
			t.Errorf("%s: %s, wrong %v; want %s, %v", c.name, got.Answer, got.wrong(), c.want, c.wrong)
		}
	}
}

// TestTables: what is counted, and what is marked.
func TestTables(t *testing.T) {
	warning := []finding.Finding{{ID: finding.IDReturnContract, Severity: finding.Warning}}
	list := []outcome{
		{truth: truth{Name: "a", Check: finding.IDContext, Kind: hazard, Half: before}, Answer: found},
		{truth: truth{Name: "b", Check: finding.IDContext, Kind: hazard, Half: before}, Answer: silent, Says: warning},
		{truth: truth{Name: "c", Check: finding.IDContext, Kind: harmless, Half: before, Standalone: true}, Answer: passed, Verdict: true},
		{truth: truth{Name: "d", Check: finding.IDReturnContract, Kind: harmless, Half: after}, Answer: flagged, Says: warning},
		{truth: truth{Name: "e", Check: finding.IDReturnContract, Kind: hazard, Half: after}, Answer: unfit, Fault: "a|b\nc"},
	}
	var text strings.Builder
	tables(&text, list)
	for _, want := range []string{
		"| before, KLP206 | 2 | 1 (50 %) | 0 (0 %) | 1 (50 %) | 0 | 1 | 0 | 1 (100 %) |",
		"| after, KLP205 | 0 | - | - | - | 0 | 1 | 1 | - |",
		"| KLP206 | before | hazard | b | silent |  | KLP205 warning |",
		"| KLP206 | before | harmless, stands alone | c | passed | given |  |",
		"| KLP205 | after | harmless | d | ! flagged |  |  |",
		"| KLP205 | after | hazard | e | ! unfit |  | a\\|b |",
	} {
		if !strings.Contains(text.String(), want+"\n") {
			t.Errorf("no line %q in\n%s", want, text.String())
		}
	}
	whole := string(page([]byte(text.String()), []byte("\nflags\n"), time.Unix(0, 0)))
	for _, want := range []string{"1970-01-01", text.String(), "flags"} {
		if !strings.Contains(whole, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// TestLinks: the page leads to the patches.
func TestLinks(t *testing.T) {
	if _, err := os.Stat(filepath.Join("../../docs/measured", "../../testdata/truth/README.md")); err != nil {
		t.Error(err)
	}
}
