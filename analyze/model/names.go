package model

import "strings"

// coldParent returns the name of the function that a .cold part was split
// from.
func coldParent(name string) (string, bool) {
	if i := strings.Index(name, ".cold"); i > 0 && (len(name) == i+5 || name[i+5] == '.') {
		return name[:i], true
	}
	return "", false
}
