package generate_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/generate"
)

func TestParseKlpSymbol(t *testing.T) {
	cases := []struct {
		name string
		want generate.KlpSymbol
		err  string
	}{
		{".klp.sym.vmlinux.printk,0", generate.KlpSymbol{Object: "vmlinux", Name: "printk"}, ""},
		{".klp.sym.btrfs.can_modify.isra.3,12", generate.KlpSymbol{Object: "btrfs", Name: "can_modify.isra.3", Pos: 12}, ""},
		{"printk", generate.KlpSymbol{}, "does not begin"},
		{".klp.sym.vmlinux", generate.KlpSymbol{}, "no object name"},
		{".klp.sym..x,0", generate.KlpSymbol{}, "no object name"},
		{".klp.sym.vmlinux.x", generate.KlpSymbol{}, "no symbol name and position"},
		{".klp.sym.vmlinux.,0", generate.KlpSymbol{}, "no symbol name and position"},
		{".klp.sym.vmlinux.x,", generate.KlpSymbol{}, "not a number"},
		{".klp.sym.vmlinux.x,+1", generate.KlpSymbol{}, "not a number"},
		{".klp.sym.vmlinux.x,1 ", generate.KlpSymbol{}, "not a number"},
		{".klp.sym." + strings.Repeat("m", 55) + "." + strings.Repeat("s", 511) + ",0",
			generate.KlpSymbol{Object: strings.Repeat("m", 55), Name: strings.Repeat("s", 511)}, ""},
		{".klp.sym." + strings.Repeat("m", 56) + ".x,0", generate.KlpSymbol{}, "object name is longer"},
		{".klp.sym.m." + strings.Repeat("s", 512) + ",0", generate.KlpSymbol{}, "symbol name is longer"},
	}
	for _, c := range cases {
		got, err := generate.ParseKlpSymbol(c.name)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%.40s: error %v, want %q", c.name, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%.40s: %v", c.name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%.40s (-want +got):\n%s", c.name, diff)
		}
		if got.String() != c.name {
			t.Errorf("%.40s: String gives %.40s", c.name, got.String())
		}
	}
}
