package release

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/plan"
)

// messages joins what a verdict says.
func messages(v Verdict) string {
	var out []string
	for _, r := range v.Reasons {
		out = append(out, fmt.Sprintf("%s %s: %s", r.Decision, r.ID, r.Message))
	}
	return strings.Join(out, "\n")
}

// What stands in the way of an upgrade and of two livepatches side by side, in
// words that name both.
func TestReasons(t *testing.T) {
	shadow := func(id uint64) func(*plan.Plan) { return func(p *plan.Plan) { p.Shadows = []plan.Shadow{{ID: id}} } }
	named := func(name string) func(*plan.Plan) {
		return func(p *plan.Plan) { p.States = []plan.State{{ID: 4, Version: 2, Meaning: name}} }
	}
	other := func(p *plan.Plan) {
		p.Objects[0].Funcs[0].Name = "ext4_g"
	}
	stack := func(fs ...func(*plan.Plan)) func(*plan.Plan) {
		return func(p *plan.Plan) {
			p.Replace = false
			other(p)
			for _, f := range fs {
				f(p)
			}
		}
	}
	older := func(p *plan.Plan) { p.States = []plan.State{{ID: 4, Version: 1, Meaning: "the limit"}} }
	for _, c := range []struct {
		name     string
		old, new func(*plan.Plan)
		want     []string // of Replaceable
	}{
		{"another series", nil, func(p *plan.Plan) { p.Product = "other" },
			[]string{"refused KLP407: livepatch_fix_2 of the series other would replace livepatch_fix_1 of the series fix"}},
		{"no series on one side", func(p *plan.Plan) { p.Product = "" }, func(p *plan.Plan) { p.Product = "other" }, nil},
		{"no series on the other", nil, func(p *plan.Plan) { p.Product = "" }, nil},
		{"another vendor", nil, func(p *plan.Plan) { p.Vendor = "Other" },
			[]string{"refused KLP407: livepatch_fix_2 of Other would replace livepatch_fix_1 of Example"}},
		{"no vendor on one side", func(p *plan.Plan) { p.Vendor = "" }, nil, nil},
		{"no vendor on the other", nil, func(p *plan.Plan) { p.Vendor = "" }, nil},
		{"another series on top", nil, stack(func(p *plan.Plan) { p.Product = "other" }), nil},
		{"another kernel says nothing else", withState(4, 2), func(p *plan.Plan) { p.Release = "6.1.0-other" },
			[]string{"refused KLP407: livepatch_fix_1 is for kernel 6.1.0-test, livepatch_fix_2 for 6.1.0-other: no machine has both"}},
		{"no kernel on one side", func(p *plan.Plan) { p.Release = "" }, func(p *plan.Plan) { p.Release = "6.1.0-other" }, nil},
		{"no kernel on the other", nil, func(p *plan.Plan) { p.Release = "" }, nil},
		{"a state that is not known", named("the limit"), nil,
			[]string{"disable first KLP405: livepatch_fix_2 does not know state 4 (the limit) of livepatch_fix_1, so the kernel refuses to replace it"}},
		{"a state without meaning", named(""), nil,
			[]string{"disable first KLP405: livepatch_fix_2 does not know state 4 of livepatch_fix_1, so the kernel refuses to replace it"}},
		{"an older state", named("the limit"), older,
			[]string{"disable first KLP405: livepatch_fix_2 knows state 4 (the limit) in version 1 only, livepatch_fix_1 has version 2, so the kernel refuses to replace it"}},
		{"an older state on top", named("the limit"), stack(older),
			[]string{"disable first KLP405: livepatch_fix_2 knows state 4 (the limit) in version 1 only, livepatch_fix_1 has version 2, so the kernel refuses to load it"}},
		{"a state of both on top", named("the limit"), stack(named("the limit")),
			[]string{"disable first KLP405: both own state 4 (the limit): unloading one undoes what the other relies on"}},
		{"shadow variables of both on top", shadow(5), stack(shadow(5)), []string{"disable first KLP406: both use the shadow variables 0x5"}},
		{"shadow variables of each on top", shadow(5), stack(shadow(6)), nil},
		{"shadow variables that stay", shadow(5), shadow(5), nil},
		{"shadow variables that nothing frees", shadow(5), shadow(6), []string{"allowed KLP404: nothing frees the shadow variables 0x5 of livepatch_fix_1"}},
		{"shadow variables that pre_unpatch frees", func(p *plan.Plan) {
			shadow(5)(p)
			p.Objects[0].Callbacks = plan.Callbacks{PreUnpatch: "a"}
			p.States = []plan.State{{ID: 1, Version: 1}}
		}, func(p *plan.Plan) { p.States = []plan.State{{ID: 1, Version: 1}} },
			[]string{"disable first KLP404: livepatch_fix_2 does not know the shadow variables 0x5; only the callbacks of livepatch_fix_1 free them"}},
		{"callbacks that the new one lacks", callbacksOnly, nil,
			[]string{"disable first KLP403: replacing runs no callback of livepatch_fix_1, and livepatch_fix_2 has none for ext4: what was done there would stay"}},
		{"callbacks for an object that the new one lacks", callbacksOnly, func(p *plan.Plan) { p.Objects[0].Name = "xfs" },
			[]string{"disable first KLP403: replacing runs no callback of livepatch_fix_1, and livepatch_fix_2 has none for ext4: what was done there would stay"}},
		{"callbacks of both without a state", callbacksOnly, callbacksOnly,
			[]string{"disable first KLP403: replacing runs no callback of livepatch_fix_1, and without a common state those of livepatch_fix_2 cannot know what was done to ext4"}},
		{"callbacks that nothing undoes", unpairedCallbacks, nil,
			[]string{"disable first KLP403: replacing runs no callback of livepatch_fix_1, and livepatch_fix_2 has none for ext4: what was done there would stay",
				"refused KLP403: disabling livepatch_fix_1 does not undo what its callbacks did to ext4: it has none for unpatching; only a reboot does"}},
		{"one module name", nil, func(p *plan.Plan) { p.Name = "livepatch_fix_1" },
			[]string{"disable first KLP407: both modules are called livepatch_fix_1, and the kernel loads a name once"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := messages(Replaceable(module("1", c.old), module("2", c.new)))
			if d := cmp.Diff(strings.Join(c.want, "\n"), got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// Two that stay loaded: what replaces does not stay beside, and no name is loaded
// twice.
func TestSideBySide(t *testing.T) {
	apart := func(p *plan.Plan) { p.Replace = false; p.Objects[0].Funcs[0].Name = "ext4_g" }
	for _, c := range []struct {
		name     string
		old, new func(*plan.Plan)
		want     string
	}{
		{"apart", nil, apart, ""},
		{"one that replaces", nil, func(p *plan.Plan) { apart(p); p.Replace = true },
			"refused KLP406: livepatch_fix_2 replaces what is loaded; build it without replace to load it beside"},
		{"one function", nil, func(p *plan.Plan) { p.Replace = false },
			"refused KLP406: both replace ext4:ext4_f: the one loaded last hides what the other does there"},
		{"one name", nil, func(p *plan.Plan) { apart(p); p.Name = "livepatch_fix_1" },
			"refused KLP407: both modules are called livepatch_fix_1, and the kernel loads a name once"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Compare(Subject{Note: module("1", c.old)}, Subject{Note: module("2", c.new)})
			if diff := cmp.Diff(c.want, messages(d.SideBySide)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			worst := Allowed
			if c.want != "" {
				worst = Refused
			}
			if d.SideBySide.Decision != worst {
				t.Errorf("decision %q", d.SideBySide.Decision)
			}
		})
	}
}

// What a person should know of the step from one release to the next.
func TestFindings(t *testing.T) {
	version := func(v string) func(*plan.Plan) { return func(p *plan.Plan) { p.Version = v } }
	for _, c := range []struct {
		name     string
		old, new func(*plan.Plan)
		want     []string
	}{
		{"nothing", nil, nil, nil},
		{"one version twice", version("3"), version("3"), []string{"KLP407 error: both have version 3\n      remedy: raise the version"}},
		{"one version, two kernels", version("3"), func(p *plan.Plan) { p.Version, p.Release = "3", "6.1.0-other" }, nil},
		{"no version", version(""), nil, []string{"KLP407 warning: a release has no version, so nothing says which is newer\n      remedy: give each release a version"}},
		{"no new version", nil, version(""), []string{"KLP407 warning: a release has no version, so nothing says which is newer\n      remedy: give each release a version"}},
		{"backwards", version("1.10"), version("1.9"), []string{"KLP407 error: the new version 1.9 comes before the old one, 1.10\n      remedy: compare them the other way round, or correct the version"}},
		{"a function dropped", nil, func(p *plan.Plan) { p.Objects[0].Funcs[0].Name = "ext4_g" },
			[]string{"KLP404 warning: function ext4:ext4_f: dropped\n      remedy: keep it, or say in the release note why it went"}},
		{"a patch dropped", nil, func(p *plan.Plan) { p.Patches = []plan.Patch{{Name: "b.patch", Content: "b"}} },
			[]string{"KLP404 warning: patch a.patch: dropped\n      remedy: keep it, or say in the release note why it went"}},
		{"callbacks dropped", withState(1, 1), func(p *plan.Plan) { p.States = []plan.State{{ID: 1, Version: 1}} },
			[]string{"KLP404 warning: callbacks of ext4: pre_patch post_unpatch: dropped\n      remedy: keep it, or say in the release note why it went"}},
		{"a state goes down", withState(1, 2), withState(1, 1), []string{"KLP405 error: state 1 goes from version 2 to 1\n      remedy: a state's version never goes down"}},
		{"a state goes up", withState(1, 1), withState(1, 2), nil},
		{"unpaired callbacks", nil, func(p *plan.Plan) {
			unpairedCallbacks(p)
			p.States = []plan.State{{ID: 1, Version: 1}}
		}, []string{"KLP403 warning: ext4: callbacks for patching and none for unpatching: what they do stays when the livepatch goes\n      remedy: undo it in a pre_unpatch or post_unpatch callback"}},
		{"pre_patch without post_unpatch", nil, func(p *plan.Plan) {
			p.Objects[0].Callbacks = plan.Callbacks{PrePatch: "a", PostPatch: "b", PreUnpatch: "c"}
			p.States = []plan.State{{ID: 1, Version: 1}}
		}, []string{"KLP403 warning: ext4: pre_patch without post_unpatch: a transition that is reversed does not undo it\n      remedy: undo in post_unpatch what pre_patch did: it also runs when patching is given up"}},
		{"callbacks without a state", nil, callbacksOnly, []string{"KLP403 warning: ext4: callbacks without a state: the next cumulative release cannot know what they did\n      remedy: give what the callbacks change a state: klpforge release new-state"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Compare(Subject{Note: module("1", c.old)}, Subject{Note: module("2", c.new)})
			var got []string
			for _, f := range d.Findings {
				got = append(got, f.Text())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	if got := (&finding.Finding{ID: "KLP404", Severity: finding.Note, Message: "m"}).Line(); got != "KLP404 note: m" {
		t.Errorf("without a remedy: %q", got)
	}
}

// A manifest promises, a module has: what only the module tells is not compared.
func TestPromised(t *testing.T) {
	shipped := func(p *plan.Plan) { unpairedCallbacks(p) }
	for _, c := range []struct {
		old, new bool
		notes    int // findings that one side is a manifest
		judged   bool
	}{{false, false, 0, true}, {true, false, 1, false}, {false, true, 1, false}, {true, true, 0, false}} {
		d := Compare(Subject{Note: module("1", nil), Promised: c.old, File: "a"}, Subject{Note: module("2", shipped), Promised: c.new, File: "b"})
		notes, checked := 0, false
		for _, f := range d.Findings {
			if f.Severity == finding.Note && strings.Contains(f.Message, "one side is a manifest") {
				notes++
			}
			checked = checked || f.ID == "KLP403"
		}
		if notes != c.notes || checked == c.new {
			t.Errorf("%+v: findings %v", c, d.Findings)
		}
		if judged := len(d.Functions.Kept) == 1 && len(d.Objects.Kept) == 1 && len(d.Callbacks.Added) == 1; judged != c.judged {
			t.Errorf("%+v: functions %+v, callbacks %+v", c, d.Functions, d.Callbacks)
		}
		if d.Functions.Added == nil || d.Objects.Dropped == nil || d.Callbacks.Changed == nil {
			t.Errorf("%+v: lists that JSON would call null", c)
		}
		for _, v := range []Verdict{d.Upgrade, d.Downgrade, d.SideBySide} {
			if said := strings.Contains(messages(v), "functions are judged only when both modules are built"); said == c.judged {
				t.Errorf("%+v: %s", c, messages(v))
			}
		}
		want := Side{File: "a", Name: "livepatch_fix_1", Product: "fix", Vendor: "Example", Version: "1", Release: "6.1.0-test", Replace: true, Compiled: !c.old}
		if diff := cmp.Diff(want, d.Old); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}

// Lists are sorted, whatever order a map has; what was accepted is compared.
func TestSorted(t *testing.T) {
	many := func(prefix string) func(*plan.Plan) {
		return func(p *plan.Plan) {
			for i := range 9 {
				p.Objects[0].Funcs = append(p.Objects[0].Funcs, plan.Func{Name: fmt.Sprintf("%s%d", prefix, i), NewSymbol: fmt.Sprintf("n%d", i), Unit: "f.o"},
					plan.Func{Name: fmt.Sprintf("kept%d", i), NewSymbol: fmt.Sprintf("k%d", i), Unit: "f.o"})
			}
			p.Allowed = []plan.Allowed{{ID: "KLP103", Reason: prefix}, {ID: "KLP210", Reason: "same"}}
		}
	}
	a, b := module("1", many("old")), module("2", many("new"))
	changed := 0
	for i := range a.Objects[0].Funcs {
		for k := range b.Objects[0].Funcs {
			x, y := &a.Objects[0].Funcs[i], &b.Objects[0].Funcs[k]
			if x.Name == y.Name && strings.HasPrefix(x.Name, "kept") && changed < 4 {
				x.Content, y.Content = "x", "y"
				changed++
			}
		}
	}
	d := Compare(Subject{Note: a}, Subject{Note: b})
	for name, list := range map[string][]string{"added": d.Functions.Added, "dropped": d.Functions.Dropped, "changed": d.Functions.Changed, "kept": d.Functions.Kept} {
		if len(list) < 4 {
			t.Errorf("%s: %q", name, list)
		}
		for i := 1; i < len(list); i++ {
			if list[i-1] >= list[i] {
				t.Errorf("%s is not sorted: %q", name, list)
				break
			}
		}
	}
	want := Changes{Added: []string{}, Changed: []string{"KLP103"}, Dropped: []string{}, Kept: []string{"KLP210"}}
	if diff := cmp.Diff(want, d.Allowed); diff != "" {
		t.Errorf("accepted (-want +got)\n%s", diff)
	}
	for _, c := range []struct {
		c    Changes
		want bool
	}{{Changes{Kept: []string{"x"}}, false}, {Changes{Added: []string{"x"}}, true}, {Changes{Changed: []string{"x"}}, true}, {Changes{Dropped: []string{"x"}}, true}, {Changes{Present: []string{"x"}}, true}} {
		if c.c.Any() != c.want {
			t.Errorf("%+v: a difference is %v", c.c, !c.want)
		}
	}
}
