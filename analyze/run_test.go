package analyze

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/finding"
)

func analyzer(name string, ids []finding.ID, requires []*Analyzer, run func(*Pass) error) *Analyzer {
	a := &Analyzer{Name: name, Doc: "about " + name, Requires: requires, Run: run}
	for _, id := range ids {
		a.Checks = append(a.Checks, Check{ID: id, Title: "t"})
	}
	return a
}

func silent(*Pass) error { return nil }

func TestRegistryRefuses(t *testing.T) {
	a := analyzer("a", []finding.ID{"KLP201"}, nil, silent)
	b := analyzer("b", []finding.ID{"KLP202"}, []*Analyzer{a}, silent)
	loop := analyzer("loop", []finding.ID{"KLP203"}, []*Analyzer{b}, silent)
	looped := analyzer("looped", []finding.ID{"KLP204"}, []*Analyzer{loop}, silent)
	loop.Requires = append(loop.Requires, looped)
	for _, c := range []struct {
		list []*Analyzer
		want string
	}{
		{[]*Analyzer{b}, "requires a, which is not registered"},
		{[]*Analyzer{a, b, loop, looped}, "requires itself"},
		{[]*Analyzer{a, a}, "taken"},
		{[]*Analyzer{a, analyzer("c", []finding.ID{"KLP201"}, nil, silent)}, "belongs to a"},
		{[]*Analyzer{analyzer("c", []finding.ID{"KLP2"}, nil, silent)}, "malformed"},
		{[]*Analyzer{analyzer("c", nil, nil, silent)}, "no Checks"},
	} {
		if _, err := NewRegistry(c.list...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}

func TestRun(t *testing.T) {
	a := analyzer("a", []finding.ID{"KLP201", "KLP202"}, nil, func(p *Pass) error {
		p.Report(finding.Finding{ID: "KLP202", Severity: finding.Note, Message: "n"})
		p.Report(finding.Finding{ID: "KLP201", Severity: finding.Error, Message: "e"})
		return nil
	})
	var saw int
	b := analyzer("b", []finding.ID{"KLP401"}, []*Analyzer{a}, func(p *Pass) error {
		saw = len(p.Found(a))
		p.Report(finding.Finding{ID: "KLP401", Severity: finding.Note, Given: true})
		return nil
	})
	r, err := NewRegistry(b, a)
	if err != nil {
		t.Fatal(err)
	}
	only, err := r.Select([]string{"b", "KLP202"}, []string{"KLP202"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Run(&Input{Allow: map[finding.ID]string{"KLP401": "x"}}, only)
	if d := cmp.Diff([]finding.Finding{{ID: "KLP401", Given: true}}, got); err != nil || d != "" || saw != 2 {
		t.Errorf("error %v, saw %d (-want +got)\n%s", err, saw, d)
	}
	if _, err := r.Select(nil, []string{"KLP999"}); err == nil {
		t.Error("an unknown id is accepted")
	}
	if c, ok := r.Check("KLP201"); !ok || c.Doc != "about a" {
		t.Errorf("check %+v", c)
	}
	boom := errors.New("boom")
	r, _ = NewRegistry(a, analyzer("bad", []finding.ID{"KLP301"}, nil, func(*Pass) error { return boom }))
	if got, err := r.Run(&Input{}, nil); !errors.Is(err, boom) || len(got) != 2 {
		t.Errorf("%d findings, error %v", len(got), err)
	}
	r, _ = NewRegistry(analyzer("liar", []finding.ID{"KLP301"}, nil, func(p *Pass) error { p.Report(finding.Finding{ID: "KLP302"}); return nil }))
	if _, err := r.Run(&Input{}, nil); err == nil {
		t.Error("a finding of a foreign id is accepted")
	}
}

func TestPackageDoc(t *testing.T) {
	if got := PackageDoc("// Package x does.\n//\n//\tcode\npackage x\n// no\n"); got != "Package x does.\n\n\tcode\n" {
		t.Errorf("%q", got)
	}
}
