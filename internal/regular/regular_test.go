package regular

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestRead(t *testing.T) {
	timer := time.AfterFunc(time.Minute, func() { panic("it waits") })
	defer timer.Stop()
	dir := t.TempDir()
	file, fifo := filepath.Join(dir, "file"), filepath.Join(dir, "fifo")
	if err := os.WriteFile(file, []byte("12345"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"link": file, "fifolink": fifo, "zero": "/dev/zero"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"file": "", "link": "", "fifo": "a FIFO", "fifolink": "a FIFO", "zero": "a device", ".": "a directory", "none": "no such file",
	} {
		data, err := Read(filepath.Join(dir, path), 5)
		switch {
		case want == "" && (err != nil || string(data) != "12345"):
			t.Errorf("%s: %q, %v", path, data, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), filepath.Join(dir, path))):
			t.Errorf("%s: %v", path, err)
		case strings.HasPrefix(want, "a ") && !errors.Is(err, ErrNotRegular):
			t.Errorf("%s: %v is no ErrNotRegular", path, err)
		}
	}
	if _, err := Read(file, 4); err == nil || !strings.Contains(err.Error(), "larger than the 4 bytes") {
		t.Errorf("over the limit: %v", err)
	}
}
