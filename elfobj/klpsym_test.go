package elfobj

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseKlpSymbol(t *testing.T) {
	cases := []struct {
		name string
		want KlpSymbol
		err  string
	}{
		{".klp.sym.vmlinux.printk,0", KlpSymbol{Object: "vmlinux", Name: "printk"}, ""},
		{".klp.sym.btrfs.can_modify.isra.3,12", KlpSymbol{Object: "btrfs", Name: "can_modify.isra.3", Pos: 12}, ""},
		{"printk", KlpSymbol{}, "does not begin"},
		{".klp.sym.vmlinux", KlpSymbol{}, "no object name"},
		{".klp.sym..x,0", KlpSymbol{}, "no object name"},
		{".klp.sym.vmlinux.x", KlpSymbol{}, "no symbol name and position"},
		{".klp.sym.vmlinux.,0", KlpSymbol{}, "no symbol name and position"},
		{".klp.sym.vmlinux.x,", KlpSymbol{}, "not a number"},
		{".klp.sym.vmlinux.x,+1", KlpSymbol{}, "not a number"},
		{".klp.sym.vmlinux.x,1 ", KlpSymbol{}, "not a number"},
		{".klp.sym." + strings.Repeat("m", 55) + "." + strings.Repeat("s", 511) + ",0",
			KlpSymbol{Object: strings.Repeat("m", 55), Name: strings.Repeat("s", 511)}, ""},
		{".klp.sym." + strings.Repeat("m", 56) + ".x,0", KlpSymbol{}, "object name is longer"},
		{".klp.sym.m." + strings.Repeat("s", 512) + ",0", KlpSymbol{}, "symbol name is longer"},
	}
	for _, c := range cases {
		got, err := ParseKlpSymbol(c.name)
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
