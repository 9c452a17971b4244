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
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := file.Close(); err == nil {
			err = cerr
		}
	}()
	compressor, err := zstd.NewWriter(file)
	if err != nil {
		return err
	}
	w := tar.NewWriter(compressor)
	if err := addTree(ctx, w, tree); err != nil {
		return fmt.Errorf("pack the source: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("pack the source: %w", err)
	}
	return compressor.Close()
}

func addTree(ctx context.Context, out *tar.Writer, tree string) error {
	return filepath.WalkDir(tree, func(path string, entry fs.DirEntry, err error) error {
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
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return addFile(out, path, filepath.Join("linux", rel), info)
	})
}

// addFile adds a directory, link or regular file; a source has nothing else.
func addFile(out *tar.Writer, path, name string, info fs.FileInfo) error {
	header := &tar.Header{Name: name, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
	switch mode := info.Mode(); {
	case mode.IsDir():
		header.Typeflag, header.Name, header.Mode = tar.TypeDir, name+"/", 0o755
	case mode&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return err
		}
		header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, target, 0o777
	case mode.IsRegular():
		header.Typeflag, header.Size, header.Mode = tar.TypeReg, info.Size(), 0o644|int64(mode.Perm()&0o111)
	default:
		return fmt.Errorf("%s is no file of a source", path)
	}
	if err := out.WriteHeader(header); err != nil || header.Typeflag != tar.TypeReg {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(out, file)
	return err
}
