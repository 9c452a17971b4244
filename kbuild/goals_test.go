package kbuild

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheckGoal(t *testing.T) {
	for _, g := range []string{"all", "vmlinux", "modules", "fs/", "fs/ext4/", "fs/ext4/mballoc.o", "fs/ext4/ext4.ko"} {
		if err := CheckGoal(g); err != nil {
			t.Error(err)
		}
	}
	for _, g := range []string{"", "/", "bzImage", "fs", "../fs/", "fs/../mm/", "/fs/", "fs//ext4/", "M=fs/"} {
		if err := CheckGoal(g); err == nil || !strings.Contains(err.Error(), "want vmlinux") {
			t.Errorf("%q: %v", g, err)
		}
	}
}

func TestLimit(t *testing.T) {
	module := func(paths ...string) (out []Module) {
		for _, p := range paths {
			out = append(out, Module{Name: strings.TrimSuffix(p[strings.LastIndexByte(p, '/')+1:], ".ko"), Path: p})
		}
		return out
	}
	all := func() map[string]Owner {
		return map[string]Owner{
			"mm/slab.o":   {Kind: KindVmlinux},
			"fs/a/a.o":    {Kind: KindModule, Modules: module("fs/a/a.ko")},
			"fs/a/both.o": {Kind: KindModule, Modules: module("fs/a/a.ko", "fs/b/b.ko"), Reason: "why"},
			"lib/mix.o":   {Kind: KindVmlinux, Modules: module("fs/a/a.ko")},
		}
	}
	for _, c := range []struct {
		goals []string
		want  []string // object: owners
		left  []string
	}{
		{nil, []string{"fs/a/a.o: a", "fs/a/both.o: a b", "lib/mix.o: vmlinux a", "mm/slab.o: vmlinux"}, nil},
		{[]string{"all"}, []string{"fs/a/a.o: a", "fs/a/both.o: a b", "lib/mix.o: vmlinux a", "mm/slab.o: vmlinux"}, nil},
		{[]string{"vmlinux"}, []string{"lib/mix.o: vmlinux", "mm/slab.o: vmlinux"}, []string{"fs/a/a.o: a", "fs/a/both.o: a b", "lib/mix.o: a"}},
		{[]string{"modules"}, []string{"fs/a/a.o: a", "fs/a/both.o: a b", "lib/mix.o: a"}, []string{"lib/mix.o: vmlinux", "mm/slab.o: vmlinux"}},
		{[]string{"fs/b/b.ko"}, []string{"fs/a/both.o: b"}, []string{"fs/a/a.o: a", "fs/a/both.o: a", "lib/mix.o: vmlinux a", "mm/slab.o: vmlinux"}},
		{[]string{"fs/a/"}, []string{"fs/a/a.o: a", "fs/a/both.o: a b"}, []string{"lib/mix.o: vmlinux a", "mm/slab.o: vmlinux"}},
		{[]string{"fs/a/a.o", "vmlinux"}, []string{"fs/a/a.o: a", "lib/mix.o: vmlinux", "mm/slab.o: vmlinux"}, []string{"fs/a/both.o: a b", "lib/mix.o: a"}},
	} {
		objects := all()
		left := Limit(objects, c.goals)
		var got, gone []string
		for _, o := range slices.Sorted(maps.Keys(objects)) {
			got = append(got, o+": "+strings.Join(objects[o].Names(), " "))
			if objects[o].Reason != all()[o].Reason {
				t.Errorf("%s: reason %q", o, objects[o].Reason)
			}
		}
		for _, l := range left {
			gone = append(gone, l.Object+": "+strings.Join(l.Owners, " "))
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%q (-want +got)\n%s", c.goals, d)
		}
		if d := cmp.Diff(c.left, gone); d != "" {
			t.Errorf("%q, left out (-want +got)\n%s", c.goals, d)
		}
	}
}
