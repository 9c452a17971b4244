package types

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
)

// TestLines compiles functions into sections of their own, which all begin at offset
// 0: the first instruction of each is that of its only statement.
func TestLines(t *testing.T) {
	dir := t.TempDir()
	const text = `int first(int a)
{
	return a + 1;
}

int second(int a)
{
	return a * 7;
}
`
	if err := os.WriteFile(filepath.Join(dir, "a.c"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"-gdwarf-4", "-gdwarf-5"} {
		cc := exec.Command("gcc", "-g", version, "-O2", "-fno-asynchronous-unwind-tables", "-ffunction-sections", "-c", "a.c")
		cc.Dir = dir
		if out, err := cc.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		f, err := elfobj.ReadFile(filepath.Join(dir, "a.o"))
		if err != nil {
			t.Fatal(err)
		}
		lines, err := ReadLines(f)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]int{".text.first": 3, ".text.second": 8} {
			for i := range f.Sections {
				s := &f.Sections[i]
				if s.Name != name {
					continue
				}
				file, line, ok := lines.At(elfobj.SecID(i), 0)
				if !ok || filepath.Base(file) != "a.c" || line != want {
					t.Errorf("%s: %s+0 is at %s:%d, %v; want a.c:%d", version, name, file, line, ok, want)
				}
				if file, line, ok := lines.At(elfobj.SecID(i), s.Size); ok {
					t.Errorf("%s: behind the end of %s is %s:%d", version, name, file, line)
				}
			}
		}
		if _, _, ok := lines.At(0, 0); ok {
			t.Errorf("%s: the null section has a line", version)
		}
	}
	if out, err := exec.Command("strip", "-g", filepath.Join(dir, "a.o")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f, err := elfobj.ReadFile(filepath.Join(dir, "a.o"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadLines(f); err == nil {
		t.Error("line tables in an object without any")
	}
}
