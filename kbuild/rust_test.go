package kbuild

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rustOptions prepare a kernel with CONFIG_RUST, which kconfig drops unless kept.
func rustOptions(t *testing.T, kept bool) PrepareOptions {
	t.Helper()
	opts := oldLayout(t, func(_, text string) string { // which is a copy that can be changed
		if kept {
			return text
		}
		return strings.Replace(text, "olddefconfig:\n", "olddefconfig:\n\t@sed -i '/RUST/d' .config\n", 1)
	})
	if err := os.WriteFile(opts.Config, []byte(fakeConfig+"CONFIG_RUST=y\nCONFIG_RUST_OVERFLOW_CHECKS=y\nCONFIG_ANDROID_BINDER_IPC_RUST=y\nCONFIG_SCSI=y\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return opts
}

func prepareRust(t *testing.T, opts PrepareOptions) *Tree {
	t.Helper()
	tree, err := Prepare(context.Background(), opts)
	var missing *MissingToolsError
	if errors.As(err, &missing) {
		t.Skipf("needs a toolchain: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// TestWithoutRust tells one difference, with a remedy, and what is missing belongs to the
// key.
func TestWithoutRust(t *testing.T) {
	opts := rustOptions(t, false)
	bin := t.TempDir()
	path := os.Getenv("PATH")
	for _, dir := range filepath.SplitList(path) {
		for _, name := range []string{"rustc", "bindgen"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				path = strings.Replace(path, dir, bin, 1) // which has none
			}
		}
	}
	t.Setenv("PATH", path)
	tree := prepareRust(t, opts)
	var told []ConfigDiff
	for _, d := range tree.ConfigDiffs {
		if !d.Expected && strings.Contains(d.Name, "RUST") {
			told = append(told, d)
		}
	}
	if len(told) != 1 || told[0].Name != "CONFIG_RUST" || !strings.Contains(told[0].Remedy, "apt-get install rustc bindgen rust-src") {
		t.Errorf("differences: %+v", told)
	}

	for _, name := range []string{"rustc", "bindgen"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\necho "+name+" 0.1\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+":"+path)
	again := prepareRust(t, opts)
	if again.Key == tree.Key {
		t.Error("the key is the same with rustc")
	}
	i := slices.IndexFunc(again.ConfigDiffs, func(d ConfigDiff) bool { return d.Name == "CONFIG_RUST" })
	if r := again.ConfigDiffs[i].Remedy; !strings.Contains(r, "apt-get install rust-src") || strings.Contains(r, "bindgen missing") {
		t.Errorf("remedy: %s", r)
	}
}

// TestRustChanges asks what changed sources in Rust are to the target.
func TestRustChanges(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name string
		tree *Tree
		used map[string]bool // by file: whether the target is made of it
	}{
		{"the tree has Rust", prepareRust(t, rustOptions(t, true)), map[string]bool{"rust/kernel/print.rs": true, "drivers/x/y.rs": false}},
		{"the target only", prepareRust(t, rustOptions(t, false)), map[string]bool{"rust/kernel/print.rs": true, "drivers/x/y.rs": true}},
		{"neither", mustPrepare(t, fakeOptions(t)), map[string]bool{"rust/kernel/print.rs": false, "drivers/x/y.rs": false}},
	} {
		for file, used := range c.used {
			a, err := c.tree.Affected(ctx, []string{file, "samples/rust/minimal.rs"})
			if err != nil {
				t.Fatal(err)
			}
			if f := a.Files[0]; f.Class != ClassRust || f.Used != used {
				t.Errorf("%s: %+v, want used %v", c.name, f, used)
			}
			if f := a.Files[1]; f.Class != ClassTool {
				t.Errorf("%s: %+v", c.name, f)
			}
		}
	}
}
