package registered

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/klpforge/klpforge/analyze/fields"
	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/pack"
	"github.com/klpforge/klpforge/analyze/pack/packtest"
	"github.com/klpforge/klpforge/elfobj"
)

// fixture is a kernel of a check's case, with types.
const fixture = "../passes/context/testdata/ops-xmit/kernel.o"

func find(t testing.TB) *Result {
	t.Helper()
	f, err := elfobj.ReadFile(fixture)
	if err != nil {
		t.Fatal(err)
	}
	for i := range f.Sections {
		if f.Sections[i].Name == ".BTF" {
			types, tables, err := fields.Load(f.Sections[i].Data)
			if err != nil {
				t.Fatal(err)
			}
			return Find(packtest.Object(t, fixture), types, tables)
		}
	}
	t.Fatal(fixture + " has no BTF")
	return nil
}

func TestFind(t *testing.T) {
	r := find(t)
	for name, want := range map[string]struct {
		places []Place
		in     Context
	}{
		"my_xmit": {[]Place{{Members: []string{"net_device_ops.ndo_start_xmit"}}},
			Context{kfuncs.InBH, "net_device_ops.ndo_start_xmit", "include/linux/netdevice.h"}},
		"my_open": {[]Place{{Members: []string{"net_device_ops.ndo_open"}}}, Context{}},
		"my_end":  {[]Place{{Members: []string{"bio.bi_end_io"}}}, Context{kfuncs.InIRQ, "bio.bi_end_io", "block/bio.c"}},
		"my_tick": {[]Place{{Given: "init_timer_key", Arg: 1}}, Context{In: kfuncs.InTimer, By: "init_timer_key"}},
		"start":   {},
	} {
		id := r.Model.Lookup(name)[0]
		if d := cmp.Diff(want.places, r.Places(id), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		if in, ok := r.Context(id); in != want.in && ok || ok != (want.in != Context{}) {
			t.Errorf("%s: %+v, %v; want %+v", name, in, ok, want.in)
		}
	}
	sites := r.Through("net_device_ops.ndo_start_xmit")
	if len(sites) != 1 || sites[0].Caller != r.Model.Lookup("start")[0] || r.Model.At(sites[0].At) != sites[0].Caller {
		t.Errorf("calls through ndo_start_xmit: %+v", sites)
	}
	if got := r.Holds("net_device_ops.ndo_open"); !cmp.Equal(got, r.Model.Lookup("my_open")) {
		t.Errorf("functions that ndo_open holds: %v", got)
	}
	if got := r.Members(r.Model.Lookup("my_open")[0]); !cmp.Equal(got, []string{"net_device_ops.ndo_open"}) {
		t.Errorf("members of my_open: %v", got)
	}
}

// TestWithoutTypes: what functions are given needs no types.
func TestWithoutTypes(t *testing.T) {
	r := Find(packtest.Object(t, fixture), nil, nil)
	if in, ok := r.Context(r.Model.Lookup("my_tick")[0]); !ok || in.In != kfuncs.InTimer {
		t.Errorf("my_tick: %+v, %v", in, ok)
	}
	if places := r.Places(r.Model.Lookup("my_xmit")[0]); len(places) > 0 {
		t.Errorf("my_xmit: %+v", places)
	}
}

// TestSeveral: a table that may be of several structures forbids sleeping only if each
// does.
func TestSeveral(t *testing.T) {
	for _, c := range []struct {
		members []string
		want    bool
	}{
		{[]string{"nf_hook_entry.hook", "nf_hook_ops.hook"}, true},
		{[]string{"net_device_ops.ndo_open", "nf_hook_ops.hook"}, false},
		{nil, false},
	} {
		if in, ok := (&Place{Members: c.members}).context(); ok != c.want {
			t.Errorf("%v: %+v, %v", c.members, in, ok)
		}
	}
}

func TestPack(t *testing.T) {
	roundTrip(t, find(t))
}

// TestPackAll: no field of a result is forgotten.
func TestPackAll(t *testing.T) {
	r := &Result{}
	packtest.Fill(r)
	r.Model = &model.Model{Funcs: make([]model.Func, 2)}
	roundTrip(t, r)
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
	opt := []cmp.Option{cmp.AllowUnexported(Result{}), cmpopts.EquateEmpty(),
		cmp.Comparer(func(a, b *model.Model) bool { return a == b })}
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
	r := find(f)
	var w pack.Writer
	r.Pack(&w)
	f.Add(w.B)
	f.Fuzz(func(t *testing.T, b []byte) {
		back, err := Unpack(r.Model, pack.NewReader(b))
		if (back == nil) == (err == nil) {
			t.Fatalf("result %v, error %v", back != nil, err)
		}
		if back == nil {
			return
		}
		for i := range r.Model.Funcs {
			_ = back.Members(model.FuncID(i))
			_, _ = back.Context(model.FuncID(i))
		}
	})
}
