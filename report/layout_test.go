package report

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/analyze/types"
)

func TestLayoutRows(t *testing.T) {
	m := func(name string, at int64) types.Member {
		return types.Member{Name: name, Type: "int", Offset: at, Size: 4}
	}
	got := LayoutRows(types.Change{
		Before: types.Layout{Members: []types.Member{m("a", 0), m("b", 4), m("c", 8)}},
		After:  types.Layout{Members: []types.Member{m("a", 0), m("x", 4), m("c", 12), m("d", 16)}},
	})
	want := []LayoutRow{
		{Kind: Same, Old: "int a", OldAt: "0, 4", New: "int a", NewAt: "0, 4"},
		{Kind: Removed, Old: "int b", OldAt: "4, 4"},
		{Kind: Added, New: "int x", NewAt: "4, 4"},
		{Kind: Changed, Old: "int c", OldAt: "8, 4", New: "int c", NewAt: "12, 4"},
		{Kind: Added, New: "int d", NewAt: "16, 4"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
