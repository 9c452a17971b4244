package handler

import (
	"testing"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/internal/checktest"
	"github.com/klpforge/klpforge/kernel/klpapi"
)

func TestCases(t *testing.T) { checktest.Run(t, "testdata", New()) }

// TestGeneration has the function of a case where RCU may not be watching: only
// old interfaces make it a finding.
func TestGeneration(t *testing.T) {
	r, err := analyze.NewRegistry(New())
	if err != nil {
		t.Fatal(err)
	}
	for want, f := range []klpapi.API{
		{Consistency: true, Callbacks: true},
		{Consistency: true, FuncImmediate: true},
	} {
		in := checktest.Load(t, "testdata/rcu-idle")
		in.API = &f
		found, err := r.Run(in, nil)
		if err != nil || len(found) != want {
			t.Errorf("%+v: %d findings, want %d (error %v)", f, len(found), want, err)
		}
	}
}
