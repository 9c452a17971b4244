package e2e

import (
	"bytes"
	_ "embed"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var updateSample = flag.Bool("update", false, "write testdata/sample.tsv from what happens")

// sampleText is the fixed sample of the corpus: file, outcome and ids, of what
// was chosen so that every part of the kernel and every construct occurs.
//
//go:embed testdata/sample.tsv
var sampleText string

// expectation is one line of the sample.
type expectation struct {
	file    string
	outcome string // "built", "refused KLP103,KLP110"
}

func parseSample(t *testing.T, text string) []expectation {
	t.Helper()
	var out []expectation
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		file, outcome, ok := strings.Cut(line, "\t")
		if !ok {
			t.Fatalf("testdata/sample.tsv: no tab in %q", line)
		}
		out = append(out, expectation{file, outcome})
	}
	return out
}

func outcome(c Case) string {
	return strings.TrimSpace(string(c.Outcome) + " " + strings.Join(c.IDs, ","))
}

// TestCorpusSample builds a livepatch of each file of the sample and loads it
// in a VM.
func TestCorpusSample(t *testing.T) {
	t.Parallel()
	sample := parseSample(t, sampleText)
	if len(sample) < 40 {
		t.Fatalf("the sample has %d cases, want 40 or more", len(sample))
	}
	e := env(t)
	ctx := t.Context()
	pair, expected, err := e.CorpusPair(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, s := range sample {
		files = append(files, s.file)
	}
	if !expected {
		files = presentIn(t, e, pair, files)
	}
	cases, err := e.Corpus(ctx, CorpusOptions{Release: pair.Release, NewVersion: pair.Newer, Files: files, Boot: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", Table(cases))
	if *updateSample && expected {
		writeSample(t, cases)
	}
	for i, c := range cases {
		t.Run(c.File, func(t *testing.T) {
			switch {
			case expected:
				if d := cmp.Diff(sample[i].outcome, outcome(c)); d != "" {
					t.Errorf("outcome (-want +got):\n%s%s", d, c.Detail)
				}
			case c.Outcome == Broken:
				t.Errorf("failed: %s", c.Detail)
			}
			if c.Outcome == Built && (c.Loads == nil || !*c.Loads) {
				t.Errorf("does not load and unload: %s", c.LoadLog)
			}
		})
	}
}

// presentIn keeps the files that differ in another pair of versions.
func presentIn(t *testing.T, e *Env, p Pair, files []string) []string {
	t.Helper()
	changed, err := e.CorpusFiles(t.Context(), CorpusOptions{Release: p.Release, NewVersion: p.Newer})
	if err != nil {
		t.Fatal(err)
	}
	both := slices.DeleteFunc(slices.Clone(changed), func(f string) bool { return !slices.Contains(files, f) })
	if len(both) < 10 {
		both = changed[:min(len(changed), 40)]
	}
	return both
}

func writeSample(t *testing.T, cases []Case) {
	t.Helper()
	var b bytes.Buffer
	for line := range strings.Lines(sampleText) {
		if strings.HasPrefix(line, "#") {
			b.WriteString(line)
		}
	}
	for _, c := range cases {
		fmt.Fprintf(&b, "%s\t%s\n", c.File, outcome(c))
	}
	if err := os.WriteFile("testdata/sample.tsv", b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestPairOf(t *testing.T) {
	tests := []struct {
		name, madison string
		want          Pair
		ok            bool
	}{
		{
			name: "oldest and the next version",
			madison: "linux-image-6.1.0-10-cloud-amd64 | 6.1.37-1 | archive\n" +
				"linux-image-6.1.0-9-cloud-amd64 | 6.1.27-1 | archive\n" +
				"linux-image-6.1.0-11-cloud-amd64 | 6.1.38-1 | archive\n" +
				"linux-image-6.1.0-9-cloud-amd64-dbg | 6.1.27-1 | archive\n",
			want: Pair{"6.1.0-9-cloud-amd64", "6.1.37-1"}, ok: true,
		},
		{name: "one only", madison: "linux-image-6.1.0-9-cloud-amd64 | 6.1.27-1 | archive\n"},
		{name: "none"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := pairOf(tt.madison)
			if got != tt.want || ok != tt.ok {
				t.Errorf("got %v, %v", got, ok)
			}
		})
	}
}
