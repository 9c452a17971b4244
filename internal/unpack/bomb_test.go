package unpack

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz/lzma"
)

// zeros writes n zero bytes to w.
func zeros(t testing.TB, w io.WriteCloser, n int64) {
	t.Helper()
	piece := make([]byte, 1<<20)
	for ; n > 0; n -= int64(len(piece)) {
		if _, err := w.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// Each bomb expands to bombSize, or claims sizes and dictionaries that large.
const bombSize = 512 << 20

// tool runs a compressor of the machine on 128 MB of zeros, of which it takes seconds.
func tool(argv ...string) func(t testing.TB) []byte {
	return func(t testing.TB) []byte {
		t.Helper()
		cmd := exec.Command("sh", "-c", `head -c "$1" /dev/zero | { shift; "$@"; }`, "-", "134217728")
		cmd.Args = append(cmd.Args, argv...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%q: %v", argv, err)
		}
		return out
	}
}

// xzBlockOf is the start of an xz stream with one block header for LZMA2 with
// a dictionary size (xz specification, 5.3.1: bits of the size), and chunks.
func xzBlockOf(dict byte, chunks []byte) []byte {
	out := []byte("\xfd7zXZ\x00\x00\x01")
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(out[6:]))
	head := []byte{2, 0, xzFilterLZMA, 1, dict, 0, 0, 0}
	out = append(out, head...)
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(head))
	out = append(out, chunks...)
	return append(out, make([]byte, (4-len(chunks)%4)%4+4+4)...) // padding, check, index
}

// repeated is the LZMA2 of two megabytes of zeros, many times over.
func repeatedXZ(t testing.TB, times int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := lzma.Writer2Config{DictCap: 1 << 16}.NewWriter2(&b)
	if err != nil {
		t.Fatal(err)
	}
	zeros(t, w, 2<<20)
	chunks := b.Bytes()[:b.Len()-1]
	return xzBlockOf(40, append(bytes.Repeat(chunks, times), 0))
}

// bombs are made by the compressors where they can be, and by hand where only
// a header lies.
var bombs = map[string]func(t testing.TB) []byte{
	"gzip": func(t testing.TB) []byte {
		var b bytes.Buffer
		zeros(t, gzip.NewWriter(&b), bombSize)
		return b.Bytes()
	},
	"bzip2":           tool("bzip2", "-c"),
	"xz":              func(t testing.TB) []byte { return repeatedXZ(t, 6*bombSize>>21) },
	"xz, by the tool": tool("xz", "-0", "-c", "-T2"),
	"xz, 4 GB dictionary": func(t testing.TB) []byte {
		return xzBlockOf(40, []byte{1, 0, 0, 'x', 0})
	},
	"lzma": func(t testing.TB) []byte {
		var b bytes.Buffer
		w, err := lzma.WriterConfig{DictCap: 1 << 16}.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		zeros(t, w, 128<<20)
		return b.Bytes()
	},
	"lzma, 4 GB dictionary": func(t testing.TB) []byte {
		return append([]byte{0x5d, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, make([]byte, 64)...)
	},
	"lzma, a size of 2^60": func(t testing.TB) []byte {
		return append([]byte{0x5d, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x10}, make([]byte, 64)...)
	},
	"zstd": func(t testing.TB) []byte {
		var b bytes.Buffer
		w, err := zstd.NewWriter(&b, zstd.WithWindowSize(8<<20), zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		zeros(t, w, bombSize)
		return b.Bytes()
	},
	"zstd, many frames": func(t testing.TB) []byte {
		var b bytes.Buffer
		w, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		zeros(t, w, 32<<20)
		return bytes.Repeat(b.Bytes(), bombSize/(32<<20))
	},
	"zstd, a size of 2^60": func(t testing.TB) []byte {
		// Single segment, eight bytes of content size, one RLE block.
		return []byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0x03, 0, 0, 0}
	},
	"zstd, 3 TB window": func(t testing.TB) []byte {
		return []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff, 0x03 | 0x08, 0, 0, 'x'}
	},
	"lz4, frame": func(t testing.TB) []byte {
		var b bytes.Buffer
		w := lz4.NewWriter(&b)
		if err := w.Apply(lz4.BlockSizeOption(lz4.Block4Mb)); err != nil {
			t.Fatal(err)
		}
		zeros(t, w, bombSize) // 255-fold at most
		return b.Bytes()
	},
	"lz4, legacy": func(t testing.TB) []byte {
		block := make([]byte, lz4.CompressBlockBound(lz4LegacyBlock))
		n, err := new(lz4.Compressor).CompressBlock(make([]byte, lz4LegacyBlock), block)
		if err != nil {
			t.Fatal(err)
		}
		block = append(binary.LittleEndian.AppendUint32(nil, uint32(n)), block[:n]...)
		return append([]byte(lz4Legacy), bytes.Repeat(block, 256)...)
	},
	"lz4, many small blocks": func(t testing.TB) []byte {
		return append([]byte(lz4Legacy), bytes.Repeat([]byte{2, 0, 0, 0, 0x10, 'x'}, 1<<17)...)
	},
}

const bombVariable = "KLPFORGE_TEST_BOMB"

// bombMemory is the peak that a process may need to refuse any of them, the
// file and the runtime included.
const bombMemory = 300 << 20

// TestBombs unpacks each in a process of its own, whose peak of memory is
// what the kernel counted.
func TestBombs(t *testing.T) {
	if path := os.Getenv(bombVariable); path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := File(path, data); err != nil {
			t.Fatalf("refused: %v", err)
		} else {
			t.Fatalf("unpacked: %d bytes", len(out))
		}
	}
	if testing.Short() {
		t.Skip("writes gigabytes of zeros into compressors")
	}
	for name, make := range bombs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := make(t)
			path := t.TempDir() + "/bomb.lzma" // the name by which lzma is believed
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(os.Args[0], "-test.run=^TestBombs$")
			cmd.Env = append(os.Environ(), bombVariable+"="+path)
			out, _ := cmd.CombinedOutput()
			usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
			peak, cpu := usage.Maxrss<<10, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()
			t.Logf("%d bytes, %.2f s of processor time, %d MB: %s", len(data), cpu.Seconds(), peak>>20, firstLine(out))
			// What is small only lies in a header: there may be another reason to refuse it.
			if !bytes.Contains(out, []byte("refused: ")) || len(data) > 100 && !bytes.Contains(out, []byte("expands to more than")) {
				t.Errorf("not refused: %s", out)
			}
			if peak > bombMemory {
				t.Errorf("%d bytes took %d MB, want %d at most", len(data), peak>>20, bombMemory>>20)
			}
		})
	}
}

func firstLine(out []byte) string {
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "refused: ") || strings.Contains(line, "unpacked: ") {
			return strings.TrimSpace(line)
		}
	}
	return string(out)
}

// TestLimit: a size from outside is believed no further than the ratio.
func TestLimit(t *testing.T) {
	data := []byte("\x1f\x8b\x08")
	var tooLarge *TooLargeError
	if _, err := Bytes("gzip", data, alwaysFits+1); !errors.As(err, &tooLarge) {
		t.Errorf("a claim of %d bytes for %d: %v", alwaysFits+1, len(data), err)
	}
	for packed, want := range map[int64]int64{0: alwaysFits, 1 << 20: alwaysFits, 4 << 20: 128 << 20, 1 << 40: maxUnpacked} {
		if got := Limit(packed); got != want {
			t.Errorf("Limit(%d) = %d, want %d", packed, got, want)
		}
	}
}
