package selection

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/kbuild"
)

// What an object lacks is looked for by the first error that leads to something: who
// defines the name, else who mentions it. What later errors name follows from that.
func TestMissing(t *testing.T) {
	old := map[string]string{"h.h": "int first(void);\n", "a.c": cfile("x();"), "b.c": cfile("x();"), "c.c": cfile("x();")}
	newer := map[string]string{"h.h": "int first(void);\n\n\n\n#define LACKING 1\n", "a.c": cfile("LACKING + other;"),
		"b.c": cfile("other = 1;"), "c.c": cfile("y();")}
	e := newEngine(fromTrees(texts(old, newer)), nil, nil)
	numbers := map[string]int{}
	for i, slice := range e.slices {
		e.fate[i] = LeftOut
		numbers[slice.Name] = i
	}
	failed := func(names ...string) *Fault {
		fault := &Fault{Object: "d.o"}
		for _, name := range names {
			fault.Errors = append(fault.Errors, kbuild.Diagnostic{File: "d.c", Line: 1, Names: []string{name}})
		}
		return fault
	}
	for _, c := range []struct {
		names []string
		want  []int
	}{
		{[]string{"nothing"}, nil},
		{[]string{"nothing", "other"}, []int{numbers["a.c:f0"], numbers["b.c:f0"]}},
		{[]string{"LACKING", "other"}, []int{numbers["a.c:f0"]}},
	} {
		if diff := cmp.Diff(c.want, e.missing(failed(c.names...), numbers["c.c:f0"])); diff != "" {
			t.Errorf("%q: %s", c.names, diff)
		}
	}
	if t.Failed() {
		t.Logf("the slices are %v", numbers)
	}
}
