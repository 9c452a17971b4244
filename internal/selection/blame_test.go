package selection

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/finding"
)

// A finding about a type is of who changes the type, in whatever file; that its place is
// the first change of the object's source says nothing.
func TestBlameType(t *testing.T) {
	old := map[string]string{"a.c": cfile("x();"), "h.h": "long known;\n\n\n\n\nstruct first {\n\tint a;\n};\n\n\n\n\nstruct inner {\n\tint b;\n};\n\n\n\n\nstruct outer {\n\tstruct inner in;\n};\n"}
	newer := map[string]string{"a.c": cfile("y();"), "h.h": "long known;\n\n\n\n\nstruct first {\n\tlong a;\n};\n\n\n\n\nstruct inner {\n\tlong b;\n};\n\n\n\n\nstruct outer {\n\tstruct inner in;\n};\n"}
	pair := fromTrees(texts(old, newer))
	keep := []bool{true, true, true}
	now, _, err := pair.texts(keep)
	if err != nil || len(pair.slices()) != len(keep) {
		t.Fatalf("%d slices, error %v", len(pair.slices()), err)
	}
	s := &state{texts: now, reads: map[string]Object{"a.o": {"a.o", "a.c", []string{"a.c", "h.h"}}}}
	at := finding.Position{File: "a.c", Line: 5}
	layout := func(name string) finding.Finding {
		return finding.Finding{ID: finding.IDLayout, Unit: "a.o", New: at, Message: "the layout of " + name + " changes",
			Detail: []types.Change{{Before: types.Layout{Name: name}}}}
	}
	for want, found := range map[string]finding.Finding{
		"h.h:first": layout("struct first"),
		"h.h:inner": layout("struct outer"),
		"a.c:f0":    {ID: finding.IDSymbol, Unit: "a.o", Symbol: "f0", New: at},
		"":          layout("struct elsewhere"),
	} {
		var got string
		for _, slice := range s.blame(&Fault{Object: "a.o", Finding: &found}) {
			got += pair.slices()[slice].Name
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", found.Message, diff)
		}
	}
	bare := finding.Finding{ID: finding.IDTypes, Unit: "a.o", New: at, Message: "a member is at another offset"}
	if by := s.blame(&Fault{Object: "a.o", Finding: &bare}); len(by) > 0 {
		t.Errorf("nothing but the object's source: slices %v", by)
	}
}
