package plan

import (
	"cmp"
	"strings"
)

// CompareVersions orders versions of one series of releases: negative when a
// is older than b, 0 when neither is. Runs of digits compare as numbers, other
// runs as text, and what is left over at the end is newer: "1.9" < "1.10" <
// "1.10-2" < "2". It is a total order on texts but for leading zeros.
func CompareVersions(left, right string) int {
	for left != "" && right != "" {
		var leftRun, rightRun string
		leftRun, left = versionRun(left)
		rightRun, right = versionRun(right)
		if isDigit(leftRun[0]) && isDigit(rightRun[0]) {
			leftRun, rightRun = strings.TrimLeft(leftRun, "0"), strings.TrimLeft(rightRun, "0")
			if c := cmp.Or(cmp.Compare(len(leftRun), len(rightRun)), strings.Compare(leftRun, rightRun)); c != 0 {
				return c
			}
			continue
		}
		if c := strings.Compare(leftRun, rightRun); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(left), len(right))
}

// versionRun cuts the leading run of digits or of other bytes off.
func versionRun(version string) (run, rest string) {
	i := 1
	for i < len(version) && isDigit(version[i]) == isDigit(version[0]) {
		i++
	}
	return version[:i], version[i:]
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
