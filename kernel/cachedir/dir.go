// Package cachedir is the layout of the cache: what lies where, which files of it
// are written whole, and what a fetched release is said to consist of.
package cachedir

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Dir is the directory that keeps what is downloaded or computed. The zero
// value means [Default]. Everything below it can be deleted at any time
// no klpforge runs.
type Dir string

// Default returns $KLPFORGE_CACHE, $XDG_CACHE_HOME/klpforge or
// ~/.cache/klpforge, the first that is set.
func Default() (Dir, error) {
	if d := os.Getenv("KLPFORGE_CACHE"); d != "" {
		return Dir(d), nil
	}
	d, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory: %w; set KLPFORGE_CACHE", err)
	}
	return Dir(filepath.Join(d, "klpforge")), nil
}

// Resolve gives the zero value its meaning.
func (c Dir) Resolve() (Dir, error) {
	if c != "" {
		return c, nil
	}
	return Default()
}

// Debs holds downloaded packages.
func (c Dir) Debs() string { return filepath.Join(string(c), "debs") }

// Targets holds one directory per fetched release.
func (c Dir) Targets() string { return filepath.Join(string(c), "targets") }

// Target is the directory of one release: root/ (packages as if unpacked at
// /), source/ (a packed source tree) and the decompressed image.
func (c Dir) Target(release string) string { return filepath.Join(c.Targets(), release) }

// TargetRoot is the directory that stands for / of a fetched release.
func (c Dir) TargetRoot(release string) string { return filepath.Join(c.Target(release), "root") }

// TargetSource holds the packed source of a fetched release.
func (c Dir) TargetSource(release string) string {
	return filepath.Join(c.Target(release), "source")
}

// Lists is where a package system keeps lists of a suite that is not the machine's.
func (c Dir) Lists(suite string) string { return filepath.Join(string(c), "lists", suite) }

// Trees holds prepared source trees.
func (c Dir) Trees() string { return filepath.Join(string(c), "trees") }

// Work holds the private trees of running processes.
func (c Dir) Work() string { return filepath.Join(string(c), "work") }

// Objects holds compiled objects by content.
func (c Dir) Objects() string { return filepath.Join(string(c), "objects") }

// ValidRelease refuses what could not be a release string but could leave a
// directory.
func ValidRelease(release string) bool {
	const longest = 64 // bytes: UTS_RELEASE with its NUL is 65 (__NEW_UTS_LEN)
	return release != "" && release != "." && release != ".." && len(release) <= longest &&
		!strings.ContainsAny(release, "/\x00 \t\n")
}
