package kernel

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
	"golang.org/x/sync/errgroup"
)

// maxUnpacked bounds what any compressed file may expand to, against hostile
// or broken input. The largest vmlinux with debug information is about 1 GB.
const maxUnpacked = 2 << 30

// magics are the compressed formats a kernel build can choose for its image
// or its modules (init/Kconfig: KERNEL_*, MODULE_COMPRESS_*).
var magics = []struct {
	format, magic string
}{
	{"gzip", "\x1f\x8b\x08"},
	{"xz", "\xfd7zXZ\x00"},
	{"zstd", "\x28\xb5\x2f\xfd"},
	{"lz4", "\x02\x21\x4c\x18"},
	{"lz4", "\x04\x22\x4d\x18"},
	{"bzip2", "BZh"},
	{"lzma", "\x5d\x00\x00"},
	{"lzo", "\x89LZO\x00"},
}

// compression names the compressed format of data, "" for none known.
func compression(data []byte) string {
	for _, m := range magics {
		if bytes.HasPrefix(data, []byte(m.magic)) {
			return m.format
		}
	}
	return ""
}

// decompress unpacks data of a known format. size is the expected number of
// bytes, or 0 when not known; it is a bound as well as a hint.
func decompress(format string, data []byte, size int) ([]byte, error) {
	limit := int64(maxUnpacked)
	if size > 0 {
		limit = int64(size)
	}
	var r io.Reader
	var err error
	switch format {
	case "gzip":
		var zr *gzip.Reader
		if zr, err = gzip.NewReader(bytes.NewReader(data)); err == nil {
			zr.Multistream(false)
			r = zr
		}
	case "xz":
		r, err = newXZReader(data, limit)
	case "zstd":
		var zr *zstd.Decoder
		// The kernel compresses with a window of up to 128 MB
		// (scripts/Makefile.lib, cmd_zstd22).
		zr, err = zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderMaxWindow(1<<29),
			zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
		if err == nil {
			defer zr.Close()
			r = zr
		}
	case "lz4":
		if bytes.HasPrefix(data, []byte("\x02\x21\x4c\x18")) {
			return unlz4Legacy(data[4:], limit)
		}
		r = lz4.NewReader(bytes.NewReader(data))
	case "bzip2":
		r = bzip2.NewReader(bytes.NewReader(data))
	case "lzma":
		r, err = lzma.NewReader(bytes.NewReader(data))
	case "lzo":
		return nil, &CompressionError{"lzo", "not supported; give the uncompressed vmlinux with --vmlinux"}
	default:
		return nil, &CompressionError{"unknown", fmt.Sprintf("unrecognised magic % x", data[:min(4, len(data))])}
	}
	if err != nil {
		return nil, fmt.Errorf("decompress %s: %w", format, err)
	}
	var buf bytes.Buffer
	if size > 0 && size <= 64*len(data)+1<<20 {
		buf.Grow(size + bytes.MinRead)
	}
	n, err := io.Copy(&buf, io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("decompress %s: %w", format, err)
	}
	if n > limit {
		return nil, fmt.Errorf("decompress %s: more than the expected %d bytes", format, limit)
	}
	return buf.Bytes(), nil
}

// lz4LegacyBlock is the size of every block but the last of a legacy frame,
// uncompressed (lib/decompress_unlz4.c).
const lz4LegacyBlock = 8 << 20

// unlz4Legacy unpacks the blocks of an lz4 legacy frame, the format the
// kernel uses: a little-endian length and a block, until the end or a zero
// length. Blocks are independent, so they are decoded in parallel.
func unlz4Legacy(data []byte, limit int64) ([]byte, error) {
	var blocks [][]byte
	for len(data) >= 4 {
		n := binary.LittleEndian.Uint32(data)
		if n == 0 {
			break
		}
		if uint64(n) > uint64(len(data)-4) {
			return nil, fmt.Errorf("decompress lz4: block of %d bytes, %d left", n, len(data)-4)
		}
		blocks = append(blocks, data[4:4+n])
		data = data[4+n:]
	}
	if len(blocks) == 0 {
		return nil, errors.New("decompress lz4: no blocks")
	}
	if most := int64(len(blocks)-1) * lz4LegacyBlock; most > limit {
		return nil, fmt.Errorf("decompress lz4: more than the expected %d bytes", limit)
	}
	out := make([]byte, len(blocks)*lz4LegacyBlock)
	last := 0
	var g errgroup.Group
	for i, b := range blocks {
		g.Go(func() error {
			n, err := lz4.UncompressBlock(b, out[i*lz4LegacyBlock:(i+1)*lz4LegacyBlock])
			if err != nil {
				return fmt.Errorf("decompress lz4 block %d: %w", i, err)
			}
			if i == len(blocks)-1 {
				last = n
			} else if n != lz4LegacyBlock {
				return fmt.Errorf("decompress lz4 block %d: %d bytes, want %d", i, n, lz4LegacyBlock)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	n := (len(blocks)-1)*lz4LegacyBlock + last
	if int64(n) > limit {
		return nil, fmt.Errorf("decompress lz4: more than the expected %d bytes", limit)
	}
	return out[:n], nil
}

// Decompress unpacks the content of a file such as a .ko.xz when its
// magic says that it is compressed, else returns it as it is.
func Decompress(path string, data []byte) ([]byte, error) {
	f := compression(data)
	if f == "" || f == "lzma" && !hasSuffixAny(path, ".lzma") {
		return data, nil
	}
	return decompress(f, data, 0)
}

// newXZReader reads an xz stream with the library, or with our own container
// reader when a block uses the x86 branch filter, which the library lacks.
func newXZReader(data []byte, limit int64) (io.Reader, error) {
	if xzUsesBCJ(data) {
		out, err := unxzBCJ(data, limit)
		if err != nil {
			return nil, err
		}
		return bytes.NewReader(out), nil
	}
	cfg := xz.ReaderConfig{SingleStream: true}
	return cfg.NewReader(bytes.NewReader(data))
}
