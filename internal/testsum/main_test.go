package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// lines builds the output of go test -json.
func lines(l ...string) string { return strings.Join(l, "\n") + "\n" }

const p = `"Package":"github.com/klpforge/klpforge/x"`

func collect(t *testing.T, text string, strict bool, allowed ...allowance) (Record, string) {
	t.Helper()
	var out bytes.Buffer
	c := newCollector(&out, time.Minute)
	c.strict, c.allowed = strict, allowed
	if err := c.read(strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return c.finish(), out.String()
}

func outcomes(r Record) map[string]Outcome {
	m := map[string]Outcome{}
	for _, t := range r.Tests {
		m[t.Name()] = t.Outcome
	}
	return m
}

func TestCollect(t *testing.T) {
	tests := []struct {
		name   string
		strict bool
		allow  []allowance
		text   string
		want   map[string]Outcome
		says   string // in the output
	}{
		{
			name: "subtests count, their parents do not",
			text: lines(
				`{"Action":"run",`+p+`,"Test":"TestA"}`,
				`{"Action":"pass",`+p+`,"Test":"TestA/b"}`,
				`{"Action":"pass",`+p+`,"Test":"TestA/c"}`,
				`{"Action":"pass",`+p+`,"Test":"TestA"}`,
				`{"Action":"pass",`+p+`,"Test":"TestB"}`,
				`{"Action":"pass",`+p+`,"Elapsed":1.5}`),
			want: map[string]Outcome{"x TestA/b": Pass, "x TestA/c": Pass, "x TestB": Pass},
			says: "3 passed",
		},
		{
			name: "a failing subtest counts once",
			text: lines(
				`{"Action":"output",`+p+`,"Test":"TestA/b","Output":"    it broke\n"}`,
				`{"Action":"fail",`+p+`,"Test":"TestA/b"}`,
				`{"Action":"pass",`+p+`,"Test":"TestA/c"}`,
				`{"Action":"fail",`+p+`,"Test":"TestA"}`,
				`{"Action":"fail",`+p+`}`),
			want: map[string]Outcome{"x TestA/b": Fail, "x TestA/c": Pass},
			says: "it broke",
		},
		{
			name: "a parent that fails by itself counts",
			text: lines(
				`{"Action":"pass",`+p+`,"Test":"TestA/b"}`,
				`{"Action":"fail",`+p+`,"Test":"TestA"}`,
				`{"Action":"fail",`+p+`}`),
			want: map[string]Outcome{"x TestA": Fail, "x TestA/b": Pass},
		},
		{
			name: "a test without an end failed",
			text: lines(
				`{"Action":"run",`+p+`,"Test":"TestA"}`,
				`{"Action":"output",`+p+`,"Test":"TestA","Output":"panic: boom\n"}`,
				`{"Action":"fail",`+p+`}`),
			want: map[string]Outcome{"x TestA": Fail},
			says: "panic: boom",
		},
		{
			name: "a killed package failed",
			text: lines(`{"Action":"start",` + p + `}`),
			want: map[string]Outcome{"x (package)": Fail},
		},
		{
			name: "a package that does not compile failed",
			text: lines(
				`{"ImportPath":"`+module+`/x [x.test]","Action":"build-output","Output":"./x.go:1: undefined: y\n"}`,
				`{"ImportPath":"`+module+`/x [x.test]","Action":"build-fail"}`,
				`{"Action":"start",`+p+`}`,
				`{"Action":"fail",`+p+`,"FailedBuild":"`+module+`/x [x.test]"}`),
			want: map[string]Outcome{"x (package)": Fail},
			says: "undefined: y",
		},
		{
			name: "a skip is a skip",
			text: lines(
				`{"Action":"output",`+p+`,"Test":"TestA","Output":"    x_test.go:9: no kernel: here\n"}`,
				`{"Action":"skip",`+p+`,"Test":"TestA"}`,
				`{"Action":"pass",`+p+`}`),
			want: map[string]Outcome{"x TestA": Skip},
			says: "1 skipped",
		},
		{
			name: "but not in a strict run", strict: true,
			text: lines(
				`{"Action":"output",`+p+`,"Test":"TestA","Output":"    x_test.go:9: no kernel: here\n"}`,
				`{"Action":"skip",`+p+`,"Test":"TestA"}`,
				`{"Action":"pass",`+p+`}`),
			want: map[string]Outcome{"x TestA": Fail},
			says: "must not be skipped here: x TestA: no kernel: here",
		},
		{
			name: "unless it is allowed", strict: true, allow: []allowance{{pkg: "x", test: "TestA/*", reason: "because"}},
			text: lines(
				`{"Action":"skip",`+p+`,"Test":"TestA/b"}`,
				`{"Action":"pass",`+p+`,"Test":"TestA"}`,
				`{"Action":"pass",`+p+`}`),
			want: map[string]Outcome{"x TestA/b": Skip},
		},
		{
			name: "other lines are copied",
			text: "go: something\n" + lines(`{"Action":"skip",`+p+`}`),
			want: map[string]Outcome{},
			says: "go: something",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, out := collect(t, tt.text, tt.strict, tt.allow...)
			if d := cmp.Diff(tt.want, outcomes(r)); d != "" {
				t.Errorf("outcomes (-want +got):\n%s", d)
			}
			if !strings.Contains(out, tt.says) {
				t.Errorf("output has no %q:\n%s", tt.says, out)
			}
		})
	}
}

func TestAdd(t *testing.T) {
	test := func(name string, o Outcome) Test { return Test{Package: module + "/x", Test: name, Outcome: o} }
	var all Record
	all.add(Record{Seconds: 1, Tests: []Test{test("A", Skip), test("B", Pass), test("C", Fail), test("D", Skip), test("E", Skip)}})
	all.add(Record{Seconds: 2, Tests: []Test{test("A", Pass), test("B", Fail), test("C", Pass), test("D/one", Pass), test("D/two", Pass)}})
	want := map[string]Outcome{"x A": Pass, "x B": Fail, "x C": Fail, "x D/one": Pass, "x D/two": Pass, "x E": Skip}
	if d := cmp.Diff(want, outcomes(all)); d != "" {
		t.Errorf("outcomes (-want +got):\n%s", d)
	}
	var out bytes.Buffer
	if code := report(&out, all); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if want := "3 passed, 2 failed, 1 skipped in 3s\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("closing line is not %q:\n%s", want, out.String())
	}
}

func TestReportClean(t *testing.T) {
	var out bytes.Buffer
	if code := report(&out, Record{Tests: []Test{{Package: "x", Test: "A", Outcome: Pass}}}); code != 0 {
		t.Errorf("exit code %d", code)
	}
	out.Reset()
	if code := report(&out, Record{Failed: true}); code != 1 {
		t.Errorf("exit code %d of a run that failed by itself", code)
	}
}

func TestAllowed(t *testing.T) {
	if _, err := allowList(); err != nil {
		t.Error(err)
	}
	got, err := parseAllowed("# comment\n\nkernel  TestX/*  needs a debug package\n")
	want := []allowance{{pkg: "kernel", test: "TestX/*", reason: "needs a debug package"}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(allowance{})); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	for _, bad := range []string{"kernel TestX", "kernel [ reason"} {
		if _, err := parseAllowed(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestReplace(t *testing.T) {
	test := func(pkg, name string, o Outcome) Test {
		return Test{Package: module + "/" + pkg, Test: name, Outcome: o}
	}
	r := Record{Seconds: 1, Tests: []Test{test("x", "A/1", Fail), test("x", "A/2", Fail), test("x", "B", Pass), test("x", "C", Fail),
		test("y", "A", Pass), test("z", "", Fail), test("z", "A", Fail)}}
	want := []failure{{module + "/x", []string{"A", "C"}}, {module + "/z", nil}}
	if d := cmp.Diff(want, r.failed(), cmp.AllowUnexported(failure{})); d != "" {
		t.Fatalf("failed (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"-run", "^(A|C)$", module + "/x"}, want[0].args()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{module + "/z"}, want[1].args()); d != "" {
		t.Error(d)
	}
	r.replace(Record{Seconds: 2, Tests: []Test{test("x", "A/1", Pass), test("x", "A/3", Fail)}, Failed: true})
	r.replace(Record{Seconds: 4, Tests: []Test{test("z", "A", Pass), test("z", "B", Pass)}})
	// C was not in the second run: it stays what it was.
	now := map[string]Outcome{"x A/1": Pass, "x A/3": Fail, "x B": Pass, "x C": Fail, "y A": Pass, "z A": Pass, "z B": Pass}
	if d := cmp.Diff(now, outcomes(r)); d != "" || r.Seconds != 7 || !r.Failed {
		t.Errorf("outcomes (-want +got):\n%s%+v", d, r)
	}
}
