package build

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/kbuild"
)

func TestCheckGoal(t *testing.T) {
	for _, g := range []string{"all", "vmlinux", "modules", "fs/", "fs/ext4/", "fs/ext4/mballoc.o", "fs/ext4/ext4.ko"} {
		if err := CheckGoal(g); err != nil {
			t.Error(err)
		}
	}
	for _, g := range []string{"", "/", "bzImage", "fs", "../fs/", "fs/../mm/", "/fs/", "fs//ext4/", "M=fs/"} {
		if err := CheckGoal(g); err == nil {
			t.Errorf("%q is taken", g)
		}
	}
}

func TestLimit(t *testing.T) {
	module := func(paths ...string) (out []kbuild.Module) {
		for _, p := range paths {
			out = append(out, kbuild.Module{Name: strings.TrimSuffix(p[strings.LastIndexByte(p, '/')+1:], ".ko"), Path: p})
		}
		return out
	}
	all := func() map[string]kbuild.Owner {
		return map[string]kbuild.Owner{
			"mm/slab.o":   {Kind: kbuild.KindVmlinux},
			"fs/a/a.o":    {Kind: kbuild.KindModule, Modules: module("fs/a/a.ko")},
			"fs/a/both.o": {Kind: kbuild.KindModule, Modules: module("fs/a/a.ko", "fs/b/b.ko")},
			"lib/mix.o":   {Kind: kbuild.KindVmlinux, Modules: module("fs/a/a.ko")},
		}
	}
	for _, c := range []struct {
		goals []string
		want  []string // object: owners
		notes int
	}{
		{nil, []string{"fs/a/a.o: a", "fs/a/both.o: a b", "lib/mix.o: vmlinux a", "mm/slab.o: vmlinux"}, 0},
		{[]string{"all"}, []string{"fs/a/a.o: a", "fs/a/both.o: a b", "lib/mix.o: vmlinux a", "mm/slab.o: vmlinux"}, 0},
		{[]string{"vmlinux"}, []string{"lib/mix.o: vmlinux", "mm/slab.o: vmlinux"}, 3},
		{[]string{"modules"}, []string{"fs/a/a.o: a", "fs/a/both.o: a b", "lib/mix.o: a"}, 2},
		{[]string{"fs/b/b.ko"}, []string{"fs/a/both.o: b"}, 4},
		{[]string{"fs/a/"}, []string{"fs/a/a.o: a", "fs/a/both.o: a b"}, 2},
		{[]string{"fs/a/a.o", "vmlinux"}, []string{"fs/a/a.o: a", "lib/mix.o: vmlinux", "mm/slab.o: vmlinux"}, 2},
	} {
		r := &run{opt: Options{Goals: c.goals}, res: &Result{}}
		objects := all()
		r.limit(objects)
		var got []string
		for _, o := range keys(objects) {
			got = append(got, o+": "+strings.Join(objects[o].Names(), " "))
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%q (-want +got)\n%s", c.goals, d)
		}
		if len(r.res.Notes) != c.notes {
			t.Errorf("%q: notes %q, want %d", c.goals, r.res.Notes, c.notes)
		}
	}
}
