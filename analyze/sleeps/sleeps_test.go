package sleeps

import (
	"testing"

	"github.com/klpforge/klpforge/analyze/pack/packtest"
)

// The objects are the fixtures of the check that uses these facts.
func TestFacts(t *testing.T) {
	for _, c := range []struct {
		object, fn string
		want       Answer
		always     bool
		args       uint8
	}{
		{"flags-passed-on-atomic/after.o", "grab", Flags, false, 1 << 1},
		{"flags-passed-on-atomic/after.o", "fill", Never, false, 0},
		{"flags-passed-on-atomic/after.o", "other", May, true, 0},
		{"some-path/after.o", "fill", May, false, 0},
		{"some-path/before.o", "caller", Never, false, 0},
		{"own-lock/after.o", "fill", May, true, 0},
		{"not-known/after.o", "caller", Unknown, false, 0},
	} {
		m := packtest.Object(t, "../passes/context/testdata/"+c.object)
		got := Analyze(m, Options{}).Fact(m.Lookup(c.fn)[0])
		if got.Answer != c.want || got.Always != c.always || got.Args != c.args {
			t.Errorf("%s of %s: %+v", c.fn, c.object, got)
		}
	}
}
