package provider

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Pack writes a tree as a tarball with the one top directory linux/, without
// configurations. The same tree gives the same bytes: files are in order, and times and
// owners are not kept.
func Pack(ctx context.Context, tree, path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	z, err := zstd.NewWriter(f)
	if err != nil {
		return err
	}
	w := tar.NewWriter(z)
	if err := addTree(ctx, w, tree); err != nil {
		return fmt.Errorf("pack the source: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("pack the source: %w", err)
	}
	return z.Close()
}

func addTree(ctx context.Context, w *tar.Writer, tree string) error {
	return filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		rel, err := filepath.Rel(tree, path)
		if err != nil {
			return err
		}
		if rel == ".config" || rel == ".config.old" || rel == ".git" {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return addFile(w, path, filepath.Join("linux", rel), info)
	})
}

// addFile adds a directory, link or regular file; a source has nothing else.
func addFile(w *tar.Writer, path, name string, info fs.FileInfo) error {
	h := &tar.Header{Name: name, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
	switch mode := info.Mode(); {
	case mode.IsDir():
		h.Typeflag, h.Name, h.Mode = tar.TypeDir, name+"/", 0o755
	case mode&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return err
		}
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, target, 0o777
	case mode.IsRegular():
		h.Typeflag, h.Size, h.Mode = tar.TypeReg, info.Size(), 0o644|int64(mode.Perm()&0o111)
	default:
		return fmt.Errorf("%s is no file of a source", path)
	}
	if err := w.WriteHeader(h); err != nil || h.Typeflag != tar.TypeReg {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
