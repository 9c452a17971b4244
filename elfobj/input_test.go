package elfobj

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

// windowed reads in as a file is read of which only small pieces are in memory.
func windowed(in []byte) (*File, error) {
	return read(&input{file: bytes.NewReader(in), size: uint64(len(in)), space: 100}, false)
}

// sameWindowed fails when a file is read otherwise than the same bytes in memory.
func sameWindowed(t testing.TB, in []byte) {
	t.Helper()
	whole, err := Read(in)
	pieces, perr := windowed(in)
	if (err == nil) != (perr == nil) || err != nil && err.Error() != perr.Error() {
		t.Fatalf("from memory: %v, from a file: %v", err, perr)
	}
	if !reflect.DeepEqual(whole, pieces) {
		t.Fatal("a file is read otherwise than the same bytes in memory")
	}
}

func TestWindowed(t *testing.T) {
	for _, name := range fixtures {
		in := fixture(t, name)
		sameWindowed(t, in)
		for cut := 0; cut < len(in); cut += 1 + len(in)/50 {
			sameWindowed(t, in[:cut])
		}
	}
}

// TestReadFileLarge: a file that is not read at once gives the same object.
func TestReadFileLarge(t *testing.T) {
	f := parse(t, fixture(t, "small.o"))
	f.Sections = append(f.Sections, Section{Name: ".data.large", Type: 1, Size: wholeFile, Data: bytes.Repeat([]byte("large"), wholeFile/5+1)[:wholeFile]})
	in, err := f.Write()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "large.o")
	if err := os.WriteFile(path, in, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := parse(t, in); !reflect.DeepEqual(want, got) {
		t.Error("the object from the file is another one")
	}
}

// TestFileCutShort: a file that loses its end while it is read is an error.
func TestFileCutShort(t *testing.T) {
	in := fixture(t, "small.o")
	for _, left := range []int{10, 100, len(in) / 2, len(in) - 1} {
		_, err := read(&input{file: bytes.NewReader(in[:left]), size: uint64(len(in)), space: 100}, false)
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d of %d bytes left: error %v", left, len(in), err)
		}
	}
}

// TestReadFilePipe: what has no size is read to its end.
func TestReadFilePipe(t *testing.T) {
	in := fixture(t, "small.o")
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		if w, err := os.OpenFile(path, os.O_WRONLY, 0); err == nil {
			w.Write(in)
			w.Close()
		}
	}()
	got, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(parse(t, in), got) {
		t.Error("the object from the pipe is another one")
	}
	if _, err := ReadFile(filepath.Join(t.TempDir(), "none.o")); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "none.o") {
		t.Errorf("no file: error %v", err)
	}
}
