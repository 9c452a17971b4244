package vm

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/u-root/u-root/pkg/cpio"
	"github.com/ulikunitz/xz"
)

// writeFile makes a file in a directory of its own.
func writeFile(t *testing.T, name, data string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

func compressed(t *testing.T, suffix, data string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch suffix {
	case ".xz":
		w, err = xz.NewWriter(&b)
	case ".zst":
		w, err = zstd.NewWriter(&b)
	case ".gz":
		w = gzip.NewWriter(&b)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWriteInitramfs(t *testing.T) {
	init := writeFile(t, "vminit", "init program")
	files := []File{
		{Name: "/b/c/two.txt", Data: []byte("two")},
		{Name: "/script.json", Data: []byte("{}"), Mode: 0o600},
		{Name: "b/plain.ko", Host: writeFile(t, "plain.ko", "plain module")},
	}
	for _, s := range []string{".xz", ".zst", ".gz"} {
		files = append(files, File{Name: "/ko/m" + s[1:] + ".ko", Host: writeFile(t, "m.ko"+s, compressed(t, s, "module "+s))})
	}
	var one, two bytes.Buffer
	if err := WriteInitramfs(&one, init, files); err != nil {
		t.Fatal(err)
	}
	if err := WriteInitramfs(&two, init, files); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("the same input gives different bytes")
	}

	recs, err := cpio.ReadAllRecords(cpio.Newc.Reader(bytes.NewReader(one.Bytes())))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range recs {
		data, err := io.ReadAll(io.NewSectionReader(r, 0, int64(r.FileSize)))
		if err != nil {
			t.Fatal(err)
		}
		if r.MTime != 0 || r.UID != 0 || r.GID != 0 {
			t.Errorf("%s has time %d, owner %d:%d", r.Name, r.MTime, r.UID, r.GID)
		}
		kind := map[uint64]string{cpio.S_IFDIR: "dir", cpio.S_IFREG: "file", cpio.S_IFCHR: "char"}[r.Mode&cpio.S_IFMT]
		got = append(got, strings.TrimSpace(strings.Join([]string{kind, r.Name, string(data)}, " ")))
	}
	want := []string{
		"dir b", "dir b/c", "file b/c/two.txt two", "file b/plain.ko plain module",
		"dir dev", "char dev/console", "file init init program",
		"dir ko", "file ko/mgz.ko module .gz", "file ko/mxz.ko module .xz", "file ko/mzst.ko module .zst",
		"file script.json {}",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("archive (-want +got):\n%s", d)
	}
}

func TestWriteInitramfsErrors(t *testing.T) {
	init := writeFile(t, "vminit", "x")
	tests := []struct {
		name  string
		files []File
		want  string
	}{
		{"two of a name", []File{{Name: "/a", Data: []byte("1")}, {Name: "a", Data: []byte("2")}}, "two different files are named /a"},
		{"file and directory", []File{{Name: "/a"}, {Name: "/a/b"}}, "/a is a file and a directory"},
		{"no name", []File{{Name: "/"}}, "no name"},
		{"missing", []File{{Name: "/a", Host: "/no/such/file"}}, "/no/such/file"},
		{"bad xz", []File{{Name: "/a", Host: writeFile(t, "a.ko.xz", "not xz")}}, "a.ko.xz"},
		{"truncated zstd", []File{{Name: "/a", Host: writeFile(t, "a.ko.zst", compressed(t, ".zst", "abcdef")[:8])}}, "a.ko.zst"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := WriteInitramfs(io.Discard, init, tt.files)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	// The same file twice is one file.
	f := File{Name: "/a", Data: []byte("1")}
	if err := WriteInitramfs(io.Discard, init, []File{f, f}); err != nil {
		t.Error(err)
	}
}
