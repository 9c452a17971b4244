package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAddNop(t *testing.T) {
	const body = "int f(int a)\n{\n\tif (a)\n\t\treturn 1;\n\ta++;\n\treturn a;\n}\n"
	newer, line, ok := addNop([]byte(body))
	if !ok || line != 5 || !strings.Contains(string(newer), "\ta++;\n\tasm volatile (\"nop\");\n\treturn a;\n") {
		t.Errorf("line %d, %v:\n%s", line, ok, newer)
	}
	for name, text := range map[string]string{
		"a declaration":             "int f(int a);\n",
		"code that is gone":         "static int __init f(int a)\n{\n\ta++;\n\treturn a;\n}\n",
		"the branch of a label":     "int f(int a)\n{\nout:\n\treturn a;\n}\n",
		"a statement in a macro":    "#define f(a) \\\n\treturn a;\n",
		"nothing but a table":       "static int t[] =\n{\n\t1,\n};\n",
		"the branch of an else":     "int f(int a)\n{\n\tif (a)\n\t\ta++;\n\telse\n\treturn a;\n}\n",
		"an empty file":             "",
		"the last line, unfinished": "{",
	} {
		if newer, _, ok := addNop([]byte(text)); ok {
			t.Errorf("%s was changed:\n%s", name, newer)
		}
	}
}

// TestWrite has patch(1) apply what is written, near the ends of a file too.
func TestWrite(t *testing.T) {
	for name, text := range map[string]string{
		"long":           strings.Repeat("\n", 9) + "int f(int a)\n{\n\ta++;\n\treturn a;\n}\n" + strings.Repeat("\n", 9),
		"short":          "{\n\ta++;\n\treturn a;\n",
		"no end of line": "{\n\ta++;\n\treturn a;\n}",
	} {
		t.Run(name, func(t *testing.T) {
			b := bench{dir: t.TempDir()}
			newer, line, ok := addNop([]byte(text))
			if !ok {
				t.Fatal("nothing was changed")
			}
			e := edit{file: "net/a.c", old: []byte(text), new: newer, line: line}
			file := filepath.Join(b.dir, e.file)
			if err := b.write(&e); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, e.old, 0o644); err != nil {
				t.Fatal(err)
			}
			patch := exec.Command("patch", "-p1", "--fuzz=0", "-i", e.patch)
			patch.Dir = b.dir
			if out, err := patch.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, newer) {
				t.Errorf("%v:\n%s", err, got)
			}
		})
	}
}

func TestEvenly(t *testing.T) {
	all := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	if got := evenly(all, 3); len(got) != 3 || got[0] != 0 || got[1] != 3 || got[2] != 6 {
		t.Errorf("got %v", got)
	}
	if got := evenly(all, 20); len(got) != 10 {
		t.Errorf("got %v", got)
	}
}

func TestPrintScaled(t *testing.T) {
	one := scaled{what: "one", objects: 1, pure: time.Second, run: sample{total: 3 * time.Second}, limit: manyLimit}
	many := scaled{what: "many", objects: 30, pure: 30 * time.Second, run: sample{total: 33 * time.Second}, limit: manyLimit}
	slow := many
	slow.run.total = time.Minute
	var out bytes.Buffer
	if !printScaled(&out, []scaled{one, many}) || strings.Contains(out.String(), "MISSED") {
		t.Errorf("an aim is missed:\n%s", out.String())
	}
	if printScaled(&out, []scaled{many, slow}) || strings.Count(out.String(), "MISSED") != 1 {
		t.Errorf("no aim is missed:\n%s", out.String())
	}
}
