package kbuild

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// reachBase is a text with one of each kind of declaration.
const reachBase = `# 1 "a.h"
typedef unsigned int u32;
struct used { u32 a; enum { KNOWN = 3 } kind; };
struct unused { u32 a; };
enum { PLAIN = 1, OTHER = 2 };
extern int shared;
int called(struct used *x);
int not_called(struct unused *x);
void *memset(void *, int, unsigned long) __attribute__((nonnull));
static inline int helper(int x) { return x + PLAIN; }
static inline int spare(int x) { return x - 1; }
static inline __attribute__((always_inline)) int outer(int x) { return helper(x) * 2; }
static struct used state;
static int (*hook)(void);
int table[3] = { 1, 2, 3 };
int function(struct used *x) { __builtin_memset(x, 0, sizeof(*x)); return called(x) + outer(x->a) + shared; }
`

// TestCodeDigest: whatever can reach the object alters the digest, and nothing else does.
func TestCodeDigest(t *testing.T) {
	tests := []struct {
		name, old, new string
		same           bool
	}{
		{"white space and markers", "# 1 \"a.h\"\n", "# 7 \"b.h\"\n\n\n", true},
		{"unused inline function", "return x - 1", "return x - 2", true},
		{"another inline function", "static inline int spare", "static inline int more(void) { return 1; }\nstatic inline int spare", true},
		{"prototype of what is not called", "int not_called(struct unused *x)", "long not_called(struct unused *x)", true},
		{"type that nothing names", "struct unused { u32 a; }", "struct unused { u32 a, b; }", true},
		{"another prototype", "extern int shared;", "extern int shared; extern int more; int another(void);", true},
		{"number of an assertion", "extern int shared;",
			"extern int shared; extern void __compiletime_assert_12(void) __attribute__((error(\"x\")));", true},

		{"function", "return called(x)", "return 1 + called(x)", false},
		{"inline function, two calls away", "return x + PLAIN", "return x - PLAIN", false},
		{"type of a parameter", "struct used { u32 a;", "struct used { u32 a, b;", false},
		{"typedef behind a type", "typedef unsigned int u32", "typedef unsigned long u32", false},
		{"enumerator", "PLAIN = 1", "PLAIN = 4", false},
		{"prototype of what is called", "int called(struct used *x)", "long called(struct used *x)", false},
		{"declaration of a variable", "extern int shared", "extern long shared", false},
		{"variable", "{ 1, 2, 3 }", "{ 1, 2, 4 }", false},
		{"another variable", "static struct used state;", "static struct used state, more;", false},
		{"pointer to a function", "static int (*hook)(void);", "", false},
		{"another function", "int function", "int more(void) { return 1; }\nint function", false},
		{"attribute of a builtin", "__attribute__((nonnull))", "__attribute__((nonnull(1)))", false},
		{"assembly", "int table[3]", "asm(\".byte 1\");\nint table[3]", false},
		{"pragma", "extern int shared;", "#pragma pack(1)\nextern int shared;", false},
		{"alias", "extern int shared;", "extern int shared; extern int again(void) __attribute__((alias(\"function\")));", false},
		{"used inline function", "static inline int spare",
			"static inline __attribute__((used)) int kept(void) { return 1; }\nstatic inline int spare", false},
		{"not static any more", "static inline int spare", "inline int spare", false},
	}
	want := codeDigest([]byte(reachBase))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(reachBase, tt.old, tt.new, 1)
			if text == reachBase {
				t.Fatal("the text does not change")
			}
			if same := codeDigest([]byte(text)) == want; same != tt.same {
				t.Errorf("same digest: %v, want %v", same, tt.same)
			}
		})
	}
	nested := strings.Replace(reachBase, "outer(x->a)", "KNOWN", 1)
	if codeDigest([]byte(nested)) == codeDigest([]byte(strings.Replace(nested, "KNOWN = 3", "KNOWN = 5", 1))) {
		t.Error("the value of an enumerator within a structure alters nothing")
	}
}

// TestCodeDigestCompiles: the texts of TestCodeDigest that have one digest make one
// object, with a real compiler.
func TestCodeDigestCompiles(t *testing.T) {
	dir := t.TempDir()
	compile := func(text string) string {
		t.Helper()
		src, obj := filepath.Join(dir, "a.i"), filepath.Join(dir, "a.o")
		if err := os.WriteFile(src, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("gcc", "-O2", "-w", "-c", "-o", obj, src).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		b, err := os.ReadFile(obj)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	want := compile(reachBase)
	for _, change := range [][2]string{
		{"return x - 1", "return x - 2"},
		{"struct unused { u32 a; }", "struct unused { u32 a, b; }"},
		{"extern int shared;", "extern int shared; int another(void);"},
	} {
		if compile(strings.Replace(reachBase, change[0], change[1], 1)) != want {
			t.Errorf("%q makes another object", change[1])
		}
	}
	if compile(strings.Replace(reachBase, "return x + PLAIN", "return x - PLAIN", 1)) == want {
		t.Error("the compiler makes the same of another function")
	}
}
