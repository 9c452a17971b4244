package elfobj

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/internal/regular"
)

// input is where a reader takes the bytes of a file from: memory, or a file of
// which no more than one window is in memory at a time. A file is not mapped:
// one that is cut short meanwhile would end the process, here it is an error.
type input struct {
	mem    []byte // all of it; nil for a file
	file   io.ReaderAt
	size   uint64
	window []byte // of the file, from the offset at
	at     uint64
	space  int // bytes of a window that is read ahead
}

const (
	// windowSize is what is read of a file at a time, bytes.
	windowSize = 64 << 10
	// wholeFile is the size from which on a file is not read into memory at once,
	// bytes: half of an object or more are tables of relocations and symbols, and
	// those are kept in another form.
	wholeFile = 256 << 10
	// maxPiped bounds what is read from a pipe, bytes.
	maxPiped = 1 << 30
	// pageSize is read at least, bytes.
	pageSize = 4 << 10
)

// openInput returns the file at path as input, and what to close afterwards.
func openInput(path string) (*input, *os.File, error) {
	file, err := regular.OpenFIFO(path)
	if err != nil {
		return nil, nil, err
	}
	in, err := fileInput(file)
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return in, file, nil
}

func fileInput(file *os.File) (*input, error) {
	st, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if st.Mode().IsRegular() && st.Size() >= wholeFile {
		return &input{file: file, size: uint64(st.Size()), space: windowSize}, nil
	}
	// Small, or a pipe, which has no size.
	data := make([]byte, 0, max(st.Size(), 512)+1)
	for {
		n, err := file.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if len(data) > maxPiped {
			return nil, fmt.Errorf("more than %d bytes from a pipe", maxPiped)
		}
		if errors.Is(err, io.EOF) {
			return &input{mem: data, size: uint64(len(data))}, nil
		}
		if err != nil {
			return nil, err
		}
		if len(data) == cap(data) {
			data = slices.Grow(data, len(data))
		}
	}
}

// view returns count bytes at off, which lie in the file. They are valid until the
// next call and must not be changed.
func (in *input) view(off, count uint64) ([]byte, error) {
	if in.file == nil {
		return in.mem[off : off+count : off+count], nil
	}
	end := in.at + uint64(len(in.window))
	if off < in.at || off+count > end {
		// Who goes on where the window ends will go on further.
		want := max(count, pageSize)
		if off >= in.at && off <= end {
			want = max(count, uint64(in.space))
		}
		want = min(want, in.size-off)
		if uint64(cap(in.window)) < want {
			in.window = make([]byte, max(want, uint64(in.space)))
		}
		in.window, in.at = in.window[:want], off
		if err := in.fill(in.window, off); err != nil {
			in.window = in.window[:0]
			return nil, err
		}
	}
	return in.window[off-in.at:][:count:count], nil
}

// fill reads the file into b.
func (in *input) fill(b []byte, off uint64) error {
	n, err := in.file.ReadAt(b, int64(off))
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF // it had that size before
	}
	return err
}

// records calls each with the table of records of one size that fills count bytes at
// off, in pieces of whole records, each with the number of its first.
func (in *input) records(off, count, size uint64, each func(first int, b []byte) error) error {
	most := count
	if in.file != nil {
		most = uint64(in.space) / size * size
	}
	for done := uint64(0); done < count; done += most {
		b, err := in.view(off+done, min(most, count-done))
		if err != nil {
			return err
		}
		if err := each(int(done/size), b); err != nil {
			return err
		}
	}
	return nil
}

// text returns n bytes at off as a string.
func (in *input) text(off, n uint64) (string, error) {
	var out strings.Builder
	out.Grow(int(n))
	err := in.records(off, n, 1, func(_ int, piece []byte) error {
		out.Write(piece)
		return nil
	})
	return out.String(), err
}

// keep returns n bytes at off, which stay.
func (in *input) keep(off, n uint64) ([]byte, error) {
	if in.file == nil {
		return in.view(off, n)
	}
	b := make([]byte, n)
	return b, in.fill(b, off)
}
