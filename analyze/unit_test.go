package analyze_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/typecheck"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/locate"
	"github.com/klpforge/klpforge/plan"
)

// unit compares two objects of the testdata of typecheck.
func unit(t *testing.T, before, after string) *analyze.Unit {
	t.Helper()
	var files [2]*elfobj.File
	for i, name := range []string{before, after} {
		f, err := elfobj.ReadFile("typecheck/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		files[i] = f
	}
	d, err := elfdiff.Diff(files[0], files[1])
	if err != nil {
		t.Fatal(err)
	}
	return &analyze.Unit{Object: "dir/unit.o", Source: "types.c", Owner: plan.Vmlinux, Diff: d}
}

// The units of two owners share what was compiled, compared and decoded, and nothing
// that depends on the owner.
func TestForOwner(t *testing.T) {
	u := unit(t, "same.o", "same.o")
	u.Configs, u.Deps, u.New = []string{"CONFIG_A"}, []string{"a.h"}, true
	u.Replace, u.Place, u.Travels = []elfdiff.Change{{Name: "f"}}, &locate.Placement{}, &analyze.Travels{}
	v := u.ForOwner("ext4")
	if v.Owner != "ext4" || v.Object != u.Object || v.Source != u.Source || !v.New || v.Diff != u.Diff || !slices.Equal(v.Configs, u.Configs) || !slices.Equal(v.Deps, u.Deps) {
		t.Errorf("%+v", v)
	}
	if v.Replace != nil || v.Place != nil || v.Travels != nil {
		t.Errorf("what was found out for another owner is there: %+v", v)
	}
	for _, side := range []func(*analyze.Unit) (any, error){
		func(u *analyze.Unit) (any, error) { return u.Before() },
		func(u *analyze.Unit) (any, error) { return u.After() },
	} {
		a, err := side(v)
		b, err2 := side(u)
		if err != nil || err2 != nil || a != b {
			t.Errorf("decoded twice, or not at all: %v, %v", err, err2)
		}
	}
}

// typesOf is the target's BTF of the testdata, and a text to read.
func typesOf(t *testing.T, text string) analyze.TargetTypes {
	t.Helper()
	raw, err := os.ReadFile("typecheck/testdata/kernel.btf")
	if err != nil {
		t.Fatal(err)
	}
	src, err := typecheck.LoadBTF("vmlinux's BTF", raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	return analyze.TargetTypes{
		Source: func() (typecheck.Source, error) { return src, nil },
		Text:   func() (*typecheck.Text, error) { return typecheck.ReadText([]byte(text)), nil },
		Unique: func(string) bool { return true },
	}
}

func TestCompareTypes(t *testing.T) {
	const text = "int reads(struct plain *p) { return p->flag; }\n"
	u := unit(t, "same.o", "same.o")
	u.Travels = &analyze.Travels{Funcs: []string{"reads"}}
	in := typesOf(t, text)
	in.Text = func() (*typecheck.Text, error) { t.Error("the text is read although nothing differs"); return nil, nil }
	c := u.CompareTypes(in)
	if c.Err != nil || c.Source != "vmlinux's BTF" || len(c.Digest) != 64 || len(c.Report.Mismatches) > 0 || len(c.Report.Checked) == 0 {
		t.Fatalf("%+v", c)
	}

	// What the patch itself changes is no difference of the build.
	own := unit(t, "same.o", "other.o")
	own.Travels = u.Travels
	if c := own.CompareTypes(typesOf(t, text)); c.Err != nil || len(c.Report.Mismatches) > 0 {
		t.Errorf("%+v", c)
	}
	// In a new object it is one: nothing tells what it was before.
	own.New = true
	if c := own.CompareTypes(typesOf(t, text)); c.Err != nil || len(c.Report.Mismatches) == 0 {
		t.Errorf("%+v", c)
	}

	// Something differs, and the code that travels depends on it.
	other := unit(t, "other.o", "other.o")
	other.Travels = u.Travels
	c = other.CompareTypes(typesOf(t, text))
	depends := func(c *analyze.TypeCheck) bool {
		return slices.ContainsFunc(c.Report.Mismatches, func(m typecheck.Mismatch) bool { return m.Use == typecheck.Used })
	}
	if c.Err != nil || len(c.Report.Mismatches) == 0 || !depends(c) {
		t.Errorf("%+v", c)
	}
	// Nothing of it travels.
	other.Travels = &analyze.Travels{Funcs: []string{"neutral"}}
	if c = other.CompareTypes(typesOf(t, text+"int neutral(int x) { return x; }\n")); c.Err != nil || depends(c) {
		t.Errorf("%+v", c)
	}

	// What fails is told.
	broken := errors.New("broken")
	in = typesOf(t, text)
	in.Source = func() (typecheck.Source, error) { return nil, broken }
	if c := u.CompareTypes(in); !errors.Is(c.Err, broken) {
		t.Errorf("%+v", c)
	}
	in = typesOf(t, text)
	in.Text = func() (*typecheck.Text, error) { return nil, broken }
	if c := other.CompareTypes(in); !errors.Is(c.Err, broken) {
		t.Errorf("%+v", c)
	}
}

// Without types of the target, what the code can use is named, and what shipped code
// proves.
func TestCompareWithoutTypes(t *testing.T) {
	const text = "struct plain { int second; long first; };\nint reads(struct plain *p) { return p->second; }\n"
	u := unit(t, "same.o", "same.o")
	u.Travels, u.Place = &analyze.Travels{Funcs: []string{"reads"}}, &locate.Placement{}
	in := analyze.TargetTypes{Source: func() (typecheck.Source, error) { return nil, nil }, Headers: []string{"autoconf.h"},
		Text: func() (*typecheck.Text, error) { return typecheck.ReadText([]byte(text)), nil }}
	c := u.CompareTypes(in)
	if c.Err != nil || c.Source != "" || c.Report != nil || !slices.Contains(c.Members, "struct plain.second") || !slices.Equal(c.Headers, in.Headers) || len(c.Proved) > 0 {
		t.Errorf("%+v", c)
	}
	u.Travels = &analyze.Travels{Funcs: []string{"reads", "absent"}}
	if c := u.CompareTypes(in); !strings.HasPrefix(c.Members[len(c.Members)-1], "others: not all of the code") {
		t.Errorf("%+v", c)
	}
	in.Text = func() (*typecheck.Text, error) { return nil, nil }
	if c := u.CompareTypes(in); c.Err != nil || c.Members != nil || c.Headers != nil {
		t.Errorf("%+v", c)
	}
}

// TestCompareWithoutModel: where instructions are not modelled, no offset is proved, and nothing fails for that.
func TestCompareWithoutModel(t *testing.T) {
	const text = "struct plain { int second; long first; };\nint reads(struct plain *p) { return p->second; }\n"
	u := unit(t, "arm64.o", "arm64.o")
	u.Travels, u.Place = &analyze.Travels{Funcs: []string{"reads"}}, &locate.Placement{}
	c := u.CompareTypes(analyze.TargetTypes{Source: func() (typecheck.Source, error) { return nil, nil },
		Text: func() (*typecheck.Text, error) { return typecheck.ReadText([]byte(text)), nil }})
	if c.Err != nil || !slices.Contains(c.Members, "struct plain.second") || len(c.Proved) > 0 {
		t.Errorf("%+v", c)
	}
}

func TestTravelling(t *testing.T) {
	u := &analyze.Unit{Replace: []elfdiff.Change{{Name: "b.isra.0"}, {Name: "a"}, {Name: "b"}}}
	want := &analyze.Travels{Funcs: []string{"a", "b", "c"}, Data: []string{"x", "w"}}
	if d := cmp.Diff(want, u.Travelling([]string{"c.constprop.0", "a"}, []string{"x.7", "w"})); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// What the types were compared with is recorded once for an object.
func TestRecordTypes(t *testing.T) {
	check := func(owner string, checked []string, absent ...string) *analyze.Unit {
		return &analyze.Unit{Owner: owner, Target: &analyze.TypeCheck{Source: "BTF of " + owner, Digest: "d", Report: &typecheck.Report{Checked: checked, Absent: absent}}}
	}
	got := analyze.RecordTypes([]*analyze.Unit{
		check("vmlinux", []string{"struct b", "struct a"}, "struct new"),
		check("ext4", nil),
		check("vmlinux", []string{"struct a"}, "struct newer", "struct newest"),
		{Owner: "vmlinux"},
		{Owner: "broken", Target: &analyze.TypeCheck{Err: errors.New("broken")}},
		{Owner: "bare", Target: &analyze.TypeCheck{}},
	})
	// printf 'struct a\nstruct b' | sha256sum
	want := []plan.Types{{Object: "bare"}, {Object: "ext4", Source: "BTF of ext4", Digest: "d"},
		{Object: "vmlinux", Source: "BTF of vmlinux", Digest: "d", Checked: 2, Absent: 3, Names: "6f9c7ecb9a64bcf5568d1a867859d5a24b4b4c5994c599309f4424bc8902e25e"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// Which objects an option can change: those that travel, and read it before or after.
func TestReached(t *testing.T) {
	files := []analyze.File{{Path: "a.c", New: []byte("#ifdef CONFIG_AUDIT\n")}, {Path: "b.h", New: []byte("IS_ENABLED(CONFIG_AUDIT_MODULE)")},
		{Path: "c.h", New: []byte("CONFIG_AUDITSYSCALL XCONFIG_AUDIT")}, {Path: "gone.h"}}
	travels := &analyze.Travels{}
	units := []*analyze.Unit{
		{Object: "text.o", Travels: travels, Deps: []string{"x.h", "a.c"}},
		{Object: "module.o", Travels: travels, Deps: []string{"b.h"}},
		{Object: "record.o", Travels: travels, Configs: []string{"CONFIG_B", "CONFIG_AUDIT"}},
		{Object: "record.o", Owner: "twice", Travels: travels, Configs: []string{"CONFIG_AUDIT"}},
		{Object: "left.o", Configs: []string{"CONFIG_AUDIT"}},
		{Object: "longer.o", Travels: travels, Deps: []string{"c.h", "gone.h"}, Configs: []string{"CONFIG_AUDITSYSCALL"}},
	}
	if d := cmp.Diff([]string{"module.o", "record.o", "text.o"}, analyze.Reached("CONFIG_AUDIT", units, files)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}
