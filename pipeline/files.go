package pipeline

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// checkOutput finds out early what would else be found out after all the work: that the
// module cannot be put in place.
func checkOutput(opt *Options) error {
	if opt.DiffOnly {
		return nil
	}
	if err := writable(opt.Output); err != nil {
		return fmt.Errorf("write module: %w", err)
	}
	return nil
}

// writable reports why no file can be made at path, or, if that is "", in the current
// directory.
func writable(path string) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &fs.PathError{Op: "create", Path: path, Err: syscall.ENOTDIR}
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return &fs.PathError{Op: "create a file in", Path: dir, Err: err}
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return &fs.PathError{Op: "create", Path: path, Err: syscall.EISDIR}
	}
	return nil
}

// writeFile puts data at path as a whole or not at all.
func writeFile(path string, data []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if _, err := file.Write(data); err != nil {
		file.Close()
		return err
	}
	if err := file.Chmod(0o644); err != nil {
		file.Close()
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
