package e2e

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/klpforge/klpforge/kernel/cachedir"
)

// Exit codes, as promised to scripts.
const (
	exitDone    = 0
	exitRefused = 1
	exitUsage   = 2
	exitEnv     = 3
)

// cli runs the built klpforge as a user does.
type cli struct {
	bin     string
	cache   cachedir.Dir // $KLPFORGE_CACHE
	path    string       // $PATH; "" is the test's
	tmp     string       // $TMPDIR; "" is the test's
	release string
	tree    string // prepared source tree of the release
}

// newCLI builds the program and makes sure that the release is prepared.
func newCLI(t *testing.T, e *Env, release string) *cli {
	t.Helper()
	c := &cli{bin: buildCLI(t), cache: e.Cache, release: release}
	if err := e.Fetch(t.Context(), release); err != nil {
		t.Fatal(err)
	}
	c.tree = strings.TrimSpace(c.run(t, "kernel", "prepare", "-k", release).want(t, exitDone).out)
	return c
}

// buildCLI builds the program and returns its path.
func buildCLI(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "klpforge")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "github.com/klpforge/klpforge/cmd/klpforge")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as make does; VMs have no C library
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build klpforge: %v\n%s", err, out)
	}
	return bin
}

// result is one finished run.
type result struct {
	args     []string
	code     int
	out, err string
}

func (c *cli) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.bin, args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "KLPFORGE_") || strings.HasPrefix(kv, "CC=") ||
			c.path != "" && strings.HasPrefix(kv, "PATH=") || c.tmp != "" && strings.HasPrefix(kv, "TMPDIR=")
	})
	cmd.Env = append(cmd.Env, "KLPFORGE_CACHE="+string(c.cache))
	if c.path != "" {
		cmd.Env = append(cmd.Env, "PATH="+c.path)
	}
	if c.tmp != "" {
		cmd.Env = append(cmd.Env, "TMPDIR="+c.tmp)
	}
	return cmd
}

func (c *cli) run(t *testing.T, args ...string) *result {
	t.Helper()
	return c.runIn(t, "", args...)
}

// runIn runs klpforge in a directory; "" is the test's.
func (c *cli) runIn(t *testing.T, dir string, args ...string) *result {
	t.Helper()
	cmd := c.command(t.Context(), args...)
	cmd.Dir = dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	r := &result{args: args, code: cmd.ProcessState.ExitCode(), out: out.String(), err: errs.String()}
	if exit := new(exec.ExitError); err != nil && (!errors.As(err, &exit) || r.code < 0) {
		t.Fatalf("klpforge %s: %v\n%s", strings.Join(args, " "), err, r.err)
	}
	for _, trace := range []string{"panic:", "goroutine ", "runtime error"} {
		if strings.Contains(r.err, trace) {
			t.Errorf("klpforge %s: a trace on standard error:\n%s", strings.Join(args, " "), r.err)
		}
	}
	return r
}

// want checks the exit code and that standard error says all of the texts.
func (r *result) want(t *testing.T, code int, texts ...string) *result {
	t.Helper()
	if r.code != code {
		t.Fatalf("klpforge %s: exit code %d, want %d\n%s%s", strings.Join(r.args, " "), r.code, code, r.out, r.err)
	}
	for _, text := range texts {
		if !strings.Contains(r.err, text) {
			t.Errorf("klpforge %s: standard error does not say %q:\n%s", strings.Join(r.args, " "), text, r.err)
		}
	}
	if code != exitDone && code != exitRefused && r.out != "" {
		t.Errorf("klpforge %s: failed and printed a result:\n%s", strings.Join(r.args, " "), r.out)
	}
	return r
}

// build makes a module of patches and checks the exit code and the texts; with
// a code other than 0 it also checks that no module was left.
func (c *cli) build(t *testing.T, code int, texts []string, ko string, args ...string) *result {
	t.Helper()
	r := c.run(t, append([]string{"build", "-k", c.release, "-o", ko}, args...)...).want(t, code, texts...)
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(ko), "*"+filepath.Base(ko)+"*")); code != exitDone && len(left) > 0 {
		t.Errorf("a refused build left %q", left)
	}
	return r
}

// edit is one change of a file of the kernel source.
type edit struct {
	file     string
	old, new string // old occurs once; "" makes a new file of new
}

// patch writes a patch that makes the edits.
func (c *cli) patch(t *testing.T, edits ...edit) string {
	t.Helper()
	return c.diff(t, "a", "b", edits)
}

// reverse writes a patch that takes the edits back.
func (c *cli) reverse(t *testing.T, edits ...edit) string {
	t.Helper()
	return c.diff(t, "b", "a", edits)
}

// diff compares the files as they are (a) and after the edits (b).
func (c *cli) diff(t *testing.T, from, to string, edits []edit) string {
	t.Helper()
	files := map[string]string{}
	dir := t.TempDir()
	for _, e := range edits {
		text, seen := files[e.file]
		switch {
		case e.old == "":
			files[e.file] = e.new
			continue
		case !seen:
			text = string(readFile(t, filepath.Join(c.tree, e.file)))
			writeFile(t, filepath.Join(dir, "a", e.file), text)
		}
		if n := strings.Count(text, e.old); n != 1 {
			t.Fatalf("%q occurs %d times in %s", e.old, n, e.file)
		}
		files[e.file] = strings.Replace(text, e.old, e.new, 1)
	}
	for file, text := range files {
		writeFile(t, filepath.Join(dir, "b", file), text)
	}
	cmd := exec.CommandContext(t.Context(), "diff", "-urN", from, to)
	cmd.Dir = dir
	text, err := cmd.Output()
	if len(text) == 0 {
		t.Fatalf("the edits change nothing: %v", err)
	}
	return writeTemp(t, "fix.patch", string(text))
}

// writeFile writes a file and makes its directory.
func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func writeTemp(t *testing.T, name, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	writeFile(t, p, text)
	return p
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// wrapper writes a program that stands in for a compiler.
func wrapper(t *testing.T, name, script string) string {
	t.Helper()
	p := writeTemp(t, name, "#!/bin/sh\n"+script+"\n")
	if err := os.Chmod(p, 0o755); err != nil {
		t.Fatal(err)
	}
	return p
}

// smallDisk mounts a file system of its own of some size, such as "1m".
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		if os.Geteuid() != 0 {
			t.Skipf("mount a small disk: %v", err)
		}
		t.Fatalf("mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// fill leaves no space on a small disk.
func fill(t *testing.T, dir string) {
	t.Helper()
	err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 1<<20), 0o644)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("fill the small disk: %v", err)
	}
}

// entries lists a directory; one that does not exist is empty.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

// ownCache makes dir a cache that has what e's cache has fetched, and nothing
// else.
func ownCache(t *testing.T, e *Env, dir string) cachedir.Dir {
	t.Helper()
	if err := os.Symlink(e.Cache.Targets(), filepath.Join(dir, "targets")); err != nil {
		t.Fatal(err)
	}
	return cachedir.Dir(dir)
}

// Edits that several tests use: the text of /proc/cmdline, and how a module
// rounds.
var (
	cmdlineEdit = edit{"fs/proc/cmdline.c", "\tseq_putc(m, '\\n');\n", "\tseq_puts(m, \" patched\\n\");\n"}
	utf8Edit    = edit{"fs/nls/nls_utf8.c", "\t\t*uni = 0x003f;\t/* ? */\n", "\t\t*uni = 0xfffd;\n"}
)
