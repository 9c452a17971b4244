package kernel

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// damage replaces a file of the cache, and returns what the log says after f.
func damage(t *testing.T, cache, path string, how func() error, f func()) string {
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

func damages(path string, content []byte) map[string]func() error {
	put := func(b []byte) func() error { return func() error { return os.WriteFile(path, b, 0o644) } }
	flipped := bytes.Clone(content)
	flipped[len(flipped)/2] ^= 4
	return map[string]func() error{
		"cut short": put(content[:len(content)/2]), "empty": put(nil), "zeros": put(make([]byte, len(content))), "one bit": put(flipped),
		"a directory":    func() error { return os.MkdirAll(filepath.Join(path, "full"), 0o755) },
		"a FIFO":         func() error { return unix.Mkfifo(path, 0o644) },
		"a link to zero": func() error { return os.Symlink("/dev/zero", path) },
	}
}

// TestDamagedImage: the unpacked image, which judges all code, is not
// believed when it is not what was unpacked.
func TestDamagedImage(t *testing.T) {
	cache := t.TempDir()
	dir := filepath.Join(cache, "targets", fakeRelease)
	path := write(t, filepath.Join(t.TempDir(), "vmlinuz"), fakeBzImage(t, "gzip", fakeVmlinux(kallsymsLayouts[3], fakeSymbols(true), false)))
	open := func() []byte {
		im, err := OpenImage(path, dir)
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
	for name, how := range damages(files[0], content) {
		log := damage(t, cache, files[0], how, func() {
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

// TestDamagedManifest: what a fetched release is said to consist of.
func TestDamagedManifest(t *testing.T) {
	c := Cache(t.TempDir())
	f := &fetcher{release: fakeRelease, cache: c, say: func(string) {}}
	want := manifest{Release: fakeRelease, Source: "6.1.192-1", Packages: []string{"linux-image-x=6.1.192-1"}}
	path := manifestPath(c, fakeRelease)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := f.writeManifest(want); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := readManifest(c, fakeRelease); err != nil || m.Source != want.Source {
		t.Errorf("%+v, %v", m, err)
	}
	for name, how := range damages(path, content) {
		log := damage(t, string(c), path, how, func() {
			if m, err := readManifest(c, fakeRelease); err == nil || m.Source != "" {
				t.Errorf("%s: %+v", name, m)
			}
		})
		if strings.Count(log, "\n") != 1 || !strings.Contains(log, "manifest.json") {
			t.Errorf("%s: log %q", name, log)
		}
		if err := f.writeManifest(want); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
