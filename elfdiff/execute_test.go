package elfdiff

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfobj"
)

// called are the functions of testdata/execute/unit.c that are run.
var called = []string{"plain", "strings", "cases", "offsets", "seldom", "with_new", "target", "recursive", "tail", "in_loops"}

// TestExtractedCodeRuns executes what was cut out, beside the object before the
// patch, and compares with the object after it: the processor decides whether every
// reference leads where it should.
func TestExtractedCodeRuns(t *testing.T) {
	for _, flags := range []string{"-O2", "-Os", "-O2 -fno-jump-tables -fno-reorder-blocks-and-partition", "-O1 -fsection-anchors"} {
		t.Run(flags, func(t *testing.T) {
			dir := t.TempDir()
			run := func(name string, args ...string) []byte {
				t.Helper()
				cmd := exec.Command(name, args...)
				cmd.Dir = dir
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
				}
				return out
			}
			source := func(name string) string {
				path, err := filepath.Abs(filepath.Join("testdata", "execute", name))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := os.ReadFile(path); err != nil { // go test runs again when it changes
					t.Fatal(err)
				}
				return path
			}
			compile := append(strings.Fields(flags), "-std=gnu11", "-ffreestanding", "-fno-pic", "-fno-pie", "-fcf-protection=none", "-ffunction-sections", "-fdata-sections",
				"-fno-asynchronous-unwind-tables", "-fno-stack-protector", "-g0", "-pg", "-mfentry", "-mrecord-mcount", "-c", source("unit.c"))
			run("gcc", append(slices.Clone(compile), "-o", "before.o")...)
			run("gcc", append(slices.Clone(compile), "-DAFTER", "-o", "after.o")...)
			read := func(name string) *elfobj.File {
				f, err := elfobj.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				return f
			}
			r, err := Diff(read("before.o"), read("after.o"))
			if err != nil {
				t.Fatal(err)
			}
			x, err := r.Extract(ExtractOptions{Unit: "execute/unit.o", Object: "vmlinux", Functions: replaceable(r), Resolve: func(e External) (string, error) {
				if e.Orig < 0 {
					return e.Name, nil
				}
				return "old_" + e.Name, nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			b, err := x.File.Write()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "cut.o"), b, 0o644); err != nil {
				t.Fatal(err)
			}

			// Symbols of the old object are called old_NAME, the static ones too.
			names := map[string]string{}
			for a, sym := range x.NewSymbols {
				names[r.Patched.Atoms[a].Name] = sym
			}
			args := []string{"--prefix-symbols=old_"}
			for _, s := range read("before.o").Symbols {
				if s.Sec > 0 && s.Name != "" && s.Type != 3 {
					args = append(args, "--globalize-symbol=old_"+s.Name)
				}
			}
			run("objcopy", append(args, "before.o", "old.o")...)
			var calls, cut, whole strings.Builder
			fmt.Fprint(&calls, "#ifdef CALL\n")
			for _, f := range append(slices.Clone(called), "where") {
				sym, ok := names[f]
				if !ok {
					t.Errorf("%s is not replaced", f)
				}
				if f != "where" {
					fmt.Fprintf(&calls, "CALL(%s)\n", f)
				}
				fmt.Fprintf(&cut, "#define SYMBOL_%s %q\n", f, sym)
				fmt.Fprintf(&whole, "#define SYMBOL_%s %q\n", f, f)
			}
			fmt.Fprint(&calls, "#endif\n")
			for name, text := range map[string]string{"calls.h": calls.String(), "cut.h": cut.String(), "whole.h": whole.String(),
				"stub.S": ".globl __fentry__, old___fentry__\n__fentry__:\nold___fentry__: ret\n.section .note.GNU-stack,\"\",@progbits\n"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			main := []string{"-O1", "-fno-pie", "-no-pie", "-I.", "-z", "noexecstack", source("main.c"), "stub.S"}
			run("gcc", append(slices.Clone(main), "-include", "whole.h", "after.o", "-o", "whole")...)
			run("gcc", append(slices.Clone(main), "-DCUT", "-include", "cut.h", "cut.o", "old.o", "-o", "cut")...)
			want, got := run(filepath.Join(dir, "whole")), run(filepath.Join(dir, "cut"))
			if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); d != "" {
				t.Errorf("(-after +cut out)\n%.3000s", d)
			}
		})
	}
}
