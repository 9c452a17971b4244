package kimage

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/klpforge/klpforge/internal/unpack/packtest"
	"github.com/klpforge/klpforge/kernel/kerneltest"
)

func TestOpenImage(t *testing.T) {
	vmlinux := kerneltest.Vmlinux(kerneltest.Layouts[3], kerneltest.Symbols(true), false)
	dir := t.TempDir()
	inputs := map[string][]byte{"elf": vmlinux}
	for f := range packtest.Packers {
		inputs["bzImage "+f] = kerneltest.BzImage(t, f, vmlinux)
	}
	inputs["vmlinux.gz"] = packtest.Packers["gzip"](t, vmlinux)
	for name, data := range inputs {
		t.Run(name, func(t *testing.T) {
			path := kerneltest.Write(t, filepath.Join(dir, name, "vmlinuz"), data)
			cache := filepath.Join(dir, name, "cache")
			for _, c := range []string{"", cache, cache} { // in memory, filling the cache, from the cache
				im, err := Open(path, c)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := im.Read(kerneltest.Text+0x20, 2); err != nil || !bytes.Equal(got, []byte{0xc3, 0x90}) {
					t.Errorf("Read = % x, %v", got, err)
				}
				if b, err := im.BTF(); err != nil || len(b) != 4 {
					t.Errorf("BTF = % x, %v", b, err)
				}
				if err := im.Close(); err != nil {
					t.Error(err)
				}
			}
			files, _ := filepath.Glob(filepath.Join(cache, "vmlinux-*"))
			if want := 1; name != "elf" && len(files) != want {
				t.Errorf("cache holds %v", files)
			}
		})
	}
}

func TestCachedImageFollowsItsInput(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "vmlinuz")
	a := kerneltest.Vmlinux(kerneltest.Layouts[3], kerneltest.Symbols(true), false)
	b := kerneltest.Vmlinux(kerneltest.Layouts[5], kerneltest.Symbols(true), false)
	for _, v := range [][]byte{a, b} {
		kerneltest.Write(t, path, kerneltest.BzImage(t, "gzip", v))
		im, err := Open(path, filepath.Join(dir, "cache"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(im.data, v) {
			t.Error("not the image that was given")
		}
		im.Close()
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "cache/vmlinux-*")); len(files) != 1 {
		t.Errorf("stale images stay: %v", files)
	}
	// A damaged cache file is made anew.
	files, _ := filepath.Glob(filepath.Join(dir, "cache/vmlinux-*"))
	if err := os.WriteFile(files[0], b[:100], 0o644); err != nil {
		t.Fatal(err)
	}
	im, err := Open(path, filepath.Join(dir, "cache"))
	if err != nil {
		t.Fatal(err)
	}
	im.Close()
}

func TestImageRead(t *testing.T) {
	im, err := parse("fake", kerneltest.Vmlinux(kerneltest.Layouts[3], kerneltest.Symbols(true), false))
	if err != nil {
		t.Fatal(err)
	}
	text := im.Section(".text")
	for _, c := range []struct {
		name string
		addr uint64
		n    int
		ok   bool
	}{
		{"first byte", kerneltest.Text, 1, true},
		{"all of text", kerneltest.Text, int(text.Size), true},
		{"beyond text", kerneltest.Text, int(text.Size) + 1, false},
		{"last byte", kerneltest.Text + text.Size - 1, 1, true},
		{"nothing at the end", kerneltest.Text + text.Size, 0, false},
		{"below", kerneltest.Text - 1, 1, false},
		{"bss", kerneltest.Init + 0x1000, 1, false},
		{"negative", kerneltest.Text, -1, false},
		{"wraps", ^uint64(0), 2, false},
	} {
		b, err := im.Read(c.addr, c.n)
		if (err == nil) != c.ok || c.ok && len(b) != c.n {
			t.Errorf("%s: %d bytes, %v", c.name, len(b), err)
		}
		if err != nil && !errors.Is(err, ErrNoBytes) {
			t.Errorf("%s: %v is not ErrNoBytes", c.name, err)
		}
	}
	if !im.Executable(kerneltest.Text) || im.Executable(kerneltest.Rodata) || im.Executable(kerneltest.Init+0x1000) {
		t.Error("Executable is wrong")
	}
	if s, err := im.String(kerneltest.Rodata+0x100000, 4096); err != nil || s != kerneltest.Banner {
		t.Errorf("String = %q, %v", s, err)
	}
}

func TestOpenImageErrors(t *testing.T) {
	vmlinux := kerneltest.Vmlinux(kerneltest.Layouts[3], kerneltest.Symbols(true), false)
	bz := kerneltest.BzImage(t, "gzip", vmlinux)
	at := func(off int, v ...byte) []byte {
		b := bytes.Clone(bz)
		copy(b[off:], v)
		return b
	}
	lzo := bytes.Clone(bz)
	copy(lzo[4*512+0x40:], "\x89LZO\x00")
	for name, data := range map[string][]byte{
		"empty":            nil,
		"text":             []byte("The real System.map is elsewhere"),
		"truncated":        bz[:len(bz)/2],
		"payload outside":  at(0x248, 0xff, 0xff, 0xff, 0x7f),
		"old protocol":     at(0x206, 0x07, 0x02),
		"truncated ELF":    vmlinux[:len(vmlinux)/2],
		"relocatable ELF":  func() []byte { b := bytes.Clone(vmlinux); b[16] = 1; return b }(),
		"lzo":              lzo,
		"wrong final size": func() []byte { b := bytes.Clone(bz); b[len(b)-len("trailing signature")-4] ^= 1; return b }(),
	} {
		path := kerneltest.Write(t, filepath.Join(t.TempDir(), "vmlinuz"), data)
		if im, err := Open(path, ""); err == nil {
			t.Errorf("%s: no error, %v", name, im)
		}
	}
	if _, err := Open("testdata/none", ""); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("err = %v", err)
	}
}

func FuzzImage(f *testing.F) {
	v := kerneltest.Vmlinux(kerneltest.Layouts[3], kerneltest.Symbols(true), true)
	f.Add(v)
	f.Add(kerneltest.BzImage(f, "gzip", v)[:8192])
	f.Fuzz(func(t *testing.T, b []byte) {
		im, err := parse("fuzz", b)
		if err != nil {
			return
		}
		for i := range im.Sections {
			s := &im.Sections[i]
			im.Read(s.Addr, 16)
		}
		im.Symtab()
		im.SymtabSymbols(nil)
	})
}

func FuzzBzImage(f *testing.F) {
	v := kerneltest.Vmlinux(kerneltest.Layouts[3], kerneltest.Symbols(true), false)[:4096]
	for _, n := range []string{"gzip", "lz4", "zstd"} {
		f.Add(kerneltest.BzImage(f, n, v))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, size, err := bzImagePayload(b); err == nil && size > 1<<22 {
			return // allowed, but slow to refuse
		}
		unpackImage(b)
	})
}
