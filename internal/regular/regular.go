// Package regular opens and reads files that others may have put in place:
// only regular ones, and no more of them than there can be to read. A FIFO would wait for
// ever, a device may answer without end, and merely opening one can have an effect.
package regular

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"

	"golang.org/x/sys/unix"
)

// ErrNotRegular means that a path leads to something that is no regular file.
var ErrNotRegular = errors.New("not a regular file")

// Open opens a regular file, or a link to one, for reading. The error for
// anything else is an *fs.PathError that wraps ErrNotRegular, and nothing is opened then.
func Open(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, notRegular(path, info)
	}
	// It may be exchanged meanwhile: without O_NONBLOCK, the opening of a FIFO waits.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
		err = notRegular(path, info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// OpenPiped is Open, and opens also what a shell puts in place of a file: a pipe
// by the number of its descriptor, as in <(git show).
func OpenPiped(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModeNamedPipe != 0 && descriptor.MatchString(path) {
		return os.Open(path)
	}
	return Open(path)
}

// OpenFIFO is Open, and opens a FIFO as well, for which it waits until somebody writes.
func OpenFIFO(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
		return os.Open(path)
	}
	return Open(path)
}

// descriptor matches the names of a process's own open files.
var descriptor = regexp.MustCompile(`^/(?:dev|proc/self)/fd/\d+$|^/dev/stdin$`)

// Read reads a regular file of at most most bytes. What is longer is an error,
// also when it grows while it is read.
func Read(path string, most int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadFrom(f, most)
}

// ReadFrom is Read for an open file, from its start.
func ReadFrom(f *os.File, most int64) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > most {
		return nil, tooLarge(f.Name(), most)
	}
	// One byte more tells a file that has grown.
	data := make([]byte, info.Size()+1)
	n, err := io.ReadFull(io.NewSectionReader(f, 0, most+1), data)
	switch {
	case err == nil:
		return nil, &fs.PathError{Op: "read", Path: f.Name(), Err: errors.New("it grows while it is read")}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return data[:n:n], nil
	}
	return nil, err
}

func tooLarge(path string, most int64) error {
	return &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("larger than the %d bytes that are expected at most", most)}
}

func notRegular(path string, info fs.FileInfo) error {
	kind := "of an unknown kind"
	switch m := info.Mode(); {
	case m.IsDir():
		kind = "a directory"
	case m&fs.ModeNamedPipe != 0:
		kind = "a FIFO"
	case m&fs.ModeSocket != 0:
		kind = "a socket"
	case m&fs.ModeDevice != 0:
		kind = "a device"
	}
	return &fs.PathError{Op: "open", Path: path, Err: fmt.Errorf("%w: it is %s", ErrNotRegular, kind)}
}
