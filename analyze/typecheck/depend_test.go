package typecheck

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/elfobj"
)

// dependText is C as the preprocessor leaves it, with the names of testdata/types.c.
const dependText = `
# 1 "x.c"
typedef struct { int counter; } count_t;
typedef struct plain plain_t;
extern struct leads *leads;
extern int callee(struct plain *p, unsigned long flags, int more);
extern struct anon *lookup(int nr) __attribute__((pure));
static inline __attribute__((always_inline)) struct plain *hop(struct leads *l) { return l->to; }
int direct(struct plain *p) { return p->flag; }
int indirect(void) { return hop(leads)->refs.counter; }
int returned(int x) { return lookup(x)->named.q; }
int calls(struct plain *p) { return callee(p, 0, 0); }
int constant(int x) { return x == ANON_TWO ? MODE_B : 0; }
int untouched(int x) { return x + 1; }
int other(struct leads *l) { return l->hidden != 0; }
int unrelated(struct same *s) { return s->a; }
int same_name(struct flags { int flag; } *f) { return f->flag; }
int sized(union all *a) { return sizeof(union all); }
int copied(union all *a) { union all b = *a; return b.i; }
int stepped(union all *a) { a++; return a->i; }
int plainly(union all *a) { return a->i; }
int named(plain_t *p) { return p->next != 0; }
int offsetting(void *p) { return ((struct bits *)((char *)p - __builtin_offsetof(struct bits, c)))->c; }
int sized_deref(union all *a) { return sizeof(*a); }
int sized_other(union all *a, int *n) { return sizeof(*n) + a->i; }
union all *find_all(int nr);
int call_indexed(int nr) { return find_all(nr)[1].i; }
extern int later(struct leads *l);
int before_it(struct leads *l) { return later(l); }
int later(struct leads *l) { return l->to != 0; }
int far(struct plain *p) { return direct(p); }
static const int second = ANON_TWO;
int by_constant(int x) { return x == second; }
int indexed(struct anon *a, int i) { return a->list[i].s; }
`

// TestJudge: what functions use of the types that differ.
func TestJudge(t *testing.T) {
	o := object(t, "other.o")
	text := ReadText([]byte(dependText))
	for fn, want := range map[string]map[string]Use{
		"direct":       {"struct plain": Used},
		"indirect":     {"struct plain": Used, "struct leads": Used},
		"returned":     {"struct anon": Used},
		"calls":        {"callee()": Used, "struct plain": Unsure},
		"constant":     {"ANON_TWO": Used, "enum mode": Used},
		"untouched":    {},
		"other":        {},
		"unrelated":    {},
		"same_name":    {},
		"sized":        {"union all": Used},
		"copied":       {"union all": Used},
		"stepped":      {"union all": Used},
		"plainly":      {"union all": Unsure},
		"named":        {"struct plain": Used},
		"offsetting":   {"struct bits": Used},
		"sized_deref":  {"union all": Used},
		"sized_other":  {"union all": Unsure},
		"call_indexed": {"union all": Used},
		"indexed":      {"struct anon": Used},
		// What another names is judged with its own body all the same.
		"before_it later": {"struct leads": Used},
		// No word is needed for a compiler to inline a function, or to fold a constant.
		"far":         {"struct plain": Used},
		"by_constant": {"ANON_TWO": Used},
		"missing":     nil,
	} {
		r, err := Check(o, sources(t)[0], all, none)
		if err != nil {
			t.Fatal(err)
		}
		Judge(r.Mismatches, text, o, strings.Fields(fn), []string{"not_in_the_text"})
		got := map[string]Use{}
		for _, m := range r.Mismatches {
			if m.Use != Unused {
				got[m.Name] = m.Use
			}
			if m.Use == Used && m.Why == "" {
				t.Errorf("%s: %s is used, and nothing says why", fn, m.Name)
			}
		}
		if want == nil {
			if len(got) != len(r.Mismatches) {
				t.Errorf("%s, whose text is not known: %v", fn, got)
			}
			continue
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got)\n%s", fn, d)
		}
	}
}

// TestMembers: without types of the kernel, what the code can use is listed, and what
// shipped code has the offset of.
func TestMembers(t *testing.T) {
	o := object(t, "same.o")
	text := ReadText([]byte(dependText))
	for fn, want := range map[string][]string{
		"direct":    {"struct plain.flag"},
		"indirect":  {"count_t.counter", "struct leads.to", "struct plain.refs"},
		"untouched": nil,
	} {
		got, complete := Members(text, o, []string{fn}, nil)
		if d := cmp.Diff(want, got); d != "" || !complete {
			t.Errorf("%s, complete %v (-want +got)\n%s", fn, complete, d)
		}
	}
	if _, complete := Members(text, o, []string{"missing"}, nil); complete {
		t.Error("a function without text, and all is said to be known")
	}
	f, err := elfobj.ReadFile("testdata/same.o")
	if err != nil {
		t.Fatal(err)
	}
	p, err := model.FromObject(f, model.ObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m := model.Build(p)
	// use() reads p->name[0] and a->named.p, and here->a, whose pointer is no argument.
	got := Proofs(m, o, all)
	if d := cmp.Diff([]string{"struct anon.named.p", "struct plain.name"}, got); d != "" {
		t.Errorf("proved (-want +got)\n%s", d)
	}
	if got := Proofs(m, o, func(string) bool { return false }); len(got) > 0 {
		t.Errorf("code that is not shipped proves %q", got)
	}
}

// TestTextCompare: what is made of other headers is found where the code is made of it.
func TestTextCompare(t *testing.T) {
	here := ReadText([]byte(dependText))
	there := ReadText([]byte(strings.NewReplacer(
		"{ return p->flag; }", "{ return p->flag & 2; }",
		"second = ANON_TWO", "second = ANON_ONE",
		"return l->to;", "return (void *)\"text\";",
		"unsigned long flags, int more);", "int more, unsigned long flags);",
	).Replace(dependText)))
	for fn, want := range map[string][]string{
		"direct":      {"direct"},
		"far":         {"direct"},
		"by_constant": {"second"},
		"indirect":    {"hop"},
		"calls":       {"callee"},
		"untouched":   nil,
		"constant":    nil,
		"missing":     {"missing"},
	} {
		var got []string
		for _, o := range here.Compare(there, []string{fn}, nil) {
			got = append(got, o.Name)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got)\n%s", fn, d)
		}
	}
	got := here.Compare(there, []string{"far", "direct"}, nil)
	want := []Otherwise{{"direct", "p -> flag ; }", "p -> flag & 2 ; }"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}
