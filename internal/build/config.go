package build

import (
	"regexp"
	"slices"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/kbuild"
)

// compareConfig compares the configuration of the prepared tree with the target's own,
// when another one was given by hand. Without one, kbuild has compared them.
func (r *run) compareConfig(units []*unit) error {
	if !r.target.K.ConfigGiven() {
		return nil
	}
	text, from, err := r.target.K.OwnConfig()
	if err != nil {
		return err
	}
	if text == nil {
		r.res.Notes = append(r.res.Notes, "the configuration that was given cannot be compared: the target comes with none, in its image or beside it")
		return nil
	}
	diffs, err := r.tree.DiffConfig(from, text)
	if err != nil {
		return err
	}
	for _, d := range diffs {
		if d.Expected {
			continue
		}
		c := analyze.ConfigDiff{Name: d.Name, Tree: d.Got, Target: d.Want, From: from}
		for _, u := range units {
			if u.travels != nil && r.reaches(d.Name, u) && !slices.Contains(c.Reaches, u.object) {
				c.Reaches = append(c.Reaches, u.object)
			}
		}
		slices.Sort(c.Reaches)
		r.config = append(r.config, c)
	}
	return nil
}

// reaches reports whether an option can change a unit: a file that its compilation
// reads names it, before the patch (kbuild's own record), or after.
func (r *run) reaches(option string, u *unit) bool {
	for _, b := range []*kbuild.Built{&u.before, &u.after} {
		if _, found := slices.BinarySearch(b.Configs, option); found {
			return true
		}
	}
	named := regexp.MustCompile(`\b` + regexp.QuoteMeta(option) + `(_MODULE)?\b`)
	for _, p := range r.overlay.Paths() {
		if slices.Contains(u.after.Deps, p) && named.Match(r.overlay.Files[p].New) {
			return true
		}
	}
	return false
}
