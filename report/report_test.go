package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

var update = flag.Bool("update", false, "write the golden files")

// sample has one of everything.
func sample() *Report {
	at := func(o, n int) (finding.Position, finding.Position) {
		return finding.Position{File: "fs/x/inode.c", Line: o}, finding.Position{File: "fs/x/inode.c", Line: n}
	}
	r := &Report{Version: "1.0", Release: "6.1.0-55-cloud-amd64", Sources: []string{"fix.patch"}, New: []string{"x_check"},
		Checks: []analyze.Check{{ID: "KLP103", Title: "changed initial value", Doc: "A variable gets\nanother value.\n\nMore.\n"}, {ID: "KLP205", Title: "return contract changed", Doc: "Returns.\n"},
			{ID: "KLP401", Title: "verdict: safe to apply immediately", Doc: "Verdict.\n"}},
		Suppressions: []Suppression{{"KLP103", "the callback sets it", "fix.patch:3"}, {"KLP210", "never", "command line"}},
		Notes: []finding.Remark{{Kind: finding.RemarkLeftOut, Text: "Documentation/x.rst: no rule of the kernel's build reads it; left out"},
			{Kind: finding.RemarkApplied, Text: "patch fix.patch: fs/x/inode.c: hunk 2: applied at line 9, offset -1"},
			{Kind: finding.RemarkPlain, Text: "patch fix.patch: names fit the source tree after stripping 2 leading directories"}},
		Files: []analyze.File{{Path: "fs/x/inode.c", Old: []byte("a\nb\nc\nd\ne <x>\nf\ng\nh\ni\nj\nk\nl\n"), New: []byte("a\nb\nc\nd\ne </x>\nadded\nf\ng\nh\ni\nj\nl\n"),
			Hunks: []analyze.Hunk{{OldStart: 5, OldLines: 1, NewStart: 5, NewLines: 2}, {OldStart: 11, OldLines: 1, NewStart: 11, NewLines: 0}}}},
		Exit: 1}
	f := Function{Object: "xfs", Name: "x_get", Sympos: 2, Unit: "fs/x/inode.o", Reasons: []string{"size 4 -> 5"}}
	f.Old, f.New = at(5, 5)
	f.Code = []Row{{Kind: Gap}, {Kind: Changed, OldNo: 16, Old: "mov $1,%eax", HasOld: true, NewNo: 16, New: "mov $2,%eax", HasNew: true}}
	r.Functions = []Function{f}
	r.Graph = &Graph{
		Nodes: []Node{{"x_get", "xfs", Replaced}, {"x_lookup", "xfs", Joins}, {"x_open", "xfs", Outside}, {"x_walk<T>", "xfs", Outside}, {Name: "and 12 more", Role: Outside}},
		Calls: [][2]int{{1, 0}, {2, 1}, {3, 1}, {3, 0}, {4, 0}, {0, 3}},
	}
	a := finding.Finding{ID: "KLP205", Severity: finding.Error, Symbol: "x_get", Object: "xfs", Unit: "fs/x/inode.o", Message: "can now return -22, and callers that are not patched ignore the result, which is a long story that does not fit in one line",
		Evidence: []string{"returned constants before: 0; after: -22, 0"}, Who: []string{"x_open", "x_close"}, Remedy: "patch these callers so that they check"}
	a.Old, a.New = at(5, 5)
	b := finding.Finding{ID: "KLP103", Severity: finding.Warning, Symbol: "x_limit", Message: "initial value <changed>", Allowed: "the callback sets it"}
	b.Old, b.New = at(1, 0)
	c := finding.Finding{ID: "KLP205", Severity: finding.Note, Unknown: true, Symbol: "x_other", Message: "what the function returns could not be found"}
	d := finding.Finding{ID: "KLP401", Severity: finding.Note, Given: true, Symbol: "x_get", Object: "xfs", Message: "safe to apply immediately, as far as compiled code tells", Evidence: []string{"stores: none, before and after"}}
	e := finding.Finding{ID: "KLP402", Severity: finding.Note, Message: "not shown to be safe to force: 2 functions change"}
	l := finding.Finding{ID: "KLP208", Severity: finding.Note, Symbol: "x_get", Object: "xfs", Message: "the layout of struct x changed", Detail: []types.Change{{
		Before: types.Layout{Name: "struct x", Size: 16, Members: []types.Member{{Name: "a", Type: "int", Size: 4}, {Name: "gone", Type: "int", Offset: 4, Size: 4}, {Name: "p", Type: "void *", Offset: 8, Size: 8}}},
		After:  types.Layout{Name: "struct x", Size: 24, Members: []types.Member{{Name: "a", Type: "int", Size: 4}, {Name: "flag", Type: "unsigned int", Offset: 4, Size: 4, Bits: 1, Bit: 3}, {Name: "n", Type: "long", Offset: 8, Size: 8}, {Name: "p", Type: "void *", Offset: 16, Size: 8}}},
	}}}
	r.Findings = []finding.Finding{a, b, c, d, e, l}
	return r
}

func TestGolden(t *testing.T) {
	for name, write := range map[string]func(io.Writer, *Report) error{
		"report.txt":   func(w io.Writer, r *Report) error { return Text(w, r, TextOptions{}) },
		"color.txt":    func(w io.Writer, r *Report) error { return Text(w, r, TextOptions{Color: true}) },
		"report.json":  JSON,
		"report.sarif": SARIF,
		"report.html":  HTML,
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := write(&b, sample()); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), b.String()); d != "" {
				t.Errorf("run go test -update if this is meant (-want +got)\n%s", d)
			}
		})
	}
}

func TestEmpty(t *testing.T) {
	var b bytes.Buffer
	if err := JSON(&b, &Report{}); err != nil || strings.Contains(b.String(), "null") {
		t.Errorf("a null in %s, error %v", b.String(), err)
	}
	b.Reset()
	if err := SARIF(&b, &Report{Error: "no source", Exit: 3}); err != nil || strings.Contains(b.String(), "null") {
		t.Errorf("a null in %s, error %v", b.String(), err)
	}
	b.Reset()
	if err := HTML(&b, &Report{Error: "empty change"}); err != nil || !strings.Contains(b.String(), "empty change") {
		t.Errorf("%s, error %v", b.String(), err)
	}
}

// TestHeadings: what stands before a note is chosen by its kind, whatever it says.
func TestHeadings(t *testing.T) {
	for kind, want := range map[finding.RemarkKind]string{finding.RemarkPlain: "note:", finding.RemarkApplied: "applied:",
		finding.RemarkLeftOut: "left out:"} {
		for _, says := range []string{"x.c: left out", "x.c: hunk 1: applied at line 9, offset -1", "x"} {
			rep := &Report{Notes: []finding.Remark{{Kind: kind, Text: says}}}
			var text, page bytes.Buffer
			if err := Text(&text, rep, TextOptions{}); err != nil || !strings.Contains(text.String(), "\n"+want+" "+says+"\n") {
				t.Errorf("%s %q: no %q in %s, error %v", kind, says, want, text.String(), err)
			}
			if err := HTML(&page, rep); err != nil || !strings.Contains(page.String(), want+"</span> "+says+"<") {
				t.Errorf("%s %q: the page has no %q, error %v", kind, says, want, err)
			}
		}
	}
}

// TestSelfContained wants a page that loads nothing and escapes what it shows.
func TestSelfContained(t *testing.T) {
	var b bytes.Buffer
	if err := HTML(&b, sample()); err != nil {
		t.Fatal(err)
	}
	if m := regexp.MustCompile(`(?i)<script|<link|src=|url\([^#]|https?://`).FindString(b.String()); m != "" {
		t.Errorf("the page has %q", m)
	}
	if !strings.Contains(b.String(), "e &lt;/x&gt;") || !strings.Contains(b.String(), "initial value &lt;changed&gt;") {
		t.Error("text is not escaped")
	}
}

func TestSARIFPointsAtPatchedFiles(t *testing.T) {
	var b bytes.Buffer
	if err := SARIF(&b, sample()); err != nil {
		t.Fatal(err)
	}
	var log struct {
		Version string
		Runs    []struct {
			Results []struct {
				RuleID, Level, Kind string
				Locations           []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI, URIBaseID string }
						Region           struct{ StartLine int }
					}
				}
				Suppressions []struct{ Kind, Justification string }
			}
		}
	}
	if err := json.Unmarshal(b.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	first := log.Runs[0].Results[0]
	if l := first.Locations[0].PhysicalLocation; log.Version != "2.1.0" || l.ArtifactLocation.URI != "fs/x/inode.c" || l.Region.StartLine != 5 || first.Level != "error" {
		t.Errorf("%+v", first)
	}
	if s := log.Runs[0].Results[1].Suppressions; len(s) != 1 || s[0].Kind != "inSource" || s[0].Justification != "the callback sets it" {
		t.Errorf("%+v", s)
	}
	for _, r := range log.Runs[0].Results {
		if r.Kind != "fail" && r.Level != "none" {
			t.Errorf("%s: kind %s with level %s", r.RuleID, r.Kind, r.Level)
		}
	}
}

func TestAtLeast(t *testing.T) {
	r := sample()
	if !r.AtLeast(finding.Error) {
		t.Error("an error does not count")
	}
	r.Findings = r.Findings[1:]
	if r.AtLeast(finding.Warning) {
		t.Error("an accepted warning counts")
	}
	if !r.AtLeast(finding.Note) {
		t.Error("a note does not count")
	}
	r.Findings = r.Findings[2:4]
	if r.AtLeast(finding.Note) {
		t.Error("verdicts count")
	}
}

// TestInstructionsElsewhere: code of another architecture is written by its own disassembler.
func TestInstructionsElsewhere(t *testing.T) {
	side := func(name string) *elfobj.File {
		f, err := elfobj.ReadFile("../elfdiff/testdata/cross/one-line/" + name + ".arm64.o")
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	d, err := elfdiff.Diff(side("before"), side("after"))
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Functions) == 0 {
		t.Fatal("no function changed")
	}
	calls, changed := 0, 0
	for _, row := range Instructions(d, d.Functions[0]) {
		for _, text := range []string{row.Old, row.New} {
			if strings.Contains(text, "%") {
				t.Errorf("%q is no instruction of arm64", text)
			}
			if strings.HasPrefix(text, "bl ") && !strings.Contains(text, "+0x") {
				calls++
			}
		}
		if row.Kind != Same && row.Kind != Gap {
			changed++
		}
	}
	if calls == 0 || changed == 0 {
		t.Errorf("%d calls by name, %d rows that differ", calls, changed)
	}
}

func TestInstructions(t *testing.T) {
	load := func(side string) *elfobj.File {
		f, err := elfobj.ReadFile("../testdata/fixtures/new-call/" + side + ".o")
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	d, err := elfdiff.Diff(load("before"), load("after"))
	if err != nil {
		t.Fatal(err)
	}
	rows := Instructions(d, d.Functions[0])
	added := 0
	for _, r := range rows {
		if r.Kind == Added && r.New == "callq slow_path" {
			added++
		}
	}
	if added == 0 {
		t.Errorf("no call is added in %+v", rows)
	}
}

func TestAnswer(t *testing.T) {
	given := func(id finding.ID) finding.Finding { return finding.Finding{ID: id, Given: true} }
	bad := finding.Finding{ID: "KLP103", Severity: finding.Error}
	accepted := bad
	accepted.Allowed = "set by a callback"
	for want, r := range map[string]*Report{
		"cannot be livepatched as it is: KLP103":                                       {Findings: []finding.Finding{bad, bad}},
		"cannot be livepatched as it is: errors of checks that this report leaves out": {Refused: true},
		"": {Error: "no source", Findings: []finding.Finding{bad}},
		"can be livepatched; needs the consistency model":                                        {Findings: []finding.Finding{accepted}},
		"can be livepatched; proven safe to apply immediately and to force":                      {Findings: []finding.Finding{given("KLP401"), given("KLP402")}},
		"can be livepatched; proven safe to force":                                               {Findings: []finding.Finding{given("KLP402"), {ID: "KLP401"}}},
		"can be livepatched; needs the consistency model; 2 warnings to decide; 1 open question": {Findings: []finding.Finding{{ID: "KLP213", Severity: finding.Warning}, {ID: "KLP104", Severity: finding.Warning}, {ID: "KLP206", Unknown: true}, {ID: "KLP210"}}},
	} {
		if got := r.Answer(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
