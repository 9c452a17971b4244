package context

import (
	"testing"

	"github.com/klpforge/klpforge/internal/checktest"
)

func TestCases(t *testing.T) { checktest.Run(t, "testdata", New()) }

// TestFresh: a lock that is said to be held on some paths is no news where old code sleeps
// on the same paths; elsewhere, and where it is held on every path, it is.
func TestFresh(t *testing.T) {
	call := func(holder, lock, callee string, partly bool) violation {
		return violation{holder: holder, forbids: "holds spin:" + lock, path: []string{callee}, sure: true, partly: partly}
	}
	before := []violation{call("fill", "groups", "alloc", true), call("other", "list", "wait", false)}
	for _, c := range []struct {
		after violation
		news  bool
	}{
		{call("fill", "groups", "alloc", true), false},
		{call("fill", "groups", "destroy", true), false},
		{call("fill", "groups, holds spin:groups", "destroy", true), false},
		{call("fill", "groups, holds spin:list", "destroy", true), true},
		{call("fill", "groups", "destroy", false), true},
		{call("fill", "list", "destroy", true), true},
		{call("empty", "groups", "destroy", true), true},
		{call("other", "list", "destroy", true), true}, // old code breaks the rule there for certain
	} {
		if got := len(fresh(before, []violation{c.after})) == 1; got != c.news {
			t.Errorf("%+v: news is %v", c.after, got)
		}
	}
}
