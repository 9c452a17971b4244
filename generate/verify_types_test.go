package generate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/plan"
)

// typedTarget is a target that knows its types.
type typedTarget struct {
	*fakeTarget
	source, digest string
}

func (t typedTarget) TypesDigest(string) (source, digest string, err error) {
	return t.source, t.digest, nil
}

func TestVerifyTypes(t *testing.T) {
	const btf = "vmlinux's BTF"
	for name, c := range map[string]struct {
		types          []plan.Types
		source, digest string
		want           []string
	}{
		"same":           {[]plan.Types{{Object: plan.Vmlinux, Source: btf, Digest: "11", Checked: 3}}, btf, "11", nil},
		"another":        {[]plan.Types{{Object: plan.Vmlinux, Source: btf, Digest: "11", Checked: 3}}, btf, "22", []string{"error KLP127: vmlinux: vmlinux's BTF is not the one that the code's types were compared with: SHA-256 22…, the module records 11…"}},
		"no types":       {[]plan.Types{{Object: plan.Vmlinux, Source: btf, Digest: "11"}}, "", "", []string{"note KLP127: vmlinux: types cannot be checked again: the code was compared with vmlinux's BTF, which this target lacks"}},
		"dwarf":          {[]plan.Types{{Object: plan.Vmlinux, Source: "vmlinux's DWARF", Digest: "33"}}, btf, "11", []string{"note KLP127: vmlinux: types cannot be checked again: the code was compared with vmlinux's DWARF, this target has vmlinux's BTF"}},
		"unknown":        {[]plan.Types{{Object: plan.Vmlinux}}, btf, "11", []string{"note KLP127: vmlinux: types were not checked: the kernel that the module was built for tells none"}},
		"no such module": {[]plan.Types{{Object: "xfs", Source: btf, Digest: "11"}}, btf, "22", nil},
		"a module":       {[]plan.Types{{Object: "ext4", Source: btf, Digest: "11"}}, btf, "22", []string{"error KLP127: ext4: vmlinux's BTF is not the one that the code's types were compared with: SHA-256 22…, the module records 11…"}},
		"none":           {nil, btf, "11", []string{"note KLP127: types were not checked: the module does not record a comparison with the kernel's"}},
	} {
		t.Run(name, func(t *testing.T) {
			ko, m := finished(t, "5.8", func(in *generate.Input) { in.Plan.Types = c.types })
			if len(m.Types) != len(c.types) {
				t.Errorf("the manifest records %v", m.Types)
			}
			problems, err := generate.Verify(ko, typedTarget{newFakeTarget(), c.source, c.digest})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range problems {
				got = append(got, p.String())
				if p.Symbol != "" || (p.Object == "") != (c.types == nil) {
					t.Errorf("about object %q, symbol %q", p.Object, p.Symbol)
				}
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}
