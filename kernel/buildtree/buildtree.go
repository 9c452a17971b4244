// Package buildtree finds the parts of a kernel in the directory that it was built in:
// that of its source, or one of objects alone (make O=).
//
// It is for kernels that a team builds itself. What a distribution puts into packages
// lies in such a directory under the names of the kernel's makefiles (v4.12 to v7.2).
package buildtree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/klpforge/klpforge/internal/regular"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/karch"
)

// Tree is a directory that a kernel was built in. It implements [kernel.Finder].
type Tree struct {
	Dir    string // as it was given
	Source string // where the source is: Dir itself if it was built in place, "" if that is gone

	release string
}

var _ kernel.Finder = (*Tree)(nil)

// maxSmall bounds the files that are read here, in bytes.
const maxSmall = 1 << 20

// Open looks at a directory. It need not be complete, but something must have been
// built there, which says the release; the error is a [*NotBuiltError] otherwise.
func Open(dir string) (*Tree, error) {
	tree := &Tree{Dir: dir}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("open build tree: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("open build tree: %s is not a directory", dir)
	}
	if tree.Source, err = sourceOf(dir); err != nil {
		return nil, fmt.Errorf("open build tree: %w", err)
	}
	if tree.release, err = releaseOf(dir); err != nil {
		return nil, fmt.Errorf("open build tree: %w", err)
	}
	if tree.release == "" {
		return nil, &NotBuiltError{Dir: dir, Configured: exists(filepath.Join(dir, ".config")),
			Source: tree.Source == dir}
	}
	return tree, nil
}

// NotBuiltError reports a directory that no kernel was built in.
type NotBuiltError struct {
	Dir        string
	Configured bool // it has a .config
	Source     bool // it has a kernel source
}

func (e *NotBuiltError) Error() string {
	what := "it has no include/config/kernel.release"
	switch {
	case e.Configured:
		what = "it is configured, but include/config/kernel.release is missing"
	case e.Source:
		what = "it is a source that is not even configured"
	}
	return fmt.Sprintf("no kernel was built in %s: %s. Name the directory that yours was built in, the one of O= if "+
		"that was used", e.Dir, what)
}

var (
	utsRelease = regexp.MustCompile(`#define\s+UTS_RELEASE\s+"([^"]*)"`)
	// The makefile that O= writes: "include /src/linux/Makefile" (scripts/mkmakefile
	// until v6.12, the top Makefile since v5.11), and before v5.1 two variables.
	otherMakefile = regexp.MustCompile(`(?m)^include\s+(\S+)/Makefile\s*$`)
	otherSource   = regexp.MustCompile(`(?m)^(?:KERNELSRC|MAKEARGS\s*:?=\s*-C)\s*:?=?\s*(\S+)`)
)

// releaseOf reads the release of what was built; "" when nothing was.
func releaseOf(dir string) (string, error) {
	text, err := small(filepath.Join(dir, "include/config/kernel.release"))
	if release := strings.TrimSpace(text); release != "" || err != nil {
		return release, err
	}
	text, err = small(filepath.Join(dir, "include/generated/utsrelease.h"))
	if m := utsRelease.FindStringSubmatch(text); m != nil {
		return m[1], nil
	}
	return "", err
}

// sourceOf finds the source of a build tree: the tree itself, or what O= left a link
// or a makefile to. "" means that it is not where the tree says.
func sourceOf(dir string) (string, error) {
	if isSource(dir) {
		return dir, nil
	}
	if link := filepath.Join(dir, "source"); isSource(link) {
		return filepath.EvalSymlinks(link)
	}
	text, err := small(filepath.Join(dir, "Makefile"))
	if err != nil {
		return "", err
	}
	for _, re := range []*regexp.Regexp{otherMakefile, otherSource} {
		if m := re.FindStringSubmatch(text); m != nil {
			src := m[1]
			if !filepath.IsAbs(src) {
				src = filepath.Join(dir, src)
			}
			if isSource(src) {
				return filepath.Clean(src), nil
			}
		}
	}
	return "", nil
}

// isSource tells a kernel's source by what every version has.
func isSource(dir string) bool {
	return exists(filepath.Join(dir, "Kbuild")) && exists(filepath.Join(dir, "init/main.c"))
}

// Release implements [kernel.Finder].
func (t *Tree) Release() string { return t.release }

// BuildTree is the directory, with the name that [kernel.Target] asks for it by.
func (t *Tree) BuildTree() string { return t.Dir }

// Find implements [kernel.Finder].
func (t *Tree) Find(p kernel.Part) (path string, searched []string) {
	for _, place := range t.places(p) {
		if exists(place) {
			return place, nil
		}
		searched = append(searched, place)
	}
	return "", searched
}

// places are those of a part, the best first.
func (t *Tree) places(part kernel.Part) []string {
	in := func(names ...string) []string {
		out := make([]string, len(names))
		for i, n := range names {
			out[i] = filepath.Join(t.Dir, n)
		}
		return out
	}
	switch part {
	case kernel.PartConfig:
		return in(".config")
	case kernel.PartSymvers:
		// The second has what vmlinux exports (since v5.8): enough for a kernel whose
		// modules were never built.
		return in("Module.symvers", "vmlinux.symvers")
	case kernel.PartImage:
		return in(append([]string{"vmlinux"}, karch.Images()...)...)
	case kernel.PartVmlinux:
		return in("vmlinux")
	case kernel.PartSystemMap:
		return in("System.map")
	case kernel.PartModules:
		if !exists(filepath.Join(t.Dir, "modules.order")) {
			return nil // its modules were not built
		}
		return []string{t.Dir}
	case kernel.PartHeaders:
		if !exists(filepath.Join(t.Dir, "include/generated/autoconf.h")) {
			return nil
		}
		return []string{t.Dir}
	case kernel.PartCommonHeaders, kernel.PartSource:
		if t.Source == "" {
			return nil
		}
		return []string{t.Source}
	}
	return nil
}

// Remedy implements [kernel.Finder].
func (t *Tree) Remedy(p kernel.Part) string {
	build := func(goal, flag string) string {
		return fmt.Sprintf("run `make %s` in %s, with the variables that the kernel was built with, or name it with %s",
			goal, t.Dir, flag)
	}
	switch p {
	case kernel.PartConfig:
		return "name the configuration that the kernel was built with by --config"
	case kernel.PartSymvers:
		return build("modules", "--symvers")
	case kernel.PartImage, kernel.PartVmlinux:
		return build("vmlinux", "--vmlinux")
	case kernel.PartSystemMap:
		return build("vmlinux", "--system-map")
	case kernel.PartModules:
		return build("modules", "--modules (as /lib/modules/"+t.release+")")
	case kernel.PartHeaders:
		return build("modules_prepare", "--headers")
	case kernel.PartCommonHeaders, kernel.PartSource:
		return "name the source that it was built from with --source"
	}
	return ""
}

// small reads a short text file; one that is not there is "".
func small(path string) (string, error) {
	text, err := regular.Read(path, maxSmall)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(text), err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
