package kernel

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDetectAPI(t *testing.T) {
	f40 := Features{OldAddr: true, Register: true}
	f45 := Features{OldSympos: true, Register: true}
	f47 := f45
	f47.ELFRelocs = true
	f412 := f47
	f412.Consistency, f412.FuncImmediate, f412.PatchImmediate = true, true, true
	f415 := f412
	f415.Callbacks, f415.Shadow = true, true
	f416 := f415
	f416.FuncImmediate, f416.PatchImmediate = false, false
	f51 := f416
	f51.Register, f51.Replace, f51.ShadowCtor = false, true, true
	f55 := f51
	f55.States = true
	f58 := f55
	f58.EarlyRelocs = true
	f619 := f58
	f619.ExternalHeader = true
	want := map[string]Features{
		"4.0": f40, "4.5": f45, "4.7": f47, "4.12": f412, "4.15": f415, "4.16": f416,
		"5.1": f51, "5.5": f55, "5.8": f58, "6.19": f619,
	}
	files, err := filepath.Glob("testdata/api/*.h")
	if err != nil || len(files) != len(want) {
		t.Fatalf("%d fixtures, want %d (%v)", len(files), len(want), err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".h")
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DetectAPI(string(b))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(API{Name: name, Features: want[name]}, got); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
}

func TestDetectAPIErrors(t *testing.T) {
	for in, missing := range map[string]string{
		"":                                  "struct klp_func",
		"struct klp_func { int a;":          "struct klp_func",
		"/* struct klp_func { int a; }; */": "struct klp_func",
		"struct klp_func { int a; };":       "struct klp_patch",
		"struct klp_func { int a; }; struct klp_patch { int b; };": "struct klp_object",
	} {
		var e *NotLivepatchHeaderError
		if _, err := DetectAPI(in); !errors.As(err, &e) || e.Missing != missing {
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
