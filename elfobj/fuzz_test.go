package elfobj

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

func newReaderAt(b []byte) io.ReaderAt { return bytes.NewReader(b) }

func contains(s, sub string) bool { return strings.Contains(s, sub) }

// FuzzRead: an error or a result that can be written and read back unchanged.
func FuzzRead(f *testing.F) {
	for _, name := range fixtures {
		f.Add(fixture(f, name))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		survives(t, in)
		sameWindowed(t, in)
		obj, err := Read(in)
		if err != nil {
			return
		}
		first, back := roundTrip(t, obj)
		second, _ := roundTrip(t, back)
		if !bytes.Equal(first, second) {
			t.Fatal("writing what was read back gives other bytes")
		}
	})
}

// FuzzDecode: a decoded instruction lies in the input, its field in it.
func FuzzDecode(f *testing.F) {
	obj := parse(f, fixture(f, "insns.o"))
	text := obj.Sections[1].Data
	for off := 0; off+16 < len(text); off += 7 {
		f.Add(text[off : off+16])
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		in, err := amd64{}.Decode(code)
		if err != nil {
			if in != (Insn{}) {
				t.Fatalf("%+v with error %v", in, err)
			}
			return
		}
		if in.Len <= 0 || in.Len > len(code) || in.Len > 15 {
			t.Fatalf("length %d of %d bytes", in.Len, len(code))
		}
		if in.PCLen < 0 || in.PCOff < 0 || in.PCOff+in.PCLen > in.Len || in.PCLen == 0 && in.Disp != 0 {
			t.Fatalf("field outside the instruction: %+v", in)
		}
		again, err := amd64{}.Decode(code[:in.Len])
		if err != nil || again != in {
			t.Fatalf("%+v, alone %+v, %v", in, again, err)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	data := fixture(b, "small.o")
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	data := fixture(b, "small.o")
	f := parse(b, data)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Write(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	text := parse(b, fixture(b, "insns.o")).Sections[1].Data
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		for off := 0; off < len(text); {
			in, err := amd64{}.Decode(text[off:])
			if err != nil {
				b.Fatal(err)
			}
			off += in.Len
		}
	}
}

// FuzzFastDecode: what the short way knows, the long way sees the same.
func FuzzFastDecode(f *testing.F) {
	obj := parse(f, fixture(f, "insns.o"))
	text := obj.Sections[1].Data
	for off := 0; off+16 < len(text); off += 5 {
		f.Add(text[off : off+16])
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		in, ok := fastDecode(code)
		if !ok {
			return
		}
		if want, err := slowDecode(code); err != nil || want != in {
			t.Fatalf("% x: got %+v, want %+v, %v", code[:in.Len], in, want, err)
		}
	})
}

// TestFastDecode tries every opcode with every ModRM byte and every prefix that
// fastDecode takes.
func TestFastDecode(t *testing.T) {
	known := 0
	for _, prefix := range [][]byte{nil, {0x66}, {0x65}, {0x65, 0x66}, {0x40}, {0x48}, {0x4f}, {0x66, 0x48}, {0x65, 0x41}} {
		for _, escape := range [][]byte{nil, {0x0f}} {
			for op := range 256 {
				for modrm := range 256 {
					for _, sib := range []byte{0x20, 0x25} {
						code := append(append(bytes.Clone(prefix), escape...), byte(op), byte(modrm), sib, 1, 2, 3, 4, 5, 6, 7, 8, 9)
						in, ok := fastDecode(code)
						if !ok {
							continue
						}
						known++
						if want, err := slowDecode(code); err != nil || want != in {
							t.Fatalf("% x: got %+v, want %+v, %v", code, in, want, err)
						}
						for n := range in.Len {
							if short, ok := fastDecode(code[:n]); ok {
								t.Fatalf("% x: got %+v of %d bytes", code, short, n)
							}
						}
					}
				}
			}
		}
	}
	if known < 100_000 {
		t.Errorf("only %d encodings are known", known)
	}
}
