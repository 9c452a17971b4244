package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Cache is the directory that keeps what is downloaded or computed. The zero
// value means [DefaultCache]. Everything below it can be deleted at any time
// no klpforge runs.
type Cache string

// DefaultCache returns $KLPFORGE_CACHE, $XDG_CACHE_HOME/klpforge or
// ~/.cache/klpforge, the first that is set.
func DefaultCache() (Cache, error) {
	if d := os.Getenv("KLPFORGE_CACHE"); d != "" {
		return Cache(d), nil
	}
	d, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory: %w; set KLPFORGE_CACHE", err)
	}
	return Cache(filepath.Join(d, "klpforge")), nil
}

// resolve gives the zero value its meaning.
func (c Cache) resolve() (Cache, error) {
	if c != "" {
		return c, nil
	}
	return DefaultCache()
}

// Debs holds downloaded packages.
func (c Cache) Debs() string { return filepath.Join(string(c), "debs") }

// Targets holds one directory per fetched release.
func (c Cache) Targets() string { return filepath.Join(string(c), "targets") }

// Target is the directory of one release: root/ (packages as if unpacked at
// /), source/ (a packed source tree) and the decompressed image.
func (c Cache) Target(release string) string { return filepath.Join(c.Targets(), release) }

// TargetRoot is the directory that stands for / of a fetched release.
func (c Cache) TargetRoot(release string) string { return filepath.Join(c.Target(release), "root") }

// TargetSource holds the packed source of a fetched release.
func (c Cache) TargetSource(release string) string {
	return filepath.Join(c.Target(release), "source")
}

// Trees holds prepared source trees.
func (c Cache) Trees() string { return filepath.Join(string(c), "trees") }

// Work holds the private trees of running processes.
func (c Cache) Work() string { return filepath.Join(string(c), "work") }

// Objects holds compiled objects by content.
func (c Cache) Objects() string { return filepath.Join(string(c), "objects") }

// lockFile takes an exclusive advisory lock on path, made when missing, and
// returns the function that releases it. The lock dies with the process.
// waiting, if not nil, is called once when another process holds the lock.
func lockFile(ctx context.Context, path string, waiting func()) (func(), error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	for told := false; ; {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if !told && waiting != nil {
			waiting()
		}
		told = true
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("wait for the lock %s: %w", path, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// writeFileAtomic writes data to path so that a reader sees all of it or the
// old state, also after a crash.
func writeFileAtomic(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-"+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(data); err != nil {
		return err
	}
	if err = f.Chmod(0o644); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	err = os.Rename(f.Name(), path)
	if info, lerr := os.Lstat(path); err != nil && lerr == nil && info.IsDir() { // damage: nothing of the cache has this place
		if err = os.RemoveAll(path); err == nil {
			err = os.Rename(f.Name(), path)
		}
	}
	return err
}
