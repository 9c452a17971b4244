package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// event is one line of go test -json; see "go doc test2json". The import path
// of build events comes with the variant in brackets.
type event struct {
	Time        time.Time
	Action      string
	Package     string
	ImportPath  string
	Test        string
	Elapsed     float64 // seconds
	Output      string
	FailedBuild string
}

// collector follows the events of a run.
type collector struct {
	out     io.Writer
	slow    time.Duration
	strict  bool
	allowed []allowance
	start   time.Time

	packages map[string]*pkg
	builds   map[string]*bytes.Buffer // output of builds, by import path
	tests    []Test
}

// pkg is a package under way.
type pkg struct {
	tests  map[string]*state
	output bytes.Buffer // not of a test
}

// state is a test under way or over.
type state struct {
	output  bytes.Buffer
	outcome Outcome // "" while it runs
	seconds float64
}

func newCollector(out io.Writer, slow time.Duration) *collector {
	return &collector{out: out, slow: slow, start: time.Now(), packages: map[string]*pkg{}, builds: map[string]*bytes.Buffer{}}
}

// read consumes events to the end. Lines that are none are copied: go test
// prints some before it starts.
func (c *collector) read(r io.Reader) error {
	br := bufio.NewReader(r)
	for {
		line, err := br.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			var e event
			if line[0] != '{' || json.Unmarshal(line, &e) != nil {
				fmt.Fprintf(c.out, "%s", line)
			} else {
				c.event(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the output of go test: %w", err)
		}
	}
}

func (c *collector) event(e event) {
	switch e.Action {
	case "build-output":
		b := c.builds[e.ImportPath]
		if b == nil {
			b = &bytes.Buffer{}
			c.builds[e.ImportPath] = b
		}
		b.WriteString(e.Output)
		return
	case "build-fail":
		return // the package's own event says so too
	}
	p := c.packages[e.Package]
	if p == nil {
		p = &pkg{tests: map[string]*state{}}
		c.packages[e.Package] = p
	}
	if e.Test == "" {
		c.packageEvent(e, p)
		return
	}
	t := p.tests[e.Test]
	if t == nil {
		t = &state{}
		p.tests[e.Test] = t
	}
	switch e.Action {
	case "output":
		t.output.WriteString(e.Output)
	case "pass", "fail", "skip":
		t.outcome, t.seconds = Outcome(e.Action), e.Elapsed
		if top := !strings.Contains(e.Test, "/"); top && e.Elapsed >= c.slow.Seconds() {
			fmt.Fprintf(c.out, "     %-4s %7.1fs  %s\n", e.Action, e.Elapsed, Test{Package: e.Package, Test: e.Test}.Name())
		}
	}
}

func (c *collector) packageEvent(e event, p *pkg) {
	switch e.Action {
	case "output":
		p.output.WriteString(e.Output)
		return
	case "pass", "fail", "skip":
	default:
		return
	}
	tests := c.close(e, p)
	c.tests = append(c.tests, tests...)
	n := map[Outcome]int{}
	for _, t := range tests {
		n[t.Outcome]++
	}
	if len(tests) > 0 {
		word := "ok"
		if e.Action == "fail" || n[Fail] > 0 {
			word = "FAIL"
		}
		fmt.Fprintf(c.out, "%-4s %7.1fs  %-28s %4d passed", word, e.Elapsed, strings.TrimPrefix(e.Package, module+"/"), n[Pass])
		if n[Fail] > 0 {
			fmt.Fprintf(c.out, ", %d failed", n[Fail])
		}
		if n[Skip] > 0 {
			fmt.Fprintf(c.out, ", %d skipped", n[Skip])
		}
		fmt.Fprintln(c.out)
	}
	delete(c.packages, e.Package)
}

// close judges the tests of a package that is over, and prints what failed.
func (c *collector) close(e event, p *pkg) []Test {
	var names []string
	for n := range p.tests {
		names = append(names, n)
	}
	slices.Sort(names)
	failing := map[string]bool{} // has a failed test below
	var tests []Test
	for i := len(names) - 1; i >= 0; i-- { // children before parents
		name, t := names[i], p.tests[names[i]]
		tt := Test{Package: e.Package, Test: name, Outcome: t.outcome, Seconds: t.seconds}
		switch t.outcome {
		case "": // the process died
			tt.Outcome = Fail
		case Skip:
			tt.Why = reason(t.output.String())
			if c.strict && !slices.ContainsFunc(c.allowed, func(a allowance) bool { return a.covers(tt) }) {
				tt.Outcome = Fail
				fmt.Fprintf(c.out, "--- must not be skipped here: %s: %s\n", tt.Name(), tt.Why)
			}
		}
		if tt.Outcome == Fail {
			if failing[name] {
				tt.Outcome = Pass // it failed by a subtest, which counts; as a parent it is dropped below
			}
			if j := strings.LastIndexByte(name, '/'); j >= 0 {
				failing[name[:j]] = true
			}
			if t.outcome != Skip {
				fmt.Fprintf(c.out, "--- %s\n%s", tt.Name(), t.output.String())
			}
		}
		tests = append(tests, tt)
	}
	tests = leaves(tests)
	if e.Action == "fail" && !slices.ContainsFunc(tests, func(t Test) bool { return t.Outcome == Fail }) {
		tests = append(tests, Test{Package: e.Package, Outcome: Fail})
	}
	if e.Action == "fail" {
		fmt.Fprintf(c.out, "--- %s\n%s", e.Package, p.output.String())
		if b := c.builds[e.FailedBuild]; b != nil {
			fmt.Fprintf(c.out, "%s", b.String())
		}
	}
	return tests
}

// finish returns what was collected. A package without an end was killed.
func (c *collector) finish() Record {
	var open []string
	for name := range c.packages {
		open = append(open, name)
	}
	slices.Sort(open)
	for _, name := range open {
		c.tests = append(c.tests, c.close(event{Package: name, Action: "fail"}, c.packages[name])...)
	}
	return Record{Tests: c.tests, Seconds: time.Since(c.start).Seconds()}
}

// reason finds what a test said when it skipped itself: the last line that is
// not a frame of go test.
func reason(output string) string {
	why := ""
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		// "file_test.go:12: reason"
		if _, rest, ok := strings.Cut(line, ".go:"); ok {
			if _, rest, ok = strings.Cut(rest, ": "); ok {
				line = rest
			}
		}
		why = line
	}
	return why
}
