package patchset

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hostile are patches with one fault each, and a part of the one line that
// must tell it.
var hostile = map[string]struct{ patch, want string }{
	"line break in a name":    {quoted(`kernel/x\ny.c`), `line 1: refuse path "kernel/x\ny.c": name holds a control character`},
	"escape in a name":        {quoted(`kernel/x\033[2Jy.c`), `line 1: refuse path "kernel/x\x1b[2Jy.c"`},
	"tab in a name":           {quoted(`kernel/x\ty.c`), "control character"},
	"raw escape in a name":    {created("kernel/x\x1b.c"), `"kernel/x\x1b.c": name holds a control character`},
	"C1 control in a name":    {created("kernel/x\u0085.c"), "control character"},
	"NUL in a name":           {created("kernel/x\x00.c"), "NUL"},
	"invalid UTF-8":           {created("kernel/x\xff\xfe.c"), `refuse path "kernel/x\xff\xfe.c": name is not UTF-8`},
	"long component":          {created("kernel/" + strings.Repeat("x", 256) + ".c"), "has 258 bytes"},
	"long name":               {created(strings.Repeat("d/", 3000) + "x.c"), "name has 6003 bytes"},
	"name of a directory":     {created("kernel"), "it is a directory"},
	"below a file":            {created("kernel/fork.c/x.c"), "is a file, not a directory"},
	"rename of a directory":   {"diff --git a/kernel b/other\nsimilarity index 100%\nrename from kernel\nrename to other\n", "it is a directory"},
	"endless header line":     {"diff --git a/f b/f\nindex " + strings.Repeat("a", 3<<20) + "\n" + modified("kernel/fork.c"), "line 2: a line of more than"},
	"endless line at the end": {modified("kernel/fork.c") + strings.Repeat("x", 3<<20), "line 6: a line of more than"},
	"huge count":              {"--- a/kernel/fork.c\n+++ b/kernel/fork.c\n@@ -1,999999999 +1,999999999 @@\n a\n", "line 3: hunk is cut off"},
	"count over 64 bits":      {"--- a/kernel/fork.c\n+++ b/kernel/fork.c\n@@ -1,99999999999999999999 +1 @@\n a\n", "line 3: malformed hunk header"},
	"position over 64 bits":   {"--- a/kernel/fork.c\n+++ b/kernel/fork.c\n@@ -18446744073709551615,1 +1,1 @@\n-a\n+b\n", "line 3: malformed hunk header"},
	"negative position":       {"--- a/kernel/fork.c\n+++ b/kernel/fork.c\n@@ --1,1 +1,1 @@\n-a\n+b\n", "line 3: malformed hunk header"},
	"position beyond the end": {"--- a/kernel/fork.c\n+++ b/kernel/fork.c\n@@ -999999999,1 +999999999,1 @@\n-z\n+b\n", "hunk 1 at line 999999999"},
	"base85 cut short":        {"diff --git a/a.bin b/a.bin\nindex 1..2 100644\nGIT binary patch\nliteral 99999\nzcmV\n", "a.bin"},
	"cut off":                 {modified("kernel/fork.c")[:len(modified("kernel/fork.c"))-3], "cut off"},
	"carriage returns only":   {strings.ReplaceAll(modified("kernel/fork.c"), "\n", "\r"), "no unified diff"},
}

func quoted(name string) string {
	return fmt.Sprintf("diff --git \"a/%[1]s\" \"b/%[1]s\"\n--- \"a/%[1]s\"\n+++ \"b/%[1]s\"\n@@ -1,1 +1,1 @@\n-a\n+b\n", name)
}

func created(name string) string {
	return "--- /dev/null\n+++ b/" + name + "\n@@ -0,0 +1,1 @@\n+b\n"
}

func modified(name string) string {
	return fmt.Sprintf("--- a/%[1]s\n+++ b/%[1]s\n@@ -1,1 +1,1 @@\n-a\n+b\n", name)
}

// TestHostile: each is the patch's fault (which gives exit code 1), told in
// one printable line that names the patch.
func TestHostile(t *testing.T) {
	tree := t.TempDir()
	if err := os.Mkdir(filepath.Join(tree, "kernel"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "kernel/fork.c"), []byte("a\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range hostile {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "bad.patch")
			if err := os.WriteFile(file, []byte(c.patch), 0o644); err != nil {
				t.Fatal(err)
			}
			s, err := Read([]string{file}, ReadOptions{})
			if err == nil {
				_, err = s.ApplyDir(tree, ApplyOptions{})
			}
			if err == nil {
				t.Fatal("no error")
			}
			fault := errors.Is(err, ErrEmpty)
			for _, kind := range []any{new(*ParseError), new(*PathError), new(*BinaryError), new(*ApplyError)} {
				fault = fault || errors.As(err, kind)
			}
			if !fault {
				t.Errorf("%T is not the patch's fault", err)
			}
			text := err.Error()
			if !strings.Contains(text, c.want) || !strings.Contains(text, "bad.patch") || len(text) > 1000 {
				t.Errorf("got %.300q\nwant a line with bad.patch and %q", text, c.want)
			}
			if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 }); i >= 0 {
				t.Errorf("the message holds a control character at %d: %.300q", i, text)
			}
		})
	}
}

// TestManyFailures: a patch with very many hunks, or files, that do not apply
// costs neither the time of looking for each nor a message for each.
func TestManyFailures(t *testing.T) {
	var source, hunks, files strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&source, "line %d\n", i)
		fmt.Fprintf(&hunks, "@@ -%[1]d,1 +%[1]d,1 @@\n-no such line %[1]d\n+b\n", i+1)
		files.WriteString(modified(fmt.Sprintf("kernel/f%d.c", i)))
	}
	tree := t.TempDir()
	if err := os.WriteFile(filepath.Join(tree, "f.c"), []byte(source.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"hunks": "--- a/f.c\n+++ b/f.c\n" + hunks.String(), "files": files.String()} {
		file := filepath.Join(t.TempDir(), "many.patch")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := Read([]string{file}, ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = s.ApplyDir(tree, ApplyOptions{})
		runtime.ReadMemStats(&after)
		var list ApplyErrors
		if !errors.As(err, &list) || len(list) > maxFailed+1 || !strings.Contains(list[len(list)-1].Reason, "not tried") {
			t.Errorf("%s: %d failures, last %v", name, len(list), list[max(len(list)-1, 0):])
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 256<<20 {
			t.Errorf("%s: took %d MB", name, used>>20)
		}
	}
}

// TestOddInputs: what is no file is refused at once, but for what a shell passes
// by the number of a descriptor.
func TestOddInputs(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "a.patch")
	if err := unix.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(time.Minute, func() { panic("reading a FIFO waits") })
	defer timer.Stop()
	for _, path := range []string{fifo, "/dev/zero", "/dev/tty", filepath.Join(dir, "none.patch")} {
		if _, err := Read([]string{path}, ReadOptions{}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	go func() {
		_, _ = w.WriteString(modified("kernel/fork.c")) // a failure shows in what is read
		w.Close()
	}()
	s, err := Read([]string{fmt.Sprintf("/dev/fd/%d", r.Fd())}, ReadOptions{})
	if err != nil || len(s.Patches) != 1 {
		t.Errorf("a pipe: %+v, %v", s, err)
	}
	if _, err := Read([]string{"-"}, ReadOptions{Stdin: zeros{}}); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("an endless standard input: %v", err)
	}
}

// zeros is endless.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
