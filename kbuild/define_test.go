package kbuild

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOwnerNames(t *testing.T) {
	drv, other := Module{Name: "my_drv", Path: "a/my-drv.ko"}, Module{Name: "other", Path: "b/other.ko"}
	for _, c := range []struct {
		owner Owner
		want  []string
	}{
		{Owner{Kind: KindVmlinux}, []string{"vmlinux"}},
		{Owner{Kind: KindVmlinux, Modules: []Module{drv}}, []string{"vmlinux", "my_drv"}},
		{Owner{Kind: KindModule, Modules: []Module{drv, other}}, []string{"my_drv", "other"}},
		{Owner{Kind: KindSpecial}, nil},
		{Owner{Kind: KindDisabled}, nil},
	} {
		if d := cmp.Diff(c.want, c.owner.Names()); d != "" {
			t.Errorf("%+v (-want +got)\n%s", c.owner, d)
		}
	}
}

func TestDefining(t *testing.T) {
	tree := mustPrepare(t, fakeOptions(t))
	for _, c := range []struct {
		symbol, owner string
		most          int
		want          []string
	}{
		{"core_value", "vmlinux", 8, []string{"kernel/core.o"}},
		{"core_value.isra.0", "vmlinux", 8, []string{"kernel/core.o"}},
		{"core_value", "my_drv", 8, nil},                                 // another owner's
		{"b_value", "my_drv", 8, []string{"drivers/demo/sub/b.o"}},       // in a directory below
		{"shared_value", "my_drv", 8, []string{"drivers/demo/shared.o"}}, // of two modules
		{"shared_value", "other", 8, []string{"drivers/demo/shared.o"}},
		{"core_val", "vmlinux", 8, nil},   // a part of the name
		{"acl_value", "vmlinux", 8, nil},  // not configured
		{"DEMO_VALUE", "vmlinux", 8, nil}, // used only
		{"core_value", "vmlinux", 1, []string{"kernel/core.o"}},
		{"core_value", "vmlinux", 0, nil},
	} {
		got, err := tree.Defining(c.symbol, c.owner, c.most)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s of %s, at most %d (-want +got)\n%s", c.symbol, c.owner, c.most, d)
		}
	}
}

func TestDefinition(t *testing.T) {
	re, err := definition("take")
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]bool{
		"int take(struct queue *q)":       true,
		"static void take(":               true,
		"take(struct queue *q)":           true,
		"DEFINE_TAKER(take, queue)":       true,
		"SYSCALL_DEFINE1(take, int, fd)":  true,
		"int take(struct queue *q);":      false, // declared
		"EXPORT_SYMBOL(take);":            false,
		"\ttake(q);":                      false, // called
		"\treturn take(q) +":              false,
		"int retake(struct queue *q)":     false,
		"int take_all(struct queue *q)":   false,
		" * take(): see above":            false,
		"#define retry(q)  \\\n\ttake(q)": false,
	} {
		if re.MatchString("x;\n"+line+"\n{\n") != want {
			t.Errorf("%q: %v", line, !want)
		}
	}
}
