package kbuild

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"golang.org/x/sync/errgroup"

	"github.com/klpforge/klpforge/internal/regular"
	"github.com/klpforge/klpforge/internal/sealed"
	"github.com/klpforge/klpforge/internal/unpack"
)

// tarball is a source archive with one top directory, as kernel.org and
// distributions publish them.
type tarball struct {
	path string
	sums string // directory that remembers hashes
}

// cache is the cache that sums is in, as trees/sums.
func (t tarball) cache() string { return filepath.Dir(filepath.Dir(t.sums)) }

// identity is the archive's hash, remembered by size, times and inode number.
func (t tarball) identity(context.Context) (string, error) {
	info, err := os.Stat(t.path)
	if err != nil {
		return "", err
	}
	name := sha256.Sum256([]byte(t.path))
	memo := filepath.Join(t.sums, hex.EncodeToString(name[:8]))
	kind := "digest of " + t.path
	if data, err := readSealed(t.cache(), memo, kind); err == nil {
		if stamp, sum, ok := strings.Cut(string(data), "\n"); ok && stamp == inode(info) {
			return "tar:" + sum, nil
		}
	}
	sum, err := hashFile(t.path)
	if err != nil {
		return "", err
	}
	if err := sealed.MakeDir(t.cache(), t.sums); err != nil {
		return "", err
	}
	return "tar:" + sum, writeAtomic(memo, sealed.Seal(kind, []byte(inode(info)+"\n"+sum)), 0o644)
}

// decompress recognizes the archive by its first bytes.
func decompress(ctx context.Context, f *os.File) (io.ReadCloser, error) {
	reader := bufio.NewReaderSize(f, 1<<20)
	magic, err := reader.Peek(6)
	if err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	switch {
	case string(magic) == "\xfd7zXZ\x00":
		return unxz(ctx, reader)
	case string(magic[:2]) == "\x1f\x8b":
		return gzip.NewReader(reader)
	case string(magic[:4]) == "\x28\xb5\x2f\xfd":
		d, err := zstd.NewReader(reader, zstd.WithDecoderMaxWindow(1<<29))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return io.NopCloser(reader), nil
}

// unxz prefers the xz command, which is five times as fast as the library.
func unxz(ctx context.Context, reader io.Reader) (io.ReadCloser, error) {
	bin, err := exec.LookPath("xz")
	if err != nil {
		d, err := xz.NewReader(reader)
		if err != nil {
			return nil, err
		}
		return io.NopCloser(d), nil
	}
	cmd := exec.CommandContext(ctx, bin, "-dc", "-T0", "--memlimit-decompress=1GiB")
	cmd.Env = baseEnv()
	cmd.Stdin = reader
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("run xz: %w", err)
	}
	return &process{out, cmd, &stderr}, nil
}

// bounded reads no more than left bytes; more is an error. It keeps an archive
// from filling the disk.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("it expands to more than an archive of its size can be expected to")
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// process is the output of a command; Close reports the command's failure.
type process struct {
	io.Reader
	cmd    *exec.Cmd
	stderr *strings.Builder
}

func (p *process) Close() error {
	// What follows the end of the archive is padding.
	_, err := io.Copy(io.Discard, p.Reader)
	if werr := p.cmd.Wait(); werr != nil {
		return fmt.Errorf("decompress: %w: %s", werr, strings.TrimSpace(p.stderr.String()))
	}
	return err
}

// member is a regular file read from the archive, waiting to be written.
type member struct {
	rel  string
	data []byte
	hdr  *tar.Header
}

// copyTo takes the files in the archive's order, so that none is known to be the last that
// configuring reads.
func (t tarball) copyTo(ctx context.Context, dst string, jobs int, progress func(done, total int),
	_ func()) (map[string]bool, error) {
	file, err := regular.Open(t.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	size, err := file.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, err
	}
	// The command must outlive the group: its context ends with Wait.
	unpacking, cancel := context.WithCancel(ctx)
	defer cancel()
	reader, err := decompress(unpacking, file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", t.path, err)
	}
	group, ctx := errgroup.WithContext(ctx)
	files := make(chan member, 64)
	for range max(1, jobs) {
		group.Go(func() error {
			for m := range files {
				if err := m.write(dst); err != nil {
					return err
				}
			}
			return nil
		})
	}
	written := map[string]bool{}
	links := map[string]string{}
	group.Go(func() error {
		defer close(files)
		return t.read(ctx, tar.NewReader(&bounded{reader, unpack.Limit(size)}), dst, written, links, files, progress)
	})
	err = group.Wait()
	if err != nil {
		cancel() // what is left of the archive need not be unpacked
	}
	if cerr := reader.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", t.path, err)
	}
	// Links come last, so that no file is written through one.
	for rel, target := range links {
		if err := os.Symlink(target, filepath.Join(dst, rel)); err != nil {
			return nil, fmt.Errorf("unpack %s: %w", t.path, err)
		}
	}
	if len(written) == 0 {
		return nil, fmt.Errorf("unpack %s: no files in it", t.path)
	}
	return written, nil
}

// maxMember bounds one file of a source archive; the largest in Linux has 24 MB.
const maxMember = 256 << 20

func (t tarball) read(ctx context.Context, reader *tar.Reader, dst string, written map[string]bool,
	links map[string]string, files chan<- member, progress func(done, total int)) error {
	made := map[string]bool{".": true}
	mkdir := func(rel string) error {
		if made[rel] {
			return nil
		}
		made[rel] = true
		return os.MkdirAll(filepath.Join(dst, rel), 0o755)
	}

	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		hdr, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if hdr.Typeflag == tar.TypeXGlobalHeader {
			continue
		}

		// The archive holds one directory, whose name is of no interest; nothing may lie outside
		// of it.
		name := path.Clean(hdr.Name)
		_, rel, nested := strings.Cut(name, "/")
		if !nested {
			if hdr.Typeflag != tar.TypeDir {
				return fmt.Errorf("member %q is outside the top directory", hdr.Name)
			}
			continue
		}
		if strings.HasPrefix(name, "/") || strings.HasPrefix(name, "../") || !filepath.IsLocal(rel) {
			return fmt.Errorf("member %q: %w", hdr.Name, ErrUnsafePath)
		}

		// Links are made by the caller, after all files: a file must not be written through one.
		switch hdr.Typeflag {
		case tar.TypeDir:
			if err := mkdir(rel); err != nil {
				return err
			}
		case tar.TypeSymlink:
			if err := mkdir(path.Dir(rel)); err != nil {
				return err
			}
			links[rel], written[rel] = hdr.Linkname, true
		case tar.TypeReg:
			if hdr.Size > maxMember {
				return fmt.Errorf("member %q has %d bytes", hdr.Name, hdr.Size)
			}
			if err := mkdir(path.Dir(rel)); err != nil {
				return err
			}
			data := make([]byte, hdr.Size)
			if _, err := io.ReadFull(reader, data); err != nil {
				return fmt.Errorf("member %q: %w", hdr.Name, err)
			}
			written[rel] = true
			if len(written)%1024 == 0 {
				progress(len(written), 0)
			}
			select {
			case files <- member{rel, data, hdr}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		default:
			return fmt.Errorf("member %q has a type that no source has (%c)", hdr.Name, hdr.Typeflag)
		}
	}
}

func (m member) write(dst string) error {
	mode := fs.FileMode(0o644)
	if m.hdr.Mode&0o111 != 0 {
		mode = 0o755
	}
	name := filepath.Join(dst, m.rel)
	if err := os.WriteFile(name, m.data, mode); err != nil {
		return err
	}
	return setTime(name, m.hdr.ModTime)
}
