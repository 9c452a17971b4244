package kbuild

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// source is where a kernel tree comes from.
type source interface {
	// identity names the contents: equal identities mean equal trees.
	identity(ctx context.Context) (string, error)
	// copyTo writes the tree to dir, which exists and is empty, and returns the
	// paths of the files written. Where the order is free, configured is called once, as
	// soon as all is there that configuring the tree reads.
	copyTo(ctx context.Context, dir string, jobs int, progress func(done, total int),
		configured func()) (map[string]bool, error)
}

// realPath is the absolute name without links: one tree has one name.
func realPath(name string) (string, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

// openSource tells a directory from a tarball.
func openSource(path, cache string) (source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("find kernel source: %w", err)
	}
	abs, err := realPath(path)
	if err != nil {
		return nil, fmt.Errorf("find kernel source: %w", err)
	}
	if !info.IsDir() {
		return tarball{path: abs, sums: filepath.Join(cache, "trees", "sums")}, nil
	}
	if _, err := sourceVersion(filepath.Join(abs, "Makefile")); err != nil {
		return nil, err
	}
	return directory(abs), nil
}

// directory is a source tree of the user's. It is only ever read.
type directory string

// built reports whether a file is something a build leaves behind, which must not
// reach the prepared tree. rel is slash-separated.
func built(rel string, dir bool) bool {
	base := rel[strings.LastIndexByte(rel, '/')+1:]
	if dir {
		switch base {
		case ".git", ".hg", ".pc", ".tmp_versions", ".thinlto-cache":
			return true
		case "generated", "config":
			return strings.HasSuffix(rel, "include/"+base)
		}
		return false
	}
	switch filepath.Ext(base) {
	case ".o", ".ko", ".a", ".mod", ".order", ".cmd", ".symvers", ".d", ".lto", ".dtb", ".dtbo", ".gcno", ".tmp":
		return true
	}
	switch {
	case strings.HasSuffix(base, ".mod.c"), strings.HasPrefix(base, ".tmp_"), strings.HasPrefix(base, ".config"):
		return true
	case strings.HasPrefix(rel, "certs/") && strings.Contains(base, "signing_key"): // the builder's private key
		return true
	case rel == "vmlinux", rel == "System.map", rel == ".version", strings.HasPrefix(rel, "vmlinux."), rel == ".git":
		return true
	}
	return false
}

// entry is one file of a source directory.
type entry struct {
	rel  string
	info fs.FileInfo
}

// walk lists directories in an order in which they can be made, and all else.
func (d directory) walk(ctx context.Context) (dirs []string, files []entry, err error) {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	slots := make(chan struct{}, 2*runtime.NumCPU())
	var visit func(rel string) error
	visit = func(rel string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		list, err := os.ReadDir(filepath.Join(string(d), rel))
		if err != nil {
			return err
		}
		var subdirs []string
		var own []entry
		for _, item := range list {
			path := item.Name()
			if rel != "" {
				path = rel + "/" + path
			}
			if built(path, item.IsDir()) {
				continue
			}
			if item.IsDir() {
				subdirs = append(subdirs, path)
				continue
			}
			info, err := item.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			own = append(own, entry{path, info})
		}
		mu.Lock()
		dirs = append(dirs, subdirs...)
		files = append(files, own...)
		mu.Unlock()
		for _, sub := range subdirs {
			select {
			case slots <- struct{}{}:
				group.Go(func() error { defer func() { <-slots }(); return visit(sub) })
			default: // every slot is taken: go on in this one
				if err := visit(sub); err != nil {
					return err
				}
			}
		}
		return nil
	}
	group.Go(func() error { return visit("") })
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	slices.Sort(dirs)
	slices.SortFunc(files, func(a, b entry) int { return strings.Compare(a.rel, b.rel) })
	return dirs, files, nil
}

// identity hashes names, sizes, modes, times and inodes: reading 1.3 GB on each run
// would cost more than compiling. The change time tells a file that was written to
// and given its old modification time back; nobody can set it.
func (d directory) identity(ctx context.Context) (string, error) {
	_, files, err := d.walk(ctx)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", string(d))
	for _, f := range files {
		fmt.Fprintf(h, "%s\x00%s\x00%o\n", f.rel, inode(f.info), f.info.Mode())
	}
	return "dir:" + hex.EncodeToString(h.Sum(nil)), nil
}

func (d directory) copyTo(ctx context.Context, dst string, jobs int, progress func(done, total int),
	configured func()) (map[string]bool, error) {
	dirs, files, err := d.walk(ctx)
	if err != nil {
		return nil, err
	}
	for _, sub := range dirs {
		if err := os.Mkdir(filepath.Join(dst, sub), 0o755); err != nil {
			return nil, err
		}
	}
	written := make(map[string]bool, len(files))
	var first, rest []entry
	for _, f := range files {
		written[f.rel] = true
		if onlyCompiled(f.rel) {
			rest = append(rest, f)
		} else {
			first = append(first, f)
		}
	}
	write := func(f entry) error {
		return copyEntry(filepath.Join(string(d), f.rel), filepath.Join(dst, f.rel), f.info)
	}
	if err := eachChunk(ctx, first, jobs, write, func(done int) { progress(done, len(files)) }); err != nil {
		return nil, err
	}
	configured()
	err = eachChunk(ctx, rest, jobs, write, func(done int) { progress(len(first)+done, len(files)) })
	return written, err
}

// onlyCompiled reports whether a file is of no concern to who configures the tree: sources,
// headers and documents outside of the directories that host programs are made of.
func onlyCompiled(rel string) bool {
	top, _, below := strings.Cut(rel, "/")
	if !below || top == "scripts" || top == "tools" || top == "include" {
		return false
	}
	switch path.Ext(rel) {
	case ".c", ".h", ".S", ".rst", ".txt", ".yaml", ".dts", ".dtsi":
		return true
	}
	return false
}

// eachChunk calls do for each item from several goroutines and progress from one.
func eachChunk[T any](ctx context.Context, items []T, jobs int, do func(T) error, progress func(done int)) error {
	const chunk = 256
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, 2*jobs))
	var mu sync.Mutex
	done := 0
	for part := range slices.Chunk(items, chunk) {
		group.Go(func() error {
			for _, it := range part {
				if err := ctx.Err(); err != nil {
					return context.Cause(ctx)
				}
				if err := do(it); err != nil {
					return err
				}
			}
			mu.Lock()
			defer mu.Unlock()
			done += len(part)
			if progress != nil {
				progress(done)
			}
			return nil
		})
	}
	return group.Wait()
}

// copyEntry copies a file or a symbolic link.
func copyEntry(src, dst string, info fs.FileInfo) error {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(src)
		if err != nil {
			return err
		}
		return os.Symlink(target, dst)
	case !info.Mode().IsRegular():
		return nil // sockets and pipes are no sources
	}
	mode := fs.FileMode(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	if err := copyFile(src, dst, mode); err != nil {
		return err
	}
	return setTime(dst, info.ModTime())
}

// setTime keeps modification times, but none in the future: make would believe
// that the configuration has to be made again on every run.
func setTime(path string, t time.Time) error {
	if now := time.Now(); t.After(now) {
		t = now.Add(-time.Minute)
	}
	return os.Chtimes(path, t, t)
}

// copyFile copies contents into a new inode, sharing blocks where the file system
// can.
func copyFile(src, dst string, mode fs.FileMode) (err error) {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := out.Close(); err == nil {
			err = cerr
		}
	}()
	if unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) == nil {
		return nil
	}
	_, err = io.Copy(out, in)
	return err
}

// hashFile is the sha256 of a file's contents.
func hashFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// inode identifies a version of a file cheaply.
func inode(info fs.FileInfo) string {
	ino, changed := uint64(0), int64(0)
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		ino, changed = st.Ino, syscall.TimespecToNsec(st.Ctim)
	}
	return fmt.Sprintf("%d %d %d %d", info.Size(), info.ModTime().UnixNano(), changed, ino)
}
