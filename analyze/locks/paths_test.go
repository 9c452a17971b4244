package locks

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/internal/asmtest"
)

// What paths, loops and calls add up to.
func TestPaths(t *testing.T) {
	m, wants := asmtest.Fixture(t, "testdata/paths.S")
	res := Analyze(m, Options{})
	for _, w := range wants {
		e := res.Effect(asmtest.Only(t, m, w.Func))
		got := words(res.Summary(e, nil), e)
		if e.Assumed {
			got += " assumed"
		}
		if d := cmp.Diff(w.Text, got); d != "" {
			t.Errorf("%s (-want +got)\n%s\n%s", w.Func, d, Describe(res.Model, e))
		}
	}
}
