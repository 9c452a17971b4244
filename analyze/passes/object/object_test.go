package object

import (
	"testing"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/internal/checktest"
)

func TestObject(t *testing.T) {
	r, err := analyze.NewRegistry(New())
	if err != nil {
		t.Fatal(err)
	}
	in := checktest.Load(t, "testdata/changed")
	for owner, want := range map[string]int{"vmlinux": 0, "ext5": 1} {
		in.Units[0].Owner = owner
		got, err := r.Run(in, nil)
		if err != nil || len(got) != want {
			t.Errorf("%s: %d findings, want %d; error %v", owner, len(got), want, err)
		}
		if want > 0 && (got[0].Severity != finding.Error || got[0].Object != owner) {
			t.Errorf("finding %+v", got[0])
		}
	}
	in.HasObject = nil
	if got, err := r.Run(in, nil); err != nil || len(got) > 0 {
		t.Errorf("a target that is not known: %v, error %v", got, err)
	}
}
