package analyze

import (
	"regexp"
	"slices"
)

// ConfigDiff is an option that the prepared tree has otherwise than the target's own
// configuration says, which was not the one that was given.
type ConfigDiff struct {
	Name    string   // "CONFIG_AUDIT"
	Tree    string   // value as written; "" means not set
	Target  string   // likewise
	From    string   // where the target's own configuration was found
	Reaches []string // objects of the patch that the option can change, sorted
}

// Reached lists the object files, of those whose code travels, that an option can
// change: a file that either compilation reads names it, before the patches by kbuild's
// own record, or in the text that the patches give it.
func Reached(option string, units []*Unit, files []File) []string {
	named := regexp.MustCompile(`\b` + regexp.QuoteMeta(option) + `(_MODULE)?\b`)
	var out []string
	for _, u := range units {
		switch {
		case u.Travels == nil:
		case slices.Contains(u.Configs, option),
			slices.ContainsFunc(files, func(f File) bool {
				return slices.Contains(u.Deps, f.Path) &&
					named.Match(f.New)
			}):
			out = append(out, u.Object)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
