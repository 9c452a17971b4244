package main

import (
	"fmt"
	"io"
	"slices"
)

// refuseSkips makes a failure of every test that was skipped without an
// allowance, and says why it was.
func (r *Record) refuseSkips(out io.Writer, allowed []allowance) {
	for i := range r.Tests {
		t := &r.Tests[i]
		if t.Outcome != Skip || slices.ContainsFunc(allowed, func(a allowance) bool { return a.covers(*t) }) {
			continue
		}
		t.Outcome = Fail
		fmt.Fprintf(out, "must not be skipped here: %s: %s\n", t.Name(), t.Why)
	}
}
