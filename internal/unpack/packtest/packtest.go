// Package packtest compresses the way the kernel's build does, for tests of what unpacks it.
package packtest

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

// lz4LegacyBlock is the size of a block, uncompressed (lib/decompress_unlz4.c).
const lz4LegacyBlock = 8 << 20

// Packers compress the way the kernel's build does.
var Packers = map[string]func(t testing.TB, data []byte) []byte{
	"gzip": func(t testing.TB, data []byte) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		w.Write(data)
		w.Close()
		return b.Bytes()
	},
	"zstd": func(t testing.TB, data []byte) []byte {
		w, err := zstd.NewWriter(nil, zstd.WithWindowSize(1<<27))
		if err != nil {
			t.Fatal(err)
		}
		return w.EncodeAll(data, nil)
	},
	"lz4": func(t testing.TB, data []byte) []byte {
		out := []byte("\x02\x21\x4c\x18")
		for len(data) > 0 {
			n := min(len(data), lz4LegacyBlock)
			buf := make([]byte, lz4.CompressBlockBound(n))
			var c lz4.Compressor
			k, err := c.CompressBlock(data[:n], buf)
			if err != nil {
				t.Fatal(err)
			}
			out = append(binary.LittleEndian.AppendUint32(out, uint32(k)), buf[:k]...)
			data = data[n:]
		}
		return out
	},
	"xz": func(t testing.TB, data []byte) []byte {
		var b bytes.Buffer
		w, err := xz.WriterConfig{CheckSum: xz.CRC32, DictCap: 1 << 20}.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(data)
		w.Close()
		return b.Bytes()
	},
	"lzma": func(t testing.TB, data []byte) []byte {
		var b bytes.Buffer
		w, err := lzma.WriterConfig{DictCap: 1 << 20}.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(data)
		w.Close()
		return b.Bytes()
	},
}
