package kbuild

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/klpforge/klpforge/internal/sealed"
)

// PrivateDir makes a directory for this process among the work trees of a cache, and
// removes what dead processes left there. label, which may be empty, is a part of its
// name, for people.
//
// The directory is locked until unlock is called. The number of a process alone would not
// do: where machines or containers share a cache, each sees only its own processes, and
// would take the others' for dead. The caller removes the directory before it unlocks; it
// holds a file "lock" from the start.
func PrivateDir(ctx context.Context, cache, label string) (dir string, unlock func(), err error) {
	parent := filepath.Join(cache, "work")
	if err := sealed.MakeDir(cache, parent); err != nil {
		return "", nil, fmt.Errorf("create work directory: %w", err)
	}
	removeStale(parent)
	if label != "" {
		label += "-"
	}
	for {
		var id [6]byte
		rand.Read(id[:])
		dir = filepath.Join(parent, fmt.Sprintf("%d-%s%s", os.Getpid(), label, hex.EncodeToString(id[:])))
		if err := os.Mkdir(dir, 0o755); err != nil {
			return "", nil, fmt.Errorf("create work directory: %w", err)
		}
		file, err := os.Open(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed before it was locked
		}
		if err != nil {
			return "", nil, fmt.Errorf("lock work directory: %w", err)
		}
		unlock, err := lockOpen(ctx, file, nil)
		if err != nil {
			return "", nil, errors.Join(err, os.Remove(dir))
		}
		if !sameFile(dir, fmt.Sprintf("/proc/self/fd/%d", file.Fd())) {
			unlock()
			continue
		}
		// Versions before look at this file alone.
		older, err := lockFile(ctx, filepath.Join(dir, "lock"), nil)
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
			unlock()
			return "", nil, err
		}
		return dir, func() { older(); unlock() }, nil
	}
}

// removeStale removes directories of processes that are gone, and what such processes
// left elsewhere in the cache. A directory is in use while it is locked, while its file
// "lock" is, as versions before had it, or while the process that is about to lock it
// lives.
func removeStale(parent string) {
	sweep(filepath.Dir(parent))
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, item := range entries {
		first, _, _ := strings.Cut(item.Name(), "-")
		pid, err := strconv.Atoi(first)
		if err != nil || pid <= 0 {
			continue
		}
		if err := unix.Kill(pid, 0); err == nil || errors.Is(err, unix.EPERM) {
			continue
		}
		removeUnused(filepath.Join(parent, item.Name()))
	}
}

// removeUnused removes a directory that nobody has locked.
func removeUnused(dir string) {
	for _, name := range []string{dir, filepath.Join(dir, "lock")} {
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		defer f.Close()
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
			return
		}
	}
	removeTree(dir) // what cannot be removed is left to the next run
}
