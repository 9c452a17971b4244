package vm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/u-root/u-root/pkg/cpio"
)

// WriteInitramfs writes a newc archive with init as /init, a /dev/console and
// files. Directories are made as needed. The same input gives the same bytes:
// records are sorted by name and carry no times, owners or host inodes.
// Module files (by the name on the host) are decompressed.
func WriteInitramfs(w io.Writer, init string, files []File) error {
	all := append([]File{{Name: "/init", Host: init, Mode: 0o755}}, files...)
	byName := map[string]File{}
	dirs := map[string]bool{"dev": true}
	for _, f := range all {
		name := strings.TrimPrefix(path.Clean("/"+f.Name), "/")
		if name == "" {
			return errors.New("write initramfs: a file has no name")
		}
		if old, ok := byName[name]; ok && (old.Host != f.Host || !bytes.Equal(old.Data, f.Data)) {
			return fmt.Errorf("write initramfs: two different files are named /%s", name)
		}
		byName[name] = f
		for d := path.Dir(name); d != "."; d = path.Dir(d) {
			dirs[d] = true
		}
	}
	names := []string{"dev/console"}
	for n := range byName {
		if dirs[n] {
			return fmt.Errorf("write initramfs: /%s is a file and a directory", n)
		}
		names = append(names, n)
	}
	for d := range dirs {
		names = append(names, d)
	}
	slices.Sort(names) // a directory sorts before what is in it

	rw := cpio.Newc.Writer(w)
	for i, n := range names {
		var rec cpio.Record
		switch f, ok := byName[n]; {
		case n == "dev/console":
			rec = cpio.CharDev(n, 0o600, 5, 1)
		case !ok:
			rec = cpio.Directory(n, 0o755)
		default:
			data, err := f.content()
			if err != nil {
				return fmt.Errorf("write initramfs: %w", err)
			}
			mode := f.Mode
			if mode == 0 {
				mode = 0o644
			}
			rec = cpio.StaticFile(n, string(data), uint64(mode))
		}
		rec.Ino = uint64(i + 1)
		if err := rw.WriteRecord(rec); err != nil {
			return fmt.Errorf("write initramfs: %s: %w", n, err)
		}
	}
	if err := cpio.WriteTrailer(rw); err != nil {
		return fmt.Errorf("write initramfs: %w", err)
	}
	return nil
}

func (f File) content() ([]byte, error) {
	switch {
	case f.Host == "":
		return f.Data, nil
	case moduleBase(f.Host) != path.Base(f.Host):
		return readModule(f.Host)
	}
	return os.ReadFile(f.Host)
}
