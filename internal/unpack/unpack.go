package unpack

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz/lzma"
)

// Bounds of Limit. What a kernel build compresses is machine code, tables and
// debug information. Of 3,500 modules of Debian's 6.1 and 6.12 the one that grows most,
// packed with xz, grows 24-fold (ni_routing.ko, 13 kB of tables), of those that pack to more
// than 100 kB none 13-fold, and no image more than 8-fold. The formats themselves allow from
// 255-fold (lz4) to 300,000-fold (bzip2).
const (
	maxRatio    = 32
	alwaysFits  = 64 << 20 // bytes: whatever the ratio
	maxUnpacked = 2 << 30  // bytes: finit_module(2) reads no more (kernel_read_file, INT_MAX)
)

// MaxFile bounds a file of a kernel that is read into memory as it is, in bytes.
const MaxFile = 1 << 30

// Limit is how many bytes a file of packed bytes may expand to.
func Limit(packed int64) int64 {
	if packed >= maxUnpacked/maxRatio {
		return maxUnpacked
	}
	return max(packed*maxRatio, alwaysFits)
}

// FormatError means that a file is compressed in a way that cannot be undone here.
type FormatError struct {
	Format string // "lzo", "unknown"
	Why    string
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("cannot decompress %s data: %s", e.Format, e.Why)
}

// TooLargeError means that a file expands to more than it may.
type TooLargeError struct {
	Format string
	Limit  int64 // bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("decompress %s: it expands to more than the %d bytes that are expected at most", e.Format, e.Limit)
}

// magics are the compressed formats a kernel build can choose for its image
// or its modules (init/Kconfig: KERNEL_*, MODULE_COMPRESS_*).
var magics = []struct {
	format, magic string
}{
	{"gzip", "\x1f\x8b\x08"},
	{"xz", "\xfd7zXZ\x00"},
	{"zstd", "\x28\xb5\x2f\xfd"},
	{"lz4", lz4Legacy},
	{"lz4", "\x04\x22\x4d\x18"},
	{"bzip2", "BZh"},
	{"lzma", "\x5d\x00\x00"},
	{"lzo", "\x89LZO\x00"},
}

// Format names the compressed format of data by its first bytes, "" for none known.
func Format(data []byte) string {
	for _, m := range magics {
		if bytes.HasPrefix(data, []byte(m.magic)) {
			return m.format
		}
	}
	return ""
}

// File unpacks the content of a file such as a .ko.xz when its magic says
// that it is compressed, else returns it as it is. The magic of lzma is too
// short to be believed without the name.
func File(path string, data []byte) ([]byte, error) {
	f := Format(data)
	if f == "" || f == "lzma" && !strings.HasSuffix(path, ".lzma") {
		return data, nil
	}
	return Bytes(f, data, 0)
}

// Bytes unpacks data of a known format. size is the number of bytes that
// something else says it has, or 0 when not known; less may come out of a
// stream that was cut short, more is a *TooLargeError, as is what exceeds
// Limit. Sizes that headers claim are checked before anything is allocated
// for them: the memory that it takes is never more than about twice the limit, and
// that of a refused file about the limit, whatever its headers say.
func Bytes(format string, data []byte, size int) ([]byte, error) {
	limit := Limit(int64(len(data)))
	if size > 0 {
		if int64(size) > limit {
			return nil, &TooLargeError{format, limit}
		}
		limit = int64(size)
	}
	var out []byte
	var err error
	switch format {
	case "gzip":
		var zr *gzip.Reader
		if zr, err = gzip.NewReader(bytes.NewReader(data)); err == nil {
			zr.Multistream(false)
			out, err = gather(format, zr, limit)
		}
	case "xz":
		out, err = unxz(data, limit)
	case "zstd":
		out, err = unzstd(data, limit)
	case "lz4":
		if bytes.HasPrefix(data, []byte(lz4Legacy)) {
			out, err = unlz4Legacy(data[len(lz4Legacy):], limit)
		} else {
			out, err = gather(format, lz4.NewReader(bytes.NewReader(data)), limit)
		}
	case "bzip2":
		out, err = gather(format, bzip2.NewReader(bytes.NewReader(data)), limit)
	case "lzma":
		out, err = unlzma(data, limit)
	case "lzo":
		return nil, &FormatError{"lzo", "not supported; give the uncompressed vmlinux with --vmlinux"}
	default:
		return nil, &FormatError{"unknown", fmt.Sprintf("unrecognised magic % x", data[:min(4, len(data))])}
	}
	known, tooLarge := new(FormatError), new(TooLargeError)
	switch {
	case err == nil:
		return out, nil
	case errors.As(err, &known), errors.As(err, &tooLarge):
		return nil, err
	}
	return nil, fmt.Errorf("decompress %s: %w", format, err)
}

// gather reads all of r into pieces that double in size, so that what is
// refused has cost no more than the limit.
func gather(format string, r io.Reader, limit int64) ([]byte, error) {
	var pieces [][]byte
	var total int64
	for size := int64(64 << 10); ; size = min(2*size, 16<<20) {
		piece := make([]byte, min(size, limit-total+1))
		n, err := fill(r, piece)
		total += int64(n)
		if total > limit {
			return nil, &TooLargeError{format, limit}
		}
		pieces = append(pieces, piece[:n])
		if err == io.EOF {
			return bytes.Join(pieces, nil), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// fill reads until b is full. Unlike io.ReadFull it tells the end of a stream,
// io.EOF, from one that was cut short.
func fill(r io.Reader, b []byte) (n int, err error) {
	for idle := 0; n < len(b) && err == nil; {
		var k int
		k, err = r.Read(b[n:])
		n += k
		if idle++; k > 0 {
			idle = 0
		} else if idle == 100 {
			return n, io.ErrNoProgress
		}
	}
	return n, err
}

// unlzma unpacks the .lzma format: properties, dictionary size and unpacked
// size, all ones for unknown, before the data. No more of a dictionary is
// needed than what comes out, so the header's size is lowered to that.
func unlzma(data []byte, limit int64) ([]byte, error) {
	if len(data) < lzma.HeaderLen {
		return nil, io.ErrUnexpectedEOF
	}
	header := bytes.Clone(data[:lzma.HeaderLen])
	const unknown = 1<<64 - 1
	if size := binary.LittleEndian.Uint64(header[5:]); size != unknown && size > uint64(limit) {
		return nil, &TooLargeError{"lzma", limit}
	}
	dict := binary.LittleEndian.Uint32(header[1:])
	binary.LittleEndian.PutUint32(header[1:], uint32(min(int64(dict), max(limit, lzma.MinDictCap))))
	r, err := lzma.NewReader(io.MultiReader(bytes.NewReader(header), bytes.NewReader(data[lzma.HeaderLen:])))
	if err != nil {
		return nil, err
	}
	return gather("lzma", r, limit)
}
