package main

import (
	"cmp"
	"slices"
	"strings"
)

// Outcome is what became of a test.
type Outcome string

// Outcomes.
const (
	Pass Outcome = "pass"
	Fail Outcome = "fail"
	Skip Outcome = "skip"
)

// Test is one test that counts.
type Test struct {
	Package string  `json:"package"` // import path
	Test    string  `json:"test"`    // with its parents, "TestA/b"; "" for a package that failed by itself
	Outcome Outcome `json:"outcome"`
	Why     string  `json:"why,omitempty"` // reason of a skip
	Seconds float64 `json:"seconds"`
}

// Name is the test with the last part of its package's path.
func (t Test) Name() string {
	p := strings.TrimPrefix(t.Package, module+"/")
	if t.Test == "" {
		return p + " (package)"
	}
	return p + " " + t.Test
}

// top is the name of the top-level test.
func (t Test) top() string {
	name, _, _ := strings.Cut(t.Test, "/")
	return name
}

// module is the import path that names are shortened by.
const module = "github.com/klpforge/klpforge"

// Record is the outcome of one or several runs.
type Record struct {
	Tests   []Test  `json:"tests"`
	Seconds float64 `json:"seconds"` // wall time
	Failed  bool    `json:"failed"`  // go test itself failed
}

// add merges another run. Of a test in both, a failure counts before a pass
// and a pass before a skip.
func (r *Record) add(o Record) {
	rank := map[Outcome]int{Skip: 0, Pass: 1, Fail: 2}
	at := map[[2]string]int{}
	for i, t := range r.Tests {
		at[[2]string{t.Package, t.Test}] = i
	}
	for _, t := range o.Tests {
		i, ok := at[[2]string{t.Package, t.Test}]
		switch {
		case !ok:
			at[[2]string{t.Package, t.Test}] = len(r.Tests)
			r.Tests = append(r.Tests, t)
		case rank[t.Outcome] > rank[r.Tests[i].Outcome]:
			r.Tests[i] = t
		}
	}
	// A test that was skipped as a whole in one run may have subtests in the
	// other; then they count and it does not.
	r.Tests = leaves(r.Tests)
	r.Seconds += o.Seconds
	r.Failed = r.Failed || o.Failed
}

// leaves drops tests that passed or were skipped and have subtests.
func leaves(tests []Test) []Test {
	parents := map[[2]string]bool{}
	for _, t := range tests {
		for i, c := range t.Test {
			if c == '/' {
				parents[[2]string{t.Package, t.Test[:i]}] = true
			}
		}
	}
	return slices.DeleteFunc(tests, func(t Test) bool {
		return t.Outcome != Fail && parents[[2]string{t.Package, t.Test}]
	})
}

func (r Record) sorted() []Test {
	out := slices.Clone(r.Tests)
	slices.SortFunc(out, func(a, b Test) int {
		return cmp.Or(cmp.Compare(a.Package, b.Package), cmp.Compare(a.Test, b.Test))
	})
	return out
}

// failure is what failed of a package: top-level tests, or the package itself
// when there are none.
type failure struct {
	pkg   string // import path
	tests []string
}

// args are the arguments that make go test run it again.
func (f failure) args() []string {
	if len(f.tests) == 0 {
		return []string{f.pkg}
	}
	return []string{"-run", "^(" + strings.Join(f.tests, "|") + ")$", f.pkg}
}

// failed returns what failed, a package at a time.
func (r Record) failed() []failure {
	var out []failure
	for _, t := range r.sorted() {
		if t.Outcome != Fail {
			continue
		}
		if len(out) == 0 || out[len(out)-1].pkg != t.Package {
			out = append(out, failure{pkg: t.Package})
			if t.Test == "" { // sorts before the package's tests
				continue
			}
		} else if len(out[len(out)-1].tests) == 0 {
			continue
		}
		f := &out[len(out)-1]
		if top := t.top(); !slices.Contains(f.tests, top) {
			f.tests = append(f.tests, top)
		}
	}
	return out
}

// replace puts a later run of some tests in the place of this one's. A package
// that failed by itself was run as a whole.
func (r *Record) replace(later Record) {
	again := map[[2]string]bool{} // package and top-level test, "" for the package itself
	for _, t := range later.Tests {
		again[[2]string{t.Package, t.top()}] = true
		again[[2]string{t.Package, ""}] = true
	}
	r.Tests = append(slices.DeleteFunc(r.Tests, func(t Test) bool {
		return again[[2]string{t.Package, t.top()}]
	}), later.Tests...)
	r.Seconds += later.Seconds
	r.Failed = r.Failed || later.Failed
}
