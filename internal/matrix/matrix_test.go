package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/internal/e2e"
	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
	"github.com/klpforge/klpforge/kernel/cachedir"
)

// testLog writes what a row says to the log of a test.
type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimRight(string(b), "\n"))
	return len(b), nil
}

// TestShort is the part of the matrix that every run of the tests has: the oldest and the
// newest kernel, each in its userland.
func TestShort(t *testing.T) {
	if os.Getenv("KLPFORGE_E2E") != "1" {
		t.Skip("needs a VM and Debian packages; run make test")
	}
	cache, err := cachedir.Default()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p, digest, err := buildPrograms(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	chosen, err := choose([]string{"debian-11", "sid"})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range chosen {
		t.Run(row.Name, func(t *testing.T) {
			s, err := tryRow(t.Context(), row, tryOptions{cache: cache, dir: dir, programs: p, digest: digest, log: testLog{t}})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range columns {
				if cell := s.Cells[c]; c != ColCorpus && cell.Outcome != Done {
					t.Errorf("%s: %s: %s\n%s", c, cell.Outcome, cell.Text, cell.Detail)
				}
			}
			// A livepatch of which verify warns lacks something, as objtool's data did on 5.10.
			if said := s.Cells[ColVerify].Text; said != "" {
				t.Errorf("verify %s", said)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	s := script("/x/matrix1.ko", "/x/matrix2.ko", loopModule{})
	passed := func(n int) []guest.StepResult {
		var out []guest.StepResult
		for _, step := range s.Steps[:n] {
			out = append(out, guest.StepResult{Op: step.Op, Label: step.Label, OK: true})
		}
		return out
	}
	outcomes := func(r *vm.Result) map[Column]Outcome {
		out := map[Column]Outcome{}
		for c, cell := range judge(s, r, time.Second) {
			out[c] = cell.Outcome
		}
		return out
	}
	lastEffect := 0
	for i, step := range s.Steps {
		if step.Label == string(ColEffect) {
			lastEffect = i
		}
	}
	bad := append(passed(lastEffect), guest.StepResult{Label: string(ColEffect), Err: "no match"})
	for _, c := range []struct {
		name string
		r    *vm.Result
		want map[Column]Outcome
	}{
		{"a panic at first", &vm.Result{Kernel: "6.1", Panic: &vm.Panic{Text: "BUG"}}, map[Column]Outcome{
			ColBefore: Failed, ColAfter: Untried, ColEffect: Untried, ColReplace: Untried, ColUnload: Untried,
		}},
		{"no effect the second time", &vm.Result{Kernel: "6.1", Done: true, Steps: bad}, map[Column]Outcome{
			ColBefore: Done, ColAfter: Done, ColEffect: Failed, ColReplace: Done, ColUnload: Untried,
		}},
	} {
		if d := cmp.Diff(c.want, outcomes(c.r)); d != "" {
			t.Errorf("%s (-want +got)\n%s", c.name, d)
		}
	}
}

// TestScriptCovers: each column of the VM has steps of its own, so that none is done
// without having been tried.
func TestScriptCovers(t *testing.T) {
	s := script("/x/matrix1.ko", "/x/matrix2.ko", loopModule{file: "/x/loop.ko"})
	for _, c := range vmColumns {
		if !slices.ContainsFunc(s.Steps, func(step guest.Step) bool { return step.Label == string(c) }) {
			t.Errorf("no step is labelled %q", c)
		}
	}
	for i, step := range s.Steps {
		if !slices.Contains(vmColumns, Column(step.Label)) {
			t.Errorf("step %d (%s) belongs to no column: %q", i, step.Op, step.Label)
		}
	}
}

// TestResume: a state is read again as it was left, for the same program and row only.
func TestResume(t *testing.T) {
	dir := t.TempDir()
	row := Row{Name: "a", Title: "A", Release: "6.1"}
	k, err := key(row, "0123456789")
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(dir, k)
	s, err := openState(at, row, "0123456789")
	if err != nil {
		t.Fatal(err)
	}
	s.Release = "6.1.0"
	for c, cell := range map[Column]Cell{ColFind: {Outcome: Done, Text: "fetched"}, ColLint: {Outcome: Failed, Text: "no"}, ColBuild: {Outcome: Untried}} {
		if err := s.set(c, cell); err != nil {
			t.Fatal(err)
		}
	}
	again, err := openState(at, row, "0123456789")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(s.Cells, again.Cells); d != "" || again.Release != "6.1.0" {
		t.Errorf("read again (-want +got)\n%s", d)
	}
	again.forget()
	if d := cmp.Diff(map[Column]Cell{ColFind: {Outcome: Done, Text: "fetched"}}, again.Cells); d != "" {
		t.Errorf("after forgetting (-want +got)\n%s", d)
	}
	if l, err := latest(dir, row); err != nil || l == nil || l.Release != "6.1.0" {
		t.Errorf("latest: %v, %v", l, err)
	}
	row.Memory = 1
	if l, err := latest(dir, row); err != nil || l != nil {
		t.Errorf("latest of another row: %v, %v", l, err)
	}
	if other, err := key(row, "0123456789"); err != nil || other == k {
		t.Errorf("another row has the same key (%v)", err)
	}
}

// TestTable: no cell is empty, whatever is known of a row.
func TestTable(t *testing.T) {
	of := rows()[:3]
	states := []*State{
		nil,
		{Program: "0123456789", Release: "6.1.0-55", Compiler: "gcc-12 (Debian 12.2.0-14) 12.2.0", Host: "Debian 12", Cells: map[Column]Cell{
			ColFind: {Outcome: Done, Text: "fetched"}, ColLint: {Outcome: Done}, ColBuild: {Outcome: Failed, Text: "a | b"},
			ColCorpus: {Outcome: Untried, Text: "no time"},
		}, Refused: []string{"a/b.c\trefused\tKLP103\tdata"}},
		{Program: "01", Cells: map[Column]Cell{}},
	}
	text := page(of, states)
	lines := strings.Split(text, "\n")
	width := 0
	for _, line := range lines {
		if !strings.HasPrefix(line, "|") {
			width = 0
			continue
		}
		cells := strings.Split(strings.ReplaceAll(strings.Trim(line, "|"), `\|`, ""), "|")
		if width == 0 {
			width = len(cells)
		}
		if len(cells) != width {
			t.Errorf("%d cells, want %d: %s", len(cells), width, line)
		}
		for _, cell := range cells {
			if strings.TrimSpace(cell) == "" {
				t.Errorf("an empty cell: %s", line)
			}
		}
	}
	for _, want := range []string{"gcc-12 12.2.0", "not run", "ok: fetched", `FAILED: a \| b`, "not tried: no time", "| a/b.c | refused | KLP103 | data |"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
	if short := table(of, states); !strings.Contains(short, "ok: fetched") {
		t.Errorf("the table is\n%s", short)
	}
}

func TestSum(t *testing.T) {
	yes, no := true, false
	cases := []e2e.Case{
		{Outcome: e2e.Built, Loads: &yes}, {Outcome: e2e.Built, Loads: &no}, {Outcome: e2e.Refused}, {Outcome: e2e.NotAlone}, {Outcome: e2e.NoChange},
	}
	got := sum(cases)
	want := Cell{Outcome: Failed, Text: "5 files, 3 self-contained: 1 built and loaded, 1 refused, 1 failed"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("sum (-want +got)\n%s", d)
	}
	if got := sum(cases[:1]); got.Outcome != Failed {
		t.Errorf("one file is a corpus: %v", got)
	}
	if got := sum(slices.Repeat(cases[:1], leastFiles)); got.Outcome != Done {
		t.Errorf("files that load: %v", got)
	}
}

// TestChoose: names of rows are unique, and a row says what its kernel is and why it has
// no corpus.
func TestChoose(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rows() {
		if seen[r.Name] {
			t.Errorf("two rows are called %s", r.Name)
		}
		seen[r.Name] = true
		if (r.Release == "") == (r.Own == "") || (r.Corpus == nil) == (r.NoCorpus == "") {
			t.Errorf("row %s: %+v", r.Name, r)
		}
	}
	if _, err := choose([]string{"nothing"}); err == nil {
		t.Error("a row that does not exist was chosen")
	}
}
