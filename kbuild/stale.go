package kbuild

import (
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// writing is how long a temporary file may be without its writer's lock.
const writing = time.Second

// sweep removes temporary files of writers that are gone: those that nobody has
// locked. What cannot be removed is left to the next run.
func sweep(cache string) {
	for _, dir := range []string{"", "trees", "trees/*", "objects/*"} {
		left, err := filepath.Glob(filepath.Join(cache, dir, ".tmp-*"))
		if err != nil {
			continue
		}
		for _, name := range left {
			removeUnlocked(name)
		}
	}
}

func removeUnlocked(name string) {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() || time.Since(info.ModTime()) < writing {
		return
	}
	f, err := os.Open(name)
	if err != nil {
		return
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		os.Remove(name)
	}
}
