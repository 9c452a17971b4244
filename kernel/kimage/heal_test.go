package kimage

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/kernel/kerneltest"
)

// TestDamagedImage: the unpacked image, which judges all code, is not
// believed when it is not what was unpacked.
func TestDamagedImage(t *testing.T) {
	cache := t.TempDir()
	dir := filepath.Join(cache, "targets", kerneltest.Release)
	path := kerneltest.Write(t, filepath.Join(t.TempDir(), "vmlinuz"), kerneltest.BzImage(t, "gzip", kerneltest.Vmlinux(kerneltest.Layouts[3], kerneltest.Symbols(true), false)))
	open := func() []byte {
		im, err := Open(path, dir)
		if err != nil {
			t.Fatal(err)
		}
		defer im.Close()
		if im.Cached == "" {
			t.Error("it was not kept")
		}
		return bytes.Clone(im.data)
	}
	want := open()
	files, _ := filepath.Glob(filepath.Join(dir, "vmlinux-*"))
	if len(files) != 1 {
		t.Fatalf("files %q", files)
	}
	content, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, how := range kerneltest.Damages(files[0], content) {
		log := kerneltest.Damage(t, cache, files[0], how, func() {
			if !bytes.Equal(open(), want) {
				t.Errorf("%s: another image", name)
			}
		})
		if strings.Count(log, "\n") != 1 || !strings.Contains(log, filepath.Base(files[0])) {
			t.Errorf("%s: log %q", name, log)
		}
		if now, err := os.ReadFile(files[0]); err != nil || !bytes.Equal(now, content) {
			t.Errorf("%s: it was not made anew: %v", name, err)
		}
	}
}
