package unpack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/internal/unpack/packtest"
)

var update = flag.Bool("update", false, "make the files in testdata anew (needs xz and bzip2)")

// branchy makes bytes that are rich in x86 calls and jumps with near and far
// operands, overlapping ones too, so that every path of the filter is taken.
func branchy(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 0, n+8)
	for len(b) < n {
		switch r.IntN(6) {
		case 0:
			b = append(b, 0xe8)
			b = binary.LittleEndian.AppendUint32(b, uint32(r.IntN(1<<26)-1<<25))
		case 1:
			b = append(b, 0xe9)
			b = binary.LittleEndian.AppendUint32(b, uint32(r.IntN(1<<12)-1<<11))
		case 2:
			b = append(b, 0xe8, 0xe9, byte(r.IntN(256)))
		case 3:
			b = append(b, 0, 0xff)
		default:
			b = append(b, "mov %rax,%rbx"[:r.IntN(13)]...)
		}
	}
	return b[:n]
}

func TestDecompress(t *testing.T) {
	data := bytes.Repeat(branchy(64<<10), 140) // more than one lz4 block
	for name, pack := range packtest.Packers {
		t.Run(name, func(t *testing.T) {
			in := data
			if name != "lz4" {
				in = data[:1<<18]
			}
			packed := pack(t, in)
			if got := Format(packed); got != name {
				t.Fatalf("Format() = %q", got)
			}
			for _, size := range []int{len(in), 0} {
				got, err := Bytes(name, packed, size)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, in) {
					t.Errorf("size %d: round trip differs", size)
				}
			}
			if _, err := Bytes(name, packed, len(in)/2); err == nil {
				t.Error("no error for more bytes than expected")
			}
			if _, err := Bytes(name, packed[:len(packed)/2], len(in)); err == nil && name != "lz4" {
				t.Error("no error for a truncated stream")
			}
		})
	}
}

func TestDecompressRefusesLZO(t *testing.T) {
	_, err := Bytes("lzo", nil, 0)
	var ce *FormatError
	if !errors.As(err, &ce) || ce.Format != "lzo" || !strings.Contains(err.Error(), "--vmlinux") {
		t.Errorf("err = %v", err)
	}
}

// The fixtures are made by the programs the kernel's build uses.
func TestDecompressFixtures(t *testing.T) {
	data := branchy(40 << 10)
	fixtures := map[string][]string{
		"x86.xz":     {"xz", "-c", "--check=crc32", "--x86", "--lzma2=dict=1MiB"},
		"x86-two.xz": {"xz", "-c", "--check=crc32", "--block-size=16KiB", "--x86", "--lzma2=dict=1MiB"},
		"plain.xz":   {"xz", "-c", "--check=crc32", "--lzma2=dict=1MiB"},
		"old.lzma":   {"xz", "-c", "--format=lzma"},
		"b.bz2":      {"bzip2", "-c"},
	}
	for name, cmd := range fixtures {
		path := filepath.Join("testdata/xz", name)
		if *update {
			c := exec.Command(cmd[0], cmd[1:]...)
			c.Stdin = bytes.NewReader(data)
			out, err := c.Output()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, out, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		packed, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Bytes(Format(packed), packed, len(data))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(got, data) {
			t.Errorf("%s: content differs", name)
		}
		if strings.HasPrefix(name, "x86") {
			if blocks, err := xzBlocks(packed); err != nil || !blocks[0].x86 {
				t.Errorf("%s: branch filter not seen: %v", name, err)
			}
			bad := bytes.Clone(packed)
			bad[len(bad)/2] ^= 4
			if _, err := Bytes("xz", bad, len(data)); err == nil {
				t.Errorf("%s: no error for a flipped bit", name)
			}
		}
	}
}

func FuzzXZ(f *testing.F) {
	for _, n := range []string{"x86.xz", "plain.xz"} {
		b, err := os.ReadFile("testdata/xz/" + n)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:min(len(b), 4096)])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := unxz(b, 1<<20)
		if err == nil && len(out) > 1<<20 {
			t.Errorf("%d bytes", len(out))
		}
	})
}
