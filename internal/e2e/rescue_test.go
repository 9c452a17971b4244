package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/kernel/cachedir"
)

type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimRight(string(b), "\r\n"))
	return len(b), nil
}

// env returns the environment of a test; without KLPFORGE_E2E=1 the test is
// skipped, with it everything that is missing is a failure.
func env(t *testing.T) *Env {
	t.Helper()
	if os.Getenv("KLPFORGE_E2E") != "1" {
		t.Skip("needs a VM and Debian packages; run make test")
	}
	cache, err := cachedir.Default()
	if err != nil {
		t.Fatal(err)
	}
	return &Env{Cache: cache, Dir: t.TempDir(), Log: testLog{t}}
}

func TestExt4Rescue(t *testing.T) {
	t.Parallel()
	e := env(t)
	ctx := t.Context()
	patch, err := e.Ext4Patch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, release string
		order         vm.Ext4Order
	}{
		{"vmlinux", CloudRelease, vm.Ext4First},
		{"module loaded before the livepatch", ModuleRelease, vm.Ext4First},
		{"module loaded after the livepatch", ModuleRelease, vm.LivepatchFirst},
	}
	for _, release := range []string{CloudRelease, ModuleRelease} {
		if err := e.Fetch(ctx, release); err != nil {
			t.Fatal(err)
		}
		ko := filepath.Join(e.Dir, "ext4-fix-"+release+".ko")
		res, err := e.Build(ctx, release, ko, patch)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("built %s in %+v", ko, res.Stages)
		t.Run("control "+release, func(t *testing.T) {
			if _, err := e.Ext4(ctx, release, "", vm.Ext4First); err != nil {
				t.Fatal(err)
			}
		})
		for _, c := range cases {
			if c.release != release {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				r, err := e.Ext4(ctx, release, ko, c.order)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("boot %v, total %v", r.Boot, r.Total)
			})
		}
	}
}
