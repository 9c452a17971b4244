package kbuild

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPrepare(t *testing.T) {
	opts := fakeOptions(t)
	tree := mustPrepare(t, opts)
	if tree.Release != "6.1.0-fake" || tree.Version != "6.1.99" || tree.CC != "gcc" {
		t.Errorf("tree: %+v", tree)
	}
	if got := string(mustRead(t, filepath.Join(tree.Dir, "include/generated/utsrelease.h"))); got != "#define UTS_RELEASE \"6.1.0-fake\"\n" {
		t.Errorf("utsrelease.h: %q", got)
	}
	if got := string(mustRead(t, filepath.Join(tree.Dir, "include/config/kernel.release"))); got != "6.1.0-fake\n" {
		t.Errorf("kernel.release: %q", got)
	}
	if !exists(filepath.Join(tree.Dir, "Module.symvers")) {
		t.Error("Module.symvers is missing")
	}
	want := []ConfigDiff{
		{Name: "CONFIG_CC_VERSION_TEXT", Got: `"whatever"`, Expected: true},
		{Name: "CONFIG_SURPRISE", Got: "y"},
	}
	if diff := cmp.Diff(want, tree.ConfigDiffs); diff != "" {
		t.Errorf("config differences (-want +got):\n%s", diff)
	}

	var stages []string
	opts.Progress = func(stage string, _, _ int) { stages = append(stages, stage) }
	again := mustPrepare(t, opts)
	if again.Dir != tree.Dir || len(stages) != 0 {
		t.Errorf("second run: %s after stages %v, want %s from the cache", again.Dir, stages, tree.Dir)
	}
	// The same directories by other names.
	links := t.TempDir()
	linked := opts
	for name, path := range map[string]*string{"source": &linked.Source, "cache": &linked.Cache} {
		link := filepath.Join(links, name)
		abs, err := filepath.Abs(*path)
		if err == nil {
			err = os.Symlink(abs, link)
		}
		if err != nil {
			t.Fatal(err)
		}
		*path = link
	}
	if again := mustPrepare(t, linked); again.Dir != tree.Dir {
		t.Errorf("through links: %s, want %s", again.Dir, tree.Dir)
	}
	opts.Release = "6.1.0-other"
	if other := mustPrepare(t, opts); other.Key == tree.Key {
		t.Error("two releases share a tree")
	}
}

// TestPrepareAfterKill leaves what a killed run leaves.
func TestPrepareAfterKill(t *testing.T) {
	opts := fakeOptions(t)
	tree := mustPrepare(t, opts)
	if err := os.Remove(filepath.Join(tree.base, "meta.json")); err != nil {
		t.Fatal(err)
	}
	junk := filepath.Join(tree.Dir, "half-written")
	if err := os.WriteFile(junk, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	mustPrepare(t, opts)
	if exists(junk) {
		t.Error("the incomplete tree was used")
	}

	// What is left of a tree that nobody asks for goes with the next that is made.
	if err := os.Remove(filepath.Join(tree.base, "meta.json")); err != nil {
		t.Fatal(err)
	}
	tree.use.Close() // as the kernel does for a process that was killed
	runtime.GC()
	opts.Release = "6.1.0-other"
	mustPrepare(t, opts)
	if exists(tree.base) {
		t.Error("the incomplete tree was left")
	}
}

func TestPrepareConcurrently(t *testing.T) {
	opts := fakeOptions(t)
	mustPrepare(t, opts) // skips without a toolchain
	opts.Release = "6.1.0-race"
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() {
			_, err := Prepare(context.Background(), opts)
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestPrepareRefuses(t *testing.T) {
	write := func(t *testing.T, text string) string {
		path := filepath.Join(t.TempDir(), "config")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name   string
		change func(t *testing.T, o *PrepareOptions)
		check  func(error) bool
	}{
		{"other compiler", func(t *testing.T, o *PrepareOptions) {
			o.Config = write(t, fakeConfig+"CONFIG_CC_VERSION_TEXT=\"gcc (Nobody 1.2.3) 1.2.3\"\n")
		}, func(err error) bool { return errors.As(err, new(*CompilerMismatchError)) }},
		{"absent compiler", func(t *testing.T, o *PrepareOptions) { o.CC = "no-such-compiler-7" },
			func(err error) bool {
				var e *MissingToolsError
				return errors.As(err, &e) && strings.Contains(err.Error(), "no-such-compiler-7")
			}},
		// As on Debian 12 with a kernel of sid (7.2, gcc-16).
		{"compiler of a newer release", func(t *testing.T, o *PrepareOptions) {
			o.Config = write(t, fakeConfig+"CONFIG_CC_VERSION_TEXT=\"x86_64-linux-gnu-gcc-99 (Debian 99.1.0-2) 99.1.0\"\n")
			bin := t.TempDir()
			for name, text := range map[string]string{"gcc-12": "gcc-12 (Debian 12.2.0-14) 12.2.0", "gcc-ar-12": "GNU ar", "clang-14": "clang version 14"} {
				if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\necho '"+text+"'\necho more\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
		}, func(err error) bool {
			var e *MissingToolsError
			return errors.As(err, &e) && e.Compiler == "x86_64-linux-gnu-gcc-99 (Debian 99.1.0-2) 99.1.0" &&
				slices.Contains(e.Have, `"gcc-12 (Debian 12.2.0-14) 12.2.0"`) && !slices.ContainsFunc(e.Have, func(s string) bool { return strings.Contains(s, "GNU ar") || strings.Contains(s, "clang") }) &&
				slices.Contains(e.Packages, "gcc-99") && strings.Contains(err.Error(), `the kernel was built by "x86_64-linux-gnu-gcc-99 (Debian 99.1.0-2) 99.1.0"; here are only "gcc`)
		}},
		{"other source version", func(t *testing.T, o *PrepareOptions) {
			o.Config = write(t, strings.Replace(fakeConfig, "6.1.99", "6.1.98", 1))
		}, func(err error) bool { return errors.As(err, new(*SourceMismatchError)) }},
		{"no kernel", func(t *testing.T, o *PrepareOptions) { o.Source = t.TempDir() },
			func(err error) bool { return strings.Contains(err.Error(), "find kernel source") }},
		{"no config", func(t *testing.T, o *PrepareOptions) { o.Config = write(t, "") },
			func(err error) bool { return strings.Contains(err.Error(), "no CONFIG_ option") }},
		{"no symvers", func(t *testing.T, o *PrepareOptions) { o.Symvers = "/nonexistent" },
			func(err error) bool { return errors.Is(err, os.ErrNotExist) }},
		{"space in cache", func(t *testing.T, o *PrepareOptions) { o.Cache = filepath.Join(t.TempDir(), "a b") },
			func(err error) bool { return strings.Contains(err.Error(), "spaces") }},
		{"unknown arch", func(t *testing.T, o *PrepareOptions) { o.Arch = "vax" },
			func(err error) bool { return strings.Contains(err.Error(), "vax") }},
	}
	mustPrepare(t, fakeOptions(t)) // skips without a toolchain
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			opts := fakeOptions(t)
			test.change(t, &opts)
			_, err := Prepare(context.Background(), opts)
			if err == nil || !test.check(err) {
				t.Errorf("error: %v", err)
			}
		})
	}
}

func TestPrepareReportsFailedMake(t *testing.T) {
	opts := fakeOptions(t)
	mustPrepare(t, opts)
	src := t.TempDir()
	if err := os.CopyFS(src, os.DirFS(opts.Source)); err != nil {
		t.Fatal(err)
	}
	makefile := filepath.Join(src, "Makefile")
	text := strings.Replace(string(mustRead(t, makefile)), "modules_prepare: prepare", "modules_prepare: no-such-file", 1)
	if err := os.WriteFile(makefile, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	opts.Source = src
	_, err := Prepare(context.Background(), opts)
	var re *RunError
	if !errors.As(err, &re) || !strings.Contains(err.Error(), "no-such-file") {
		t.Fatalf("error: %v", err)
	}
	if log := string(mustRead(t, re.Log)); !strings.Contains(log, "modules_prepare") || !strings.Contains(log, "No rule to make target") {
		t.Errorf("log: %s", log)
	}
}

func TestPrepareCancelled(t *testing.T) {
	opts := fakeOptions(t)
	mustPrepare(t, opts)
	opts.Release = "6.1.0-cancelled"
	ctx, cancel := context.WithCancel(context.Background())
	opts.Progress = func(stage string, _, _ int) {
		if stage == "configure" {
			cancel()
		}
	}
	if _, err := Prepare(ctx, opts); !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
}

func TestSameCompiler(t *testing.T) {
	tests := []struct {
		a, b string
		want bool
	}{
		{"gcc-12 (Debian 12.2.0-14) 12.2.0", "gcc (Debian 12.2.0-14) 12.2.0", true},
		{"x86_64-linux-gnu-gcc-12 (Debian 12.2.0-14) 12.2.0", "gcc-12 (Debian 12.2.0-14) 12.2.0", true},
		{"gcc-12 (Debian 12.2.0-14) 12.2.0", "gcc-12 (Debian 12.2.0-15) 12.2.0", false},
		{"Debian clang version 14.0.6", "clang version 14.0.6", true},
		{"Debian clang version 14.0.6", "gcc-12 (Debian 12.2.0-14) 12.2.0", false},
	}
	for _, test := range tests {
		if got := sameCompiler(test.a, test.b); got != test.want {
			t.Errorf("sameCompiler(%q, %q) = %v", test.a, test.b, got)
		}
	}
}

func TestDiffDefines(t *testing.T) {
	want := "#define A 1 /* sizeof(x) */\n#define B 2\n#define CONFIG_CC_VERSION_TEXT \"x\"\n"
	got := "#define A 1 /* other */\n#define B 3\n#define C 4\n"
	diff := cmp.Diff([]string{
		"h.h: target defines B 2, tree 3",
		"h.h: tree defines C 4, target does not",
	}, diffDefines("h.h", []byte(want), []byte(got)))
	if diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
