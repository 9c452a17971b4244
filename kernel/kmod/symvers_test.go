package kmod

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/internal/syntax"
)

func TestSymvers(t *testing.T) {
	s, err := ParseSymvers("Module.symvers", "0x4c9d28b0\tphys_base\tvmlinux\tEXPORT_SYMBOL\t\n"+
		"0x00000001\tloop_f\tdrivers/block/a-loop\tEXPORT_SYMBOL_GPL\tLOOP_NS\n"+
		"0xffffffff\told_f\tvmlinux\tEXPORT_SYMBOL\n"+
		"0x00000002\tv54_f\tNS\tfs/x\tEXPORT_SYMBOL_GPL\n")
	if err != nil {
		t.Fatal(err)
	}
	var got []Export
	for e := range s.All() {
		got = append(got, e)
	}
	want := []Export{
		{"phys_base", 0x4c9d28b0, "vmlinux", "EXPORT_SYMBOL", ""},
		{"loop_f", 1, "drivers/block/a-loop", "EXPORT_SYMBOL_GPL", "LOOP_NS"},
		{"old_f", 0xffffffff, "vmlinux", "EXPORT_SYMBOL", ""},
		{"v54_f", 2, "fs/x", "EXPORT_SYMBOL_GPL", "NS"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	e, ok := s.Lookup("loop_f")
	if !ok || e.Object() != "a_loop" || !e.GPL() {
		t.Errorf("Lookup = %+v, %v", e, ok)
	}
	if _, ok := s.Lookup("nope"); ok || s.Len() != 4 {
		t.Error("Lookup(nope) or Len is wrong")
	}
	good := "0x1\ta\tvmlinux\tEXPORT_SYMBOL\t\n"
	for in, line := range map[string]int{
		good + "0x1\ta\tvmlinux\n":                   2,
		good + good + "zz\ta\tvmlinux\tEXPORT_X\t\n": 3,
		"0x123456789\ta\tvmlinux\tEXPORT_SYMBOL\t\n": 1,
		"0x1\t\tvmlinux\tEXPORT_SYMBOL\t\n":          1,
		"0x1\ta\tvmlinux\tnonsense\t\n":              1,
		"0x1\ta\tb\tEXPORT_SYMBOL\td\te\n":           1,
		"<html>\n":                                   1,
	} {
		var se *syntax.Error
		if _, err := ParseSymvers("Module.symvers", in); !errors.As(err, &se) || se.Line != line || !strings.Contains(err.Error(), "Module.symvers:") {
			t.Errorf("%q: %v", in, err)
		}
	}
}
