package vm

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// moduleSuffixes are the endings of module files, longest first.
var moduleSuffixes = []string{".ko.zst", ".ko.bz2", ".ko.xz", ".ko.gz", ".ko"}

// moduleName returns the kernel's name of a module from the name of its file,
// where - and _ are the same.
func moduleName(s string) string { return strings.ReplaceAll(moduleBase(s), "-", "_") }

// moduleBase returns the name of a module file without directory and suffixes.
func moduleBase(file string) string {
	b := filepath.Base(file)
	for _, s := range moduleSuffixes {
		if t, ok := strings.CutSuffix(b, s); ok {
			return t
		}
	}
	return b
}

// maxModule bounds a decompressed module, in bytes.
const maxModule = 512 << 20

// readModule returns the content of a module file, decompressed as its name says.
func readModule(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open module: %w", err)
	}
	defer f.Close()
	var r io.Reader = f
	switch filepath.Ext(path) {
	case ".xz":
		r, err = xz.NewReader(f)
	case ".gz":
		r, err = gzip.NewReader(f)
	case ".bz2":
		r = bzip2.NewReader(f)
	case ".zst":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(f, zstd.WithDecoderConcurrency(1)); err == nil {
			defer d.Close()
			r = d
		}
	}
	if err != nil {
		return nil, fmt.Errorf("decompress %s: %w", path, err)
	}
	b, err := io.ReadAll(io.LimitReader(r, maxModule+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(b) > maxModule {
		return nil, fmt.Errorf("read %s: more than %d bytes", path, maxModule)
	}
	return b, nil
}

// errNoModinfo means that a file is an ELF file but no kernel module.
var errNoModinfo = errors.New("no .modinfo section")

// modinfo returns the values of each key in a module's .modinfo, in file order.
func modinfo(path string) (info map[string][]string, err error) {
	b, err := readModule(path)
	if err != nil {
		return nil, err
	}
	defer func() { // debug/elf panics on some malformed files
		if r := recover(); r != nil {
			err = fmt.Errorf("read modinfo of %s: malformed ELF: %v", path, r)
		}
	}()
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("read modinfo of %s: %w", path, err)
	}
	sec := f.Section(".modinfo")
	if sec == nil {
		return nil, fmt.Errorf("read modinfo of %s: %w", path, errNoModinfo)
	}
	data, err := sec.Data()
	if err != nil {
		return nil, fmt.Errorf("read modinfo of %s: %w", path, err)
	}
	info = map[string][]string{}
	for _, s := range bytes.Split(data, []byte{0}) {
		if k, v, ok := strings.Cut(string(s), "="); ok {
			info[k] = append(info[k], v)
		}
	}
	return info, nil
}

// ModuleName returns the name under which a module file will appear in
// /sys/module, and a livepatch in /sys/kernel/livepatch.
func ModuleName(path string) (string, error) {
	info, err := modinfo(path)
	if err != nil {
		return "", err
	}
	if n := info["name"]; len(n) > 0 {
		return n[0], nil
	}
	return moduleName(path), nil // before 4.15 there was no name field
}
