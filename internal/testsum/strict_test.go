package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What one run skips and another runs was run; what all skip is a failure in a
// strict sum, with its reason, and named in any.
func TestStrictSum(t *testing.T) {
	dir := t.TempDir()
	test := func(name string, o Outcome, why string) Test {
		return Test{Package: module + "/x", Test: name, Outcome: o, Why: why}
	}
	unit, e2e := filepath.Join(dir, "unit.json"), filepath.Join(dir, "e2e.json")
	if err := write(unit, Record{Tests: []Test{test("A", Pass, ""), test("B", Skip, "no kernel"), test("C", Skip, "no clang")}}); err != nil {
		t.Fatal(err)
	}
	if err := write(e2e, Record{Tests: []Test{test("B", Pass, ""), test("C", Skip, "no clang")}}); err != nil {
		t.Fatal(err)
	}
	for strict, want := range map[bool]struct {
		code int
		last string
	}{false: {0, "2 passed, 0 failed, 1 skipped in 0s\n"}, true: {1, "2 passed, 1 failed, 0 skipped in 0s\n"}} {
		var out bytes.Buffer
		code, err := sum(&out, []string{unit, e2e}, strict)
		if err != nil || code != want.code || !strings.HasSuffix(out.String(), want.last) || !strings.Contains(out.String(), "x C: no clang") {
			t.Errorf("strict %v: code %d, error %v\n%s", strict, code, err, out.String())
		}
	}
	r := Record{Tests: []Test{test("B", Skip, "slow"), test("C", Skip, "no clang")}}
	r.refuseSkips(&bytes.Buffer{}, []allowance{{pkg: "x", test: "B", reason: "always"}})
	if d := cmp.Diff(map[string]Outcome{"x B": Skip, "x C": Fail}, outcomes(r)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}
