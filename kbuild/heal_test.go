package kbuild

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// damages are what can become of a file of the cache.
var damages = map[string]func(t *testing.T, path string){
	"cut short": func(t *testing.T, path string) { rewrite(t, path, func(b []byte) []byte { return b[:len(b)*2/3] }) },
	"empty":     func(t *testing.T, path string) { rewrite(t, path, func([]byte) []byte { return nil }) },
	"zeros": func(t *testing.T, path string) {
		rewrite(t, path, func(b []byte) []byte { return make([]byte, len(b)) })
	},
	"one bit": func(t *testing.T, path string) {
		rewrite(t, path, func(b []byte) []byte { b[len(b)*3/4] ^= 1; return b })
	},
	"longer": func(t *testing.T, path string) { rewrite(t, path, func(b []byte) []byte { return append(b, ' ') }) },
	"a directory": func(t *testing.T, path string) {
		replace(t, path, func() error { return os.MkdirAll(filepath.Join(path, "full"), 0o755) })
	},
	"a FIFO": func(t *testing.T, path string) { replace(t, path, func() error { return unix.Mkfifo(path, 0o644) }) },
	"a link to a zero": func(t *testing.T, path string) {
		replace(t, path, func() error { return os.Symlink("/dev/zero", path) })
	},
	"a link to itself": func(t *testing.T, path string) { replace(t, path, func() error { return os.Symlink(path, path) }) },
	"unreadable":       func(t *testing.T, path string) { must(t, os.Chmod(path, 0)) },
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func replace(t *testing.T, path string, f func() error) {
	t.Helper()
	must(t, os.RemoveAll(path))
	must(t, f())
}

func rewrite(t *testing.T, path string, f func([]byte) []byte) {
	t.Helper()
	data := f(mustRead(t, path))
	replace(t, path, func() error { return os.WriteFile(path, data, 0o644) })
}

// cacheFiles lists the files that runs keep in the cache, but for trees
// themselves, locks, and what is made for a person to read.
func cacheFiles(t *testing.T, cache string) []string {
	t.Helper()
	var out []string
	must(t, filepath.WalkDir(cache, func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && (name == "linux" || name == "logs" || name == "work"):
			return filepath.SkipDir
		case d.IsDir(), strings.HasSuffix(name, ".lock"), strings.HasSuffix(name, ".use"), strings.HasSuffix(name, ".mk"):
		default:
			rel, err := filepath.Rel(cache, path)
			out = append(out, rel)
			return err
		}
		return nil
	}))
	return out
}

// useCache goes the way of a build as far as it reads the cache, and returns
// what it comes to.
func useCache(t *testing.T, opts PrepareOptions) string {
	t.Helper()
	runtime.GC() // lets go of the trees of earlier calls
	ctx := context.Background()
	tree, err := Prepare(ctx, opts)
	must(t, err)
	work, err := tree.Work(ctx, WorkOptions{})
	must(t, err)
	defer work.Close()
	affected, err := tree.Affected(ctx, []string{"include/linux/value.h"})
	must(t, err)
	environment, err := tree.environment(ctx, work.flags)
	must(t, err)
	objects := []string{"fs/demo/inode.o", "init/main.o"}
	before, err := work.Before(ctx, objects)
	must(t, err)
	cmds, err := work.Commands(ctx, objects)
	must(t, err)
	hashes, err := work.preprocessPristine(ctx, objects, cmds)
	must(t, err)
	out := fmt.Sprintf("%s\n%q\n%v\n%v\n", tree.Key, hashes, affected, environment)
	for _, b := range before {
		out += fmt.Sprintf("%q %x\n", b.Deps, mustRead(t, b.Path))
	}
	return out
}

// TestDamagedCache: each file of the cache, damaged in each way, is made anew:
// the result is what it was, one line of the log tells, and the next run has
// nothing to tell.
func TestDamagedCache(t *testing.T) {
	opts := fakeOptions(t)
	archive := filepath.Join(t.TempDir(), "linux.tar.gz") // whose digest is kept, too
	if out, err := exec.Command("tar", "-czf", archive, "-C", "../testdata", "kernel").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	opts.Source = archive
	mustPrepare(t, opts) // skips without a toolchain
	want := useCache(t, opts)
	log := filepath.Join(opts.Cache, "logs/cache.log")
	lines := func() int {
		data, err := os.ReadFile(log)
		if err != nil {
			return 0
		}
		return strings.Count(string(data), "\n")
	}
	files := cacheFiles(t, opts.Cache)
	if len(files) < 8 {
		t.Fatalf("only %q", files)
	}
	for _, rel := range files {
		for name, damage := range damages {
			if name == "unreadable" && os.Geteuid() == 0 {
				continue // to root everything is readable
			}
			t.Run(rel+" "+name, func(t *testing.T) {
				timer := time.AfterFunc(2*time.Minute, func() { panic("it waits") })
				defer timer.Stop()
				told := lines()
				damage(t, filepath.Join(opts.Cache, rel))
				if got := useCache(t, opts); got != want {
					t.Errorf("the result differs: %d bytes, %d before", len(got), len(want))
				}
				if n := lines() - told; n != 1 {
					t.Errorf("%d lines in the log, want 1:\n%s", n, mustRead(t, log))
				}
				told = lines()
				if got := useCache(t, opts); got != want || lines() != told {
					t.Errorf("the second run: %d bytes, %d more lines", len(got), lines()-told)
				}
				info, err := os.Lstat(filepath.Join(opts.Cache, rel))
				if err != nil || !info.Mode().IsRegular() {
					t.Errorf("it was not made anew: %v", err)
				}
			})
		}
	}
}
