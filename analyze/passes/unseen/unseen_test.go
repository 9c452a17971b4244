package unseen

import (
	"slices"
	"testing"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/internal/checktest"
)

func TestCases(t *testing.T) { checktest.Run(t, "testdata", New()) }

// TestAcrossUnits: what jumps to a helper may lie in another object file.
func TestAcrossUnits(t *testing.T) {
	in := checktest.Load(t, "testdata/unit-jumps")
	in.Units = append(in.Units, checktest.Load(t, "testdata/unit-helper").Units...)
	r, err := analyze.NewRegistry(New())
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Run(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Symbol != "helper" || got[0].Severity != finding.Warning || !slices.Contains(got[0].Evidence, "helper+0x8: f → helper → msleep") {
		t.Errorf("%+v", got)
	}
}
