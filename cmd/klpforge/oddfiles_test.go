package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestOddFiles: whatever a command is given in place of a file that it reads,
// it ends at once, with one line that names it.
func TestOddFiles(t *testing.T) {
	dir := t.TempDir()
	fifo, huge, bomb := filepath.Join(dir, "fifo.ko"), filepath.Join(dir, "huge.ko"), filepath.Join(dir, "bomb.yaml")
	if err := unix.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(huge, []byte("\x7fELF"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, 1<<42); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bomb, billionLaughs(), 0o644); err != nil {
		t.Fatal(err)
	}
	patch := filepath.Join(dir, "fix.patch")
	if err := os.WriteFile(patch, []byte("--- a/f.c\n+++ b/f.c\n@@ -1 +1 @@\n-a\n+b\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	config := func(path string) []string {
		return []string{"lint", "-k", "6.1.0-none", "--config", path, "--source", dir, "--cache", filepath.Join(dir, "cache"), patch}
	}
	timer := time.AfterFunc(2*time.Minute, func() { panic("a command waits") })
	defer timer.Stop()
	for _, path := range []string{fifo, huge, "/dev/zero", "/dev/full", dir, filepath.Join(dir, "none")} {
		for _, args := range [][]string{
			{"info", path}, {"plan", path}, {"load", path}, {"postlink", path}, {"verify", "-k", "6.1.0-none", path},
			{"release", "check", "--file", path}, {"lint", "-k", "6.1.0-none", path}, config(path),
			{"diff", path, path},
		} {
			if args[0] == "diff" && path == fifo {
				continue // a FIFO is read there: it is what a shell makes of <(objcopy …)
			}
			if args[0] == "lint" && args[len(args)-1] == huge {
				continue // too large, which is the patch's fault and not of the environment
			}
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), append([]string{"klpforge"}, args...), strings.NewReader(""), &stdout, &stderr)
			if code != exitEnv && code != exitFindings && code != exitUsage {
				t.Errorf("%q: exit code %d\n%s", args, code, &stderr)
			}
			if n := strings.Count(strings.TrimSpace(stderr.String()), "\n"); n > 1 || stderr.Len() > 2000 {
				t.Errorf("%q: %d lines:\n%.500s", args, n+1, &stderr)
			}
		}
	}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"klpforge", "release", "check", "--file", bomb}, strings.NewReader(""), &stdout, &stderr); code == exitDone || !strings.Contains(stderr.String(), "bomb.yaml") {
		t.Errorf("a bomb of YAML: exit code %d\n%s", code, &stderr)
	}
}

// TestModuleBomb: a small module file that expands to much more than a module
// can is refused by each command that reads one, and costs no more than its bound.
func TestModuleBomb(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	for range 256 {
		if _, err := z.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bomb.ko.gz")
	if err := os.WriteFile(file, packed.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"info", file}, {"plan", file}, {"load", file}, {"unload", file}, {"verify", "-k", "6.1.0-none", file}} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"klpforge"}, args...), strings.NewReader(""), &stdout, &stderr)
		runtime.ReadMemStats(&after)
		if code != exitEnv || !strings.Contains(stderr.String(), file) || !strings.Contains(stderr.String(), "expands to more than") {
			t.Errorf("%q: exit code %d\n%s", args, code, &stderr)
		}
		if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 200 {
			t.Errorf("%q: took %d MB", args, used)
		}
	}
}

// billionLaughs is a YAML document whose aliases expand to 9^9 strings.
func billionLaughs() []byte {
	var b bytes.Buffer
	b.WriteString("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n")
	for i := 1; i < 10; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 8)+fmt.Sprintf("*a%d", i-1))
	}
	return b.Bytes()
}
