package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadDiff(t *testing.T) {
	got := readDiff("vmlinux.o: new function: b\nvmlinux.o: changed function: z\ndrivers/block/a-b.o: changed function: c\nvmlinux.o: changed function: a\n")
	if d := cmp.Diff([]string{"a_b c", "vmlinux a", "vmlinux z"}, got); d != "" {
		t.Errorf("functions (-want +got)\n%s", d)
	}
}

func TestComplaint(t *testing.T) {
	for _, c := range []struct{ errs, want string }{
		{"error: klp-build: no changes detected\n", "error: klp-build: no changes detected"},
		{"warning: x\nvmlinux.o: error: objtool: changed data: y\nerror: klp-build: objtool klp diff failed\n", "vmlinux.o: error: objtool: changed data: y"},
		{"something\nended\n", "ended"},
	} {
		if got := complaint(c.errs); got != c.want {
			t.Errorf("%q: %q, want %q", c.errs, got, c.want)
		}
	}
}

func TestReadOurs(t *testing.T) {
	got, err := readOurs([]byte(`{"functions":[{"object":"vmlinux","name":"b"},{"object":"loop","name":"a"}]}`))
	if d := cmp.Diff(side{Functions: []string{"loop a", "vmlinux b"}}, got); d != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, d)
	}
	got, err = readOurs([]byte(`{"error":"cannot\nwhy","problems":[{"id":"KLP1","severity":"note"},{"id":"KLP103","severity":"error","symbol":"x","message":"changed"}]}`))
	if d := cmp.Diff(side{Said: "KLP103: x: changed"}, got); d != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, d)
	}
	got, err = readOurs([]byte(`{"error":"nothing to do\nwhy"}`))
	if d := cmp.Diff(side{Said: "nothing to do"}, got); d != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, d)
	}
	if _, err := readOurs([]byte("no document")); err == nil {
		t.Error("what is no document was read")
	}
}

// TestPage: what differs between the two is to be seen.
func TestPage(t *testing.T) {
	text := page(results{Release: "7.2", Compiler: "gcc 12", Jobs: 2, Prepare: 10, Original: 600, Cases: []result{
		{What: "one", Ours: side{Module: "a", Functions: []string{"vmlinux a", "vmlinux b"}, Loads: true, Seconds: 1},
			Theirs: side{Module: "b", Functions: []string{"vmlinux b", "vmlinux c"}, LoadLog: "panic | 1", Seconds: 60}},
		{What: "two", Ours: side{Said: "KLP103"}, Theirs: side{Said: "changed data"}},
	}})
	for _, want := range []string{
		"| one | `vmlinux b`, `vmlinux a` (only klpforge), `vmlinux c` (only klp-build) | loads, unloads | 1.0 | DOES NOT LOAD: panic \\| 1 | 60.0 |",
		"| two | none | no module: KLP103 | 0.0 | no module: changed data | 0.0 |", "in 600 s",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

// TestCases: names are unique and fit into the name of a module.
func TestCases(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range cases {
		if seen[c.name] || strings.ContainsAny(c.name, "-/. ") || c.what == "" || len(c.edits) == 0 {
			t.Errorf("case %+v", c)
		}
		seen[c.name] = true
	}
	if _, err := choose([]string{"none"}); err == nil {
		t.Error("a case that does not exist was chosen")
	}
}
