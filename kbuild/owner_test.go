package kbuild

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOwner(t *testing.T) {
	tree := mustPrepare(t, fakeOptions(t))
	drv := Module{Name: "my_drv", Path: "drivers/demo/my-drv.ko"}
	other := Module{Name: "other", Path: "drivers/demo/other.ko"}
	want := map[string]Owner{
		"init/main.o":           {Kind: KindVmlinux},
		"fs/demo/inode.o":       {Kind: KindVmlinux},
		"lib/table.o":           {Kind: KindVmlinux},
		"lib/str.o":             {Kind: KindVmlinux},
		"drivers/demo/a.o":      {Kind: KindModule, Modules: []Module{drv}},
		"drivers/demo/sub/b.o":  {Kind: KindModule, Modules: []Module{drv}},
		"drivers/demo/c.o":      {Kind: KindModule, Modules: []Module{other}},
		"drivers/demo/shared.o": {Kind: KindModule, Modules: []Module{drv, other}},
		"fs/demo/acl.o":         {Kind: KindDisabled, Reason: "the configuration does not build it"},
		"drivers/demo/lost.o":   {Kind: KindSpecial, Reason: "kbuild makes it, but does not link it into vmlinux or a module"},
		"fs/demo/none.o":        {Kind: KindNotObject, Reason: "no source makes it"},
		"fs/demo/inode.c":       {Kind: KindNotObject, Reason: "no source makes it"},
	}
	for obj, w := range want {
		got, err := tree.Owner(obj)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(w, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", obj, diff)
		}
	}
	nested := Module{Name: "nested", Path: "drivers/demo/nested/nested.ko"}
	deep := Module{Name: "deep", Path: "drivers/demo/nested/deep/deep.ko"}
	mods, err := tree.Modules()
	if diff := cmp.Diff([]Module{drv, deep, nested, other}, mods); diff != "" || err != nil {
		t.Errorf("modules: %s %v", diff, err)
	}
	objs, err := tree.Objects()
	if len(objs) != 13 || err != nil {
		t.Errorf("objects: %v, %v", objs, err)
	}
}

func TestOwnersAfterChange(t *testing.T) {
	ctx := context.Background()
	w := mustWork(t, mustPrepare(t, fakeOptions(t)))
	edit(t, w, "fs/demo/Makefile", "super.o", "super.o extra.o")
	if err := w.Write("fs/demo/extra.c", []byte("int extra;\n")); err != nil {
		t.Fatal(err)
	}
	owners, err := w.Owners(ctx, []string{"fs/demo"})
	if err != nil {
		t.Fatal(err)
	}
	if got := owners["fs/demo/extra.o"].Object(); got != "vmlinux" || len(owners) != 3 {
		t.Errorf("owners: %+v", owners)
	}
	built, err := w.BuildNew(ctx, []string{"fs/demo/extra.o"})
	if err != nil || built[0].Source != "fs/demo/extra.c" {
		t.Errorf("built %+v, %v", built, err)
	}
}

// TestResolve covers reachability that the fake tree does not have.
func TestResolve(t *testing.T) {
	dir := func(name string, lists map[string][]string, parts map[string][]string) *dirFacts {
		return &dirFacts{dir: name, lists: lists, parts: parts}
	}
	dirs := map[string]*dirFacts{
		".": dir(".", map[string][]string{
			"real-y": {"./a/built-in.a", "./lib/built-in.a"}, "obj-m": {"a/modules.order", "m/modules.order", "lib/modules.order"}, "subdirs": {"a", "m", "lib", "side"},
		}, nil),
		"a": dir("a", map[string][]string{
			"real-y": {"a/x.o", "a/../b/y.o"}, "extra-y": {"a/head.o", "a/vmlinux.lds"}, "hostprogs": {"gen"},
		}, nil),
		// Descended to for modules only: what is obj-y there is not linked.
		"m":    dir("m", map[string][]string{"real-y": {"m/lost.o"}, "obj-m": {"m/one.o", "m/x.o"}}, map[string][]string{"m/one.o": {"p.o", "../a/q.o"}}),
		"lib":  dir("lib", map[string][]string{"lib-y": {"lib/l.o"}}, nil),
		"side": dir("side", map[string][]string{"real-y": {"side/s.o"}, "obj-m": {"side/t.o"}, "lib-y": {"side/u.o"}}, nil),
	}
	db, err := resolve(dirs, map[string]string{"libs": "lib/ lib/lib.a", "head": "a/head.o"})
	if err != nil {
		t.Fatal(err)
	}
	const unlinked = "kbuild makes it, but does not link it into vmlinux or a module"
	want := map[string]objectFact{
		"a/x.o":    {Vmlinux: true},
		"b/y.o":    {Vmlinux: true, Dir: "a", Goal: "a/../b/y.o"},
		"a/head.o": {Vmlinux: true},
		"a/gen.o":  {Special: "it is a host program"},
		"m/p.o":    {Modules: []string{"m/one.ko"}},
		"a/q.o":    {Modules: []string{"m/one.ko"}, Dir: "m", Goal: "m/../a/q.o"},
		"m/x.o":    {Modules: []string{"m/x.ko"}},
		"m/lost.o": {Special: unlinked},
		"lib/l.o":  {Vmlinux: true},
		"side/s.o": {Special: unlinked},
		"side/u.o": {Special: unlinked},
	}
	if diff := cmp.Diff(want, db.Objects); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := resolve(map[string]*dirFacts{}, nil); err == nil {
		t.Error("no error for an empty tree")
	}
}

func TestSpecialPlace(t *testing.T) {
	for obj, special := range map[string]bool{
		"arch/x86/boot/main.o":                true,
		"arch/x86/boot/compressed/misc.o":     true,
		"arch/x86/entry/vdso/vgetcpu.o":       true,
		"arch/x86/kernel/head64.o":            false,
		"arch/x86/booting.o":                  false,
		"drivers/firmware/efi/libstub/gop.o":  true,
		"drivers/firmware/efi/efi.o":          false,
		"scripts/mod/modpost.o":               true,
		"fs/ext4/super.o":                     false,
		"lib/vdso/gettimeofday.o":             true,
		"arch/arm64/kernel/vdso/vgettimeof.o": true,
	} {
		if got := specialPlace(obj) != ""; got != special {
			t.Errorf("%s: special %v", obj, got)
		}
	}
}
