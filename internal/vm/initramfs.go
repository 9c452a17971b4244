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
	for _, file := range all {
		name := strings.TrimPrefix(path.Clean("/"+file.Name), "/")
		if name == "" {
			return errors.New("write initramfs: a file has no name")
		}
		if old, ok := byName[name]; ok && (old.Host != file.Host || !bytes.Equal(old.Data, file.Data)) {
			return fmt.Errorf("write initramfs: two different files are named /%s", name)
		}
		byName[name] = file
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			dirs[dir] = true
		}
	}
	names := []string{"dev/console"}
	for name := range byName {
		if dirs[name] {
			return fmt.Errorf("write initramfs: /%s is a file and a directory", name)
		}
		names = append(names, name)
	}
	for dir := range dirs {
		names = append(names, dir)
	}
	slices.Sort(names) // a directory sorts before what is in it

	rw := cpio.Newc.Writer(w)
	for inode, name := range names {
		var rec cpio.Record
		switch file, ok := byName[name]; {
		case name == "dev/console":
			rec = cpio.CharDev(name, 0o600, 5, 1)
		case !ok:
			rec = cpio.Directory(name, 0o755)
		default:
			data, err := file.content()
			if err != nil {
				return fmt.Errorf("write initramfs: %w", err)
			}
			mode := file.Mode
			if mode == 0 {
				mode = 0o644
			}
			rec = cpio.StaticFile(name, string(data), uint64(mode))
		}
		rec.Ino = uint64(inode + 1)
		if err := rw.WriteRecord(rec); err != nil {
			return fmt.Errorf("write initramfs: %s: %w", name, err)
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
