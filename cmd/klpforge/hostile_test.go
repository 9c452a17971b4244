package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode"
)

// diffBytes runs "diff --format json" on an object and a damaged one, and
// checks what holds for every input: a documented exit code; a document or one
// line of error, but not both; no trace of a panic, which would end the test.
func diffBytes(t *testing.T, good string, bad []byte) (code int, line string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bad.o")
	if err := os.WriteFile(file, bad, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{good, file}, {file, good}} {
		var stdout, stderr bytes.Buffer
		code = run(t.Context(), append([]string{"klpforge", "diff", "--format", "json"}, args...), strings.NewReader(""), &stdout, &stderr)
		line = stderr.String()
		switch code {
		case exitDone, exitFindings:
			if stdout.Len() == 0 || line != "" {
				t.Errorf("exit code %d with %d bytes of result and the error %q", code, stdout.Len(), line)
			}
		case exitEnv:
			if stdout.Len() != 0 || strings.Count(line, "\n") != 1 || !strings.HasPrefix(line, "klpforge: ") {
				t.Errorf("exit code %d with %d bytes of result and the error %q, want one line", code, stdout.Len(), line)
			}
			if strings.ContainsFunc(strings.TrimSuffix(line, "\n"), unicode.IsControl) {
				t.Errorf("the error holds control characters: %q", line)
			}
			if !strings.Contains(line, file) {
				t.Errorf("the error does not name %s: %q", file, line)
			}
		default:
			t.Errorf("exit code %d", code)
		}
	}
	return code, line
}

// hostileCases have most of the tables that are decoded.
var hostileCases = []string{"identical", "alternative", "bug-flags", "extable", "jump-label", "orc", "static-call", "string-offset", "weak-and-alias"}

func readCase(t *testing.T, name, file string) (string, []byte) {
	t.Helper()
	p := filepath.Join(fixtures, name, file)
	data, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	return p, data
}

func TestDiffTruncated(t *testing.T) {
	for _, name := range hostileCases {
		t.Run(name, func(t *testing.T) {
			good, data := readCase(t, name, "before.o")
			for n := 0; n < len(data); n += 1 + n/20 {
				// The section headers lie at the end: nothing cut short is whole.
				if code, line := diffBytes(t, good, data[:n]); code != exitEnv {
					t.Errorf("%d of %d bytes: exit code %d, want %d; %s", n, len(data), code, exitEnv, line)
				}
			}
		})
	}
}

func TestDiffFlippedBits(t *testing.T) {
	for _, name := range hostileCases {
		t.Run(name, func(t *testing.T) {
			good, data := readCase(t, name, "after.o")
			headers := int(binary.LittleEndian.Uint64(data[0x28:]))
			rng := rand.New(rand.NewPCG(1, 2))
			for range 120 {
				bad := bytes.Clone(data)
				for range 1 + rng.IntN(3) {
					at := rng.IntN(len(bad))
					switch rng.IntN(3) {
					case 0:
						at = rng.IntN(64)
					case 1:
						at = headers + rng.IntN(len(bad)-headers)
					}
					bad[at] ^= 1 << rng.IntN(8)
				}
				diffBytes(t, good, bad)
			}
		})
	}
}

// TestDiffHugeCounts sets each size, offset and count of the headers to values
// that must not be believed.
func TestDiffHugeCounts(t *testing.T) {
	good, data := readCase(t, "extable", "before.o")
	headers := int(binary.LittleEndian.Uint64(data[0x28:]))
	type field struct {
		name     string
		off, len int
	}
	fields := []field{{"e_shoff", 0x28, 8}, {"e_shentsize", 0x3a, 2}, {"e_shnum", 0x3c, 2}, {"e_shstrndx", 0x3e, 2}}
	for i := range (len(data) - headers) / 64 {
		base := headers + i*64
		for _, f := range []field{{"sh_name", 0, 4}, {"sh_type", 4, 4}, {"sh_offset", 24, 8}, {"sh_size", 32, 8}, {"sh_link", 40, 4}, {"sh_info", 44, 4}, {"sh_addralign", 48, 8}, {"sh_entsize", 56, 8}} {
			fields = append(fields, field{fmt.Sprintf("%s of section %d", f.name, i), base + f.off, f.len})
		}
	}
	for _, f := range fields {
		for _, v := range []uint64{1<<64 - 1, 1<<63 - 1, 1<<63 - 8, 1 << 40, 1<<32 - 1, 1<<31 - 1, 1 << 28, 0xffff, 0xff00, 1, 0} {
			bad := bytes.Clone(data)
			var word [8]byte
			binary.LittleEndian.PutUint64(word[:], v)
			copy(bad[f.off:f.off+f.len], word[:f.len])
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if code, _ := diffBytes(t, good, bad); t.Failed() {
				t.Fatalf("%s = %#x: exit code %d", f.name, v, code)
			}
			runtime.ReadMemStats(&after)
			// What a header claims is not worth memory; the file has 3 KiB.
			if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
				t.Errorf("%s = %#x: allocated %d bytes", f.name, v, n)
			}
		}
	}
}
