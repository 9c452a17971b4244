package klpapi

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// declarations are those of each generation, as package generate compiles against them.
const declarations = "../../testdata/livepatch"

// TestDetect reads declarations of each generation. What they show, symbol
// namespaces apart, is what mainline had then.
func TestDetect(t *testing.T) {
	dirs, err := filepath.Glob(declarations + "/[0-9]*")
	if err != nil || len(dirs) != len(Versions()) {
		t.Fatalf("%d generations are declared, there are %d (%v)", len(dirs), len(Versions()), err)
	}
	for _, name := range Versions() {
		text, err := os.ReadFile(filepath.Join(declarations, name, "linux/livepatch.h"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := Detect(string(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want, err := Mainline(name)
		if err != nil {
			t.Fatal(err)
		}
		want.ImportNS, want.ImportNSString = false, false
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got)\n%s", name, d)
		}
		// What 5.4 and 6.13 brought concerns symbol namespaces alone.
		generation := name
		if before, ok := map[string]string{"5.4": "5.1", "6.13": "5.8"}[name]; ok {
			generation = before
		}
		if got.Generation() != generation {
			t.Errorf("%s is taken for the interface of %s", name, got.Generation())
		}
	}
}

// TestGenerations states what each version of mainline is called, and how its
// patches become active.
func TestGenerations(t *testing.T) {
	type is struct {
		generation string
		model      Model
		immediate  bool
	}
	want := map[string]is{
		"4.0": {"4.0", ModelDirect, false}, "4.5": {"4.5", ModelDirect, false}, "4.7": {"4.7", ModelDirect, false},
		"4.12": {"4.12", ModelRegister, true}, "4.15": {"4.15", ModelRegister, true}, "4.16": {"4.16", ModelRegister, false},
		"5.1": {"5.1", ModelEnable, false}, "5.4": {"5.1", ModelEnable, false},
		"5.5": {"5.5", ModelEnable, false}, "5.8": {"5.8", ModelEnable, false}, "6.13": {"5.8", ModelEnable, false},
		"6.19": {"6.19", ModelEnable, false},
	}
	got := map[string]is{}
	for _, v := range Versions() {
		a, err := Mainline(v)
		if err != nil {
			t.Fatal(err)
		}
		got[v] = is{a.Generation(), a.Model(), a.Immediate()}
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(is{})); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if _, err := Mainline("5.9"); err == nil {
		t.Error("5.9 changed nothing, and has an interface of its own")
	}
}

// TestBackports are mixtures that distributions made.
func TestBackports(t *testing.T) {
	for want, a := range map[string]API{
		"4.16": {HasRegister: true, OldSympos: true, ElfRelocs: true, Consistency: true, Callbacks: true, Replace: true}, // replace without the new way to enable
		"4.12": {HasRegister: true, OldSympos: true, ElfRelocs: true, Consistency: true},                                 // the model without immediate flags
		"4.15": {HasRegister: true, OldSympos: true, ElfRelocs: true, Consistency: true, Callbacks: true, FuncImmediate: true},
	} {
		if got := a.Generation(); got != want || a.Model() != ModelRegister {
			t.Errorf("%+v: generation %s, model %d; want %s", a, got, a.Model(), want)
		}
	}
}

func TestDetectErrors(t *testing.T) {
	for in, missing := range map[string]string{
		"":                                  "struct klp_func",
		"struct klp_func { int a;":          "struct klp_func",
		"/* struct klp_func { int a; }; */": "struct klp_func",
		"struct klp_func { int a; };":       "struct klp_patch",
		"struct klp_func { int a; }; struct klp_patch { int b; };": "struct klp_object",
	} {
		var e *NotLivepatchHeaderError
		if _, err := Detect(in); !errors.As(err, &e) || e.Missing != missing {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestStructMembers(t *testing.T) {
	got, ok := structMembers("struct a { int x, *y; char z[8]; int (*fn)(struct b *q); struct { int in; } sub; unsigned f:1; };", "a")
	if !ok {
		t.Fatal("not found")
	}
	for _, m := range []string{"x", "y", "z", "fn", "sub", "f"} {
		if !got[m] {
			t.Errorf("no member %s in %v", m, got)
		}
	}
	if got["q"] || got["b"] || got["int"] {
		t.Errorf("not a member in %v", got)
	}
}

func TestDetectNamespaces(t *testing.T) {
	for _, c := range []struct {
		text     string
		has, str bool
	}{
		{"#define MODULE_INFO(tag, info) x", false, false},
		{"#define MODULE_IMPORT_NS(ns) MODULE_INFO(import_ns, #ns)\n", true, false},
		{"x\n#define MODULE_IMPORT_NS(ns)\tMODULE_INFO(import_ns, __stringify(ns))\n", true, false},
		{"x\n#define MODULE_IMPORT_NS(ns)\tMODULE_INFO(import_ns, ns)\n", true, true},
	} {
		a := API{ImportNS: true, ImportNSString: true}
		a.DetectNamespaces(c.text)
		if a.ImportNS != c.has || a.ImportNSString != c.str {
			t.Errorf("%q: %t, %t, want %t, %t", c.text, a.ImportNS, a.ImportNSString, c.has, c.str)
		}
	}
}
