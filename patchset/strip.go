package patchset

import (
	"errors"
	"strings"
	"time"
)

// defaultStrip is the level where names cannot tell: one leading directory,
// as git and quilt write.
const defaultStrip = 1

// setPaths fills Path and OldPath of all changes of one patch. strip is as
// ReadOptions.Strip.
func setPaths(id string, changes []*Change, strip int) error {
	levels := guessLevels(changes, strip)
	for i, c := range changes {
		if err := c.setPath(id, levels[i]); err != nil {
			return err
		}
	}
	return nil
}

// guessLevels gives each change its strip level: the requested one, else
// what its own names tell, else what the first telling change of the patch
// has.
func guessLevels(changes []*Change, strip int) []int {
	levels := make([]int, len(changes))
	fallback := defaultStrip
	for i := len(changes) - 1; i >= 0; i-- {
		if level, ok := changes[i].names.level(); ok && !changes[i].names.bare {
			fallback = level
		}
	}
	for i, change := range changes {
		switch level, ok := change.names.level(); {
		case strip == StripNone:
			levels[i] = 0
		case strip > 0:
			levels[i] = strip
		case ok:
			levels[i] = level
		default:
			levels[i] = fallback
		}
	}
	return levels
}

// setPath sets Path and OldPath for one strip level.
func (c *Change) setPath(id string, level int) (err error) {
	c.Path, c.OldPath, err = c.pathsAt(id, level)
	return err
}

// pathsAt gives Path and OldPath at a strip level.
func (c *Change) pathsAt(id string, level int) (name, oldPath string, err error) {
	defer func() {
		var bad *PathError
		if errors.As(err, &bad) && bad.Line == 0 {
			bad.Line = c.Line
		}
	}()
	// Check the raw names first, so that stripping cannot hide where they
	// point and the message shows them as written.
	for _, n := range []string{c.names.old, c.names.new} {
		for comp := range strings.SplitSeq(n, "/") {
			if comp == ".." {
				return "", "", &PathError{Patch: id, Path: n,
					Reason: `name holds "..", which can lead out of the source tree`}
			}
		}
	}
	old, newer := c.names.paths(level)
	raw := pick(c.names.old, c.names.new)
	switch c.Kind {
	case Rename, Copy:
		if oldPath, err = checkPath(id, old); err != nil {
			return "", "", err
		}
		name, err = checkPath(id, newer)
		return name, oldPath, err
	case Create:
		name, raw = newer, c.names.new
		if name == "" && c.names.new == devNull {
			name, raw = old, c.names.old
		}
	case Delete:
		name, raw = old, c.names.old
		if name == "" && c.names.old == devNull {
			name, raw = newer, c.names.new
		}
	default:
		name = pick(old, newer)
	}
	if name == "" {
		return "", "", &PathError{Patch: id, Path: raw,
			Reason: "nothing is left of the name after stripping its leading directories, give another strip level"}
	}
	name, err = checkPath(id, name)
	return name, "", err
}

// epoch says whether a timestamp of a diff header is the Unix epoch, by
// which GNU diff -N marks the side that has no file.
func epoch(ts string) bool {
	ts = strings.TrimSpace(ts)
	for _, layout := range []string{"2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05 -07:00", time.ANSIC,
		"2006-01-02 15:04:05"} {
		if t, err := time.Parse(layout, ts); err == nil {
			return t.Equal(time.Unix(0, 0))
		}
	}
	return false
}
