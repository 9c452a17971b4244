package code_test

import (
	"testing"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/all"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/join"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/internal/checktest"
	"github.com/klpforge/klpforge/locate"
	"github.com/klpforge/klpforge/plan"
)

// unknown is a target whose linked code cannot be decoded.
type unknown struct{}

func (unknown) Code(string) *join.Code                 { return nil }
func (unknown) Exported(string) bool                   { return false }
func (unknown) Users(string, string) ([]string, error) { return nil, nil }

// From the decision who joins to the last check, an object is decoded once, and its
// locks are analysed once: by whoever asks first, also for another owner of the object.
func TestOnce(t *testing.T) {
	w := code.CountWork(t)
	in := checktest.Load(t, "../join/testdata/queue")
	u := in.Units[0]
	u.Place = &locate.Placement{Funcs: map[elfdiff.AtomID]locate.Place{}}
	other := u.ForOwner("mod")
	other.Replace = u.Replace
	in.Units = append(in.Units, other)
	self, err := elfdiff.Diff(u.Diff.Orig.File, u.Diff.Orig.File)
	if err != nil {
		t.Fatal(err)
	}
	in.Units = append(in.Units, &analyze.Unit{Object: "dir/same.o", Owner: plan.Vmlinux, Diff: self})

	d, err := join.Decide(join.Input{Units: in.Units, Shipped: unknown{}})
	if err != nil || len(d.Joins) == 0 {
		t.Fatalf("%+v, %v", d, err)
	}
	in.Units[2].Replace = []elfdiff.Change{{Name: "queue_user", Kind: elfdiff.Changed, Orig: 1, Patched: 1}}
	if list, err := all.Registry().Run(in, nil); err != nil || len(list) == 0 || list[0].Severity != finding.Error {
		t.Fatalf("%+v, %v", list, err)
	}

	// Before and after, and the file that is compared with itself.
	if len(w.Decoded) != 3 {
		t.Errorf("%d objects were decoded, want 3", len(w.Decoded))
	}
	if len(w.Analysed) != 3 {
		t.Errorf("the locks of %d objects were analysed, want 3", len(w.Analysed))
	}
	for m, n := range w.Analysed {
		if n != 1 || w.Decoded[m] != 1 {
			t.Errorf("an object was decoded %d times, its locks were analysed %d times", w.Decoded[m], n)
		}
	}
}
