package finding

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRegistry(t *testing.T) {
	idRE := regexp.MustCompile(`^KLP[1-4][0-9]{2}$`)
	kinds := Kinds()
	if !slices.IsSortedFunc(kinds, func(a, b Kind) int { return strings.Compare(string(a.ID), string(b.ID)) }) {
		t.Error("the registry is not in ascending order")
	}
	for i, k := range kinds {
		if i > 0 && kinds[i-1].ID == k.ID {
			t.Errorf("%s is registered twice", k.ID)
		}
		if !idRE.MatchString(string(k.ID)) || k.Title == "" {
			t.Errorf("%+v is malformed", k)
		}
	}
	if _, ok := Lookup("KLP999"); ok {
		t.Error("KLP999 is registered")
	}
	for id, want := range map[ID]Group{
		IDIndirect: Feasibility, IDLockEffect: Consistency, IDIdle: Transition, IDForce: Policy, "KLP299": 0, "": 0,
	} {
		if got := id.Group(); got != want {
			t.Errorf("%s: group %d, want %d", id, got, want)
		}
	}
}

func TestTexts(t *testing.T) {
	heads := headRE.FindAllStringSubmatch(texts, -1)
	if len(heads) < 30 || len(heads) != strings.Count("\n"+texts, "\nKLP") {
		t.Errorf("%d texts, but %d headings", len(heads), strings.Count("\n"+texts, "\nKLP"))
	}
	for _, m := range heads {
		text := Text(ID(m[1]))
		if _, ok := Lookup(ID(m[1])); !ok || len(text) < 40 || headRE.MatchString(text) {
			t.Errorf("%s is not registered, or its text is not one: %q", m[1], text)
		}
	}
	if got := Text(IDLockEffect); got != "" {
		t.Errorf("%s has two texts: %q", IDLockEffect, got)
	}
}

func TestSeverity(t *testing.T) {
	for _, s := range []Severity{Note, Warning, Error} {
		var back Severity
		text, err := s.MarshalText()
		if err != nil || back.UnmarshalText(text) != nil || back != s {
			t.Errorf("%v: %q, read back as %v", s, text, back)
		}
	}
	s := Error
	if err := s.UnmarshalText([]byte("fatal")); err == nil || s != Error {
		t.Errorf("error %v, severity %v", err, s)
	}
}

// full has everything that the lines and the JSON form show.
var full = Finding{ID: IDChangedData, Severity: Error, Object: "vmlinux", Unit: "a/b.o", Symbol: "limit",
	Section: ".data", Message: "changed", Remedy: "set it", Allowed: "it is"}

func TestLines(t *testing.T) {
	f := full
	section := f
	section.Symbol = ""
	file := Finding{ID: IDUnsupported, Severity: Warning, Message: "assembly"}.
		InFile(Position{File: "a/b.S", Line: 3})
	whole := Finding{ID: IDSuccession, Severity: Note, Message: "no version"}
	for _, c := range []struct {
		f                     Finding
		err, str, line, extra string
		aboutFile             bool
	}{
		{f, "KLP103: limit: changed", "error KLP103: vmlinux: limit: changed",
			"KLP103 error: limit (a/b.o): changed", "\n      remedy: set it\n      allowed: it is", false},
		{section, "KLP103: changed", "error KLP103: vmlinux: changed",
			"KLP103 error: .data (a/b.o): changed", "\n      remedy: set it\n      allowed: it is", false},
		{file, "KLP109: a/b.S:3: assembly", "warning KLP109: a/b.S:3: assembly",
			"KLP109 warning: a/b.S:3: assembly", "", true},
		{whole, "KLP407: no version", "note KLP407: no version", "KLP407 note: no version", "", false},
	} {
		got := []string{c.f.Error(), c.f.String(), c.f.Line(), c.f.Text()}
		if d := cmp.Diff([]string{c.err, c.str, c.line, c.line + c.extra}, got); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
		if c.f.AboutFile() != c.aboutFile {
			t.Errorf("%s: about a file: %v", c.line, c.f.AboutFile())
		}
	}
	var p *Finding
	if err := error(&f); !errors.As(err, &p) || p.ID != IDChangedData {
		t.Errorf("as an error: %v", p)
	}
}

// TestJSON: the short form has these members in this order; scripts rely on the names.
func TestJSON(t *testing.T) {
	f := full
	f.New, f.Unknown, f.Given = Position{File: "a/b.c", Line: 3}, true, true
	f.Evidence, f.Who, f.Detail = []string{"e"}, []string{"w"}, 1
	got, err := json.Marshal(f)
	want := `{"id":"KLP103","severity":"error","symbol":"limit","section":".data","message":"changed",` +
		`"remedy":"set it","object":"vmlinux","unit":"a/b.o","allowed":"it is"}`
	if err != nil || string(got) != want {
		t.Errorf("%s, error %v", got, err)
	}
	got, err = json.Marshal(Finding{ID: IDSuccession, Message: "m"})
	if want := `{"id":"KLP407","severity":"note","message":"m"}`; err != nil || string(got) != want {
		t.Errorf("%s, error %v", got, err)
	}
}

func TestSame(t *testing.T) {
	f, g := full, full
	g.Evidence, g.New = []string{"e"}, Position{File: "f"}
	if !Same(f, g) {
		t.Error("evidence makes another finding")
	}
	for i, change := range []func(*Finding){
		func(f *Finding) { f.ID = IDIdle }, func(f *Finding) { f.Severity = Note }, func(f *Finding) { f.Object = "" },
		func(f *Finding) { f.Unit = "" }, func(f *Finding) { f.Symbol = "" }, func(f *Finding) { f.Section = "" },
		func(f *Finding) { f.Message = "" }, func(f *Finding) { f.Remedy = "" }, func(f *Finding) { f.Allowed = "" },
	} {
		g := f
		if change(&g); Same(f, g) {
			t.Errorf("change %d makes no difference", i)
		}
	}
}

func TestSort(t *testing.T) {
	want := []Finding{
		{ID: "KLP202", Severity: Error}, {ID: "KLP101", Severity: Warning}, {ID: "KLP101", Severity: Warning, Object: "a"},
		{ID: "KLP101", Severity: Warning, Object: "a", Unit: "b"},
		{ID: "KLP101", Severity: Warning, Object: "a", Unit: "b", Symbol: "c"},
		{ID: "KLP101", Severity: Warning, Object: "a", Unit: "b", Symbol: "c", Message: "d"},
		{ID: "KLP102", Severity: Warning}, {ID: "KLP100"},
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}
