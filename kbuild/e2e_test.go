package kbuild

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// e2eRelease is the kernel that these tests know; KLPFORGE_E2E_RELEASE names another
// one, for which tests that depend on the configuration may fail.
var e2eRelease = cmp.Or(os.Getenv("KLPFORGE_E2E_RELEASE"), "6.1.0-55-cloud-amd64")

// e2eOptions describes the real kernel under $KLPFORGE_E2E_CACHE, which
// "klpforge kernel fetch" fills. KLPFORGE_E2E_SOURCE names another source.
func e2eOptions(t testing.TB) PrepareOptions {
	t.Helper()
	cache := os.Getenv("KLPFORGE_E2E_CACHE")
	if cache == "" {
		t.Skip("needs a real kernel: set KLPFORGE_E2E_CACHE to a cache directory holding targets/" + e2eRelease)
	}
	target := filepath.Join(cache, "targets", e2eRelease)
	source := os.Getenv("KLPFORGE_E2E_SOURCE")
	if source == "" {
		found, _ := filepath.Glob(filepath.Join(target, "source", "linux-source-*.tar.*"))
		if len(found) == 0 {
			t.Fatalf("no source in %s: fetch the kernel first", target)
		}
		source = found[0]
	}
	headers, err := filepath.Glob(filepath.Join(target, "root/usr/src/linux-headers-*"))
	if err != nil || len(headers) == 0 {
		t.Fatalf("no headers in %s: fetch the kernel first", target)
	}
	return PrepareOptions{
		Source:  source,
		Config:  filepath.Join(target, "root/boot/config-"+e2eRelease),
		Headers: headers,
		Release: e2eRelease,
		Cache:   cache,
	}
}

func e2eTree(t testing.TB) *Tree {
	t.Helper()
	start := time.Now()
	tree, err := Prepare(context.Background(), e2eOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("prepared %s in %v", tree.Dir, time.Since(start).Round(time.Millisecond))
	return tree
}

func TestRealPrepare(t *testing.T) {
	tree := e2eTree(t)
	t.Logf("stages: %v", tree.Stages())
	for _, d := range tree.ConfigDiffs {
		t.Logf("config: %v expected=%v", d, d.Expected)
		if !d.Expected {
			t.Errorf("unexpected difference: %v", d)
		}
	}
	for _, w := range tree.Warnings {
		t.Errorf("warning: %s", w)
	}
	objs, err := tree.Objects()
	if err != nil {
		t.Fatal(err)
	}
	mods, err := tree.Modules()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d objects, %d modules", len(objs), len(mods))
}
