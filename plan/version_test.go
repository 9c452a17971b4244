package plan

import (
	"slices"
	"testing"
)

func TestCompareVersions(t *testing.T) {
	order := []string{"", "1", "1.2", "1.9", "1.10", "1.10-2", "1.10.1", "2", "2rc1", "10", "2026.11", "a", "b1", "b02", "b10"}
	if !slices.IsSortedFunc(order, CompareVersions) {
		s := slices.Clone(order)
		slices.SortFunc(s, CompareVersions)
		t.Errorf("order is %q, want %q", s, order)
	}
	for i, a := range order {
		for j, b := range order {
			got := CompareVersions(a, b)
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("compare %q with %q: %d", a, b, got)
			}
		}
	}
	if CompareVersions("1.02", "1.2") != 0 {
		t.Error("1.02 and 1.2 differ")
	}
}
