package stacks

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/pack"
	"github.com/klpforge/klpforge/analyze/pack/packtest"
)

// TestPackAll: no field of a result is forgotten.
func TestPackAll(t *testing.T) {
	m := &model.Model{Funcs: make([]model.Func, 2)}
	r := &Result{}
	packtest.Fill(r)
	r.m = m
	var w pack.Writer
	r.Pack(&w)
	in := pack.NewReader(w.B)
	got, err := Unpack(m, in, nil)
	if err != nil || len(in.Rest()) > 0 {
		t.Fatalf("error %v, %d bytes left", err, len(in.Rest()))
	}
	opt := []cmp.Option{cmp.Comparer(func(a, b *analysis) bool { return a == b }), cmpopts.IgnoreFields(Result{}, "resume"), cmp.AllowUnexported(Result{}, site{}, step{}, keyed{}), cmp.Comparer(func(a, b *model.Model) bool { return a == b })}
	if d := cmp.Diff(r, got, opt...); d != "" {
		t.Errorf("what comes back is something else (-want +got):\n%s", d)
	}
	for n := range w.B {
		if _, err := Unpack(m, pack.NewReader(w.B[:n]), nil); !errors.Is(err, pack.ErrCorrupt) {
			t.Errorf("%d of %d bytes: error %v", n, len(w.B), err)
		}
	}
}

// TestUnpackNowhere: a path that leads to no step is refused.
func TestUnpackNowhere(t *testing.T) {
	m := &model.Model{Funcs: make([]model.Func, 1)}
	for _, r := range []*Result{
		{m: m, first: []uint32{1}, via: []uint32{0}},
		{m: m, first: []uint32{0}, via: []uint32{1}},
		{m: m, first: []uint32{1}, via: []uint32{1}, steps: []step{{"f", 2}}},
	} {
		r.Facts, r.reach, r.sure = make([]Fact, 1), []bool{true}, []bool{true}
		var w pack.Writer
		r.Pack(&w)
		if _, err := Unpack(m, pack.NewReader(w.B), nil); !errors.Is(err, pack.ErrCorrupt) {
			t.Errorf("error %v", err)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	res := Analyze(packtest.Object(f, "../passes/context/testdata/some-path/after.o"), Options{})
	var w pack.Writer
	res.Pack(&w)
	f.Add(w.B)
	module := packtest.Object(f, "../passes/context/testdata/some-path/before.o")
	f.Fuzz(func(t *testing.T, b []byte) {
		back, err := Unpack(res.m, pack.NewReader(b), func() (Options, error) { return Options{}, nil })
		if (back == nil) == (err == nil) {
			t.Fatalf("result %v, error %v", back != nil, err)
		}
		if back == nil {
			return
		}
		for i := range res.m.Funcs {
			id := model.FuncID(i)
			_ = back.Facts[id].Reason.String()
			_ = back.Path(id)
			_, _ = back.Roots(id, 10)
			_ = back.ThreadsIn(id)
		}
		if _, err := Object(module, back); err != nil {
			t.Fatal(err)
		}
	})
}
