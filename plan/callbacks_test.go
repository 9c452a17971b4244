package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/finding"
)

func TestObject(t *testing.T) {
	p := &Plan{}
	p.Object(Vmlinux).Funcs = []Func{{Name: "f"}}
	p.Object("ext4").Funcs = []Func{{Name: "g"}}
	p.Object(Vmlinux).Funcs = append(p.Object(Vmlinux).Funcs, Func{Name: "h"})
	want := []Object{{Name: Vmlinux, Funcs: []Func{{Name: "f"}, {Name: "h"}}}, {Name: "ext4", Funcs: []Func{{Name: "g"}}}}
	if d := cmp.Diff(want, p.Objects); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestRegister(t *testing.T) {
	o := &Object{Name: "ext4"}
	for _, c := range [][2]string{{"pre_patch", "a"}, {"post_patch", "b"}, {"pre_unpatch", "c"}, {"post_unpatch", "d"}} {
		if f := o.Register(c[0], c[1]); f != nil {
			t.Errorf("%s: %v", c[0], f)
		}
	}
	if d := cmp.Diff(Callbacks{"a", "b", "c", "d"}, o.Callbacks); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	f := o.Register("post_patch", "e")
	if f == nil || f.ID != finding.IDCallbacks || f.Severity != finding.Error || f.Symbol != "e" || !strings.Contains(f.Message, "ext4 has two post_patch callbacks, this one and b;") {
		t.Errorf("%+v", f)
	}
	if o.Callbacks.PostPatch != "b" {
		t.Errorf("the second one counts: %+v", o.Callbacks)
	}
}
