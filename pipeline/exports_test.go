package pipeline

import (
	"testing"

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
