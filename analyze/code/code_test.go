package code_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
)

func load(t *testing.T, path string) *code.Object {
	t.Helper()
	f, err := elfobj.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a, err := elfdiff.Load(f)
	if err != nil {
		t.Fatal(err)
	}
	o, err := code.New(a)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func function(t *testing.T, o *code.Object, name string) model.FuncID {
	t.Helper()
	ids := o.Model.Lookup(name)
	if len(ids) != 1 {
		t.Fatalf("%d functions are called %s", len(ids), name)
	}
	return ids[0]
}

func TestEffects(t *testing.T) {
	o := load(t, "../passes/verdict/testdata/added-check/after.o")
	got := o.Effects(function(t, o, "update"))
	want := code.Effects{Reads: nil, Writes: []string{"counter"}, Takes: []string{"lock"},
		Stores: []string{"add 4 bytes of counter = 0x1", "mov 4 bytes at +0x4 = 0x3"},
		Calls:  []string{"_raw_spin_lock", "_raw_spin_unlock", "work"}, Locks: []string{"_raw_spin_lock(lock)", "_raw_spin_unlock(lock)"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestReturns(t *testing.T) {
	o := load(t, "../passes/returns/testdata/ignored/after.o")
	for name, want := range map[string]code.Returns{
		"set":    {Const: []int64{-22, 0, 1}},
		"checks": {Other: true}, // computed from a condition
		"log":    {Other: true}, // not in the object
	} {
		got := o.Returns(function(t, o, name))
		if name != "set" {
			got.Const, got.From = nil, nil
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got)\n%s", name, d)
		}
	}
}

func TestResultUse(t *testing.T) {
	for _, c := range []struct {
		object, callee, caller string
		want                   code.Use
	}{
		{"returns/testdata/ignored/before.o", "set", "caller", code.UseIgnored},
		{"returns/testdata/ignored/before.o", "set", "checks", code.UseTested},
		{"returns/testdata/null/before.o", "find", "caller", code.UseDereferenced},
		{"returns/testdata/null/before.o", "find", "checks", code.UseTestedZero | code.UseZeroTested},
		{"lockeffect/testdata/takes/before.o", "prepare", "caller", code.UseReturned},
	} {
		o := load(t, "../passes/"+c.object)
		seen := false
		for call := range o.Model.Callers(function(t, o, c.callee)) {
			if o.Model.Func(call.Caller).Name == c.caller {
				seen = true
				if got := new(code.Follower).ResultUse(o.Model, call); got != c.want {
					t.Errorf("%s of %s: it %v, want: %v", c.caller, c.callee, got, c.want)
				}
			}
		}
		if !seen {
			t.Errorf("%s does not call %s", c.caller, c.callee)
		}
	}
}
