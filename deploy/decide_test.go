package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/module/note"
)

// noteOf is a manifest that edit fills, as a livepatch in the given phase or as a file.
func noteOf(name string, edit func(*note.Note)) *note.Note {
	man := &note.Note{Schema: note.Schema, Name: name, Release: testRelease}
	if edit != nil {
		edit(man)
	}
	return man
}

func inPhase(name string, phase Phase, edit func(*note.Note)) Livepatch {
	l := Livepatch{Name: name, Phase: phase, Facts: factsOf(nil)}
	if edit != nil {
		l.Facts = factsOf(noteOf(name, edit))
	}
	return l
}

// planned is a plan in words.
func planned(in input) (actions, notes []string, refusal string) {
	p := in.decide()
	for _, a := range p.Actions {
		actions = append(actions, strings.Join(strings.Fields(string(a.Op)+" "+a.How+" "+a.Module+": "+a.Reason), " "))
	}
	if p.Refusal != nil {
		refusal = p.Refusal.Error()
	}
	return actions, p.Notes, refusal
}

// What a loaded module of the same name means, in each phase of its life.
func TestDecideSameName(t *testing.T) {
	for _, c := range []struct {
		name     string
		phase    Phase // "" for a module that is no livepatch
		identity identity
		policy   Policy
		others   []Livepatch
		new      func(*note.Note)
		want     []string
		refusal  string
	}{
		{name: "a module of another kind", refusal: "a module new that is no livepatch is loaded; remedy: give the livepatch another name"},
		{name: "in force", phase: Enabled, identity: same},
		{name: "coming", phase: Enabling, identity: same, want: []string{"wait new: it is loaded, and its transition is under way"}},
		{name: "going", phase: Disabling, identity: same, want: []string{"resume new: it is loaded and being disabled"}},
		{name: "gone", phase: Disabled, identity: same, want: []string{"remove new: it is disabled, and a disabled livepatch cannot be enabled again", "load alone new: no other livepatch is in force"}},
		{name: "gone, whichever it was", phase: Disabled, want: []string{"remove new: it is disabled, and a disabled livepatch cannot be enabled again", "load alone new: no other livepatch is in force"}},
		{name: "gone, another build", phase: Disabled, identity: different, policy: Stack,
			want: []string{"remove new: it is disabled, and a disabled livepatch cannot be enabled again", "load alone new: no other livepatch is in force"}},
		{name: "not known which", phase: Enabled, refusal: "a livepatch new is loaded, and whether it is f.ko cannot be told; remedy: klpforge unload new"},
		{name: "another build in force", phase: Enabled, identity: different,
			want: []string{"disable new: it is another build, and a kernel has no two modules of one name", "remove new: to make room for f.ko", "load alone new: no other livepatch is in force"}},
		{name: "another build coming", phase: Enabling, identity: different, policy: Disable,
			want: []string{"disable new: it is another build, and a kernel has no two modules of one name", "remove new: to make room for f.ko", "load alone new: no other livepatch is in force"}},
		{name: "another build going", phase: Disabling, identity: different, policy: Cumulative,
			want: []string{"wait new: it is being disabled", "remove new: to make room for f.ko", "load alone new: no other livepatch is in force"}},
		{name: "another build, to be stacked", phase: Enabled, identity: different, policy: Stack, refusal: "another build of new is loaded, and a kernel has no two modules of one name; remedy: klpforge unload new, or --policy disable"},
		{name: "another build, to replace", phase: Enabled, identity: different, policy: Replace, refusal: "another build of new is loaded"},

		{name: "what it replaced is still there", phase: Enabled, identity: same, new: series("2", "f"), others: []Livepatch{inPhase("old", Disabled, series("1", "f")), inPhase("beside", Enabled, single("g"))},
			want: []string{"remove old: it is not in force any more"}},
		{name: "what it replaces goes with the transition", phase: Enabling, identity: same, new: series("2", "f"), others: []Livepatch{inPhase("old", Enabled, series("1", "f")), inPhase("older", Disabled, nil), inPhase("going", Disabling, nil)},
			want: []string{"wait new: it is loaded, and its transition is under way", "remove old: it is being replaced", "remove older: it is not in force any more"}},
		{name: "one that replaces nothing leaves others alone", phase: Enabling, identity: same, new: single("f"), others: []Livepatch{inPhase("old", Enabled, series("1", "f")), inPhase("older", Disabled, nil)},
			want: []string{"wait new: it is loaded, and its transition is under way"}},
		{name: "one that does not say leaves others alone", phase: Enabled, identity: same, others: []Livepatch{inPhase("older", Disabled, nil)}},
	} {
		sys := &System{Release: testRelease, Modules: []string{"new"}, Livepatches: c.others}
		if c.phase != "" {
			sys.Livepatches = append(sys.Livepatches, inPhase("new", c.phase, c.new))
		}
		mod := &Module{Name: "new", File: "f.ko", Livepatch: true, Release: testRelease, Facts: factsOf(nil)}
		if c.new != nil {
			mod.Facts = factsOf(noteOf("new", c.new))
		}
		in := input{sys: sys, mod: mod, policy: c.policy, identity: c.identity}
		if in.policy == "" {
			in.policy = Auto
		}
		got, _, refusal := planned(in)
		if c.refusal != "" {
			if !strings.HasPrefix(refusal, c.refusal) {
				t.Errorf("%s: refused %q, want %q", c.name, refusal, c.refusal)
			}
			continue
		}
		if d := cmp.Diff(c.want, got); d != "" || refusal != "" {
			t.Errorf("%s: refused %q (-want +got)\n%s", c.name, refusal, d)
		}
	}
}

// What is said besides: of others in the way, of what nobody vouches for, of what is undone.
func TestDecideNotes(t *testing.T) {
	vouched := func(f Facts) Facts { f.NoteTrusted = true; return f }
	force := func(m *note.Note) { series("2", "f")(m); m.Force = true }
	problem := inPhase("p0", Enabled, nil)
	problem.Problem = "its note is damaged"
	for _, c := range []struct {
		name     string
		loaded   []Livepatch
		facts    Facts
		policy   Policy
		enforced string
		edit     func(*Module)
		want     []string // actions, without reasons
		reasons  []string // parts of them, in order
		notes    []string // parts, in order
		refusal  string
	}{
		{name: "another's transition", loaded: []Livepatch{inPhase("p0", Disabling, nil)}, facts: factsOf(nil), policy: Auto,
			want: []string{"wait p0", "load alone new"}, reasons: []string{"the kernel does one at a time", "no other livepatch is in force"}},
		{name: "of one that comes", loaded: []Livepatch{inPhase("p0", Enabling, series("1", "f"))}, facts: vouched(factsOf(noteOf("new", series("2", "f")))), policy: Auto,
			want: []string{"wait p0", "load replace new", "remove p0"}, reasons: []string{"one at a time", "the kernel replaces p0 in the same transition", "it is replaced"}},
		{name: "a problem", loaded: []Livepatch{problem}, facts: factsOf(noteOf("new", single("g"))), policy: Stack,
			want: []string{"load stack new"}, reasons: []string{"beside p0"}, notes: []string{"p0: its note is damaged"}},
		{name: "dependencies come before", facts: factsOf(nil), policy: Auto, want: []string{"dependency lib", "load alone new"}, reasons: []string{"new uses its symbols", ""},
			edit: func(m *Module) {}},
		{name: "nobody vouches for the order", loaded: []Livepatch{inPhase("p0", Enabled, series("1", "f"))}, facts: factsOf(noteOf("new", series("2", "f"))), policy: Auto,
			want: []string{"load replace new", "remove p0"}, notes: []string{"that new is a later release than p0 is what its note says"}},
		{name: "nobody vouches for forcing", facts: factsOf(noteOf("new", force)), policy: Auto, want: []string{"load alone new"}, notes: []string{"safe to force (KLP402) is what its note says"}},
		{name: "somebody vouches for forcing", facts: vouched(factsOf(noteOf("new", force))), policy: Auto, want: []string{"load alone new"}},
		{name: "forged", facts: factsOf(nil), policy: Auto, edit: func(m *Module) { m.forged = true }, refusal: "no kernel takes it; remedy: sign the module anew"},
		{name: "unsigned where signatures are wanted", facts: factsOf(nil), policy: Auto, enforced: "signatures are enforced", edit: func(m *Module) { m.checked = true }, refusal: "f.ko is not signed, and signatures are enforced"},
		{name: "signed by a stranger where signatures are wanted", facts: factsOf(nil), policy: Auto, enforced: "signatures are enforced", edit: func(m *Module) { m.checked, m.signed = true, true },
			want: []string{"load alone new"}, notes: []string{"signatures are enforced, and the kernel may refuse the module"}},
		{name: "not looked at where signatures are wanted", facts: factsOf(nil), policy: Auto, enforced: "signatures are enforced", want: []string{"load alone new"}, notes: []string{"signatures are enforced, and"}},
		{name: "trusted where signatures are wanted", facts: vouched(factsOf(nil)), policy: Auto, enforced: "signatures are enforced", edit: func(m *Module) { m.checked, m.signed = true, true }, want: []string{"load alone new"}},
		{name: "unsigned where none is wanted", facts: factsOf(nil), policy: Auto, edit: func(m *Module) { m.checked = true }, want: []string{"load alone new"}},

		{name: "stacked without saying", loaded: []Livepatch{inPhase("p0", Enabled, single("f"))}, facts: factsOf(nil), policy: Stack, want: []string{"load stack new"},
			notes: []string{"new does not say whether it replaces others; --policy stack takes it that it does not", "the functions of new are not known before it is loaded"}},
		{name: "replacing without saying", loaded: []Livepatch{inPhase("p0", Enabled, single("f"))}, facts: factsOf(nil), policy: Replace, want: []string{"load replace new"}, // what it leaves is not known
			notes: []string{"--policy replace takes it that it does"}},
		{name: "replacing downwards", loaded: []Livepatch{inPhase("p0", Enabled, series("3", "f"))}, facts: factsOf(noteOf("new", series("2", "f"))), policy: Replace,
			want: []string{"load replace new", "remove p0"}, notes: []string{"this replaces version 3 of demo by the older 2"}},
		{name: "callbacks that nothing undoes", loaded: []Livepatch{inPhase("p0", Enabled, withCallback(series("1", "f"), true))}, facts: factsOf(nil), policy: Disable,
			want: []string{"disable p0", "remove p0", "load alone new"}, reasons: []string{"the policy disables everything first", "it is disabled", "no other"}, notes: []string{"disabling p0 does not undo what its callbacks did to vmlinux"}},
		{name: "callbacks in pairs", loaded: []Livepatch{inPhase("p0", Enabled, withCallback(series("1", "f"), false))}, facts: factsOf(nil), policy: Disable,
			want: []string{"disable p0", "remove p0", "load alone new"}},

		{name: "why each is disabled", loaded: []Livepatch{inPhase("p0", Enabled, nil), inPhase("p1", Enabled, single("g")), inPhase("p2", Enabled, series("2", "f")), inPhase("p3", Enabled, series("9", "f"))},
			facts: factsOf(noteOf("new", series("2", "f"))), policy: Cumulative,
			want: []string{"disable p3", "remove p3", "disable p2", "remove p2", "disable p1", "remove p1", "disable p0", "remove p0", "load alone new"},
			reasons: []string{"a downgrade from 9 to 2: it has to clean up itself", "it is disabled", "it has the same version 2, and the kernel replaces only for an upgrade", "it is disabled",
				"it is not cumulative", "it is disabled", "it is not known to be cumulative", "it is disabled", "no other"}},
		{name: "one that is not cumulative disables", loaded: []Livepatch{inPhase("p0", Enabled, series("1", "f"))}, facts: factsOf(noteOf("new", single("g"))), policy: Cumulative,
			want: []string{"disable p0", "remove p0", "load alone new"}, reasons: []string{"new is not cumulative", "", ""}},
		{name: "one that does not say disables", loaded: []Livepatch{inPhase("p0", Enabled, series("1", "f"))}, facts: factsOf(nil), policy: Cumulative,
			want: []string{"disable p0", "remove p0", "load alone new"}, reasons: []string{"new is not known to be cumulative", "", ""}},
		{name: "two replaced", loaded: []Livepatch{inPhase("p0", Enabled, series("1", "f")), inPhase("p1", Enabled, series("2", "f"))}, facts: vouched(factsOf(noteOf("new", series("3", "f")))), policy: Auto,
			want: []string{"load replace new", "remove p0", "remove p1"}, reasons: []string{"the kernel replaces p0, p1 in the same transition", "", ""}},
		{name: "what is not in force does not count", loaded: []Livepatch{inPhase("p0", Disabled, series("1", "f"))}, facts: factsOf(nil), policy: Auto, want: []string{"load alone new"}},
	} {
		mod := &Module{Name: "new", File: "f.ko", Livepatch: true, Release: testRelease, Facts: c.facts}
		in := input{sys: &System{Release: testRelease, Livepatches: c.loaded}, mod: mod, policy: c.policy, enforced: c.enforced}
		if c.edit != nil {
			c.edit(mod)
		}
		if strings.HasPrefix(c.name, "dependencies") {
			in.deps = []dependency{{"lib", "lib.ko"}}
		}
		got, notes, refusal := planned(in)
		if c.refusal != "" {
			if !strings.Contains(refusal, c.refusal) {
				t.Errorf("%s: refused %q, want %q", c.name, refusal, c.refusal)
			}
			continue
		}
		var actions, reasons []string
		for _, a := range got {
			action, reason, _ := strings.Cut(a, ": ")
			actions, reasons = append(actions, action), append(reasons, reason)
		}
		if d := cmp.Diff(c.want, actions); d != "" || refusal != "" {
			t.Errorf("%s: refused %q (-want +got)\n%s", c.name, refusal, d)
		}
		parts := func(what string, want, have []string) {
			if len(want) > 0 && len(want) != len(have) {
				t.Errorf("%s: %s %q, want %q", c.name, what, have, want)
				return
			}
			for i, part := range want {
				if !strings.Contains(have[i], part) {
					t.Errorf("%s: %s %q does not say %q", c.name, what, have[i], part)
				}
			}
		}
		parts("reasons", c.reasons, reasons)
		if len(c.notes) == 0 && len(notes) > 0 {
			t.Errorf("%s: notes %q", c.name, notes)
		}
		parts("notes", c.notes, notes)
	}
}

// Which functions two livepatches both change.
func TestOverlap(t *testing.T) {
	fn := func(name string, pos int) Func { return Func{Name: name, Sympos: pos} }
	a := []Object{{Name: "vmlinux", Functions: []Func{fn("f", 1), fn("g", 1), fn("h", 2)}}, {Name: "ext4", Functions: []Func{fn("f", 1)}}}
	b := []Object{{Name: "ext4", Functions: []Func{fn("g", 1), fn("f", 1)}}, {Name: "vmlinux", Functions: []Func{fn("h", 1), fn("g", 1)}}, {Name: "xfs", Functions: []Func{fn("f", 1)}}}
	if d := cmp.Diff([]string{"vmlinux:g", "ext4:f"}, overlap(a, b)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if got := overlap(a, nil); got != nil {
		t.Errorf("%q", got)
	}
}

// The kernel's files tell the state of each livepatch; what a kernel does not show stays
// unknown.
func TestReadSystem(t *testing.T) {
	k, m := newFake(t)
	k.put("proc/modules", "gone 1 0 - Live 0x0 (OEK)\nnew 1 1 - Live 0x0 (OEK)\nplain 1 0 - Live 0x0\nold 1 1 - Live 0x0 (OEK)\n")
	k.put("sys/module/plain/taint", "OE\n")
	k.put("sys/module/gone/taint", "OEK\n")
	k.put("sys/module/gone/refcnt", "0\n")
	livepatch := func(name string, files map[string]string) {
		for file, text := range files {
			k.put("sys/kernel/livepatch/"+name+"/"+file, text)
		}
	}
	livepatch("old", map[string]string{"enabled": "1\n", "transition": "0\n", "replace": "1\n", "stack_order": "2\n", "ext4/patched": "1\n", "ext4/f,2/x": "", "ext4/g/x": "", "ext4/h,x/x": "", "vmlinux/patched": "0\n", "vmlinux/a,b,1/x": ""})
	k.put("sys/module/old/refcnt", "3\n")
	k.put("sys/module/old/version", "7\n")
	livepatch("new", map[string]string{"enabled": "1\n", "transition": "1\n", "replace": "0\n", "stack_order": "?\n", "btrfs/f,1/x": ""})
	k.put("sys/module/new/refcnt", "many\n")
	livepatch("going", map[string]string{"enabled": "0\n", "transition": "1\n"})
	livepatch("off", map[string]string{"enabled": "0\n", "transition": "0\n"})
	livepatch("early", map[string]string{"enabled": "1\n"})

	sys, err := m.System()
	if err != nil {
		t.Fatal(err)
	}
	if sys.Release != testRelease || !slices.Equal(sys.Modules, []string{"old", "plain", "new", "gone"}) {
		t.Errorf("release %q, modules %q", sys.Release, sys.Modules)
	}
	var got []string
	for _, l := range sys.Livepatches {
		replace := "?"
		if l.Replace != nil {
			replace = fmt.Sprint(*l.Replace)
		}
		got = append(got, fmt.Sprintf("%s %s replace=%s order=%d users=%d version=%q", l.Name, l.Phase, replace, l.StackOrder, l.Users, l.Version))
	}
	want := []string{
		`old enabled replace=true order=2 users=3 version="7"`,
		`new enabling replace=false order=0 users=-1 version=""`,
		`gone disabled replace=? order=0 users=0 version=""`,
		`early enabled replace=? order=0 users=-1 version=""`,
		`going disabling replace=? order=0 users=-1 version=""`,
		`off disabled replace=? order=0 users=-1 version=""`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	yes, no := true, false
	objects := []Object{{Name: "vmlinux", Patched: &no, Functions: []Func{{Name: "a,b", Sympos: 1}}},
		{Name: "ext4", Patched: &yes, Functions: []Func{{Name: "f", Sympos: 2}, {Name: "g"}, {Name: "h,x"}}}}
	if d := cmp.Diff(objects, sys.Livepatches[0].Objects); d != "" {
		t.Errorf("objects (-want +got)\n%s", d)
	}
	if d := cmp.Diff([]Object{{Name: "btrfs", Functions: []Func{{Name: "f", Sympos: 1}}}}, sys.Livepatches[1].Objects); d != "" {
		t.Errorf("objects (-want +got)\n%s", d)
	}
	if l := sys.transition(); l == nil || l.Name != "new" {
		t.Errorf("in transition: %+v", l)
	}
	if sys.find("off") == nil || sys.find("plain") != nil {
		t.Error("find")
	}

	k.remove("sys/kernel/livepatch")
	if _, err := m.System(); !errors.Is(err, ErrNoLivepatch) {
		t.Errorf("error %v", err)
	}
	k.remove("proc/sys/kernel/osrelease")
	if _, err := m.System(); err == nil || !strings.Contains(err.Error(), "release of the running kernel") {
		t.Errorf("error %v", err)
	}
}

// What a livepatch needs is loaded in the order of modules.dep, each once, and only what is
// not there.
func TestDependenciesInOrder(t *testing.T) {
	k, m := newFake(t)
	dir := "lib/modules/" + testRelease + "/"
	k.put(dir+"modules.dep", "kernel/a/top-mod.ko.xz: kernel/b/mid.ko kernel/c/base.ko\nkernel/b/mid.ko: kernel/c/base.ko\nkernel/c/base.ko:\nno colon\nkernel/d/lone.ko: kernel/e/builtin-one.ko\n")
	k.put(dir+"modules.builtin", "kernel/e/builtin-one.ko\n")
	for _, c := range []struct {
		needs, loaded []string
		want          []string
		refusal       string
	}{
		{},
		{needs: []string{"top_mod"}, want: []string{"base kernel/c/base.ko", "mid kernel/b/mid.ko", "top_mod kernel/a/top-mod.ko.xz"}},
		{needs: []string{"top-mod"}, want: []string{"base kernel/c/base.ko", "mid kernel/b/mid.ko", "top_mod kernel/a/top-mod.ko.xz"}},
		{needs: []string{"mid", "top_mod", "base"}, want: []string{"base kernel/c/base.ko", "mid kernel/b/mid.ko", "top_mod kernel/a/top-mod.ko.xz"}},
		{needs: []string{"top_mod"}, loaded: []string{"mid", "base"}, want: []string{"top_mod kernel/a/top-mod.ko.xz"}},
		{needs: []string{"top_mod"}, loaded: []string{"top_mod"}},
		{needs: []string{"builtin_one"}},
		{needs: []string{"lone"}, want: []string{"lone kernel/d/lone.ko"}},
		{needs: []string{"base", "none"}, refusal: "f.ko needs the module none, which is neither loaded nor in"},
	} {
		got, err := m.dependencies(&System{Release: testRelease, Modules: c.loaded}, &Module{Name: "new", File: "f.ko", Depends: c.needs})
		var refused *Refusal
		if c.refusal != "" {
			if !errors.As(err, &refused) || !strings.Contains(refused.Reason, c.refusal) || refused.Remedy == "" || got != nil {
				t.Errorf("%q: %v, %v", c.needs, got, err)
			}
			continue
		}
		var list []string
		for _, d := range got {
			rel, _ := filepath.Rel(filepath.Join(k.root, dir), d.file)
			list = append(list, d.name+" "+rel)
		}
		if d := cmp.Diff(c.want, list); d != "" || err != nil {
			t.Errorf("%q: %v (-want +got)\n%s", c.needs, err, d)
		}
	}
	for _, broken := range []string{"modules.dep", "modules.builtin"} {
		k.remove(dir + broken)
		k.mkdir(dir + broken)
		if _, err := m.dependencies(&System{Release: testRelease}, &Module{File: "f.ko", Depends: []string{"mid"}}); err == nil || !strings.Contains(err.Error(), "find what f.ko depends on") {
			t.Errorf("%s is a directory: %v", broken, err)
		}
		k.remove(dir + broken)
	}
}

// The record of failures counts boots, not tries, and what it cannot read it says.
func TestRecords(t *testing.T) {
	dir := t.TempDir()
	open := func() *records {
		r, err := openRecords(filepath.Join(dir, "state"))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := open()
	if r.find("aa") != nil {
		t.Error("a failure in an empty record")
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(r.begin("a.ko", "aa", "boot-1"))
	must(r.begin("a.ko", "aa", "boot-1"))
	if f := open().find("aa"); f == nil || f.Failures != 1 || f.SetAside() || f.File != "a.ko" || f.BootID != "boot-1" || !strings.Contains(f.Error, "ended while it was being loaded") || f.Time.IsZero() {
		t.Errorf("%+v", f)
	}
	before := *r.find("aa")
	must(r.begin("b.ko", "aa", "boot-2"))
	must(r.fail("aa", errors.New("no room")))
	if f := open().find("aa"); f.Failures != 2 || !f.SetAside() || f.Error != "no room" || f.File != "b.ko" {
		t.Errorf("%+v", f)
	}
	must(r.restore("aa", &before))
	if d := cmp.Diff(before, *open().find("aa")); d != "" {
		t.Errorf("restored (-want +got)\n%s", d)
	}
	must(r.begin("c.ko", "cc", "boot-2"))
	must(r.fail("cc", errors.New(strings.Repeat("x", 5000))))
	if f := open().find("cc"); len(f.Error) != 4096 {
		t.Errorf("%d bytes of an error", len(f.Error))
	}
	must(r.restore("cc", nil))
	must(r.succeed("cc"))
	must(r.succeed("aa"))
	if list := open().List; len(list) != 0 {
		t.Errorf("left %+v", list)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "state", "*")); err != nil || len(left) != 1 {
		t.Errorf("files %q, %v", left, err)
	}
	var doc map[string]any
	text, err := os.ReadFile(filepath.Join(dir, "state", bootFile))
	must(err)
	if err := json.Unmarshal(text, &doc); err != nil || doc["schema"] != BootSchema || doc["modules"] == nil {
		t.Errorf("%s, %v", text, err)
	}

	for text, want := range map[string]string{"{": "unexpected end", `{"schema":"x"}`: `its schema is "x", want "klpforge.boot/v1"`} {
		must(os.WriteFile(filepath.Join(dir, "state", bootFile), []byte(text), 0o644))
		r, err := openRecords(filepath.Join(dir, "state"))
		if err == nil || !strings.Contains(err.Error(), want) || r == nil || len(r.List) > 0 {
			t.Errorf("%s: %v", text, err)
			continue
		}
		aside := r.putAside(err)
		if got, err := os.ReadFile(filepath.Join(dir, "state", bootFile+".damaged")); err != nil || string(got) != text || !strings.Contains(aside.Error(), "it is put aside as") {
			t.Errorf("%q, %v: %v", got, err, aside)
		}
		must(r.begin("d.ko", "dd", "boot-3")) // a new record begins
		must(r.succeed("dd"))
	}
	if aside := (&records{path: filepath.Join(dir, "none", bootFile)}).putAside(errors.New("why")); !strings.Contains(aside.Error(), "why; it cannot be put aside") {
		t.Error(aside)
	}
}

// Which entries of a stack hold a transition up.
func TestMarker(t *testing.T) {
	yes := true
	objects := func(names ...string) []Object {
		var out []Object
		for _, n := range names {
			object, fn, _ := strings.Cut(n, ":")
			out = append(out, Object{Name: object, Functions: []Func{{Name: fn, New: "klp_" + fn}}})
		}
		return out
	}
	sys := func(phase Phase, replace *bool) *System {
		return &System{Livepatches: []Livepatch{
			{Name: "below", Phase: Enabled, Facts: Facts{Objects: objects("vmlinux:f", "vmlinux:g")}},
			{Name: "off", Phase: Disabled, Facts: Facts{Objects: objects("vmlinux:f")}},
			{Name: "new", Phase: phase, Facts: Facts{Objects: objects("vmlinux:f", "ext4:e"), Replace: replace}},
		}}
	}
	for name, c := range map[string]struct {
		phase   Phase
		replace *bool
		want    map[string]string // "module function" to what it is
	}{
		"coming": {Enabling, nil, map[string]string{" f": "vmlinux:f", "ext4 e": "ext4:e", "below f": "vmlinux:f", "below klp_f": "vmlinux:f",
			"new f": "", "new klp_f": "", " klp_f": "", " e": "", "ext4 f": "", "below g": "", "below klp_g": "", "off klp_f": ""}},
		"coming in place of all": {Enabling, &yes, map[string]string{" f": "vmlinux:f", "below klp_f": "vmlinux:f", "below g": "vmlinux:g", "below klp_g": "vmlinux:g", "off klp_f": "", "new klp_f": ""}},
		"going":                  {Disabling, &yes, map[string]string{" f": "", "ext4 e": "", "below f": "", "below klp_f": "", "new f": "vmlinux:f", "new klp_f": "vmlinux:f", "new klp_e": "ext4:e", "new e": "ext4:e", "ext4 klp_e": ""}},
	} {
		s := sys(c.phase, c.replace)
		mark := marker(s, &s.Livepatches[2])
		for at, want := range c.want {
			module, fn, _ := strings.Cut(at, " ")
			f := Frame{Module: module, Function: fn}
			if mark(&f); f.Patched != want {
				t.Errorf("%s: %q is %q, want %q", name, at, f.Patched, want)
			}
		}
	}
	task := Task{Stack: []Frame{{Patched: "a"}, {}, {Patched: "b"}, {Patched: "a"}}}
	if got := task.Patched(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%q", got)
	}
}

// Only releases of one series can be told apart by age.
func TestNewer(t *testing.T) {
	facts := func(vendor, product, version string) Facts {
		return Facts{Vendor: vendor, Product: product, Version: version}
	}
	for _, c := range []struct {
		a, b Facts
		want int
		ok   bool
	}{
		{facts("v", "p", "2"), facts("v", "p", "1"), 1, true}, {facts("v", "p", "1"), facts("v", "p", "2"), -1, true}, {facts("v", "p", "1"), facts("v", "p", "1"), 0, true},
		{facts("", "p", "2"), facts("", "p", "1"), 1, true}, {facts("v", "", "2"), facts("v", "", "1"), 0, false}, {facts("v", "p", "2"), facts("w", "p", "1"), 0, false},
		{facts("v", "p", "2"), facts("v", "q", "1"), 0, false}, {facts("v", "p", ""), facts("v", "p", "1"), 0, false}, {facts("v", "p", "2"), facts("v", "p", ""), 0, false},
	} {
		got, ok := newer(c.a, c.b)
		if got != c.want || ok != c.ok {
			t.Errorf("%+v and %+v: %d %v", c.a, c.b, got, ok)
		}
	}
}
