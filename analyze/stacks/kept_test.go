package stacks

import (
	"slices"
	"testing"

	"github.com/klpforge/klpforge/analyze/fields"
	"github.com/klpforge/klpforge/analyze/pack/packtest"
	"github.com/klpforge/klpforge/elfobj"
)

// TestKept: a function is kept in the member that code stores its address in, as in the one
// that a table has it in.
func TestKept(t *testing.T) {
	const path = "../passes/context/testdata/ops-xmit/kernel.o"
	f, err := elfobj.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	an := newAnalysis(packtest.Object(t, path))
	var tables *fields.Tables
	for i := range f.Sections {
		if f.Sections[i].Name == ".BTF" {
			if an.t, tables, err = fields.Load(f.Sections[i].Data); err != nil {
				t.Fatal(err)
			}
		}
	}
	an.findKept(tables)
	for name, member := range map[string]string{"my_xmit": "net_device_ops.ndo_start_xmit", "my_end": "bio.bi_end_io"} {
		if keys := an.keys[an.m.Lookup(name)[0]]; !slices.Contains(keys, member) {
			t.Errorf("%s is kept in %v, not in %s", name, keys, member)
		}
	}
}
