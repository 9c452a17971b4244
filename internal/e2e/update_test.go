package e2e

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/kbuild"
)

// TestTakenBack: the changes of another line's update apply to a kernel that has them, in
// the other direction, and to no other.
func TestTakenBack(t *testing.T) {
	const before, after = "int f(void)\n{\n\treturn old();\n}\n", "int f(void)\n{\n\treturn fixed();\n}\n"
	dir := t.TempDir()
	for name, text := range map[string]string{
		"older/a.c": before, "newer/a.c": after, "has/a.c": "/* another line */\n" + after, "lacks/a.c": "/* another line */\n" + before,
	} {
		writeFile(t, dir+"/"+name, text)
	}
	for kernel, want := range map[string]bool{"has": true, "lacks": false} {
		u := &update{
			ctx: t.Context(), tree: &kbuild.Tree{Dir: dir + "/" + kernel}, newer: dir + "/newer", takenBack: dir + "/older", scratch: t.TempDir(),
		}
		if got := u.applies("a.c"); got != want {
			t.Errorf("a kernel that %s the change: applies %v", kernel, got)
		}
		text, err := u.patch("a.c")
		if err != nil || !strings.Contains(string(text), "-\treturn fixed();\n+\treturn old();\n") {
			t.Errorf("%v: the patch is\n%s", err, text)
		}
	}
	own := &update{ctx: t.Context(), tree: &kbuild.Tree{Dir: dir + "/older"}, newer: dir + "/newer"}
	text, err := own.patch("a.c")
	if err != nil || !strings.Contains(string(text), "-\treturn old();\n+\treturn fixed();\n") {
		t.Errorf("%v: the patch of an update of the own line is\n%s", err, text)
	}
}

func TestSpread(t *testing.T) {
	all := []string{"a", "b", "c", "d", "e", "f"}
	for limit, want := range map[int][]string{0: all, 9: all, 3: {"a", "c", "e"}, 4: {"a", "b", "d", "e"}} {
		if d := cmp.Diff(want, spread(all, limit)); d != "" {
			t.Errorf("%d (-want +got)\n%s", limit, d)
		}
	}
}
