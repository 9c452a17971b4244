package stacks

import (
	"testing"

	"github.com/klpforge/klpforge/internal/asmtest"
)

// How long functions wait.
func TestTimes(t *testing.T) {
	m, wants := asmtest.Fixture(t, "testdata/times.S")
	r := Analyze(m, Options{HZ: 100})
	for _, w := range wants {
		f := r.Facts[asmtest.Only(t, m, w.Func)]
		got := "bounded"
		switch {
		case f.Stays() && f.Sure:
			got = "for ever"
		case f.Stays():
			got = "perhaps"
		}
		if got != w.Text {
			t.Errorf("%s waits %s, want %s: %+v", w.Func, got, w.Text, f)
		}
	}
}
