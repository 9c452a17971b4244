package pipeline

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/kernel/kmod"
)

func TestExportsOfExtraModules(t *testing.T) {
	m := &kmod.Module{Name: "foo", File: &elfobj.File{Sections: []elfobj.Section{{},
		{Name: ".rodata.str", Data: []byte("other\x00")},
		{Name: "__ksymtab_strings", Data: []byte("foo_lock\x00foo_unlock\x00")},
	}}}
	target := &Target{symvers: &kmod.Symvers{}, extra: []*kmod.Module{m}}
	for name, want := range map[string]bool{"foo_lock": true, "foo_unlock": true, "lock": false, "foo": false, "other": false, "": false} {
		e, ok := target.export(name)
		if ok != want || ok && (e.Name != name || e.Object() != "foo") {
			t.Errorf("%q: %+v, %v", name, e, ok)
		}
	}
}

func TestObjectVersions(t *testing.T) {
	f := &elfobj.File{Symbols: []elfobj.Symbol{
		{}, {Name: "__crc_known", Sec: elfobj.SecAbs, Value: 0xa3d96ab7}, {Name: "__crc_later", Sec: elfobj.SecUndef},
		{Name: "other", Sec: elfobj.SecAbs, Value: 1},
	}}
	if d := cmp.Diff(map[string]uint32{"known": 0xa3d96ab7}, objectVersions(f)); d != "" {
		t.Errorf("versions (-want +got)\n%s", d)
	}
}
