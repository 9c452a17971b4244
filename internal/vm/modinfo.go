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
	base := filepath.Base(file)
	for _, suffix := range moduleSuffixes {
		if stem, ok := strings.CutSuffix(base, suffix); ok {
			return stem
		}
	}
	return base
}

// maxModule bounds a decompressed module, in bytes.
const maxModule = 512 << 20

// readModule returns the content of a module file, decompressed as its name says.
func readModule(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open module: %w", err)
	}
	defer file.Close()
	var in io.Reader = file
	switch filepath.Ext(path) {
	case ".xz":
		in, err = xz.NewReader(file)
	case ".gz":
		in, err = gzip.NewReader(file)
	case ".bz2":
		in = bzip2.NewReader(file)
	case ".zst":
		var decoder *zstd.Decoder
		if decoder, err = zstd.NewReader(file, zstd.WithDecoderConcurrency(1)); err == nil {
			defer decoder.Close()
			in = decoder
		}
	}
	if err != nil {
		return nil, fmt.Errorf("decompress %s: %w", path, err)
	}
	data, err := io.ReadAll(io.LimitReader(in, maxModule+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(data) > maxModule {
		return nil, fmt.Errorf("read %s: more than %d bytes", path, maxModule)
	}
	return data, nil
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
		if fault := recover(); fault != nil {
			err = fmt.Errorf("read modinfo of %s: malformed ELF: %v", path, fault)
		}
	}()
	file, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("read modinfo of %s: %w", path, err)
	}
	sec := file.Section(".modinfo")
	if sec == nil {
		return nil, fmt.Errorf("read modinfo of %s: %w", path, errNoModinfo)
	}
	data, err := sec.Data()
	if err != nil {
		return nil, fmt.Errorf("read modinfo of %s: %w", path, err)
	}
	info = map[string][]string{}
	for _, entry := range bytes.Split(data, []byte{0}) {
		if key, val, ok := strings.Cut(string(entry), "="); ok {
			info[key] = append(info[key], val)
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
	if names := info["name"]; len(names) > 0 {
		return names[0], nil
	}
	return moduleName(path), nil // before 4.15 there was no name field
}
