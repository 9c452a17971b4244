package release

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/plan"
)

func TestCheckCallbacks(t *testing.T) {
	objects := []plan.Object{{Name: plan.Vmlinux, Callbacks: plan.Callbacks{PrePatch: "a", PostUnpatch: "b"}}, {Name: "ext4"}}
	for _, c := range []struct {
		promised map[string][]string
		want     []string // objects that differ
	}{
		{map[string][]string{"vmlinux": {"post_unpatch", "pre_patch"}}, nil},
		{map[string][]string{"vmlinux": {"post_unpatch", "pre_patch"}, "ext4": {}}, nil},
		{map[string][]string{"vmlinux": {"pre_patch"}}, []string{"vmlinux"}},
		{map[string][]string{"vmlinux": {"pre_patch", "post_patch"}}, []string{"vmlinux"}},
		{map[string][]string{"vmlinux": {"pre_patch", "post_unpatch"}, "ext4": {"pre_patch"}}, []string{"ext4"}},
		{map[string][]string{"xfs": {"pre_patch"}}, []string{"vmlinux", "xfs"}},
		{map[string][]string{}, []string{"vmlinux"}},
	} {
		before := len(c.promised)
		var got []string
		for _, f := range CheckCallbacks(objects, c.promised) {
			got = append(got, f.Symbol)
			if f.ID != finding.IDSuccession || f.Severity != finding.Error {
				t.Errorf("%+v", f)
			}
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("promised %v (-want +got)\n%s", c.promised, d)
		}
		if len(c.promised) != before {
			t.Errorf("the promise was changed: %v", c.promised)
		}
	}
	f := CheckCallbacks(objects, map[string][]string{"vmlinux": {"pre_unpatch"}})[0]
	if !strings.Contains(f.Message, "promises the callbacks [pre_unpatch], the patched sources have [post_unpatch pre_patch]") {
		t.Errorf("%q", f.Message)
	}
}

func TestUnknownShadow(t *testing.T) {
	f := UnknownShadow("klp_shadow_get", ".text.f")
	if f.ID != finding.IDDropped || f.Severity != finding.Warning || f.Symbol != "klp_shadow_get" || f.Section != ".text.f" || f.Remedy == "" {
		t.Errorf("%+v", f)
	}
}
