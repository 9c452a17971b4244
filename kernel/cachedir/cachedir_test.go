package cachedir

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klpforge/klpforge/kernel/kerneltest"
)

// TestDamagedManifest: what a fetched release is said to consist of.
func TestDamagedManifest(t *testing.T) {
	c := Dir(t.TempDir())
	want := Manifest{Release: kerneltest.Release, Source: "6.1.192-1", Packages: []string{"linux-image-x=6.1.192-1"}}
	path := c.manifest(kerneltest.Release)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteManifest(want); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := c.Manifest(kerneltest.Release); err != nil || m.Source != want.Source {
		t.Errorf("%+v, %v", m, err)
	}
	for name, how := range kerneltest.Damages(path, content) {
		log := kerneltest.Damage(t, string(c), path, how, func() {
			if m, err := c.Manifest(kerneltest.Release); err == nil || m.Source != "" {
				t.Errorf("%s: %+v", name, m)
			}
		})
		if strings.Count(log, "\n") != 1 || !strings.Contains(log, "manifest.json") {
			t.Errorf("%s: log %q", name, log)
		}
		if err := c.WriteManifest(want); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLockIsCancelled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(context.Background(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	waited := false
	if _, err := Lock(ctx, path, func() { waited = true }); !errors.Is(err, context.DeadlineExceeded) || !waited {
		t.Errorf("%v, waited %v", err, waited)
	}
	unlock()
	again, err := Lock(context.Background(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	again()
}
