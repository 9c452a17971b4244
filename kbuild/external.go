package kbuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// External is a private copy of the source of modules that are built outside the
// kernel's tree ("make M=dir"). The directory it was copied from is only read.
type External struct {
	Dir string // root of the copy, to be changed freely

	tree   *Tree
	source string // where it was copied from, without symbolic links
	base   string // work/<pid>-<random>
	flags  string // KCFLAGS
	jobs   int
	unlock func()
	root   *os.Root // Dir; what is written stays in it

	trust   bool            // WorkOptions.Trust
	changed map[string]bool // paths written or removed
	read    map[string]bool // what the unchanged source reads from outside of it and of the kernel's tree
}

// ExternalObject is one compiled object of external modules.
type ExternalObject struct {
	Built
	Modules []string // names of the modules that it is linked into, as kbuild spells them
}

// External copies the source of external modules. Close removes the copy.
func (t *Tree) External(ctx context.Context, dir string, opts WorkOptions) (*External, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("read module source: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("read module source: %s is no directory; name the one with the module's Makefile", dir)
	}
	if !exists(filepath.Join(dir, "Makefile")) && !exists(filepath.Join(dir, "Kbuild")) {
		return nil, fmt.Errorf("read module source: %s has neither Kbuild nor Makefile", dir)
	}
	base, unlock, err := t.workDir(ctx, "module")
	if err != nil {
		return nil, err
	}
	external := &External{Dir: filepath.Join(base, "module"), tree: t, base: base, jobs: opts.Jobs, unlock: unlock,
		trust: opts.Trust, changed: map[string]bool{}}
	// The compiler is given absolute names below M=, which assertions and debug
	// information would keep.
	external.flags = t.sections() + " " + t.typeFlags() + " -fdebug-prefix-map=" + t.Dir + "=. -ffile-prefix-map=" +
		external.Dir + "/="
	if external.jobs <= 0 {
		external.jobs = t.jobs
	}
	if external.root, err = os.OpenRoot(external.Dir); err == nil {
		external.source, err = realPath(dir)
	}
	if err == nil {
		err = copySource(external.source, external.Dir)
	}
	if err != nil {
		external.Close()
		return nil, fmt.Errorf("copy module source: %w", err)
	}
	return external, nil
}

// box is what make may do in the copy: it also reads the kernel's trees that links
// of the module's source lead to.
func (x *External) box() *box {
	sandbox := x.tree.box(x.base)
	if sandbox == nil {
		return nil
	}
	_ = filepath.WalkDir(x.Dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type()&fs.ModeSymlink != 0 {
			if target, err := filepath.EvalSymlinks(p); err == nil {
				sandbox.read = append(sandbox.read, target)
			}
		}
		return nil
	})
	return sandbox
}

// Close removes the copy with everything in it. Calling it twice is fine.
func (x *External) Close() error {
	if x.unlock == nil {
		return nil
	}
	if x.root != nil {
		x.root.Close()
	}
	err := removeTree(x.base)
	x.unlock()
	x.unlock = nil
	return err
}

// copySource copies what a module is made of: everything but what an earlier build
// left and what version control keeps. Symbolic links are followed, for a build
// would write through those to directories; one to a directory of the module leads
// to its copy.
func copySource(from, to string) error { return copyTree(from, to, nil) }

// copyTree copies the directory from, whose name has no links in it. above are the
// directories that led here by links.
func copyTree(from, to string, above []string) error {
	above = append(slices.Clone(above), from)
	return filepath.WalkDir(from, func(file string, item fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, file)
		if err != nil {
			return err
		}
		dst := filepath.Join(to, rel)
		name := item.Name()
		info, err := os.Stat(file)

		// Links are followed, as the makefile may lead anywhere; what a build left behind is not
		// taken along.
		switch {
		case err != nil:
			return err
		case item.IsDir() && (name == ".git" || name == ".tmp_versions"):
			return filepath.SkipDir
		case item.IsDir():
			return os.MkdirAll(dst, 0o755)
		case info.IsDir():
			return copyLinked(file, dst, from, to, above)
		case !info.Mode().IsRegular():
			return nil
		case leftover(file):
			return nil
		}

		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return os.WriteFile(dst, data, 0o644|info.Mode().Perm()&0o111)
	})
}

// copyLinked is copyTree for a link, which leads to a directory.
func copyLinked(link, dst, from, to string, above []string) error {
	target, err := filepath.EvalSymlinks(link)
	if err != nil {
		return err
	}
	if in, err := filepath.Rel(from, target); err == nil && filepath.IsLocal(in) {
		// Relative, or the copy's own root would not let it pass.
		if target, err = filepath.Rel(filepath.Dir(dst), filepath.Join(to, in)); err != nil {
			return err
		}
		return os.Symlink(target, dst)
	}
	// A kernel's tree or headers: large, and no module's objects are made in it.
	if exists(filepath.Join(target, "Makefile")) && exists(filepath.Join(target, "include")) &&
		exists(filepath.Join(target, "scripts")) {
		return os.Symlink(target, dst)
	}
	for _, dir := range above {
		if in, err := filepath.Rel(target, dir); err == nil && filepath.IsLocal(in) {
			return fmt.Errorf("%s leads to %s, which holds the module itself: give a copy without that link", link,
				target)
		}
	}
	return copyTree(target, dst, above)
}

// leftover reports whether a file is what building a module leaves behind. An
// object or archive that kbuild keeps no command of came with the source.
func leftover(file string) bool {
	name := filepath.Base(file)
	if name == "Module.symvers" || name == "modules.order" {
		return true
	}
	for _, s := range []string{".ko", ".mod", ".mod.c"} {
		if strings.HasSuffix(name, s) {
			return true
		}
	}
	if strings.HasPrefix(name, ".") && strings.HasSuffix(name, ".cmd") {
		return savedBy(file)
	}
	return savedBy(cmdFile(file))
}

// savedBy reports whether a file holds a command that kbuild saved. Modules with
// objects of other origin bring empty ones, which modpost wants to see.
func savedBy(p string) bool {
	data, err := os.ReadFile(p)
	return err == nil && bytes.Contains(data, []byte("cmd_"))
}

// Write replaces a file of the copy, making directories as needed. A path through
// a link that leads out of the copy is an error.
func (x *External) Write(rel string, data []byte) error {
	rel, err := cleanRel(rel)
	if err != nil {
		return err
	}
	x.changed[rel] = true
	return replaceFile(x.root, rel, data)
}

// Remove deletes a file of the copy; a file that does not exist is fine.
func (x *External) Remove(rel string) error {
	rel, err := cleanRel(rel)
	if err != nil {
		return err
	}
	x.changed[rel] = true
	return removeFile(x.root, rel)
}

// Build compiles the modules as the copy is now, each function and variable in its
// own section, and keeps the objects under label, which must be another one for each
// call. They are in the order of their names and stay valid until Close. It returns
// *CompileError when the source does not compile.
func (x *External) Build(ctx context.Context, label string) ([]ExternalObject, error) {
	begun := time.Now()
	if err := x.checkPrograms(); err != nil {
		return nil, err
	}
	cmd := command{
		name: "make modules",
		dir:  x.tree.Dir,
		env:  append(baseEnv(), "KBUILD_MODPOST_WARN=1"),
		argv: append([]string{"make", fmt.Sprintf("-j%d", x.jobs), "M=" + x.Dir},
			append(x.tree.vars(x.flags+" -idirafter "+x.headers()), "KBUILD_MODPOST_WARN=1", "modules")...),
		logs: x.tree.logs(),
		box:  x.box(),
	}
	_, all, err := cmd.exec(ctx)
	if err != nil {
		// Before anything of the output is kept or shown: it may quote what was read.
		if outside := outsideOf(filepath.Base(x.Dir), string(all), x.base, x.tree.base); outside != nil &&
			len(x.changed) > 0 && ctx.Err() == nil {
			return nil, outside
		}
		if m := deniedOption.FindStringSubmatch(string(all)); m != nil && ctx.Err() == nil {
			return nil, absoluteInclude(filepath.Base(x.Dir), m[1])
		}
		var re *RunError
		err = cmd.failed(ctx, all, err)
		if errors.As(err, &re) {
			return nil, &CompileError{Object: filepath.Base(x.Dir), Output: re.Tail, Log: re.Log}
		}
		return nil, err
	}
	members, err := x.members()
	if err != nil {
		return nil, err
	}
	if len(members) == 0 {
		return nil, fmt.Errorf("build module: make succeeded, but its makefile names no module (obj-m)")
	}
	var out []ExternalObject
	for _, obj := range sortedKeys(members) {
		b, err := x.collect(obj, label)
		if err != nil {
			return nil, err
		}
		if b != nil {
			out = append(out, ExternalObject{*b, members[obj]})
		}
	}
	if len(out) > 0 {
		out[0].Elapsed = time.Since(begun)
	}
	return out, nil
}

// deniedOption is what the compiler says of a file that an option of the module's
// makefile names, and that the sandbox keeps it from.
var deniedOption = regexp.MustCompile(`(?m)^<command-line>: fatal error: (\S+): Permission denied$`)

// absoluteInclude reports a file of the module that its makefile names where it lies,
// and not in the copy that is compiled.
func absoluteInclude(obj, file string) error {
	return fmt.Errorf("compile %s: it includes %s by its absolute name, which no patch reaches: let the makefile say "+
		"$(src) instead", obj, file)
}

// members reads which objects each module is linked of: kbuild lists them in a
// .mod file beside it (scripts/Makefile.build, v4.12 to v6.12; the first line, or
// since 6.1 one object a line).
func (x *External) members() (map[string][]string, error) {
	out := map[string][]string{}
	err := filepath.WalkDir(x.Dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(at, ".mod") {
			return err
		}
		data, err := os.ReadFile(at)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(x.Dir, at)
		if err != nil {
			return err
		}
		module := strings.ReplaceAll(strings.TrimSuffix(path.Base(rel), ".mod"), "-", "_")

		// A module's .mod file lists its objects, absolute or relative to M= by the kernel's
		// version.
		for _, field := range strings.Fields(string(data)) {
			if !strings.HasSuffix(field, ".o") {
				continue
			}
			if r, ok := strings.CutPrefix(field, x.Dir+"/"); ok {
				field = r
			}
			if field = path.Clean(field); !slices.Contains(out[field], module) {
				out[field] = append(out[field], module)
			}
		}
		return nil
	})
	return out, err
}

// collect keeps a copy of an object with what kbuild said of it; nil for one that
// is made of no source file.
func (x *External) collect(obj, label string) (*Built, error) {
	saved := filepath.Join(x.Dir, cmdFile(obj))
	if !savedBy(saved) {
		return nil, nil
	}
	data, err := os.ReadFile(saved)
	if err != nil {
		return nil, fmt.Errorf("collect %s: %w", obj, err)
	}
	cmd, err := parseCmdFile(data)
	if err != nil {
		return nil, fmt.Errorf("collect %s: %w", obj, err)
	}
	if cmd.Source == "" {
		return nil, nil
	}

	// An absolute name leads to the original, which is not what is built here.
	for _, dep := range cmd.Deps {
		if strings.HasPrefix(dep, x.source+"/") {
			return nil, absoluteInclude(obj, dep)
		}
	}
	if err := x.tree.checkRead(cmd.Deps); err != nil {
		return nil, err
	}
	if err := x.checkOutside(obj, cmd.Deps); err != nil {
		return nil, err
	}

	// Kept apart from the tree, which the next build overwrites.
	kept := filepath.Join(x.base, label, obj)
	if err := os.MkdirAll(filepath.Dir(kept), 0o755); err != nil {
		return nil, fmt.Errorf("keep %s: %w", obj, err)
	}
	text, err := os.ReadFile(filepath.Join(x.Dir, obj))
	if err != nil {
		return nil, fmt.Errorf("keep %s: %w", obj, err)
	}
	if err := os.WriteFile(kept, text, 0o644); err != nil {
		return nil, fmt.Errorf("keep %s: %w", obj, err)
	}
	return &Built{Object: obj, Path: kept, Source: strings.TrimPrefix(cmd.Source, x.Dir+"/"), Command: cmd.Command,
		Configs: slices.Sorted(slices.Values(cmd.Configs)), CRCs: cmd.CRCs}, nil
}

// checkOutside refuses files of the machine that the change makes an object read. What
// the unchanged source reads is its owner's business.
func (x *External) checkOutside(obj string, deps []string) error {
	if x.read == nil {
		x.read = map[string]bool{}
	}
	for _, dep := range deps {
		switch {
		case inside(dep, x.base, x.tree.base):
		case len(x.changed) == 0:
			x.read[dep] = true
		case !x.read[dep]:
			return &OutsideError{obj, dep, "#include"}
		}
	}
	return nil
}

// checkPrograms makes sure that make runs no program that is made of something that
// was changed: commands that kbuild saved for other than kernel objects tell of what
// those of the module's source are made.
func (x *External) checkPrograms() error {
	if x.trust || len(x.changed) == 0 {
		return nil
	}
	return filepath.WalkDir(x.Dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.HasPrefix(d.Name(), ".") ||
			!strings.HasSuffix(d.Name(), ".cmd") {
			return err
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		c, err := parseCmdFile(data)
		if err != nil || c.Source == "" || strings.Contains(c.Command, "-D__KERNEL__") {
			return nil // empty, linked of others, or an object of the kernel's
		}
		for _, f := range append(c.Deps, c.Source) {
			if rel := strings.TrimPrefix(f, x.Dir+"/"); x.changed[rel] {
				return &RulesError{filepath.Base(x.Dir), []*RuleProblem{{File: rel,
					Why: "the patch changes it, and a program that the module's makefile runs is made of it"}}}
			}
		}
		return nil
	})
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
