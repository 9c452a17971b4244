package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klpforge/klpforge/internal/regular"
	"github.com/klpforge/klpforge/internal/sealed"
	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/kernel/fetch/provider"
)

// lockPackage locks the file of one package, since releases share packages.
func (f *fetcher) lockPackage(ctx context.Context, pkg provider.Package) (unlock func(), err error) {
	unlock, err = cachedir.Lock(ctx, filepath.Join(f.cache.Debs(), "."+pkg.File+".lock"), func() {
		f.say("waiting for another run that downloads " + pkg.Name)
	})
	if err != nil {
		return nil, fmt.Errorf("fetch kernel %s: %w", f.release, err)
	}
	return unlock, nil
}

// download fetches one package.
func (f *fetcher) download(ctx context.Context, pkg provider.Package) (string, error) {
	unlock, err := f.lockPackage(ctx, pkg)
	if err != nil {
		return "", err
	}
	defer unlock()
	return f.downloadLocked(ctx, pkg)
}

// downloadLocked brings a package into the cache, unless a file of the right hash is
// already there, and returns its path. The lock of the package is held.
func (f *fetcher) downloadLocked(ctx context.Context, pkg provider.Package) (string, error) {
	dir := f.cache.Debs()
	path := filepath.Join(dir, pkg.File)

	// What is there with the right sum is used; anything else is fetched again, and the damage is
	// recorded.
	switch sum, err := fileSHA256(path); {
	case err == nil && sum == pkg.SHA256:
		return path, nil
	case err == nil && pkg.SHA256 != "":
		sealed.Note(string(f.cache), path, fmt.Errorf("%w: its SHA256 is not that of the archive's index",
			sealed.ErrDamaged))
	case err != nil && !errors.Is(err, os.ErrNotExist):
		sealed.Note(string(f.cache), path, fmt.Errorf("%w: %w", sealed.ErrDamaged, err))
	}

	failed := func(err error) (string, error) {
		return "", fmt.Errorf("download %s %s: %w", pkg.Name, pkg.Version, err)
	}

	// Into a directory of its own first: the package system may leave a part of the file, or
	// another.
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return failed(err)
	}
	tmp, err := os.MkdirTemp(dir, ".tmp-")
	if err != nil {
		return failed(err)
	}
	defer os.RemoveAll(tmp)
	if err := f.from.Download(ctx, tmp, pkg); err != nil {
		return failed(err)
	}
	got, _ := filepath.Glob(filepath.Join(tmp, "*"))
	if len(got) != 1 {
		return failed(fmt.Errorf("%s left %d files", f.from.Name(), len(got)))
	}

	// Under its name it appears whole, and with the sum of the archive's index where that has
	// one.
	sum, err := fileSHA256(got[0])
	if err != nil {
		return failed(err)
	}
	if pkg.SHA256 != "" && sum != pkg.SHA256 {
		return failed(fmt.Errorf("SHA256 is %s, the archive's index says %s", sum, pkg.SHA256))
	}
	if err := os.Rename(got[0], path); err != nil {
		return failed(err)
	}
	return path, nil
}

// unpack extracts a package's files below dir.
func (f *fetcher) unpack(ctx context.Context, file, dir string) error {
	if err := f.from.Unpack(ctx, file, dir); err != nil {
		return fmt.Errorf("unpack %s: %w", filepath.Base(file), err)
	}
	return nil
}

func fileSHA256(path string) (string, error) {
	file, err := regular.Open(path)
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
