package locate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kernel/kimage"
	"github.com/klpforge/klpforge/kernel/kmod"
)

// compared compares two objects.
func compared(t testing.TB, before, after string) *elfdiff.Result {
	t.Helper()
	var files [2]*elfobj.File
	for i, path := range []string{before, after} {
		f, err := elfobj.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[i] = f
	}
	d, err := elfdiff.Diff(files[0], files[1])
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// traced is a function that begins as ftrace wants it.
func traced(name, code string) string { return function(name, "call __fentry__\n"+code+"\nret") }

// yes is a judge of a kernel in which everything is traceable.
func yes() *Judge {
	return &Judge{Release: "6.1.0-x", Traceable: func(string, Place) kimage.Tri { return kimage.Yes }}
}

// replaced lists what the judge replaces, and what it finds as "ID severity symbol".
func replaced(j *Judge, d *elfdiff.Result, p *Placement) (names, found []string, texts string) {
	list, problems := j.Replaceable(d, p)
	for _, ch := range list {
		names = append(names, ch.Name)
	}
	for _, f := range problems {
		found = append(found, fmt.Sprintf("%s %v %s", f.ID, f.Severity, f.Symbol))
		texts += f.Message + "\n" + f.Remedy + "\n"
	}
	return names, found, texts
}

const fentry = ".text\n.globl __fentry__\n__fentry__: ret\n"

// Changed functions are replaced, and nothing else is; the shipped code is the judge.
func TestReplaceable(t *testing.T) {
	text := func(f, g, w string) string {
		weak := strings.ReplaceAll(traced("w", w), ".globl", ".weak")
		gone := strings.Replace(traced("setup", g), ".section .text.setup", ".section .init.text", 1)
		return traced("f", f) + traced("g", g) + weak + gone
	}
	before := assemble(t, text("mov $1, %eax", "mov $2, %eax", "mov $3, %eax"))
	after := assemble(t, text("mov $11, %eax", "mov $2, %eax", "mov $13, %eax"))
	d := compared(t, before, after)

	for _, c := range []struct {
		name         string
		shipped      []string // objects linked before the one that is compared
		names, found []string
		says         string
		another      string // instead of the object that is compared
	}{
		{name: "as it was compiled", names: []string{"f", "w"}},
		{name: "weak function that another object has", shipped: []string{traced("w", "mov $33, %eax")},
			names: []string{"f"}, found: []string{"KLP107 note w"}, says: "the target uses another definition"},
		{name: "another build", another: text("mov $7, %eax", "mov $2, %eax", "mov $3, %eax"),
			names: []string{"f", "w"}, found: []string{"KLP108 error f"}, says: "is not what vmlinux of 6.1.0-x holds: instruction"},
		{name: "weak function of another build", another: text("mov $1, %eax", "mov $2, %eax", "mov $7, %eax"),
			names: []string{"f", "w"}, found: []string{"KLP108 error w"}, says: "the target's own compiler"},
		{name: "inlined everywhere", another: traced("g", "mov $2, %eax"),
			names: []string{"f", "w"}, found: []string{"KLP107 error f", "KLP107 error w"}, says: "inlined everywhere or named otherwise"},
	} {
		t.Run(c.name, func(t *testing.T) {
			objects := []string{assemble(t, fentry)}
			for _, s := range c.shipped {
				objects = append(objects, assemble(t, s))
			}
			if c.another != "" {
				objects = append(objects, assemble(t, c.another))
			} else {
				objects = append(objects, before)
			}
			names, found, texts := replaced(yes(), d, Find(d.Orig, link(t, objects...)))
			if diff := cmp.Diff(c.names, names); diff != "" {
				t.Errorf("replaced (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(c.found, found); diff != "" {
				t.Errorf("found (-want +got)\n%s", diff)
			}
			if !strings.Contains(texts, c.says) {
				t.Errorf("%q does not say %q", texts, c.says)
			}
		})
	}
}

// Of two equal functions none can be chosen; the finding is about the symbol, not
// about another build.
func TestTwinsAreToldByKind(t *testing.T) {
	local := func(code string) string { return strings.ReplaceAll(traced("twin", code), ".globl", "#") }
	before := assemble(t, local("mov $3, %eax"))
	d := compared(t, before, assemble(t, local("mov $4, %eax")))
	p := Find(d.Orig, link(t, assemble(t, fentry), before, assemble(t, local("mov $3, %eax"))))
	if p.Twins[atom(t, d.Orig, "twin")] != 2 {
		t.Errorf("twins %v", p.Twins)
	}
	_, found, texts := replaced(yes(), d, p)
	if diff := cmp.Diff([]string{"KLP107 error twin"}, found); diff != "" || !strings.Contains(texts, "several functions of this name exist") {
		t.Errorf("(-want +got)\n%s\n%s", diff, texts)
	}
}

// What ftrace cannot redirect is an error with a way out, what is not known a warning,
// and neither counts for a function that is carried with its callers.
func TestTraceability(t *testing.T) {
	before := assemble(t, traced("f", "mov $1, %eax"))
	d := compared(t, before, assemble(t, traced("f", "mov $2, %eax")))
	p := Find(d.Orig, link(t, assemble(t, fentry), before))
	many := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}
	for _, c := range []struct {
		trace   kimage.Tri
		callers []string
		found   []string
		says    string
	}{
		{kimage.Yes, nil, nil, ""},
		{kimage.No, []string{"a", "b"}, []string{"KLP101 error f"}, "traceable callers instead: a, b\n"},
		{kimage.No, many[:8], []string{"KLP101 error f"}, "instead: a, b, c, d, e, f, g, h\n"},
		{kimage.No, many, []string{"KLP101 error f"}, "instead: a, b, c, d, e, f, g, h, …\n"},
		{kimage.No, nil, []string{"KLP101 error f"}, "vmlinux has no traceable function that calls it"},
		{kimage.Unknown, nil, []string{"KLP101 warning f"}, "no table"},
	} {
		asked := ""
		j := &Judge{Untraced: "no table", Callers: func(Place) []string { return c.callers },
			Traceable: func(object string, p Place) kimage.Tri { asked = object + " " + p.Name; return c.trace }}
		_, found, texts := replaced(j, d, p)
		if diff := cmp.Diff(c.found, found); diff != "" || !strings.Contains(texts, c.says) {
			t.Errorf("%v: (-want +got)\n%s\n%s", c.trace, diff, texts)
		}
		if asked != "vmlinux f" {
			t.Errorf("asked about %q", asked)
		}
		ch := d.Functions[0]
		ch.Carried = true
		if f := j.Function(d, p, ch); len(f) > 0 {
			t.Errorf("%v, along with its callers: %v", c.trace, f)
		}
	}
	if many[8] != "i" {
		t.Error("the list of callers was changed")
	}

	// What the differ has said is not said again.
	d.Problems = append(d.Problems, finding.Finding{ID: finding.IDNotTraceable, Symbol: "f"})
	j := &Judge{Traceable: func(string, Place) kimage.Tri { return kimage.No }, Callers: func(Place) []string { return nil }}
	if _, found, _ := replaced(j, d, p); len(found) > 0 {
		t.Errorf("said twice: %q", found)
	}
	for _, other := range []finding.Finding{{ID: finding.IDNotTraceable, Symbol: "g"}, {ID: finding.IDStatics, Symbol: "f"}} {
		d.Problems = []finding.Finding{other}
		if _, found, _ := replaced(j, d, p); len(found) != 1 {
			t.Errorf("%+v keeps it from being said: %q", other, found)
		}
	}
}

// A position that shifts while the module loads is an error; callers of a module's
// function are not looked for in vmlinux.
func TestModuleJudge(t *testing.T) {
	before := traced("f", "mov $1, %eax")
	d := compared(t, assemble(t, before), assemble(t, traced("f", "mov $2, %eax")))
	shipped := before + strings.Replace(strings.Replace(traced("init_f", "mov $9, %eax"), ".section .text.init_f", ".section .init.text", 1), "init_f", "init_f", -1)
	v, err := NewModuleView(module(t, "mod", shipped))
	if err != nil {
		t.Fatal(err)
	}
	p := Find(d.Orig, v)
	a := atom(t, d.Orig, "f")
	j := &Judge{Traceable: func(string, Place) kimage.Tri { return kimage.No }, Callers: func(Place) []string { t.Error("asked for callers in vmlinux"); return nil }}
	_, found, texts := replaced(j, d, p)
	if diff := cmp.Diff([]string{"KLP101 error f"}, found); diff != "" || !strings.Contains(texts, "change its traceable callers instead\n") {
		t.Errorf("(-want +got)\n%s\n%s", diff, texts)
	}
	place := p.Funcs[a]
	place.Stable = false
	p.Funcs[a] = place
	ch := d.Functions[0]
	ch.Carried = true // for that its position counts as well
	if f := yes().Function(d, p, ch); len(f) != 1 || f[0].ID != finding.IDSymbol {
		t.Errorf("along with its callers: %v", f)
	}
	_, found, texts = replaced(yes(), d, p)
	if diff := cmp.Diff([]string{"KLP107 error f"}, found); diff != "" || !strings.Contains(texts, "the position of f in mod depends on whether the module is still loading") {
		t.Errorf("(-want +got)\n%s\n%s", diff, texts)
	}
}

// A module that exports what the patched code needs must be loaded whenever that runs.
func TestExporterMustBeNeeded(t *testing.T) {
	unit := traced("f", "call lib_call")
	v, err := NewModuleView(module(t, "mod", unit))
	if err != nil {
		t.Fatal(err)
	}
	lib, err := NewModuleView(module(t, "lib", ".text\n.globl lib_call\n.type lib_call,@function\nlib_call: ret\n"))
	if err != nil {
		t.Fatal(err)
	}
	o := loadObject(t, assemble(t, unit))
	n := &Names{Orig: o, Place: Find(o, v), Vmlinux: link(t, assemble(t, fentry)), Namespaces: map[string]bool{},
		Export: func(name string) (kmod.Export, bool) { return kmod.Export{Name: name, Module: "lib"}, true },
		Module: func(string) (View, error) { return lib, nil }}
	ref := elfdiff.External{Name: "lib_call", Orig: -1, Func: true}
	broken := errors.New("no modinfo")
	for _, c := range []struct {
		needs func(string) ([]string, error)
		id    finding.ID
		err   error
	}{
		{nil, "", nil},
		{func(object string) ([]string, error) {
			return slices.DeleteFunc([]string{"lib"}, func(string) bool { return object != "mod" }), nil
		}, "", nil},
		{func(string) ([]string, error) { return []string{"other"}, nil }, finding.IDPrerequisite, nil},
		{func(string) ([]string, error) { return nil, broken }, "", broken},
	} {
		n.Needs = c.needs
		got, err := n.Resolve(ref)
		var f *finding.Finding
		switch {
		case c.err != nil:
			if !errors.Is(err, c.err) {
				t.Errorf("%q, %v, want %v", got, err, c.err)
			}
		case c.id != "":
			if !errors.As(err, &f) || f.ID != c.id || f.Symbol != "lib_call" || !strings.Contains(f.Message, "module lib exports it, on which mod does not depend") {
				t.Errorf("%q, %v", got, err)
			}
		case err != nil || got != ".klp.sym.lib.lib_call,0":
			t.Errorf("%q, %v", got, err)
		}
	}
}
