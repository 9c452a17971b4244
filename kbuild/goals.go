package kbuild

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// CheckGoal returns an error for a goal that Limit does not take: it takes "vmlinux",
// "modules", "all", and directories, objects and modules of the tree.
func CheckGoal(goal string) error {
	switch {
	case goal == "all", goal == "modules", goal == "vmlinux":
		return nil
	case strings.Trim(goal, "/") != "" && path.Clean("/"+goal) == "/"+strings.TrimSuffix(goal, "/") &&
		!strings.Contains(goal, "="):
		if strings.HasSuffix(goal, "/") || strings.HasSuffix(goal, ".o") || strings.HasSuffix(goal, ".ko") {
			return nil
		}
	}
	return fmt.Errorf("goal %q: want vmlinux, modules, all, a directory (fs/ext4/), an object (fs/ext4/mballoc.o) or "+
		"a module (fs/ext4/ext4.ko)", goal)
}

// LeftOut is an object that no goal makes for some of its owners.
type LeftOut struct {
	Object string
	Owners []string // "vmlinux" or modules
}

// Limit takes away from objects the owners for which none of the goals makes them,
// and objects that are left without one. Without goals everything is made. What was
// taken is listed by object.
func Limit(objects map[string]Owner, goals []string) []LeftOut {
	var left []LeftOut
	for _, object := range slices.Sorted(maps.Keys(objects)) {
		owner := objects[object]
		out := LeftOut{Object: object}
		kept := Owner{Kind: KindModule, Reason: owner.Reason}
		if owner.Kind == KindVmlinux {
			if goalMakes(goals, object, "vmlinux") {
				kept.Kind = KindVmlinux
			} else {
				out.Owners = append(out.Owners, "vmlinux")
			}
		}
		for _, m := range owner.Modules {
			if goalMakes(goals, object, m.Path) {
				kept.Modules = append(kept.Modules, m)
			} else {
				out.Owners = append(out.Owners, m.Name)
			}
		}
		if len(out.Owners) > 0 {
			left = append(left, out)
		}
		if objects[object] = kept; len(kept.Names()) == 0 {
			delete(objects, object)
		}
	}
	return left
}

// goalMakes reports whether one of the goals makes an object for an owner, vmlinux
// or the path of a module.
func goalMakes(goals []string, object, owner string) bool {
	return len(goals) == 0 || slices.ContainsFunc(goals, func(goal string) bool {
		switch {
		case goal == "modules":
			return owner != "vmlinux"
		case strings.HasSuffix(goal, "/"):
			return strings.HasPrefix(object, goal)
		case strings.HasSuffix(goal, ".o"):
			return object == goal
		}
		return goal == "all" || goal == owner
	})
}
