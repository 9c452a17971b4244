package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/klpforge/klpforge/internal/e2e"
)

// tryCorpus builds a livepatch of each of some files of an update, where the row builds,
// and loads them. internal/corpus does and judges that; it runs in the row's place.
func (r *runner) tryCorpus(ctx context.Context) (map[Column]Cell, error) {
	u := r.Row.Corpus
	if u == nil {
		return map[Column]Cell{ColCorpus: {Outcome: Untried, Text: r.Row.NoCorpus}}, nil
	}
	if !r.corpus {
		return map[Column]Cell{ColCorpus: {Outcome: Untried, Text: "not asked for in this run"}}, nil
	}
	newer, err := r.env.UnpackSource(ctx, u.Suite, u.Package, u.To)
	if err != nil {
		return nil, err
	}
	results := filepath.Join(r.dir, "corpus.json")
	args := []string{
		"-release", r.Release, "-newer", newer, "-max", fmt.Sprint(corpusFiles),
		"-json", results, "-dir", r.dir, "-resume", "-boot=false", "-parallel", "1",
	}
	if u.TakenBack {
		older, err := r.env.UnpackSource(ctx, u.Suite, u.Package, u.From)
		if err != nil {
			return nil, err
		}
		args = append(args, "-taken-back", older)
	}
	if _, errs, code, err := r.builds.run(ctx, r.programs.corpus, args...); err != nil || code != 0 {
		return nil, fmt.Errorf("corpus: exit code %d, %v\n%s", code, err, errs)
	}
	cases, err := readCases(results)
	if err != nil {
		return nil, err
	}
	o := r.vm
	if o.Dir, err = os.MkdirTemp(r.dir, "corpus-boot-"); err != nil {
		return nil, err
	}
	each := func(e2e.Case) error { return writeCases(results, cases) }
	if err := r.env.LoadCases(ctx, o, cases, each); err != nil {
		return nil, err
	}
	r.Refused = nil
	for _, c := range cases {
		if c.Outcome == e2e.Refused || c.Outcome == e2e.Broken || c.Loads != nil && !*c.Loads {
			first, _, _ := strings.Cut(c.Detail+c.LoadLog, "\n")
			r.Refused = append(r.Refused, strings.Join([]string{c.File, string(c.Outcome), strings.Join(c.IDs, " "), first}, "\t"))
		}
	}
	return map[Column]Cell{ColCorpus: sum(cases)}, nil
}

// sum is the cell of a corpus.
func sum(cases []e2e.Case) Cell {
	count := map[e2e.Outcome]int{}
	loaded := 0
	for _, c := range cases {
		count[c.Outcome]++
		if c.Loads != nil && *c.Loads {
			loaded++
		}
	}
	bad := count[e2e.Broken] + count[e2e.Built] - loaded
	alone := len(cases) - count[e2e.NotAlone] - count[e2e.NoChange]
	cell := Cell{
		Outcome: Done,
		Text: fmt.Sprintf("%d files, %d self-contained: %d built and loaded, %d refused, %d failed",
			len(cases), alone, loaded, count[e2e.Refused], bad),
	}
	if bad*20 > alone || len(cases) < leastFiles {
		cell.Outcome = Failed
	}
	return cell
}

func readCases(path string) ([]e2e.Case, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var cases []e2e.Case
	if err := json.Unmarshal(text, &cases); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return cases, nil
}

// writeCases replaces the file at once.
func writeCases(path string, cases []e2e.Case) error {
	text, err := json.MarshalIndent(cases, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".tmp", text, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
