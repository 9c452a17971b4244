package kbuild

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Where the first directories are listed depends on the version. Since v6.1 the Kbuild
// file at the top lists them as any other makefile lists its own ("kbuild: list
// sub-directories in ./Kbuild"). Until v6.0 the top Makefile did, in init-y, core-y,
// drivers-y, net-y, virt-y and libs-y, and ran scripts/Makefile.build in each of them;
// the Kbuild file made generated headers only. mk/env.mk reads from the top Makefile
// which directories it goes to and whose archives it links; mk/walk.mk goes there from
// the top as well, so that everything else sees one tree of directories.

// listedDirs are the directories that the top Makefile goes to itself.
func (e *environment) listedDirs() []string {
	dirs := strings.Fields(e.Lists["dirs"])
	for i, d := range dirs {
		dirs[i] = path.Clean(d)
	}
	return slices.DeleteFunc(dirs, func(d string) bool { return d == "." })
}

// adopt makes the directories that the top Makefile lists directories of the top's
// own makefile. archives are the built-in.a files that the top Makefile links.
func (d *dirFacts) adopt(archives string) {
	linked := map[string]bool{}
	for _, o := range strings.Fields(archives) {
		if dir, ok := archive(o); ok {
			linked[dir] = true
		}
	}
	for _, sub := range d.lists["listed"] {
		d.lists["subdirs"] = append(d.lists["subdirs"], sub)
		d.lists["obj-m"] = append(d.lists["obj-m"], sub+"/modules.order")
		if linked[path.Clean(sub)] {
			d.lists["real-y"] = append(d.lists["real-y"], sub+"/built-in.a")
		}
	}
}

// The fewest objects and modules that a configuration may have, by its options.
// Debian's kernels (5.10 to 7.2, cloud and full) have 0.97 to 1.4 objects in vmlinux
// for each option that is y, and a module for each that is m.
const (
	optionsPerObject = 3
	optionsPerModule = 2
)

// witness is an object of every vmlinux.
const witness = "init/main.o"

// plausible tells makefiles that were misread from a small kernel. values are the
// options of the tree's configuration by their whole names, as written there.
//
// Without it, every file would be said to be built by nothing, and any patch to
// change nothing.
func (db *ownerDB) plausible(values map[string]string) error {
	// What was found, against how many options ask for something to be built.
	inVmlinux, modules := 0, map[string]bool{}
	for _, f := range db.Objects {
		if f.Vmlinux {
			inVmlinux++
		}
		for _, m := range f.Modules {
			modules[m] = true
		}
	}
	builtin, modular := 0, 0
	for _, v := range values {
		switch v {
		case "y":
			builtin++
		case "m":
			modular++
		}
	}

	var why string
	switch {
	case !db.Objects[witness].Vmlinux:
		why = fmt.Sprintf("%s is not among the objects of vmlinux", witness)
	case inVmlinux*optionsPerObject < builtin:
		why = fmt.Sprintf("vmlinux has %d objects only, for %d options that are y", inVmlinux, builtin)
	case len(modules)*optionsPerModule < modular:
		why = fmt.Sprintf("there are %d modules only, for %d options that are m", len(modules), modular)
	default:
		return nil
	}
	return fmt.Errorf("evaluate Kbuild files: %s; makefiles were found in %d directories. "+
		"The makefiles of this kernel are not laid out as klpforge knows them, or the source is not complete", why,
		len(db.Dirs))
}
