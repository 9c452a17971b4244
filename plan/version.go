package plan

import (
	"cmp"
	"strings"
)

// CompareVersions orders versions of one series of releases: negative when a
// is older than b, 0 when neither is. Runs of digits compare as numbers, other
// runs as text, and what is left over at the end is newer: "1.9" < "1.10" <
// "1.10-2" < "2". It is a total order on texts but for leading zeros.
func CompareVersions(a, b string) int {
	for a != "" && b != "" {
		var x, y string
		x, a = versionRun(a)
		y, b = versionRun(b)
		if isDigit(x[0]) && isDigit(y[0]) {
			x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if c := cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y)); c != 0 {
				return c
			}
			continue
		}
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

// versionRun cuts the leading run of digits or of other bytes off.
func versionRun(s string) (run, rest string) {
	i := 1
	for i < len(s) && isDigit(s[i]) == isDigit(s[0]) {
		i++
	}
	return s[:i], s[i:]
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
