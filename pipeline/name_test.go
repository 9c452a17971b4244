package pipeline

import (
	"strings"
	"testing"

	"github.com/klpforge/klpforge/patchset"
	"github.com/klpforge/klpforge/plan"
)

// TestNamesDiffer gives different patches and outputs, which must not get one name
// without a word.
func TestNamesDiffer(t *testing.T) {
	series := func(ids ...string) *patchset.Series {
		s := &patchset.Series{}
		for _, id := range ids {
			s.Patches = append(s.Patches, &patchset.Patch{ID: id})
		}
		return s
	}
	long := strings.Repeat("x", 60)
	seen := map[string]string{}
	for _, id := range []string{"a.b.patch", "a_b.patch", "a b.patch", "a,b.patch", "ä.patch", "ö.patch", long + "1.patch", long + "2.patch", "p/0001-fix.patch", long + ".1.patch"} {
		name, _ := nameOf(&Options{}, series(id))
		if other, taken := seen[name]; taken {
			t.Errorf("%s and %s are both called %s", id, other, name)
		}
		if err := plan.CheckName(name); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		seen[name] = id
	}
	for _, test := range []struct {
		opt  Options
		ids  []string
		want string
		note bool
	}{
		{Options{}, []string{"0001-fix.patch"}, "livepatch_0001_fix", false},
		{Options{}, []string{"ext4.diff"}, "livepatch_ext4", false},
		{Options{Output: "out/0001-fix.ko"}, []string{"x.patch"}, "0001_fix", false},
		{Options{Name: "3-x", Output: "y.ko"}, []string{"x.patch"}, "3_x", false},
		{Options{}, []string{"a.patch", "b.patch"}, "livepatch_a", true},
	} {
		name, note := nameOf(&test.opt, series(test.ids...))
		if name != test.want || (note != "") != test.note {
			t.Errorf("%v: %q, %q", test.ids, name, note)
		}
	}
	if name, note := nameOf(&Options{Output: "my.fix.ko"}, series("x.patch")); !strings.HasPrefix(name, "my_fix_") || note == "" {
		t.Errorf("my.fix.ko: %q, %q", name, note)
	}
}
