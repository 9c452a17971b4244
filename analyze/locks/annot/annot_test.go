package annot

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/elfobj"
)

func TestExtract(t *testing.T) {
	text := `
/* static void commented(void) __acquires(&l) { } */
void declared(struct x *x) __acquires(&x->lock);
static void *seq_start(struct seq_file *m, loff_t *pos)
	__acquires(RCU)
{
	return NULL;
}
static int __must_check drop(struct x *x, int (*fn)(int))
	__releases(&x->lock)
	__acquires(&x->lock)
	__must_hold(&other)
{
}
#define MACRO(x) static void macro(void) __acquires(x) { }
int
on_own_line(struct x *x) __cond_acquires(&table[hash(x)].lock) __cold
{
	printk("%s __acquires(string) {", "x");
}
void held(struct x *x) __must_hold(&x->lock) { }
struct ops { void (*start)(void) __acquires(RCU); };
`
	want := []Annotation{
		{File: "a.c", Line: 4, Func: "seq_start", Acquires: []string{"RCU"}},
		{File: "a.c", Line: 9, Func: "drop", Acquires: []string{"&x->lock"}, Releases: []string{"&x->lock"}},
		{File: "a.c", Line: 17, Func: "on_own_line", Acquires: []string{"&table[hash(x)].lock"}},
	}
	if d := cmp.Diff(want, Extract("a.c", text), cmpopts.EquateEmpty()); d != "" {
		t.Errorf("annotations (-want +got):\n%s", d)
	}
}

func TestCompare(t *testing.T) {
	f, err := elfobj.ReadFile("../../../testdata/effects/effects.o")
	if err != nil {
		t.Fatal(err)
	}
	p, err := model.FromObject(f, model.ObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	res := locks.Analyze(model.Build(p), locks.Options{})
	list := []Annotation{
		{File: "effects.c", Func: "take", Acquires: []string{"&o->lock"}},
		{File: "effects.c", Func: "drops", Acquires: []string{"&o->lock"}, Releases: []string{"&o->lock"}},
		{File: "effects.c", Func: "balanced", Acquires: []string{"&o->lock"}, Releases: []string{"&o->lock"}},
		{File: "effects.c", Func: "disagrees", Acquires: []string{"&o->mutex"}},
		{File: "effects.c", Func: "not_in_image", Acquires: []string{"x"}},
		{File: "elsewhere.c", Func: "give", Releases: []string{"x"}},
	}
	r := Compare(res, list, Built(func(file string) bool { return file == "effects.c" }))
	if r.Annotated != 6 || r.InImage != 4 || r.Found != 2 || r.Recall() != 0.5 {
		t.Errorf("%d annotated, %d in the image, %d found, recall %v", r.Annotated, r.InImage, r.Found, r.Recall())
	}
	got := map[string]Class{}
	for _, m := range r.Misses {
		got[m.Func] = m.Class
	}
	if d := cmp.Diff(map[string]Class{"balanced": ClassNeutral, "disagrees": ClassPossible}, got); d != "" {
		t.Errorf("misses (-want +got):\n%s", d)
	}
	var called []string
	for _, id := range r.Called {
		called = append(called, res.Model.Func(id).Name)
	}
	for name, want := range map[string]bool{"give": true, "try_object": true, "take": false, "drops_in_callee": false, "disagrees": false} {
		if has := strings.Contains(" "+strings.Join(called, " ")+" ", " "+name+" "); has != want {
			t.Errorf("%s is among the unannotated functions with an effect: %v, want %v", name, has, want)
		}
	}
	var b strings.Builder
	if err := r.Write(&b); err != nil || !strings.Contains(b.String(), "recall 50.0 %") {
		t.Errorf("error %v, report:\n%s", err, b.String())
	}
}
