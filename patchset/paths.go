package patchset

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of names, in bytes: NAME_MAX and, with room for the directory of a
// tree, PATH_MAX of Linux. The longest name in Linux 6.12 has 125 bytes.
const (
	maxComponent = 255
	maxPath      = 2048
)

// checkPath accepts a slash path that stays inside the tree whatever the
// tree holds; it returns the cleaned path.
func checkPath(patch, name string) (string, error) {
	bad := func(reason string) (string, error) {
		return "", &PathError{Patch: patch, Path: name, Reason: reason}
	}
	switch {
	case name == "":
		return bad("name is empty: the patch strips more leading directories than the name has, " +
			"give another strip level")
	case strings.ContainsRune(name, 0):
		return bad("name holds a NUL byte")
	case !utf8.ValidString(name):
		return bad("name is not UTF-8, as all names in the kernel's source are")
	case strings.ContainsFunc(name, unicode.IsControl):
		return bad("name holds a control character, such as a line break")
	case len(name) > maxPath:
		return bad(fmt.Sprintf("name has %d bytes, %d at most can be opened below a work directory", len(name),
			maxPath))
	case strings.HasPrefix(name, "/"):
		return bad("name is absolute: make the patch with names relative to the source tree, or give a strip level")
	}

	// Each part, because a name that leads back into the tree may pass through a directory
	// outside of it.
	for c := range strings.SplitSeq(name, "/") {
		if len(c) > maxComponent {
			return bad(fmt.Sprintf("a part of the name has %d bytes, no file system has names of more than %d", len(c),
				maxComponent))
		}
		switch c {
		case "..":
			return bad(`name holds "..", which can lead out of the source tree`)
		case ".git":
			return bad("name reaches into repository metadata")
		}
	}

	clean := path.Clean(name)
	if clean == "." || strings.HasSuffix(name, "/") {
		return bad("name is a directory")
	}
	return clean, nil
}

// maxSymlinks bounds how many symbolic links one path may pass.
const maxSymlinks = 40

// resolve follows the symbolic links on p inside tree and returns the real
// slash path. Components that do not exist are kept as they are, so that a
// file to be created resolves too. A link that leads out of the tree is a
// *PathError. A tree that cannot tell links (no fs.ReadLinkFS) is trusted.
func resolve(tree fs.FS, patch, name string) (string, error) {
	rest := strings.Split(name, "/")
	done := "."

	// One component at a time, as the kernel walks a path: a link is replaced by its target, and
	// ".." behind it means the target's parent.
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if done == "." {
				return "", &PathError{Patch: patch, Path: name,
					Reason: "a symbolic link on it leads out of the source tree"}
			}
			done = path.Dir(done)
			continue
		}

		next := path.Join(done, part)
		info, err := fs.Lstat(tree, next)
		if errors.Is(err, fs.ErrNotExist) {
			done = path.Join(next, path.Join(rest...))
			if !fs.ValidPath(done) {
				return "", &PathError{Patch: patch, Path: name,
					Reason: "a symbolic link on it leads out of the source tree"}
			}
			return done, nil
		}
		if err != nil {
			return "", err
		}

		if info.Mode()&fs.ModeSymlink == 0 {
			done = next
			continue
		}
		if links++; links > maxSymlinks {
			return "", &PathError{Patch: patch, Path: name, Reason: "too many symbolic links on it"}
		}
		target, err := fs.ReadLink(tree, next)
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(target, "/") {
			return "", &PathError{Patch: patch, Path: name,
				Reason: "symbolic link " + next + " leads out of the source tree"}
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return done, nil
}
