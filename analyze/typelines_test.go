package analyze

import "testing"

const typeText = `#define A 1
#define LONG(x) \
	(x)
struct one {
	int a;
	union {
		int b;
	};
};
static const struct one table = {
	.a = 1,
};
typedef struct one
	one_t;
struct __aligned(8) two {
	int c;
};
static struct one *get(struct one *x)
{
	enum { LOCAL = 3 };
	return x;
}
enum e {
	E1,
};
`

func TestTouchesTypes(t *testing.T) {
	touching := map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true, 6: true, 7: true, 8: true, 9: true,
		13: true, 14: true, 15: true, 16: true, 17: true, 20: true, 23: true, 24: true, 25: true}
	for line := 1; line <= 25; line++ {
		f := File{Path: "d/x.c", Old: []byte("int a;\n"), New: []byte(typeText), Hunks: []Hunk{{OldStart: 1, OldLines: 0, NewStart: line, NewLines: 1}}}
		if got := f.TouchesTypes(); got != touching[line] {
			t.Errorf("line %d: %v", line, got)
		}
	}
}
