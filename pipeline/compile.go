package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/patchset"
	"github.com/klpforge/klpforge/plan"
)

// pair is one object file, compiled before and after.
type pair struct {
	object string   // "fs/ext4/mballoc.o"
	owners []string // vmlinux, modules
	// before is the zero value for an object that the patches add.
	before, after kbuild.Built
	isNew         bool
}

// compiled are the objects that the patches affect.
type compiled struct {
	pairs []*pair
	// unchanged are objects of a module outside of the kernel's tree that came out the
	// same; callers in them may have to join.
	unchanged []*pair
	work      *kbuild.Work   // the private tree with the patches in it; nil for a module outside
	shared    map[string]int // owners by object file
}

func (c *compiled) add(p *pair) {
	c.pairs = append(c.pairs, p)
	c.shared[p.object] = len(p.owners)
}

// name is the path of a unit's object in the module's directory, with the owner's name
// where several owners share one object file.
func (c *compiled) name(u *analyze.Unit) string {
	if c.shared[u.Object] > 1 {
		return strings.TrimSuffix(u.Object, ".o") + "." + u.Owner + ".o"
	}
	return u.Object
}

// compile finds the objects that the patches can affect and builds each before and
// after.
func compile(ctx context.Context, opt *Options, target *Target, change *change, open *closers,
	say *journal) (*compiled, error) {
	if change.external != nil {
		// A module's own makefile may do anything with it.
		if len(change.overlay.Binary) > 0 {
			b := change.overlay.Binary[0]
			return nil, &PatchError{&patchset.BinaryError{Patch: b.Patch, Path: b.Path}}
		}
		return compileExternal(ctx, change, say)
	}

	say.enter("find affected objects")
	affected, err := change.affected(ctx, say)
	if err != nil {
		return nil, err
	}
	selected := affected.Select()
	selected.DropRemoved(affected, change.moved())
	say.notes(selected.Notes...)
	say.found(selected.Found...)

	work, err := change.tree.Work(ctx, kbuild.WorkOptions{Jobs: opt.Jobs, Progress: opt.Progress,
		ShareAfter: opt.Part.Of > 0 && !opt.KeepAfter, KeepAfter: opt.KeepAfter,
		Trust: change.trusted && len(change.withheld) > 0})
	if err != nil {
		return nil, err
	}
	open.add(work)
	if err := change.writeTo(work); err != nil {
		return nil, err
	}
	objects, err := chooseObjects(ctx, opt, work, change, affected, selected, say)
	if err != nil {
		return nil, err
	}
	if err := target.needModules(objects.old, objects.fresh); err != nil {
		return nil, err
	}
	out := &compiled{work: work, shared: map[string]int{}}
	if err := out.compileOld(ctx, opt, objects.old, say); err != nil {
		return nil, err
	}
	return out, out.compileFresh(ctx, objects.fresh, change.trusted, say)
}

// affected finds what the changed files can affect. Changes of binary files that no rule
// reads are left out, with a note each, and others refused: there is nothing to apply
// them with.
func (c *change) affected(ctx context.Context, say *journal) (*kbuild.Affected, error) {
	affected, err := c.tree.Affected(ctx, c.overlay.Paths())
	if err != nil {
		return nil, err
	}
	for _, binary := range c.overlay.Binary {
		a, err := c.tree.Affected(ctx, []string{binary.Path})
		if err != nil {
			return nil, err
		}
		if a.Files[0].Read() {
			return nil, &PatchError{&patchset.BinaryError{Patch: binary.Patch, Path: binary.Path}}
		}
		say.leftOut("patch %s: %s: a binary change, and no rule of the kernel's build reads the file; left out",
			binary.Patch, binary.Path)
	}
	return affected, nil
}

// chosen are the objects to compile: those that the target has, and those that the
// patches add.
type chosen struct{ old, fresh map[string]kbuild.Owner }

// chooseObjects judges what the build makes of the changed files, and leaves the objects
// that are worth compiling. The work tree has the patches.
func chooseObjects(ctx context.Context, opt *Options, work *kbuild.Work, change *change, affected *kbuild.Affected,
	selected *kbuild.Selection, say *journal) (*chosen, error) {
	inputs, err := work.CheckInputs(ctx, affected, func(file string) []byte { return change.overlay.Files[file].New })
	if err != nil {
		return nil, err
	}
	say.found(inputs...)
	// What would be compiled without these files says nothing, or fails.
	if say.forbidden(finding.IDBuildInput, finding.IDRemovedSource) {
		return nil, say.refuse()
	}
	added, err := work.NewObjects(ctx, affected, change.rules(), change.trusted)
	if err != nil {
		return nil, err
	}
	say.notes(added.Notes...)
	say.found(added.Found...)

	objects := &chosen{old: selected.Objects, fresh: added.Objects}
	for _, set := range []map[string]kbuild.Owner{objects.old, objects.fresh} {
		maps.DeleteFunc(set, func(object string, _ kbuild.Owner) bool { return opt.Only != nil && !opt.Only[object] })
	}
	for _, set := range []map[string]kbuild.Owner{objects.old, objects.fresh} {
		for _, left := range kbuild.Limit(set, opt.Goals) {
			say.leftOut("%s: left out of %s, which no goal makes", left.Object, strings.Join(left.Owners, ", "))
		}
	}
	if len(objects.old)+len(objects.fresh) == 0 {
		if len(say.errors()) > 0 {
			return nil, say.refuse()
		}
		return nil, ErrNothing
	}
	if opt.Part.Of > 0 {
		objects.old = only(objects.old, opt.Part.share(slices.Sorted(maps.Keys(objects.old))))
		objects.fresh = nil // they are few and need make
	}

	// Most objects that include a changed header come out the same.
	if selected.Headers && len(objects.old) > 1 {
		say.enter("compare preprocessed text")
		names, err := work.Thin(ctx, slices.Sorted(maps.Keys(objects.old)))
		if err != nil {
			return nil, err
		}
		objects.old = only(objects.old, names)
	}
	return objects, nil
}

// only keeps the named objects.
func only(objects map[string]kbuild.Owner, names []string) map[string]kbuild.Owner {
	out := map[string]kbuild.Owner{}
	for _, n := range names {
		out[n] = objects[n]
	}
	return out
}

// compileOld builds objects that the target has.
func (c *compiled) compileOld(ctx context.Context, opt *Options, objects map[string]kbuild.Owner, say *journal) error {
	names := slices.Sorted(maps.Keys(objects))
	say.enter("compile before")
	before, err := c.work.Before(ctx, names)
	if err != nil {
		return fmt.Errorf("compile the unpatched source: %w", err)
	}
	say.enter("compile after")
	after, failed, err := c.compileAfter(ctx, opt, names)
	if err != nil {
		return compileFault(err, say)
	}
	keep := opt.KeepObjects
	for i, name := range names {
		if failed[i] != nil && !kbuild.SourceFault(failed[i]) {
			return compileFault(failed[i], say)
		}
		if failed[i] != nil {
			say.res.Broken = append(say.res.Broken, failed[i])
			continue
		}
		objs := &pair{object: name, owners: objects[name].Names(), before: before[i], after: after[i]}
		if keep != "" {
			if err := objs.keepIn(keep); err != nil {
				return fmt.Errorf("keep the objects of %s: %w", name, err)
			}
		}
		c.add(objs)
		say.res.Units = append(say.res.Units, name)
		say.res.CompileSeconds += objs.before.Elapsed.Seconds() + objs.after.Elapsed.Seconds()
	}
	return nil
}

// compileAfter builds the objects with the patches. With KeepGoing failed has the error
// of each that does not compile, else the first is returned.
func (c *compiled) compileAfter(ctx context.Context, opt *Options, names []string) (after []kbuild.Built,
	failed []*kbuild.CompileError, err error) {
	if opt.KeepGoing {
		return c.work.AfterEach(ctx, names)
	}
	after, err = c.work.After(ctx, names)
	return after, make([]*kbuild.CompileError, len(names)), err
}

// compileFresh builds objects that the patches add.
func (c *compiled) compileFresh(ctx context.Context, objects map[string]kbuild.Owner, trusted bool,
	say *journal) error {
	if len(objects) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(objects))
	built, err := c.work.BuildObjects(ctx, names, trusted)
	if err != nil {
		return compileFault(err, say)
	}
	for i, n := range names {
		c.add(&pair{object: n, owners: objects[n].Names(), after: built[i], isNew: true})
		say.res.Units = append(say.res.Units, n)
	}
	return nil
}

// keepIn copies the pair to a directory. The patched object comes last: a pair whose
// patched object is there is complete.
func (p *pair) keepIn(dir string) error {
	name := filepath.Join(dir, strings.ReplaceAll(strings.TrimSuffix(p.object, ".o"), "/", "_"))
	for _, side := range []struct{ from, to string }{{p.before.Path, name + ".orig.o"},
		{p.after.Path, name + ".patched.o"}} {
		b, err := os.ReadFile(side.from)
		if err != nil {
			return err
		}
		if err := writeFile(side.to, b); err != nil {
			return err
		}
	}
	return nil
}

// compileFault tells a patch that does not compile, or that is refused for what it
// makes the compiler do, from a broken environment.
func compileFault(err error, say *journal) error {
	var outside *kbuild.OutsideError
	var rules *kbuild.RulesError
	switch {
	case errors.As(err, &outside):
		say.found(outside.Finding())
		return say.refuse()
	case errors.As(err, &rules):
		say.found(rules.Finding())
		return say.refuse()
	case kbuild.SourceFault(err):
		return &PatchError{fmt.Errorf("compile the patched source: %w", err)}
	}
	return err
}

// needModules is the reason why modules are missing, where objects are part of some.
func (t *Target) needModules(objects ...map[string]kbuild.Owner) error {
	if t.noModules == nil {
		return nil
	}
	for _, set := range objects {
		for _, object := range slices.Sorted(maps.Keys(set)) {
			for _, owner := range set[object].Names() {
				if owner != plan.Vmlinux {
					return fmt.Errorf("%s is part of the module %s: %w", object, owner, t.noModules)
				}
			}
		}
	}
	return nil
}
