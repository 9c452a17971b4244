package kerneltest

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Damage replaces a file of the cache, and returns what the log says after f.
func Damage(t *testing.T, cache, path string, how func() error, f func()) string {
	t.Helper()
	log := filepath.Join(cache, "logs/cache.log")
	before, _ := os.ReadFile(log) // none yet
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := how(); err != nil {
		t.Fatal(err)
	}
	f()
	after, _ := os.ReadFile(log)
	return string(after[len(before):])
}

// Damages are ways in which a file of the cache may be spoilt, to be done once it is gone.
func Damages(path string, content []byte) map[string]func() error {
	put := func(b []byte) func() error { return func() error { return os.WriteFile(path, b, 0o644) } }
	flipped := bytes.Clone(content)
	flipped[len(flipped)/2] ^= 4
	return map[string]func() error{
		"cut short": put(content[:len(content)/2]), "empty": put(nil), "zeros": put(make([]byte, len(content))),
		"one bit":        put(flipped),
		"a directory":    func() error { return os.MkdirAll(filepath.Join(path, "full"), 0o755) },
		"a FIFO":         func() error { return unix.Mkfifo(path, 0o644) },
		"a link to zero": func() error { return os.Symlink("/dev/zero", path) },
	}
}
