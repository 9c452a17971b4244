package sleeps

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
	r.Model = m
	roundTrip(t, r)
}

func TestPackObjects(t *testing.T) {
	for _, name := range []string{"flags-passed-on-atomic", "some-path", "own-lock", "not-known"} {
		roundTrip(t, Analyze(packtest.Object(t, "../passes/context/testdata/"+name+"/after.o"), Options{}))
	}
}

func roundTrip(t *testing.T, r *Result) {
	t.Helper()
	var w pack.Writer
	r.Pack(&w)
	in := pack.NewReader(w.B)
	got, err := Unpack(r.Model, in)
	if err != nil || len(in.Rest()) > 0 {
		t.Fatalf("error %v, %d bytes left", err, len(in.Rest()))
	}
	opt := []cmp.Option{cmp.AllowUnexported(Result{}), cmpopts.EquateEmpty(), cmp.Comparer(func(a, b *model.Model) bool { return a == b })}
	if d := cmp.Diff(r, got, opt...); d != "" {
		t.Errorf("what comes back is something else (-want +got):\n%s", d)
	}
	for n := range w.B {
		if _, err := Unpack(r.Model, pack.NewReader(w.B[:n])); !errors.Is(err, pack.ErrCorrupt) {
			t.Errorf("%d of %d bytes: error %v", n, len(w.B), err)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	res := Analyze(packtest.Object(f, "../passes/context/testdata/some-path/after.o"), Options{})
	var w pack.Writer
	res.Pack(&w)
	f.Add(w.B)
	f.Fuzz(func(t *testing.T, b []byte) {
		back, err := Unpack(res.Model, pack.NewReader(b))
		if (back == nil) == (err == nil) {
			t.Fatalf("result %v, error %v", back != nil, err)
		}
		if back == nil {
			return
		}
		for i := range res.Model.Funcs {
			id := model.FuncID(i)
			_ = back.Fact(id).Answer.String()
			_ = back.Borrowed(id)
			_ = back.Chain(id)
		}
	})
}
