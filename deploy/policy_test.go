package deploy

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/module/note"
)

func withStates(edit func(*note.Note), id uint64, version uint32) func(*note.Note) {
	return func(m *note.Note) {
		edit(m)
		m.States = append(m.States, struct {
			ID      uint64 `json:"id"`
			Version uint32 `json:"version"`
			Meaning string `json:"meaning,omitempty"`
		}{ID: id, Version: version})
	}
}

// withCallback gives vmlinux a callback for patching and, unless it is alone,
// one for unpatching.
func withCallback(edit func(*note.Note), alone bool) func(*note.Note) {
	return func(m *note.Note) {
		edit(m)
		text := `{"objects":[{"name":"vmlinux","functions":[{"name":"f","new":"klp_f"}],"callbacks":{"pre_patch":"pre"}}]}`
		if !alone {
			text = strings.Replace(text, `"pre_patch":"pre"`, `"pre_patch":"pre","post_unpatch":"post"`, 1)
		}
		if err := json.Unmarshal([]byte(text), m); err != nil {
			panic(err)
		}
	}
}

// TestPolicy plans and then loads, and wants both to agree.
func TestPolicy(t *testing.T) {
	other := func(m *note.Note) { series("9", "f")(m); m.Vendor = "someone else" }
	for _, c := range []struct {
		name    string
		loaded  []func(*note.Note) // nil for a foreign module; names are p0, p1
		new     func(*note.Note)   // nil for a foreign module; named new
		policy  Policy
		actions []string // op how module
		refusal string   // part of it
		after   []string // in force, when loaded
	}{
		{name: "nothing loaded", new: series("1", "f"), policy: Auto, actions: []string{"load alone new"}, after: []string{"new"}},
		{name: "foreign, nothing loaded", policy: Auto, actions: []string{"load alone new"}, after: []string{"new"}},
		{name: "upgrade", loaded: list(series("1", "f")), new: series("2", "f"), policy: Auto,
			actions: []string{"load replace new", "remove p0"}, after: []string{"new"}},
		{name: "versions are numbers", loaded: list(series("9", "f")), new: series("10", "f"), policy: Cumulative,
			actions: []string{"load replace new", "remove p0"}, after: []string{"new"}},
		{name: "downgrade", loaded: list(series("2", "f")), new: series("1", "f"), policy: Auto,
			actions: []string{"disable p0", "remove p0", "load alone new"}, after: []string{"new"}},
		{name: "same version", loaded: list(series("2", "f")), new: series("2", "f"), policy: Cumulative,
			actions: []string{"disable p0", "remove p0", "load alone new"}, after: []string{"new"}},
		{name: "another series", loaded: list(other), new: series("10", "f"), policy: Cumulative, refusal: "would replace p0 of someone else (KLP407)"},
		{name: "another series, by word", loaded: list(other), new: series("10", "f"), policy: Disable,
			actions: []string{"disable p0", "remove p0", "load alone new"}, after: []string{"new"}},
		{name: "no version", loaded: list(series("", "f")), new: series("10", "f"), policy: Cumulative,
			actions: []string{"disable p0", "remove p0", "load alone new"}, after: []string{"new"}},
		{name: "non-cumulative ones go first", loaded: list(series("1", "f"), single("g")), new: series("2", "f"), policy: Cumulative,
			actions: []string{"disable p1", "remove p1", "load replace new", "remove p0"}, after: []string{"new"}},
		{name: "foreign ones go first", loaded: list(series("1", "f"), nil), new: series("2", "f"), policy: Auto,
			actions: []string{"disable p1", "remove p1", "load replace new", "remove p0"}, after: []string{"new"}},
		{name: "a non-cumulative one disables all", loaded: list(series("1", "f"), single("g")), new: single("h"), policy: Cumulative,
			actions: []string{"disable p1", "remove p1", "disable p0", "remove p0", "load alone new"}, after: []string{"new"}},
		{name: "a foreign one disables all", loaded: list(series("1", "f")), policy: Cumulative,
			actions: []string{"disable p0", "remove p0", "load alone new"}, after: []string{"new"}},
		{name: "a non-cumulative one comes beside", loaded: list(series("1", "f")), new: single("g"), policy: Auto,
			actions: []string{"load stack new"}, after: []string{"p0", "new"}},
		{name: "two for one function", loaded: list(series("1", "f", "g")), new: single("g"), policy: Auto, refusal: "(KLP406)"},
		{name: "callbacks that nothing undoes", loaded: list(withCallback(series("1", "f"), true)), new: series("2", "f"), policy: Auto, refusal: "(KLP403)"},
		{name: "callbacks that it undoes itself", loaded: list(withCallback(series("1", "f"), false)), new: series("2", "f"), policy: Auto,
			actions: []string{"disable p0", "remove p0", "load alone new"}, after: []string{"new"}},
		{name: "cumulative cannot be stacked", loaded: list(single("f")), new: series("1", "g"), policy: Stack, refusal: "cannot be stacked"},
		{name: "stacked on a foreign one", loaded: list(nil), new: single("g"), policy: Auto, actions: []string{"load stack new"}, after: []string{"p0", "new"}},
		{name: "foreign beside something", loaded: list(single("f")), policy: Auto, refusal: "does not say whether it replaces"},
		{name: "foreign, by word", loaded: list(single("f")), policy: Stack, actions: []string{"load stack new"}, after: []string{"p0", "new"}},
		{name: "replace whatever it is", loaded: list(single("f"), nil), new: series("1", "g"), policy: Replace,
			actions: []string{"load replace new", "remove p0", "remove p1"}, after: []string{"new"}},
		{name: "replace downwards", loaded: list(series("2", "f")), new: series("1", "g"), policy: Replace,
			actions: []string{"load replace new", "remove p0"}, after: []string{"new"}},
		{name: "cannot replace", loaded: list(single("f")), new: single("g"), policy: Replace, refusal: "does not replace"},
		{name: "disable", loaded: list(series("1", "f"), single("g")), new: series("2", "f"), policy: Disable,
			actions: []string{"disable p1", "remove p1", "disable p0", "remove p0", "load alone new"}, after: []string{"new"}},
		{name: "state taken over", loaded: list(withStates(series("1", "f"), 7, 1)), new: withStates(series("2", "f"), 7, 2), policy: Auto,
			actions: []string{"load replace new", "remove p0"}, after: []string{"new"}},
		{name: "state dropped", loaded: list(withStates(series("1", "f"), 7, 1)), new: series("2", "f"), policy: Auto,
			actions: []string{"disable p0", "remove p0", "load alone new"}, after: []string{"new"}},
		{name: "state dropped, replaced all the same", loaded: list(withStates(series("1", "f"), 7, 1)), new: series("2", "f"), policy: Replace, refusal: "(KLP405)"},
		{name: "state too old", loaded: list(withStates(series("1", "f"), 7, 2)), new: withStates(series("2", "f"), 7, 1), policy: Auto,
			actions: []string{"disable p0", "remove p0", "load alone new"}, after: []string{"new"}},
		{name: "state ended first", loaded: list(withStates(series("2", "f"), 7, 2)), new: withStates(series("1", "f"), 7, 1), policy: Auto,
			actions: []string{"disable p0", "remove p0", "load alone new"}, after: []string{"new"}},
		{name: "state of another when stacking", loaded: list(withStates(series("1", "f"), 7, 2)), new: single("g"), policy: Stack,
			actions: []string{"load stack new"}, after: []string{"p0", "new"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k, m := newFake(t)
				for i, edit := range c.loaded {
					name := "p" + string(rune('0'+i))
					mod := k.foreign(name)
					if edit != nil {
						mod = k.file(name, edit)
					}
					if err := k.insert(mod.File); err != nil {
						t.Fatal(err)
					}
					k.finish(k.files[mod.File])
				}
				mod := k.foreign("new")
				if c.new != nil {
					mod = k.file("new", c.new)
				}
				p, err := m.Plan(mod, c.policy)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, a := range p.Actions {
					got = append(got, strings.Join(strings.Fields(string(a.Op)+" "+a.How+" "+a.Module), " "))
					if a.Reason == "" {
						t.Errorf("no reason for %+v", a)
					}
				}
				if d := cmp.Diff(c.actions, got); d != "" {
					t.Errorf("actions (-want +got)\n%s", d)
				}
				before := states(t, m)
				_, err = m.Load(t.Context(), mod, Options{Policy: c.policy})
				if c.refusal != "" {
					if p.Refusal == nil || !strings.Contains(p.Refusal.Error(), c.refusal) || err == nil || err.Error() != p.Refusal.Error() {
						t.Errorf("plan says %v, load %v", p.Refusal, err)
					}
					if d := cmp.Diff(before, states(t, m)); d != "" {
						t.Errorf("something was done\n%s", d)
					}
					return
				}
				if err != nil || p.Refusal != nil {
					t.Fatalf("plan says %v, load %v", p.Refusal, err)
				}
				var want []string
				for _, n := range c.after {
					want = append(want, n+" enabled")
				}
				if d := cmp.Diff(want, states(t, m)); d != "" {
					t.Errorf("afterwards (-want +got)\n%s", d)
				}
			})
		})
	}
}

func list(l ...func(*note.Note)) []func(*note.Note) { return l }

func TestPlanRefusesFiles(t *testing.T) {
	k, m := newFake(t)
	for _, c := range []struct {
		name, want string
		edit       func(*Module)
	}{
		{"not a livepatch", "no livepatch module", func(m *Module) { m.Livepatch = false }},
		{"another kernel", "is for kernel 5.4, and this is " + testRelease, func(m *Module) { m.Release = "5.4" }},
		{"no kernel", "is for kernel unknown", func(m *Module) { m.Release = "" }},
		{"a module it needs is missing", "needs the module absent", func(m *Module) { m.Depends = []string{"absent"} }},
	} {
		mod := k.file("x", series("1", "f"))
		c.edit(mod)
		p, err := m.Plan(mod, Auto)
		if err != nil || p.Refusal == nil {
			t.Errorf("%s: %+v, %v", c.name, p, err)
			continue
		}
		msg := p.Refusal.Error()
		if !strings.Contains(msg, c.want) {
			t.Errorf("%s: %q, want %q", c.name, msg, c.want)
		}
	}
}
