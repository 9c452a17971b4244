package build

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/plan"
)

// CheckGoal returns an error for a goal of kbuild that Options.Goals does not
// take.
func CheckGoal(goal string) error {
	switch {
	case goal == "all", goal == "modules", goal == plan.Vmlinux:
		return nil
	case strings.Trim(goal, "/") != "" && path.Clean("/"+goal) == "/"+strings.TrimSuffix(goal, "/") && !strings.Contains(goal, "="):
		if strings.HasSuffix(goal, "/") || strings.HasSuffix(goal, ".o") || strings.HasSuffix(goal, ".ko") {
			return nil
		}
	}
	return fmt.Errorf("goal %q: want vmlinux, modules, all, a directory (fs/ext4/), an object (fs/ext4/mballoc.o) or a module (fs/ext4/ext4.ko)", goal)
}

// goalMakes reports whether one of the goals makes an object for an owner, vmlinux
// or the path of a module.
func (r *run) goalMakes(object, owner string) bool {
	return len(r.opt.Goals) == 0 || slices.ContainsFunc(r.opt.Goals, func(goal string) bool {
		switch {
		case goal == "modules":
			return owner != plan.Vmlinux
		case strings.HasSuffix(goal, "/"):
			return strings.HasPrefix(object, goal)
		case strings.HasSuffix(goal, ".o"):
			return object == goal
		}
		return goal == "all" || goal == owner
	})
}

// limit takes out of objects what the goals do not make, and names it.
func (r *run) limit(objects map[string]kbuild.Owner) {
	for _, obj := range keys(objects) {
		o := objects[obj]
		var left []string
		kept := kbuild.Owner{Kind: kbuild.KindModule, Reason: o.Reason}
		if o.Kind == kbuild.KindVmlinux && r.goalMakes(obj, plan.Vmlinux) {
			kept.Kind = kbuild.KindVmlinux
		} else if o.Kind == kbuild.KindVmlinux {
			left = append(left, plan.Vmlinux)
		}
		for _, m := range o.Modules {
			if r.goalMakes(obj, m.Path) {
				kept.Modules = append(kept.Modules, m)
			} else {
				left = append(left, m.Name)
			}
		}
		if len(left) > 0 {
			r.res.Notes = append(r.res.Notes, fmt.Sprintf("%s: left out of %s, which no goal makes", obj, strings.Join(left, ", ")))
		}
		objects[obj] = kept
		if kept.Kind != kbuild.KindVmlinux && len(kept.Modules) == 0 {
			delete(objects, obj)
		}
	}
}
