package release

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/kernel/klpapi"
	"github.com/klpforge/klpforge/module/note"
	"github.com/klpforge/klpforge/plan"
)

// module makes a manifest as a built module carries it.
func module(version string, change func(*plan.Plan)) *note.Note {
	p := plan.Plan{Name: "livepatch_fix_" + version, Product: "fix", Vendor: "Example", Version: version, Release: "6.1.0-test", Replace: true,
		Objects: []plan.Object{{Name: "ext4", Funcs: []plan.Func{{Name: "ext4_f", NewSymbol: "new_f", Unit: "f.o"}}}},
		Patches: []plan.Patch{{Name: "a.patch", Content: "a"}}}
	if change != nil {
		change(&p)
	}
	return generate.NewNote(p, klpapi.API{Replace: true, States: true, EarlyRelocs: true, Callbacks: true})
}

func withState(id uint64, version uint32) func(*plan.Plan) {
	return func(p *plan.Plan) {
		p.States = append(p.States, plan.State{ID: id, Version: version})
		p.Objects[0].Callbacks = plan.Callbacks{PrePatch: "pre", PostUnpatch: "post"}
	}
}

func callbacksOnly(p *plan.Plan) {
	p.Objects[0].Callbacks = plan.Callbacks{PrePatch: "pre", PostUnpatch: "post"}
}

func unpairedCallbacks(p *plan.Plan) { p.Objects[0].Callbacks = plan.Callbacks{PostPatch: "post"} }

func text(v Verdict) string {
	s := string(v.Decision)
	for _, r := range v.Reasons {
		s += " " + string(r.ID)
	}
	return s
}

func TestVerdicts(t *testing.T) {
	both := func(fs ...func(*plan.Plan)) func(*plan.Plan) {
		return func(p *plan.Plan) {
			for _, f := range fs {
				f(p)
			}
		}
	}
	noReplace := func(p *plan.Plan) { p.Replace = false }
	otherFunction := func(p *plan.Plan) { p.Objects[0].Funcs[0].Name = "ext4_g" }
	shadow := func(p *plan.Plan) { p.Shadows = []plan.Shadow{{ID: 5}} }
	for _, c := range []struct {
		name                string
		old, new            func(*plan.Plan)
		up, down, alongside string
	}{
		{"plain", nil, nil, "allowed", "allowed", "refused KLP406 KLP406"},
		{"new state", nil, withState(1, 1), "allowed", "disable first KLP405 KLP403", "refused KLP406 KLP406"},
		{"same state", withState(1, 1), withState(1, 1), "allowed", "allowed", "refused KLP406 KLP405 KLP406"},
		{"state goes up", withState(1, 1), withState(1, 2), "allowed", "disable first KLP405 KLP403", "refused KLP406 KLP405 KLP406"},
		{"state goes down", withState(1, 2), withState(1, 1), "disable first KLP405 KLP403", "allowed", "refused KLP406 KLP405 KLP406"},
		{"state dropped", withState(1, 2), nil, "disable first KLP405 KLP403", "allowed", "refused KLP406 KLP406"},
		{"callbacks without state", callbacksOnly, callbacksOnly, "disable first KLP403", "disable first KLP403", "refused KLP406 KLP406"},
		{"callbacks dropped", callbacksOnly, nil, "disable first KLP403", "allowed", "refused KLP406 KLP406"},
		{"unpaired callbacks dropped", unpairedCallbacks, nil, "refused KLP403 KLP403", "allowed", "refused KLP406 KLP406"},
		{"not cumulative, same function", noReplace, noReplace, "disable first KLP406", "disable first KLP406", "refused KLP406"},
		{"not cumulative, other function", noReplace, both(noReplace, otherFunction), "allowed", "allowed", "allowed"},
		{"another kernel", nil, func(p *plan.Plan) { p.Release = "6.1.0-other" }, "refused KLP407", "refused KLP407", "refused KLP407"},
		{"another vendor", nil, func(p *plan.Plan) { p.Vendor = "Other" }, "refused KLP407", "refused KLP407", "refused KLP407 KLP406 KLP406"},
		{"another vendor on top", nil, both(noReplace, otherFunction, func(p *plan.Plan) { p.Vendor = "Other" }), "allowed", "refused KLP407", "allowed"},
		{"same module name", nil, func(p *plan.Plan) { p.Name = "livepatch_fix_1" }, "disable first KLP407", "disable first KLP407", "refused KLP407 KLP406 KLP406"},
		{"shadow dropped", shadow, nil, "allowed KLP404", "allowed", "refused KLP406 KLP406"},
		{"shadow dropped, freed by callbacks", both(shadow, withState(1, 1)), withState(1, 1), "disable first KLP404", "allowed", "refused KLP406 KLP405 KLP406"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Compare(Subject{Note: module("1", c.old)}, Subject{Note: module("2", c.new)})
			got := []string{text(d.Upgrade), text(d.Downgrade), text(d.SideBySide)}
			if diff := cmp.Diff([]string{c.up, c.down, c.alongside}, got); diff != "" {
				t.Errorf("upgrade, downgrade, side by side (-want +got)\n%s", diff)
			}
		})
	}
}

func TestContents(t *testing.T) {
	old := module("1", func(p *plan.Plan) {
		p.Patches = []plan.Patch{
			{Name: "same.patch", Content: "s"}, {Name: "renamed.patch", Content: "r"}, {Name: "b.patch", IDs: []string{"CVE-2026-1234"}, Content: "b1"},
			{Name: "c.patch", Subject: "c: fix", Content: "c1"}, {Name: "gone.patch", Content: "g"}, {Name: "there.patch", Content: "t"},
		}
		p.States = []plan.State{{ID: 1, Version: 2}, {ID: 2, Version: 1}}
		p.Shadows = []plan.Shadow{{ID: 16}}
	})
	old.Objects[0].Funcs[0].Content = "x"
	newer := module("2", func(p *plan.Plan) {
		p.Patches = []plan.Patch{
			{Name: "new.patch", Content: "n"}, {Name: "other-name.patch", Content: "r"}, {Name: "same.patch", Content: "s"},
			{Name: "b2.patch", IDs: []string{"CVE-2026-1234"}, Content: "b2"}, {Name: "c.patch", Subject: "c: fix", Content: "c2"},
		}
		p.Present = []plan.Patch{{Name: "there.patch", Content: "t"}}
		p.States = []plan.State{{ID: 1, Version: 1, Meaning: "one"}, {ID: 3, Version: 1}}
		p.Objects = append(p.Objects, plan.Object{Name: "vmlinux", Funcs: []plan.Func{{Name: "f", Sympos: 2, NewSymbol: "n", Unit: "f.o"}}})
	})
	newer.Objects[0].Funcs[0].Content = "y"
	d := Compare(Subject{Note: old}, Subject{Note: newer})
	for _, c := range []struct {
		name string
		got  Changes
		want Changes
	}{
		{"patches", d.Patches, Changes{[]string{"new.patch"}, []string{"b2.patch (CVE-2026-1234)", "c: fix"}, []string{"gone.patch"}, []string{"other-name.patch", "same.patch"}, []string{"there.patch"}}},
		{"objects", d.Objects, Changes{Added: []string{"vmlinux"}, Changed: []string{}, Dropped: []string{}, Kept: []string{"ext4"}}},
		{"functions", d.Functions, Changes{Added: []string{"vmlinux:f,2"}, Changed: []string{"ext4:ext4_f"}, Dropped: []string{}, Kept: []string{}}},
		{"states", d.States, Changes{Added: []string{"3"}, Changed: []string{"1"}, Dropped: []string{"2"}, Kept: []string{}}},
		{"shadows", d.Shadows, Changes{Added: []string{}, Changed: []string{}, Dropped: []string{"0x10"}, Kept: []string{}}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.name, diff)
		}
	}
	one, two := uint32(1), uint32(2)
	if diff := cmp.Diff([]StateVersion{{1, &two, &one, "one"}, {2, &one, nil, ""}, {3, nil, &one, ""}}, d.StateVersions); diff != "" {
		t.Errorf("versions of states (-want +got)\n%s", diff)
	}
	var ids []string
	for _, f := range d.Findings {
		ids = append(ids, string(f.ID))
	}
	if want := "KLP404 KLP404 KLP404 KLP405"; strings.Join(ids, " ") != want {
		t.Errorf("findings %v, want %s", ids, want)
	}
	if back := Compare(Subject{Note: newer}, Subject{Note: old}); !strings.Contains(back.Findings[0].Message, "comes before") {
		t.Errorf("findings of the reverse %v", back.Findings)
	}
}

// Callbacks are told object by object, in the order in which they run.
func TestByObject(t *testing.T) {
	c := Changes{Added: []string{"ext4:post_patch", "vmlinux:post_unpatch", "vmlinux:pre_patch"}}.ByObject()
	if diff := cmp.Diff([]string{"ext4: post_patch", "vmlinux: pre_patch post_unpatch"}, c.Added); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// What another kernel's list of functions lacks was not dropped.
func TestAnotherKernel(t *testing.T) {
	d := Compare(Subject{Note: module("1", nil)}, Subject{Note: module("2", func(p *plan.Plan) {
		p.Release = "6.1.0-other"
		p.Objects[0].Funcs[0].Name = "ext4_g"
	})})
	for _, f := range d.Findings {
		if f.ID == "KLP404" {
			t.Errorf("finding: %s", f.Message)
		}
	}
	if len(d.Functions.Dropped) != 1 {
		t.Errorf("functions %+v", d.Functions)
	}
}

func TestCheckModule(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*plan.Plan)
		want   int
	}{
		"none": {nil, 0}, "paired, with state": {withState(1, 1), 0}, "paired, no state": {callbacksOnly, 1}, "unpaired, no state": {unpairedCallbacks, 2},
		"pre_patch not undone on reversal": {func(p *plan.Plan) {
			withState(1, 1)(p)
			p.Objects[0].Callbacks = plan.Callbacks{PrePatch: "a", PreUnpatch: "b"}
		}, 1},
	} {
		if got := CheckModule(module("1", c.change)); len(got) != c.want {
			t.Errorf("%s: %v, want %d findings", name, got, c.want)
		}
	}
}
