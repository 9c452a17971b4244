package kbuild

import (
	"context"
	"errors"
	"math/rand"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRealAffected(t *testing.T) {
	tree := e2eTree(t)
	ctx := context.Background()
	start := time.Now()
	g, err := tree.graph(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("graph in %v: %d files, %d roots", time.Since(start).Round(time.Millisecond), len(g.Files), len(g.Roots))
	for _, test := range []struct {
		file     string
		class    Class
		min, max int
		has      string
	}{
		{"fs/ext4/mballoc.c", ClassSource, 1, 1, "fs/ext4/mballoc.o"},
		{"fs/ext4/ext4.h", ClassInclude, 35, 60, "fs/ext4/super.o"},
		{"include/linux/sched.h", ClassInclude, 4000, 4800, "kernel/fork.o"},
		{"include/linux/kconfig.h", ClassInclude, 4500, 4800, "kernel/fork.o"},
		{"include/net/tcp.h", ClassInclude, 100, 1500, "net/ipv4/tcp_input.o"},
		{"include/uapi/linux/netfilter/nf_tables.h", ClassInclude, 20, 800, "net/netfilter/nf_tables_api.o"},
		{"kernel/sched/fair.c", ClassSource, 1, 1, "kernel/sched/fair.o"},
		{"kernel/sched/deadline.c", ClassInclude, 1, 1, "kernel/sched/build_policy.o"},
		{"include/linux/asn1_decoder.h", ClassInclude, 5, 40, "crypto/rsapubkey.asn1.o"},
		{"tools/lib/bpf/relo_core.c", ClassInclude, 1, 1, "kernel/bpf/relo_core.o"},
		{"include/trace/events/ext4.h", ClassInclude, 1, 40, "fs/ext4/super.o"},
		{"net/mac80211/trace.h", ClassInclude, 0, 200, ""},
		{"arch/x86/entry/entry_64.S", ClassAssembly, 1, 1, "arch/x86/entry/entry_64.o"},
		{"fs/ext4/Makefile", ClassBuild, 0, 0, ""},
		{"fs/ext4/Kconfig", ClassBuild, 0, 0, ""},
		{"Documentation/livepatch/livepatch.rst", ClassDoc, 0, 0, ""},
		{"fs/ext4/new-file.c", ClassNewSource, 0, 0, ""},
		{"fs/ext4/ext4_new.h", ClassInclude, 0, 0, ""},
		{"tools/perf/builtin-top.c", ClassTool, 0, 0, ""},
		{"arch/arm/kernel/setup.c", ClassSource, 0, 0, ""},
		{"arch/x86/boot/main.c", ClassSource, 0, 0, ""},
	} {
		start := time.Now()
		a, err := tree.Affected(ctx, []string{test.file})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %s, %d objects, %d special, %v", test.file, a.Files[0].Class, len(a.Objects), len(a.Special), time.Since(start).Round(time.Millisecond))
		if a.Files[0].Class != test.class {
			t.Errorf("%s: class %s, want %s", test.file, a.Files[0].Class, test.class)
		}
		if len(a.Objects) < test.min || len(a.Objects) > test.max {
			t.Errorf("%s: affects %d objects, want %d to %d", test.file, len(a.Objects), test.min, test.max)
		}
		if test.has != "" && !slices.ContainsFunc(a.Objects, func(o AffectedObject) bool { return o.Object == test.has }) {
			t.Errorf("%s: %s is missing", test.file, test.has)
		}
	}
}

// TestRealGraphCovers compares the graph with what the compiler really read, for a
// random sample of objects: the graph must not miss anything.
func TestRealGraphCovers(t *testing.T) {
	tree := e2eTree(t)
	ctx := context.Background()
	objs, err := tree.Objects()
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewSource(1))
	rnd.Shuffle(len(objs), func(i, j int) { objs[i], objs[j] = objs[j], objs[i] })
	sample := objs[:50]
	// Of directories that two makefiles lead to, see route.
	for _, obj := range []string{"drivers/block/aoe/aoeblk.o", "drivers/input/serio/serio.o", "arch/x86/lib/misc.o", "arch/x86/pci/common.o", "arch/x86/platform/pvh/enlighten.o"} {
		if !slices.Contains(sample, obj) {
			sample = append(sample, obj)
		}
	}
	w := e2eWork(t, tree)
	start := time.Now()
	cmds, err := w.Commands(ctx, sample)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d commands in %v", len(cmds), time.Since(start))
	start = time.Now()
	built, err := w.Before(ctx, sample)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d objects in %v", len(built), time.Since(start))
	g, err := tree.graph(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range built {
		if cmds[b.Object] != b.Command {
			t.Errorf("%s: dry run says\n%s\nkbuild ran\n%s", b.Object, cmds[b.Object], b.Command)
		}
		from, ok := g.index[b.Source]
		if !ok {
			t.Logf("%s is made of %s, which is generated", b.Object, b.Source)
			continue
		}
		reach := map[int32]bool{from: true}
		for todo := []int32{from}; len(todo) > 0; {
			i := todo[0]
			todo = todo[1:]
			for _, j := range g.Edges[i] {
				if !reach[j] {
					reach[j] = true
					todo = append(todo, j)
				}
			}
		}
		for _, d := range b.Deps {
			if i, ok := g.index[d]; !(ok && reach[i]) && !strings.HasPrefix(d, "/") && exists(filepath.Join(tree.Dir, d)) && !strings.HasPrefix(d, "tools/objtool/") {
				t.Errorf("%s: the graph misses %s", b.Object, d)
			}
		}
	}
}

func TestRealThin(t *testing.T) {
	tree := e2eTree(t)
	ctx := context.Background()
	w := e2eWork(t, tree)
	a, err := tree.Affected(ctx, []string{"fs/ext4/ext4.h"})
	if err != nil {
		t.Fatal(err)
	}
	var objs []string
	for _, o := range a.Objects {
		objs = append(objs, o.Object)
	}
	edit(t, w, "fs/ext4/ext4.h", "/*\n", "/* only a comment */ /*\n")
	start := time.Now()
	thin, err := w.Thin(ctx, objs)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d objects thinned to %v in %v", len(objs), thin, time.Since(start))
	if len(thin) != 0 {
		t.Errorf("a comment changed %v", thin)
	}
	edit(t, w, "fs/ext4/ext4.h", "struct ext4_inode {", "extern int unused_declaration;\nstruct ext4_inode {")
	start = time.Now()
	if thin, err = w.Thin(ctx, objs); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d objects thinned to %d in %v", len(objs), len(thin), time.Since(start))
	if len(thin) < 30 || !slices.Contains(thin, "fs/ext4/super.o") {
		t.Errorf("a declaration changed only %v", thin)
	}
}

// TestRealGenerated changes what asm-offsets.h is generated from.
func TestRealGenerated(t *testing.T) {
	tree := e2eTree(t)
	ctx := context.Background()
	w := e2eWork(t, tree)
	edit(t, w, "include/linux/sched.h", "struct task_struct {\n", "struct task_struct {\n\tunsigned long klpforge_test;\n")
	_, err := w.After(ctx, []string{"fs/proc/meminfo.o"})
	var ge *GeneratedChangedError
	if err == nil || !errors.As(err, &ge) {
		t.Errorf("enlarge task_struct: %v", err)
	}
	w2 := e2eWork(t, tree)
	edit(t, w2, "include/linux/sched.h", "struct task_struct {\n", "extern int klpforge_test;\nstruct task_struct {\n")
	start := time.Now()
	if _, err := w2.After(ctx, []string{"fs/proc/meminfo.o"}); err != nil {
		t.Errorf("add a declaration: %v", err)
	}
	t.Logf("checked in %v", time.Since(start))
}

func TestRealOwners(t *testing.T) {
	tree := e2eTree(t)
	ctx := context.Background()
	for obj, want := range map[string]string{
		"fs/ext4/mballoc.o":                  "vmlinux",
		"fs/xfs/libxfs/xfs_alloc.o":          "xfs",
		"virt/kvm/kvm_main.o":                "kvm",
		"arch/x86/kvm/vmx/vmx.o":             "kvm_intel",
		"net/netfilter/nf_tables_api.o":      "nf_tables",
		"lib/string.o":                       "vmlinux",
		"arch/x86/lib/copy_mc.o":             "vmlinux",
		"arch/x86/entry/vdso/vma.o":          "vmlinux",
		"kernel/bpf/relo_core.o":             "vmlinux",
		"arch/x86/boot/main.o":               "special",
		"arch/x86/realmode/rm/wakemain.o":    "special",
		"arch/x86/purgatory/purgatory.o":     "special",
		"drivers/firmware/efi/libstub/gop.o": "special",
		"arch/x86/entry/vdso/vgetcpu.o":      "special",
		"drivers/gpu/drm/i915/i915_driver.o": "disabled",
		"arch/arm64/kernel/setup.o":          "disabled",
		"fs/ext4/ext4.o":                     "not-object",
		"fs/ext4/nothing.o":                  "not-object",
		"fs/ext4/mballoc.c":                  "not-object",
	} {
		o, err := tree.Owner(obj)
		if err != nil {
			t.Fatal(err)
		}
		got := o.Object()
		if got == "" {
			got = string(o.Kind)
		}
		if got != want {
			t.Errorf("%s: %s (%+v), want %s", obj, got, o, want)
		}
	}
	w := e2eWork(t, tree)
	edit(t, w, "fs/ext4/Makefile", "balloc.o", "balloc.o klpnew.o")
	if err := w.Write("fs/ext4/klpnew.c", []byte("#include <linux/module.h>\nint klpnew(void);\nint klpnew(void) { return 1; }\nEXPORT_SYMBOL(klpnew);\n")); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	owners, err := w.Owners(ctx, []string{"fs/ext4"})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("evaluated again in %v", time.Since(start))
	if o := owners["fs/ext4/klpnew.o"]; o.Object() != "vmlinux" {
		t.Errorf("new object: %+v", o)
	}
	start = time.Now()
	built, err := w.BuildNew(ctx, []string{"fs/ext4/klpnew.o"})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("new object in %v", time.Since(start))
	if len(built[0].CRCs) != 1 || built[0].CRCs["klpnew"] == 0 {
		t.Errorf("new object: %+v", built[0])
	}
}
