package locks

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/pack"
	"github.com/klpforge/klpforge/elfobj"
)

//go:generate gcc -O2 -c -fno-pic -mcmodel=kernel -fno-stack-protector -fcf-protection=none -fno-jump-tables -fno-inline-functions -mno-sse -o ../../testdata/effects/effects.o ../../testdata/effects/effects.c

func fixture(t testing.TB) *Result {
	t.Helper()
	f, err := elfobj.ReadFile("../../testdata/effects/effects.o")
	if err != nil {
		t.Fatal(err)
	}
	p, err := model.FromObject(f, model.ObjectOptions{Name: "effects.o"})
	if err != nil {
		t.Fatal(err)
	}
	return Analyze(model.Build(p), Options{})
}

// words puts a summary as the fixture's comments do: locks acquired with +,
// released with -, then what else there is to say.
func words(s Summary, e *Effect) string {
	var l []string
	add := func(before string, names []string) {
		for _, n := range names {
			l = append(l, before+n)
		}
	}
	add("+", s.Acquires)
	add("-", s.Releases)
	add("possible ", s.Possible)
	add("drops ", s.Drops)
	add("context ", s.Context)
	for i := range e.Outcomes {
		if o := &e.Outcomes[i]; !o.Neutral() && len(e.Outcomes) > 1 {
			for _, c := range o.When {
				if !c.In.Contains(0) && c.Arg == 1 {
					l = append(l, "when arg1")
				}
			}
		}
	}
	if s.Returns == "never" {
		return "never"
	}
	if s.Returns != "any" && e.Conditional() {
		l = append(l, "returns "+s.Returns)
	}
	if s.Unknown {
		l = append(l, "unknown")
	}
	if len(l) == 0 {
		return "neutral"
	}
	return strings.Join(l, " ")
}

var want = regexp.MustCompile(`(?m)^// want (\w+): (.*)$`)

func TestEffects(t *testing.T) {
	text, err := os.ReadFile("../../testdata/effects/effects.c")
	if err != nil {
		t.Fatal(err)
	}
	res := fixture(t)
	wanted := map[string]string{}
	for _, m := range want.FindAllStringSubmatch(string(text), -1) {
		wanted[m[1]] = m[2]
	}
	got := map[string]string{}
	for i := range res.Model.Funcs {
		f := &res.Model.Funcs[i]
		if f.Flags&model.FuncExtern != 0 {
			continue
		}
		e := res.Effect(model.FuncID(i))
		got[f.Name] = words(res.Summary(e, nil), e)
	}
	// How many locks locks_all takes is not known; more than that is not promised.
	if strings.HasSuffix(got["locks_all"], "unknown") {
		got["locks_all"] = "unknown"
	}
	if d := cmp.Diff(wanted, got); d != "" {
		t.Errorf("effects (-want +got):\n%s", d)
		for name := range wanted {
			if wanted[name] != got[name] {
				for _, id := range res.Model.Lookup(name) {
					t.Log(Describe(res.Model, res.Effect(id)))
				}
			}
		}
	}
}

func TestSameEveryTime(t *testing.T) {
	var first []byte
	for _, workers := range []int{1, 2, 5} {
		f := fixture(t)
		res := Analyze(f.Model, Options{Workers: workers})
		var w pack.Writer
		res.Pack(&w)
		if first == nil {
			first = w.B
		} else if string(first) != string(w.B) {
			t.Errorf("%d workers find something else than 1", workers)
		}
	}
}

func TestPack(t *testing.T) {
	res := fixture(t)
	var w pack.Writer
	res.Pack(&w)
	back, err := Unpack(res.Model, pack.NewReader(w.B))
	if err != nil {
		t.Fatal(err)
	}
	for i := range res.Model.Funcs {
		a, b := Describe(res.Model, res.Effect(model.FuncID(i))), Describe(res.Model, back.Effect(model.FuncID(i)))
		if a != b {
			t.Errorf("packed and unpacked:\n%s\nbefore:\n%s", b, a)
		}
	}
	for n := range len(w.B) {
		if _, err := Unpack(res.Model, pack.NewReader(w.B[:n])); err == nil {
			t.Errorf("%d of %d bytes are taken for a result", n, len(w.B))
		}
	}
}

func FuzzUnpack(f *testing.F) {
	res := fixture(f)
	var w pack.Writer
	res.Pack(&w)
	f.Add(w.B)
	f.Fuzz(func(t *testing.T, b []byte) {
		back, err := Unpack(res.Model, pack.NewReader(b))
		if (back == nil) == (err == nil) {
			t.Fatalf("result %v, error %v", back != nil, err)
		}
		if back != nil {
			for _, e := range back.All() {
				_ = back.Summary(e, nil)
			}
		}
	})
}
