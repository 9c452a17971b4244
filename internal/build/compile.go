package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/patchset"
)

// compile finds the objects that the patches can affect and builds each before
// and after. The work tree is returned for later use and must be closed.
func (r *run) compile(ctx context.Context, overlay *patchset.Overlay) ([]*unit, *kbuild.Work, error) {
	if r.external != nil {
		// A module's own makefile may do anything with it.
		if len(overlay.Binary) > 0 {
			b := overlay.Binary[0]
			return nil, nil, &PatchError{&patchset.BinaryError{Patch: b.Patch, Path: b.Path}}
		}
		units, err := r.compileExternal(ctx, overlay)
		return units, nil, err
	}
	r.enter("find affected objects")
	paths := overlay.Paths()
	affected, err := r.tree.Affected(ctx, paths)
	if err != nil {
		return nil, nil, err
	}
	if err := r.binaries(ctx, overlay); err != nil {
		return nil, nil, err
	}
	objects, headers := r.sift(affected)
	r.removed(affected, overlay, objects)
	work, err := r.tree.Work(ctx, kbuild.WorkOptions{Jobs: r.opt.Jobs, Progress: r.opt.Progress, ShareAfter: r.opt.Part.Of > 0,
		Trust: r.trusts() && len(r.withheld) > 0})
	if err != nil {
		return nil, nil, err
	}
	if err := r.apply(work, overlay); err != nil {
		return nil, work, err
	}
	if err := r.checkInputs(ctx, work, overlay, affected); err != nil {
		return nil, work, err
	}
	if err := r.refuseEarly(); err != nil {
		return nil, work, err
	}
	newObjects, err := r.newSources(ctx, work, affected)
	if err != nil {
		return nil, work, err
	}
	r.limit(objects)
	r.limit(newObjects)
	if len(objects)+len(newObjects) == 0 {
		if errs := r.errorsOnly(); len(errs) > 0 {
			return nil, work, &Refusal{errs}
		}
		return nil, work, ErrNothing
	}
	if r.opt.Part.Of > 0 {
		mine := map[string]kbuild.Owner{}
		for _, n := range r.opt.Part.share(keys(objects)) {
			mine[n] = objects[n]
		}
		objects, newObjects = mine, nil // new ones are few and need make
	}
	if headers && len(objects) > 1 {
		r.enter("compare preprocessed text")
		names, err := work.Thin(ctx, keys(objects))
		if err != nil {
			return nil, work, err
		}
		keep := map[string]kbuild.Owner{}
		for _, n := range names {
			keep[n] = objects[n]
		}
		objects = keep
	}
	names := keys(objects)
	if err := r.target.needModules(objects, newObjects); err != nil {
		return nil, work, err
	}
	r.enter("compile before")
	before, err := work.Before(ctx, names)
	if err != nil {
		return nil, work, fmt.Errorf("compile the unpatched source: %w", err)
	}
	r.enter("compile after")
	after, err := work.After(ctx, names)
	if err != nil {
		return nil, work, r.compileFault(err)
	}
	var units []*unit
	for i, n := range names {
		if err := r.keepObjects(n, before[i].Path, after[i].Path); err != nil {
			return nil, work, fmt.Errorf("keep the objects of %s: %w", n, err)
		}
		for _, owner := range objects[n].Names() {
			units = append(units, &unit{object: n, owner: owner, before: before[i], after: after[i]})
			r.shared[n]++
		}
		r.res.Units = append(r.res.Units, n)
		r.res.CompileSeconds += before[i].Elapsed.Seconds() + after[i].Elapsed.Seconds()
	}
	if len(newObjects) > 0 {
		build := work.BuildDerived
		if r.trusts() {
			build = work.BuildNew
		}
		fresh, err := build(ctx, keys(newObjects))
		if err != nil {
			return nil, work, r.compileFault(err)
		}
		for i, n := range keys(newObjects) {
			for _, owner := range newObjects[n].Names() {
				units = append(units, &unit{object: n, owner: owner, after: fresh[i], isNew: true})
				r.shared[n]++
			}
			r.res.Units = append(r.res.Units, n)
		}
	}
	return units, work, nil
}

// keepObjects copies a pair of objects to the directory that was asked for. The
// patched one comes last: a pair whose patched object is there is complete.
func (r *run) keepObjects(object, before, after string) error {
	if r.opt.KeepObjects == "" {
		return nil
	}
	name := filepath.Join(r.opt.KeepObjects, strings.ReplaceAll(strings.TrimSuffix(object, ".o"), "/", "_"))
	for _, c := range [][2]string{{before, name + ".orig.o"}, {after, name + ".patched.o"}} {
		b, err := os.ReadFile(c[0])
		if err != nil {
			return err
		}
		if err := writeFile(c[1], b); err != nil {
			return err
		}
	}
	return nil
}

func keys(m map[string]kbuild.Owner) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// privateTree is a copy of a source that may be changed.
type privateTree interface {
	Write(rel string, data []byte) error
	Remove(rel string) error
	ProvideAuthorHeaders(texts [][]byte) error
}

// apply brings the overlay into a private tree, with the headers for authors
// that its texts ask for. What builds would run is left out, unless it is trusted.
func (r *run) apply(work privateTree, overlay *patchset.Overlay) error {
	var texts [][]byte
	for _, p := range overlay.Paths() {
		f := overlay.Files[p]
		if r.withheld[p].Why != "" && !r.trusts() {
			continue
		}
		if f.New == nil {
			if err := work.Remove(p); err != nil {
				return fmt.Errorf("remove %s from the private tree: %w", p, err)
			}
			continue
		}
		text := f.New
		if f.Stable != nil {
			text = f.Stable
		}
		if err := work.Write(p, text); err != nil {
			return fmt.Errorf("write %s to the private tree: %w", p, err)
		}
		texts = append(texts, text)
	}
	return work.ProvideAuthorHeaders(texts)
}

// sift splits what is affected into objects to compile and files that a
// livepatch cannot carry; of these each is named.
func (r *run) sift(a *kbuild.Affected) (objects map[string]kbuild.Owner, headers bool) {
	objects = map[string]kbuild.Owner{}
	for _, f := range a.Files {
		note := func(why string) { r.res.Notes = append(r.res.Notes, f.Path+": "+why) }
		switch f.Class {
		case kbuild.ClassInclude:
			headers = true
			if !f.Used && len(f.Readers) == 0 {
				note("not included by anything that the target's configuration builds; left out")
			}
		case kbuild.ClassSource:
			if !f.Used && len(f.Readers) == 0 {
				note("not built by the target's configuration; left out")
			}
		case kbuild.ClassAssembly:
			if f.Used {
				r.problem(nil, finding.Finding{ID: finding.IDUnsupported, Severity: finding.Error,
					Message: "assembly cannot be livepatched: its functions have no ftrace entries", Remedy: "change the C functions that call it"}.InFile(finding.Position{File: f.Path}))
			} else {
				note("assembly that the target's configuration does not build; left out")
			}
		case kbuild.ClassBuild:
			r.problem(nil, finding.Finding{ID: finding.IDUnsupported, Severity: finding.Warning,
				Message: "build rules and configuration of a running kernel cannot change; only new objects that it adds are taken up"}.InFile(finding.Position{File: f.Path}))
		case kbuild.ClassRust:
			if f.Used {
				r.problem(nil, finding.Finding{ID: finding.IDUnsupported, Severity: finding.Error,
					Message: "Rust objects are not built: nothing can be said of what this change does, and the livepatch would lack it",
					Remedy:  "leave this file out of the livepatch, if the rest of the patch stands without it"}.InFile(finding.Position{File: f.Path}))
			} else {
				note("not built by the target's configuration; left out")
			}
		case kbuild.ClassNewSource:
		default:
			if why := unread(f); why != "" {
				note(why)
			}
		}
	}
	for _, o := range a.Objects {
		if strings.HasSuffix(o.Source, ".rs") {
			continue // its source was refused above
		}
		if o.Assembly {
			r.problem(nil, finding.Finding{ID: finding.IDUnsupported, Severity: finding.Warning,
				Message: "an assembly object depends on " + strings.Join(o.Because, ", ") + "; it is not compared"}.InFile(finding.Position{File: o.Object}))
			continue
		}
		objects[o.Object] = o.Owner
	}
	for _, o := range a.Special {
		if o.Input {
			continue // see checkInputs
		}
		sev := finding.Warning
		for _, f := range o.Because {
			if f == o.Source {
				sev = finding.Error
			}
		}
		r.problem(nil, finding.Finding{ID: finding.IDUnsupported, Severity: sev,
			Message: fmt.Sprintf("built into something a livepatch cannot reach (%s); depends on %s", o.Owner.Reason, strings.Join(o.Because, ", ")),
			Remedy:  "leave this part out of the livepatch"}.InFile(finding.Position{File: o.Object}))
	}
	return objects, headers
}

// newSources finds the objects of new source files that patched makefiles build.
func (r *run) newSources(ctx context.Context, work *kbuild.Work, a *kbuild.Affected) (map[string]kbuild.Owner, error) {
	out := map[string]kbuild.Owner{}
	var dirs, sources []string
	for _, f := range a.Files {
		if f.Class == kbuild.ClassNewSource {
			dirs, sources = append(dirs, dirOf(f.Path)), append(sources, f.Path)
		}
	}
	if len(dirs) == 0 {
		return out, nil
	}
	if !r.trusts() {
		return r.understand(ctx, work, sources)
	}
	slices.Sort(dirs)
	found, err := work.Owners(ctx, slices.Compact(dirs))
	if err != nil {
		return nil, err
	}
	for _, f := range a.Files {
		if f.Class != kbuild.ClassNewSource {
			continue
		}
		obj := strings.TrimSuffix(f.Path, ".c") + ".o"
		o, ok := found[obj]
		if !ok || o.Kind != kbuild.KindVmlinux && o.Kind != kbuild.KindModule {
			r.res.Notes = append(r.res.Notes, f.Path+": no makefile of the patched tree builds it; left out")
			continue
		}
		out[obj] = o
	}
	return out, nil
}

// understand is newSources without running what the patches change.
func (r *run) understand(ctx context.Context, work *kbuild.Work, sources []string) (map[string]kbuild.Owner, error) {
	found, unknown, err := work.Understand(ctx, sources, r.rules(r.overlay))
	if err != nil {
		return nil, err
	}
	out := map[string]kbuild.Owner{}
	for _, src := range sources {
		if o, ok := found[src]; ok {
			out[o.Object] = o.Owner
			r.res.Notes = append(r.res.Notes, fmt.Sprintf("%s: compiled as %s is, by the line of the makefile that lists it; no changed build rule is run", src, o.Like))
		} else if e := unknown[src]; e != nil {
			r.ruleProblem(src, e.Problems)
		} else {
			r.res.Notes = append(r.res.Notes, src+": no makefile of the patched tree builds it; left out")
		}
	}
	return out, nil
}

func dirOf(p string) string {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i]
	}
	return "."
}

// compileFault tells a patch that does not compile from a broken environment.
func (r *run) compileFault(err error) error {
	var outside *kbuild.OutsideError
	var rules *kbuild.RulesError
	switch {
	case errors.As(err, &outside):
		r.outside(finding.Position{File: outside.Object}, fmt.Sprintf("%s reads %s", cmp.Or(outside.Construct, "a source"), outside.Path))
		return &Refusal{r.errorsOnly()}
	case errors.As(err, &rules):
		r.ruleProblem(rules.Object, rules.Problems)
		return &Refusal{r.errorsOnly()}
	}
	if kbuild.SourceFault(err) {
		return &PatchError{fmt.Errorf("compile the patched source: %w", err)}
	}
	return err
}

func (r *run) errorsOnly() []finding.Finding {
	var errs []finding.Finding
	for _, p := range r.res.Problems {
		if p.Severity == finding.Error && p.Allowed == "" {
			errs = append(errs, p)
		}
	}
	return errs
}

// exportCRCs compares the versions of exported symbols before and after: a
// change means that a type reachable from an exported function changed.
func (r *run) exportCRCs(ctx context.Context, work *kbuild.Work, units []*unit, overlay *patchset.Overlay) error {
	done := map[string]bool{}
	for _, u := range units {
		if u.isNew || len(u.before.CRCs) == 0 || done[u.object] {
			continue
		}
		done[u.object] = true
		after := u.after.CRCs
		if work != nil {
			var err error
			if after, err = work.SymbolCRCs(ctx, u.object); err != nil {
				return r.compileFault(err)
			}
		}
		names := make([]string, 0, len(u.before.CRCs))
		for n := range u.before.CRCs {
			names = append(names, n)
		}
		slices.Sort(names)
		var changed []string
		for _, n := range names {
			if crc, ok := after[n]; ok && crc != u.before.CRCs[n] {
				changed = append(changed, n)
			}
		}
		if len(changed) == 0 {
			continue
		}
		p := finding.Finding{ID: finding.IDExportCRC, Severity: finding.Error, Symbol: changed[0],
			Message: fmt.Sprintf("versions of %d exported symbol(s) changed (%s): a type that their interface reaches has another layout", len(changed), shortList(changed, 4)),
			Remedy:  "keep the type as it is; put new fields into a shadow variable"}
		if addsInclude(overlay) {
			p.Severity = finding.Warning
			p.Message = fmt.Sprintf("versions of %d exported symbol(s) changed (%s): the added #include completes a type that was opaque here, or a type has another layout", len(changed), shortList(changed, 4))
			p.Remedy = "make sure that no type changed"
		}
		r.problem(u, p)
	}
	return nil
}

// addsInclude reports whether a changed file has another set of #include lines.
func addsInclude(overlay *patchset.Overlay) bool {
	for _, p := range overlay.Paths() {
		f := overlay.Files[p]
		if strings.Count(string(f.New), "\n#include") != strings.Count(string(f.Old), "\n#include") {
			return true
		}
	}
	return false
}

func shortList(names []string, most int) string {
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}
