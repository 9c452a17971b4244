package kernel

import (
	"os"
	"path/filepath"
	"testing"
)

func TestConfigGiven(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte("CONFIG_SMP=y\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[bool]Options{true: {Config: filepath.Join(dir, "config")}, false: {Source: dir}} {
		if got := (&Target{opts: o}).ConfigGiven(); got != want {
			t.Errorf("%+v: %v", o, got)
		}
	}
}
