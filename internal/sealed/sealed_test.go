package sealed

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSeal(t *testing.T) {
	for _, content := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("line\n"), 1000)} {
		file := Seal("kind key", content)
		if got, err := Open("kind key", file); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes: %d, %v", len(content), len(got), err)
		}
		if _, err := Open("kind other", file); !errors.Is(err, ErrDamaged) {
			t.Errorf("another's file: %v", err)
		}
		for n := range len(file) {
			if n > 200 && n < len(file)-10 {
				continue
			}
			if _, err := Open("kind key", file[:n]); !errors.Is(err, ErrDamaged) {
				t.Fatalf("%d of %d bytes: %v", n, len(file), err)
			}
			flipped := bytes.Clone(file)
			flipped[n] ^= 0x10
			if _, err := Open("kind key", flipped); !errors.Is(err, ErrDamaged) {
				t.Fatalf("byte %d altered: %v", n, err)
			}
		}
	}
}

func TestNote(t *testing.T) {
	cache := t.TempDir()
	path := filepath.Join(cache, "objects", "a")
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path, "k"); !errors.Is(err, ErrDamaged) {
		t.Errorf("a directory: %v", err)
	}
	Note(cache, path, errors.New("two\nlines"))
	if _, err := Read(path, "k"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it was not removed: %v", err)
	}
	log, err := os.ReadFile(filepath.Join(cache, logFile))
	if err != nil || strings.Count(string(log), "\n") != 1 || !strings.Contains(string(log), "objects/a: two lines; removed") {
		t.Errorf("%q, %v", log, err)
	}
}

func TestMakeDir(t *testing.T) {
	for name, block := range map[string]func(path string) error{
		"a file":         func(path string) error { return os.WriteFile(path, nil, 0o644) },
		"a link to none": func(path string) error { return os.Symlink("nowhere", path) },
	} {
		cache := t.TempDir()
		if err := block(filepath.Join(cache, "objects")); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(cache, "objects", "ab")
		if err := MakeDir(cache, dir); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			t.Errorf("%s: %v", name, err)
		}
	}
}
