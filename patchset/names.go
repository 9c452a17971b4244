package patchset

import (
	"strconv"
	"strings"
)

const devNull = "/dev/null"

// StripNone as a strip level keeps names whole, as "patch -p0" does.
const StripNone = -1

// names are the file names of one change as the patch spells them, prefix
// included, unquoted, without timestamps. Either may be devNull.
type names struct {
	old, new string
	git      bool // from a "diff --git" header
	bare     bool // from rename or copy lines, which carry no prefix
}

// unquoteName undoes the C-style quoting of git and diff. It returns the
// name and what follows it. Unquoted names end at a tab (a timestamp
// follows) or the end of the line.
func unquoteName(field string) (name, rest string, ok bool) {
	if !strings.HasPrefix(field, `"`) {
		name, rest, _ = strings.Cut(field, "\t")
		return name, rest, name != ""
	}
	quoted, err := strconv.QuotedPrefix(field)
	if err != nil {
		return "", "", false
	}
	name, err = strconv.Unquote(quoted)
	return name, field[len(quoted):], err == nil && name != ""
}

// maxNames bounds the two names of a header together, in bytes; Linux allows
// 4096 for one path.
const maxNames = 16 << 10

// splitGitNames splits the two names of a "diff --git" line. Unquoted names
// may hold blanks, so it looks for the split that makes both sides name the
// same file; it fails for renames, whose header lines give the names.
func splitGitNames(header string) (old, newer string, ok bool) {
	if len(header) > maxNames {
		return "", "", false
	}

	// Quotes say where a name ends.
	if strings.HasPrefix(header, `"`) || strings.HasSuffix(header, `"`) {
		if strings.HasPrefix(header, `"`) {
			before, rest, ok := unquoteName(header)
			if !ok {
				return "", "", false
			}
			n, _, ok := unquoteName(strings.TrimLeft(rest, " "))
			return before, n, ok
		}
		i := strings.Index(header, ` "`)
		if i <= 0 {
			return "", "", false
		}
		n, _, ok := unquoteName(header[i+1:])
		return header[:i], n, ok
	}

	// Without quotes, only names that agree, up to their first directory, tell which space is the
	// one between them.
	for i := range len(header) {
		if header[i] != ' ' {
			continue
		}
		before, name := header[:i], header[i+1:]
		if before == "" || name == "" {
			continue
		}
		if before == name || (stripName(before, 1) != "" && stripName(before, 1) == stripName(name, 1)) {
			return before, name, true
		}
	}
	return "", "", false
}

// stripName drops n leading components, counted by runs of slashes as
// patch(1) does. It returns "" when the name has no more than n.
func stripName(name string, n int) string {
	for ; n > 0; n-- {
		i := strings.IndexByte(name, '/')
		if i < 0 {
			return ""
		}
		name = strings.TrimLeft(name[i:], "/")
	}
	return name
}

// gitPrefixes are the prefixes git puts before names (diff.mnemonicPrefix too).
const gitPrefixes = "abciow12"

// prefixed says whether a name starts with one of git's own prefixes.
func prefixed(name string) bool {
	return len(name) > 2 && name[1] == '/' && strings.IndexByte(gitPrefixes, name[0]) >= 0
}

// level guesses the strip level of one change from its two names: what both
// have in common at the end is the path, the rest is prefix. ok is false
// when the names cannot tell.
func (n names) level() (level int, ok bool) {
	if n.bare {
		return 0, true
	}
	if n.old == devNull || n.new == devNull {
		one := n.new
		if one == devNull {
			one = n.old
		}
		if prefixed(one) {
			return 1, true
		}
		return 0, n.git || !strings.Contains(one, "/")
	}
	oldParts, newParts := strings.Split(n.old, "/"), strings.Split(n.new, "/")
	if len(oldParts) != len(newParts) {
		return 0, false
	}
	common := 0
	for common < len(oldParts) && oldParts[len(oldParts)-1-common] == newParts[len(newParts)-1-common] {
		common++
	}
	if common == 0 {
		// "x.c.orig" and "x.c": compare the directories instead.
		for common < len(oldParts)-1 && oldParts[len(oldParts)-2-common] == newParts[len(newParts)-2-common] {
			common++
		}
		common++
	}
	if common == len(oldParts) && prefixed(n.old) && len(oldParts) > 2 {
		return 1, true // "a/fs/x.c" twice
	}
	return len(oldParts) - common, true
}

// paths gives the two names after stripping, "" for /dev/null or a name with
// too few components.
func (n names) paths(level int) (old, newer string) {
	if n.bare {
		return n.old, n.new
	}
	if n.old != devNull {
		old = stripName(n.old, level)
	}
	if n.new != devNull {
		newer = stripName(n.new, level)
	}
	return old, newer
}

// pick chooses the path to patch when both names are given: they are equal,
// or one is a backup name of the other ("x.c" and "x.c.new", "x.c.orig" and
// "x.c").
func pick(old, newer string) string {
	switch {
	case newer == "":
		return old
	case old != "" && strings.HasPrefix(newer, old):
		return old
	}
	return newer
}
