package kbuild

import (
	"context"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Class says what kind of file a changed file is to a kernel build.
type Class string

const (
	ClassSource    Class = "source"     // .c that an object is made of
	ClassInclude   Class = "include"    // header, or .c and the like that sources include
	ClassNewSource Class = "new-source" // .c that the unchanged tree does not have; Work.Owners tells what it is for
	ClassAssembly  Class = "assembly"   // .S
	ClassRust      Class = "rust"       // .rs; not built for a livepatch
	ClassBuild     Class = "build"      // Makefile, Kbuild, Kconfig
	ClassDoc       Class = "doc"        // documentation, licences, maintainers: no rule reads them
	ClassTool      Class = "tool"       // host tools, tests, samples: not part of the kernel
	ClassOther     Class = "other"      // nothing that is compiled; Readers tells whether the build reads it
)

// ChangedFile is the class of one changed file.
type ChangedFile struct {
	Path  string
	Class Class
	Used  bool // an object that the configuration builds, or a special one, depends on it
	// Readers are the rules of the target's build that make something else of it
	// than the objects that it is compiled into.
	Readers []Reader
}

// AffectedObject is an object that a changed file may affect.
type AffectedObject struct {
	Object   string
	Source   string
	Owner    Owner
	Assembly bool // made of a .S
	// Input means that it is not compiled code: a program that the build runs, or a
	// linker script. Work.Altered tells whether the changes reach it.
	Input   bool
	Because []string // the changed files it depends on, sorted
}

// Affected is what a set of changed files may affect.
type Affected struct {
	Objects []AffectedObject // go into vmlinux or a module; sorted
	Special []AffectedObject // are built into something else (boot code, vDSO, generated headers); sorted
	Files   []ChangedFile    // every changed file, in the order given
}

// Affected finds the objects that may be affected by changes to files, which are
// tree-relative and need not exist. It errs on the side of too many; Work.Thin
// removes those whose preprocessed text stays the same.
func (t *Tree) Affected(ctx context.Context, changed []string) (*Affected, error) {
	db, err := t.owners()
	if err != nil {
		return nil, err
	}
	clean := make([]string, len(changed))
	for i, f := range changed {
		if clean[i], err = cleanRel(f); err != nil {
			return nil, err
		}
	}
	g, err := t.graph(ctx)
	if err != nil {
		return nil, err
	}
	out := affected(t.Dir, clean, db, g)
	t.useRust(db, out.Files)
	return out, t.addReaders(ctx, out)
}

func affected(dir string, files []string, db *ownerDB, graph *includeGraph) *Affected {
	out := &Affected{}
	because := map[int][]string{}
	for _, file := range files {
		deps := graph.dependents([]string{file})
		used := false
		for i, r := range graph.Roots {
			if deps[r.File] {
				because[i] = append(because[i], file)
				used = true
			}
		}
		out.Files = append(out.Files, ChangedFile{Path: file, Class: classify(dir, file, graph), Used: used})
	}

	// In the order of the roots, so that the same change always gives the same list.
	for i, root := range graph.Roots {
		if because[i] == nil {
			continue
		}
		slices.Sort(because[i])
		src := graph.Files[root.File]
		object := AffectedObject{
			Object: root.Object, Source: src, Owner: db.owner(dir, root.Object),
			Assembly: path.Ext(src) == ".S", Because: slices.Compact(because[i]),
		}
		if root.Special {
			object.Input = object.Owner.Reason == hostProgram || path.Ext(object.Object) == ".lds"
			if object.Owner.Kind != KindSpecial {
				object.Owner = Owner{Kind: KindSpecial,
					Reason: "constants for assembly code and for every object are generated from it"}
			}
			out.Special = append(out.Special, object)
		} else {
			out.Objects = append(out.Objects, object)
		}
	}
	return out
}

// classify tells the class of a changed file from its name, and from whether the
// tree has it.
func classify(dir, file string, graph *includeGraph) Class {
	base, ext := path.Base(file), path.Ext(file)
	first, _, nested := strings.Cut(file, "/")
	switch {
	case first == "Documentation" || first == "LICENSES",
		!nested && slices.Contains([]string{"COPYING", "CREDITS", "MAINTAINERS", "README", ".mailmap"}, base):
		return ClassDoc
	case first != "tools" && first != "samples" && (isMakefile(file) || strings.HasPrefix(base, "Kconfig")):
		return ClassBuild
	}

	// An object's own class counts before that of text that is included: a C file can be both.
	node, known := graph.index[file]
	included := known && len(graph.reverse[node]) > 0
	switch {
	case first == "tools" || first == "samples" || first == "scripts" || first == "usr":
		if known {
			return ClassInclude
		}
		return ClassTool
	case strings.HasSuffix(base, ".lds.S"):
		return ClassOther
	case ext == ".S":
		return ClassAssembly
	case isRust(file):
		return ClassRust
	case ext == ".c":
		if !exists(filepath.Join(dir, file)) {
			return ClassNewSource
		}
		if included && !graph.isRoot(node) {
			return ClassInclude
		}
		return ClassSource
	case ext == ".h" || included:
		return ClassInclude
	}
	return ClassOther
}

func (g *includeGraph) isRoot(file int32) bool {
	return slices.ContainsFunc(g.Roots, func(r rootFile) bool { return r.File == file })
}
