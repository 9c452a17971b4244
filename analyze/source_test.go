package analyze

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/finding"
)

const cText = `#include <x.h>
#define MACRO(a) { \
	a }
/* foo() { in a comment */
static int foo(int a);

static const struct ops table = {
	.probe = foo, .name = "foo {",
};
static int count, limit = 3;

static int __must_check
foo(int a)
{
	if (a) {
		return '{';
	}
	return bar(a);
}

struct thing { int foo; } things[3];

int bar(int b)
{
#ifdef A
	if (b) {
#else
	if (!b) {
#endif
	}
}
SYSCALL(x) int after(void) { return 0; }
`

func TestDefinition(t *testing.T) {
	type want struct {
		Line, End int
		Func      bool
	}
	for name, w := range map[string]want{
		"foo": {12, 19, true}, "table": {7, 9, false}, "bar": {23, 31, true}, "after": {32, 32, true}, "nothing": {},
	} {
		d, _ := findDefinition([]byte(cText), name)
		if diff := cmp.Diff(w, want{d.Line, d.End, d.Func}); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
		sameIndexed(t, []byte(cText), name)
	}
}

// sameIndexed fails when an index of a file changes what it defines.
func sameIndexed(t *testing.T, text []byte, name string) {
	t.Helper()
	plain := File{Old: text}
	indexed := File{New: text}
	indexed.Index()
	want, defined := plain.Definition(name, false)
	if got, ok := indexed.Definition(name, true); got != want || ok != defined {
		t.Errorf("%s is defined by %v (%v), with an index by %v (%v)", name, want, defined, got, ok)
	}
	if got, ok := indexed.Definition(name, false); ok {
		t.Errorf("%s is defined in no text: %v", name, got)
	}
}

// TestMacroBefore finds functions behind macros without semicolons: these are no
// part of how the function is called.
func TestMacroBefore(t *testing.T) {
	for text, want := range map[string]string{
		"DEFINE_X(a)\n\nstatic int foo(int x)\n{\n}\n":                                                    "static int foo ( int x )",
		"BTF_SET8_START(s)\nBTF_ID_FLAGS(func, foo)\nBTF_SET8_END(s)\n__bpf_kfunc int foo(int x)\n{\n}\n": "__bpf_kfunc int foo ( int x )",
		"EXPORT_SYMBOL(foo)\nstruct a *foo(int x)\n{\n}\n":                                                "struct a * foo ( int x )",
		"static DEFINE_MUTEX(a)\nstatic int\nfoo(int x)\n{\n}\n":                                          "static int foo ( int x )",
		"MODULE_ALIAS(\"x\") static int foo(int x)\n{\n}\n":                                               "static int foo ( int x )",
		"int foo(int x)\n__acquires(y)\n__releases(z)\n{\n}\n":                                            "int foo ( int x ) __acquires ( y ) __releases ( z )",
		"typeof(x) foo(int x)\n{\n}\n":                                                                    "typeof ( x ) foo ( int x )",
		"#ifdef A\nint foo(int x)\n#else\nint foo(void)\n#endif\n{\n}\n":                                  "int foo ( int x ) int foo ( void )",
		"SYSCALL_DEFINE1(foo, int, x)\n{\n}\nint foo(int x)\n{\n}\n":                                      "int foo ( int x )",
		"void (*foo(int x))(int)\n{\n}\n":                                                                 "void ( * foo ( int x ) ) ( int )",
		"EARLY(int, foo)\nLATE(foo)\nint foo(int x) __attribute__((cold))\n{\n}\n":                        "int foo ( int x ) __attribute__ ( ( cold ) )",
	} {
		d, ok := findDefinition([]byte(text), "foo")
		if !ok || d.Head != want {
			t.Errorf("%q: %q, want %q", text, d.Head, want)
		}
	}
}

func TestLocate(t *testing.T) {
	in := &Input{Units: []*Unit{{Object: "d/x.o", Source: "d/x.c"}}, Files: []File{
		{Path: "d/a.h", Old: []byte("static inline int twice(int x)\n{\n\treturn x;\n}\n"), New: []byte("static inline int twice(int x)\n{\n\treturn 2 * x;\n}\n"), Hunks: []Hunk{{3, 1, 3, 1}}},
		{Path: "d/x.c", Old: []byte(cText), New: []byte(cText), Hunks: []Hunk{{4, 1, 4, 1}, {15, 1, 15, 2}}}}}
	at := func(f string, o, n int) [2]finding.Position {
		return [2]finding.Position{{File: f, Line: o}, {File: f, Line: n}}
	}
	for name, w := range map[string][2]finding.Position{
		"foo": at("d/x.c", 15, 15), "foo.isra.0": at("d/x.c", 15, 15), "bar": at("d/x.c", 23, 23), "twice": at("d/a.h", 3, 3), "elsewhere": at("d/x.c", 4, 4), "": at("d/x.c", 4, 4),
	} {
		o, n := in.Locate("d/x.o", name)
		if diff := cmp.Diff(w, [2]finding.Position{o, n}); diff != "" {
			t.Errorf("%q (-want +got)\n%s", name, diff)
		}
	}
	if o, n := in.Locate("other/y.o", "foo2"); o.File != "other/y.c" || n.Line != 0 {
		t.Errorf("a unit without a changed source: %v, %v", o, n)
	}
}

// TestLocateEntry: a module's entry points stand under their names in the source.
func TestLocateEntry(t *testing.T) {
	text := []byte("static int __init x_start(void)\n{\n\treturn 0;\n}\n\nstatic void __exit x_stop(void)\n{\n}\n\nmodule_init(x_start);\nmodule_exit(x_stop);\n")
	in := &Input{Units: []*Unit{{Object: "d/x.o", Source: "d/x.c"}}, Files: []File{{Path: "d/x.c", Old: text, New: text, Hunks: []Hunk{{3, 1, 3, 1}}}}}
	for name, line := range map[string]int{"init_module": 3, "cleanup_module": 6} {
		if _, n := in.Locate("d/x.o", name); n.Line != line {
			t.Errorf("%s is at line %d, want %d", name, n.Line, line)
		}
	}
}

func FuzzDefinition(f *testing.F) {
	f.Add([]byte(cText), "foo")
	f.Fuzz(func(t *testing.T, text []byte, name string) {
		if d, ok := findDefinition(text, name); ok && (d.Line < 1 || d.End < d.Line) {
			t.Errorf("lines %d to %d", d.Line, d.End)
		}
		if name != "" && strings.IndexFunc(name, func(r rune) bool { return r >= 0x80 || !word(byte(r)) }) < 0 {
			sameIndexed(t, text, name)
		}
		Uses(text, name, func(int, string, string, string) {})
	})
}
