package patchset

import (
	"fmt"
	"strings"
	"testing"
)

// TestItems: one line for each item, with its lines, kind, name and whether it is static.
func TestItems(t *testing.T) {
	text := `// SPDX
#include <linux/a.h>
#define TWO(x) \
	((x) * 2)

/* comment;
 * } */
struct foo {
	int a;
} __packed;

typedef struct { int b; } bar_t;
enum { A, B };
static const struct ops table[] = {
	{ 1 },
};
int first, *second;
extern int proto(int x,
		 int y);
static __printf(1, 2) int printer(const char *fmt, ...)
	__must_hold(x)
{
	if (a) {
#ifdef B
		b();
#endif
	}
}
EXPORT_SYMBOL_GPL(printer);
SYSCALL_DEFINE2(thing, int, a, int, b)
{
	return 0;
}
static DEFINE_MUTEX(lock);
module_init(start);
static int (*hook)(void);
`
	want := `2-2 6 <linux/a.h>
3-4 5 TWO
8-10 4 foo
12-12 4 bar_t
13-13 4 
14-16 3 table static
17-17 3 second
18-19 2 proto
20-28 1 printer static
29-29 2 printer
30-33 1 thing
34-34 2 lock static
35-35 2 start
36-36 3 hook static
`
	var got strings.Builder
	for _, i := range Items([]byte(text)) {
		static := ""
		if i.Static {
			static = " static"
		}
		fmt.Fprintf(&got, "%d-%d %d %s%s\n", i.Start, i.End, i.Kind, i.Name, static)
	}
	if got.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
	}
}
