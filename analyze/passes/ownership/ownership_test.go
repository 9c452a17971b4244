package ownership

import (
	"slices"
	"testing"

	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/internal/checktest"
)

func TestCases(t *testing.T) { checktest.Run(t, "testdata", New()) }

// TestOneOrAnother: a place that puts one object or another counts for neither. That another
// set of objects is named there says nothing as long as as many are put; one place more does.
func TestOneOrAnother(t *testing.T) {
	side := func(places int, objects ...string) *dealing {
		d := &dealing{counts: map[string]locks.Count{}, sites: map[kind]int{drops: places}}
		for _, object := range objects {
			d.counts[drops.String()+object+by+"dput"] = locks.Count{Most: 1}
		}
		return d
	}
	old := side(2, "either(*(arg0+0x18), dget_parent())")
	for _, c := range []struct {
		newer *dealing
		want  []string
	}{
		{side(4, "either(*(arg0+0x18), arg0, dget_parent())"), nil},
		{side(3, "either(*(arg0+0x18), dget_parent())"), nil},
		{side(4, "either(*(arg0+0x18), dget_parent())", "either(arg0, arg1)"), []string{"gives up either(arg0, arg1) by dput: " +
			"never before, once after; a place deals with it or with another object, as paths have it"}},
	} {
		evidence, mixed := otherCounts(old, c.newer)
		if len(evidence) != 0 || !slices.Equal(mixed, c.want) {
			t.Errorf("%v: %q, %q; want %q", c.newer.counts, evidence, mixed, c.want)
		}
	}
}
