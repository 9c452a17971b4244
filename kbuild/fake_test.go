package kbuild

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

const fakeConfig = `#
# Automatically generated file; DO NOT EDIT.
# Linux/x86 6.1.99 Kernel Configuration
#
CONFIG_DEMO=y
CONFIG_LIVEPATCH=y
# CONFIG_DEMO_ACL is not set
`

// fakeOptions prepares testdata/kernel, at the top, with a cache of the test's own.
func fakeOptions(t testing.TB) PrepareOptions {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "config")
	if err := os.WriteFile(config, []byte(fakeConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	symvers := filepath.Join(dir, "symvers")
	if err := os.WriteFile(symvers, []byte("0x12345678\tmain_value\tvmlinux\tEXPORT_SYMBOL\t\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return PrepareOptions{
		Source:  filepath.Join("..", "testdata", "kernel"),
		Config:  config,
		Symvers: symvers,
		Release: "6.1.0-fake",
		Cache:   filepath.Join(dir, "cache"),
		Jobs:    2,
	}
}

func mustPrepare(t testing.TB, opts PrepareOptions) *Tree {
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

func mustWork(t testing.TB, tree *Tree) *Work {
	t.Helper()
	w, err := tree.Work(context.Background(), WorkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}
