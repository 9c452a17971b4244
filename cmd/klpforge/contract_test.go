package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The documents as scripts read them. The names here are the contract: they
// are spelled out again on purpose.
type (
	diffContract struct {
		Schema    string         `json:"schema"`
		Orig      string         `json:"orig"`
		Patched   string         `json:"patched"`
		Arch      string         `json:"arch"`
		Functions []diffFuncSpec `json:"functions"`
		Lines     []diffFuncSpec `json:"lines"`
		Data      []diffDataSpec `json:"data"`
		Problems  []diffProbSpec `json:"problems"`
	}
	diffFuncSpec struct {
		Name    string    `json:"name"`
		Change  string    `json:"change"`
		Section string    `json:"section"`
		Reasons *[]string `json:"reasons"`
	}
	diffDataSpec struct {
		Name    string `json:"name"`
		Change  string `json:"change"`
		Section string `json:"section"`
	}
	diffProbSpec struct {
		ID       string  `json:"id"`
		Severity string  `json:"severity"`
		Symbol   *string `json:"symbol"`
		Message  string  `json:"message"`
		Section  string  `json:"section"` // not promised
		Remedy   string  `json:"remedy"`  // not promised
	}
)

// decodeStrict wants one JSON document with no other fields than those of v.
func decodeStrict(t *testing.T, text []byte, v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if d.More() {
		t.Fatalf("more than one document: %s", text)
	}
}

func TestDiffContract(t *testing.T) {
	for _, c := range []struct {
		name      string
		code      int
		functions []string // name change section
		data      []string // name change section
		problems  []string // id severity symbol
	}{
		{name: "identical"},
		{name: "new-call", functions: []string{"g changed .text.unlikely.g"}},
		{name: "new-function", functions: []string{"check new .text.check", "g changed .text.g"}},
		{name: "cold-appears", functions: []string{"f changed .text.f"}},
		{name: "new-static", functions: []string{"g changed .text.g"}, data: []string{"hits new .bss.hits"}},
		{name: "initial-value", code: exitFindings, data: []string{"limit changed .data.limit"}, problems: []string{"KLP103 error limit"}},
		{name: "init-only", code: exitFindings, functions: []string{"setup changed .init.text"}, problems: []string{"KLP102 error setup"}},
		{name: "const-carried", functions: []string{"f changed .text.f"}, data: []string{"scale changed .rodata.scale"}, problems: []string{"KLP103 note scale"}},
		{name: "no-trace-at-all", functions: []string{"g changed .text.g"}, problems: []string{"KLP101 note "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			orig, patched := filepath.Join(fixtures, c.name, "before.o"), filepath.Join(fixtures, c.name, "after.o")
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), []string{"klpforge", "diff", "--format", "json", orig, patched}, strings.NewReader(""), &stdout, &stderr)
			if code != c.code || stderr.Len() != 0 {
				t.Errorf("exit code %d, want %d; stderr %q", code, c.code, stderr.String())
			}
			for _, key := range []string{"functions", "data", "problems"} {
				if bytes.Contains(stdout.Bytes(), []byte(`"`+key+`": null`)) {
					t.Errorf("%s is null", key)
				}
			}
			var d diffContract
			decodeStrict(t, stdout.Bytes(), &d)
			var functions, data, problems []string
			for _, f := range d.Functions {
				functions = append(functions, f.Name+" "+f.Change+" "+f.Section)
				if f.Reasons == nil || f.Change == "changed" && len(*f.Reasons) == 0 {
					t.Errorf("no reasons for %s", f.Name)
				}
			}
			for _, v := range d.Data {
				data = append(data, v.Name+" "+v.Change+" "+v.Section)
			}
			for _, p := range d.Problems {
				if p.Symbol == nil || p.Message == "" {
					t.Fatalf("problem without a symbol or a message: %s", stdout.Bytes())
				}
				problems = append(problems, p.ID+" "+p.Severity+" "+*p.Symbol)
			}
			got := [][]string{{d.Schema, d.Orig, d.Patched, d.Arch}, functions, data, problems}
			want := [][]string{{"klpforge.diff/v1", orig, patched, "x86_64"}, c.functions, c.data, c.problems}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
