package kbuild

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Built is one compiled object.
type Built struct {
	Object string // "fs/ext4/mballoc.o"
	// the object file; belongs to the cache (Before) or to the work tree (After) and must not be changed
	Path    string
	Source  string            // what it was made of, "fs/ext4/mballoc.c"
	Command string            // shell command that made it, run at the root of the tree: compiler, then objtool
	Deps    []string          // tree-relative files that were read, sorted, Source included
	Configs []string          // options that those files name, "CONFIG_SMP", sorted; nil after After
	CRCs    map[string]uint32 // symbol versions of what it exports; nil after After, see SymbolCRCs
	Cached  bool              // it was not compiled just now
	Elapsed time.Duration     // of the compilation; 0 when Cached, or when make compiled several
}

// Before returns the objects as the unchanged source makes them, in the order
// asked for. They come from the cache, or are made by one run of kbuild. The work
// tree may have been changed already: then they are made in another copy.
//
// It returns *CompileError if an object does not compile.
func (w *Work) Before(ctx context.Context, objects []string) ([]Built, error) {
	if err := w.alive(); err != nil {
		return nil, err
	}

	// What an earlier run compiled is taken from the cache.
	out := make([]Built, len(objects))
	var missing []string
	for i, obj := range objects {
		obj, err := cleanRel(obj)
		if err != nil {
			return nil, err
		}
		b, ok := w.cached(w.objectKey(obj), obj)
		if ok {
			out[i] = *b
			w.remember(obj, b.Command)
		} else if !slices.Contains(missing, obj) {
			missing = append(missing, obj)
		}
	}

	// The rest in one run of make, which brings several up at once.
	if len(missing) == 0 {
		return out, nil
	}
	made, err := w.makeBefore(ctx, missing)
	if err != nil {
		return nil, err
	}
	for i, obj := range objects {
		if b, ok := made[path.Clean(obj)]; ok {
			out[i] = b
		}
	}
	return out, nil
}

// AsShipped is Before without a section for each function and variable: as the kernel's own build
// compiles them.
func (w *Work) AsShipped(ctx context.Context, objects []string) ([]Built, error) {
	if err := w.alive(); err != nil {
		return nil, err
	}
	other, err := w.tree.Work(ctx, WorkOptions{Jobs: w.jobs, asShipped: true, Progress: w.progress})
	if err != nil {
		return nil, err
	}
	built, err := other.Before(ctx, objects)
	return built, errors.Join(err, other.Close())
}

// beforeBatch is how many objects a run of make gets: what is made of a batch is in the cache when
// a later one fails or is stopped. Starting make takes as long as an object or less.
var beforeBatch = 256

// makeBefore builds objects in a pristine tree and puts them into the cache.
func (w *Work) makeBefore(ctx context.Context, objects []string) (map[string]Built, error) {
	// A tree that was written to no longer gives the objects of before.
	in := w
	if !w.pristine() {
		other, err := w.tree.Work(ctx, WorkOptions{Jobs: w.jobs, asShipped: w.asShipped})
		if err != nil {
			return nil, err
		}
		defer other.Close()
		in = other
	}

	out := map[string]Built{}
	objects = slices.Sorted(slices.Values(objects)) // those of a directory in one batch
	stage := "compile before"
	if w.asShipped {
		stage = "compile as shipped"
	}
	for batch := range slices.Chunk(objects, beforeBatch) {
		start := time.Now()
		w.progress(stage, len(out), len(objects))
		if err := in.make(ctx, batch, "before"); err != nil {
			return nil, err
		}
		for _, obj := range batch {
			made, err := in.collect(obj)
			if err != nil {
				return nil, err
			}
			if len(batch) == 1 {
				made.Elapsed = time.Since(start)
			}
			if err := w.tree.checkRead(made.Deps); err != nil {
				return nil, err
			}
			if made.Path, err = w.store(w.objectKey(obj), in.Dir, made); err != nil {
				return nil, err
			}
			w.remember(obj, made.Command)
			out[obj] = *made
		}
	}
	w.progress(stage, len(out), len(objects))
	return out, nil
}

// remember keeps the compile command of an object for After.
func (w *Work) remember(object, command string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.commands[object] = command
}

// make builds objects by kbuild. An error names the first object that failed.
func (w *Work) make(ctx context.Context, objects []string, stage string) error {
	if stage != "before" {
		if err := w.checkHostPrograms(ctx, objects); err != nil {
			return err
		}
		// A changed makefile may lead anywhere.
		if err := w.whole(); err != nil {
			return err
		}
	} else if err := w.reach(ctx, objects); err != nil {
		return err
	}
	env, err := w.tree.environment(ctx, w.flags)
	if err != nil {
		return err
	}
	db, err := w.tree.owners()
	if err != nil {
		return err
	}
	for _, obj := range objects {
		for _, f := range []string{obj, cmdFile(obj)} {
			if err := os.Remove(filepath.Join(w.Dir, f)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("remove old object: %w", err)
			}
		}
	}
	run := func() error {
		_, err := w.tree.makeGoals(ctx, env, db, w.Dir, []string{"-k", fmt.Sprintf("-j%d", w.jobs)}, db.goals(objects))
		return err
	}
	var re *RunError
	if err = run(); errors.As(err, &re) && w.isLean() {
		// A rule may go where no include line leads: a header that is generated of files elsewhere.
		if err := w.wide(); err != nil {
			return err
		}
		err = run()
	}
	if err != nil {
		if !errors.As(err, &re) {
			return err
		}
		for _, obj := range objects {
			if !exists(filepath.Join(w.Dir, obj)) || !exists(filepath.Join(w.Dir, cmdFile(obj))) {
				return &CompileError{Object: obj, Output: re.Tail, Log: re.Log}
			}
		}
		return err
	}
	return nil
}

// collect reads what kbuild left behind for an object it has made.
func (w *Work) collect(obj string) (*Built, error) {
	data, err := os.ReadFile(filepath.Join(w.Dir, cmdFile(obj)))
	if err != nil {
		return nil, fmt.Errorf("collect %s: %w", obj, err)
	}
	saved, err := parseCmdFile(data)
	if err != nil {
		return nil, fmt.Errorf("collect %s: %w", obj, err)
	}
	made := &Built{Object: obj, Path: filepath.Join(w.Dir, obj), Source: w.relative(saved.Source),
		Command: saved.Command, CRCs: saved.CRCs}
	made.Deps = append(made.Deps, made.Source)
	for _, d := range saved.Deps {
		made.Deps = append(made.Deps, w.relative(d))
	}
	slices.Sort(made.Deps)
	made.Deps = slices.Compact(made.Deps)
	made.Configs = slices.Clone(saved.Configs)
	slices.Sort(made.Configs)
	return made, nil
}

// relative makes a path that a command used relative to the tree.
func (w *Work) relative(name string) string {
	if rel, ok := strings.CutPrefix(name, w.Dir+"/"); ok {
		return rel
	}
	return name
}

// Commands returns the compile command of each object. Those of objects that have
// not been built are asked of kbuild, which tells them without compiling.
func (w *Work) Commands(ctx context.Context, objects []string) (map[string]string, error) {
	if err := w.alive(); err != nil {
		return nil, err
	}
	if err := w.reach(ctx, objects); err != nil {
		return nil, err
	}
	out := map[string]string{}
	var unknown []string
	w.mu.Lock()
	for _, obj := range objects {
		if c, ok := w.commands[obj]; ok {
			out[obj] = c
		} else {
			unknown = append(unknown, obj)
		}
	}
	w.mu.Unlock()
	if len(unknown) == 0 {
		return out, nil
	}
	env, err := w.tree.environment(ctx, w.flags)
	if err != nil {
		return nil, err
	}
	db, err := w.tree.owners()
	if err != nil {
		return nil, err
	}
	slices.Sort(unknown) // objects of one directory together
	size := max(1, (len(unknown)+w.jobs-1)/w.jobs)
	parts := slices.Collect(slices.Chunk(unknown, size))
	found := make([]map[string]string, len(parts))
	group, ctx := errgroup.WithContext(ctx)
	for i, part := range parts {
		group.Go(func() error {
			var err error
			// The prepared tree, where no object exists: make tells nothing about
			// objects that are up to date. A dry run writes nothing.
			found[i], err = w.tree.dryRun(ctx, env, db, w.tree.Dir, db.goals(part))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("ask kbuild for commands: %w", err)
	}
	for _, m := range found {
		for obj, c := range m {
			c = strings.ReplaceAll(c, w.tree.Dir, w.Dir)
			out[obj] = c
			w.remember(obj, c)
		}
	}
	for _, obj := range unknown {
		if out[obj] == "" {
			return nil, fmt.Errorf("ask kbuild for the command of %s: it has no rule to make it", obj)
		}
	}
	return out, nil
}

// After compiles the objects from the tree as it is now, with exactly the commands
// that Before used, without make. The results are in the order asked for and stay
// valid until Close. It returns *CompileError for the first object, in that order,
// that does not compile.
//
// With WorkOptions.ShareAfter, what is compiled is kept in the cache, by everything that
// was changed in this tree; objects that are there, of whatever origin, are taken. With
// WorkOptions.KeepAfter it is kept by what it read of the changes.
//
// Objects that the unchanged makefiles do not know are BuildNew's; so are those for
// which kbuild generates something that this tree does not have yet, which After
// leaves to it.
func (w *Work) After(ctx context.Context, objects []string) ([]Built, error) {
	out, errs, err := w.after(ctx, objects)
	return out, cmp.Or(err, firstError(errs))
}

// AfterEach is After for who wants to know of every object that does not compile. The
// error of each object is at its place in failed, nil where there is a result.
func (w *Work) AfterEach(ctx context.Context, objects []string) (out []Built, failed []*CompileError, err error) {
	out, errs, err := w.after(ctx, objects)
	if err != nil {
		return nil, nil, err
	}
	failed = make([]*CompileError, len(errs))
	for i, err := range errs {
		if err != nil && !errors.As(err, &failed[i]) {
			return nil, nil, err
		}
	}
	return out, failed, nil
}

// after compiles each object, and returns an error for each.
func (w *Work) after(ctx context.Context, objects []string) ([]Built, []error, error) {
	cmds, err := w.Commands(ctx, objects)
	if err != nil {
		return nil, nil, err
	}
	if err := w.checkGenerated(ctx); err != nil {
		return nil, nil, err
	}
	state, err := w.stateDigest()
	if err != nil {
		return nil, nil, err
	}
	reads, err := w.changedFiles()
	if err != nil {
		return nil, nil, err
	}

	// Cached objects first, and those that need kbuild's own rules to make their sources.
	out := make([]Built, len(objects))
	errs := make([]error, len(objects))
	for i, obj := range objects {
		if b, ok := w.cached(w.afterKey(state, obj, cmds[obj]), obj); ok {
			out[i] = *b
			continue
		}
		if b, ok := w.recall(reads, obj, cmds[obj]); ok {
			out[i] = *b
			continue
		}
		if !w.generatesFor(obj, cmds[obj]) {
			continue
		}
		b, err := w.BuildNew(ctx, []string{obj})
		if err != nil {
			errs[i] = err
			continue
		}
		out[i] = b[0]
	}

	// The rest is compiled by its saved commands, several at a time; one error each is kept.
	var mu sync.Mutex
	done := 0
	group := errgroup.Group{}
	group.SetLimit(w.jobs)
	w.progress("compile after", 0, len(objects))
	for i, obj := range objects {
		if out[i].Path != "" || errs[i] != nil {
			continue
		}
		group.Go(func() error {
			made, err := w.compile(ctx, obj, cmds[obj])
			if err == nil {
				err = w.keepMade(state, reads, cmds[obj], made)
			}
			if err != nil {
				errs[i] = err
				return nil
			}
			out[i] = *made
			mu.Lock()
			defer mu.Unlock()
			done++
			w.progress("compile after", done, len(objects))
			return nil
		})
	}
	group.Wait()
	return out, errs, context.Cause(ctx)
}

// generatesFor reports whether kbuild generates something for an object that this
// tree does not have yet, its source or a file like lib/crc32table.h: the object
// before the change came from the cache, so that nothing was made here.
func (w *Work) generatesFor(obj, command string) bool {
	if !exists(filepath.Join(w.Dir, w.sourceOf(command))) {
		return true
	}
	b, ok := w.cached(w.objectKey(obj), obj)
	return ok && slices.ContainsFunc(b.Deps, func(d string) bool {
		return !path.IsAbs(d) && !exists(filepath.Join(w.Dir, d)) && !exists(filepath.Join(w.tree.Dir, d))
	})
}

func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// compile runs one recorded command and moves the object out of kbuild's way.
func (w *Work) compile(ctx context.Context, obj, cmd string) (*Built, error) {
	made, stale, err := w.compileOnce(ctx, obj, cmd)
	if err == nil && stale {
		if err := w.whole(); err != nil {
			return nil, err
		}
		made, _, err = w.compileOnce(ctx, obj, cmd)
	}
	return made, err
}

// compileOnce also reports whether the compiler got the unchanged contents of a
// changed file, by way of a directory that is a link into the prepared tree.
func (w *Work) compileOnce(ctx context.Context, obj, cmd string) (*Built, bool, error) {
	start := time.Now()
	made := filepath.Join(w.Dir, obj)
	if err := os.Remove(made); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, false, fmt.Errorf("remove old object: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(w.base, "tmp"), 0o755); err != nil {
		return nil, false, fmt.Errorf("compile %s: %w", obj, err)
	}
	listing, err := w.listAssembled(obj, cmd)
	if err != nil {
		return nil, false, fmt.Errorf("compile %s: %w", obj, err)
	}
	_, all, err := command{
		name: "compile " + obj, dir: w.Dir, box: w.tree.box(w.base),
		// what the assembler reads from there is the compiler's
		env:  append(baseEnv(), "TMPDIR="+filepath.Join(w.base, "tmp")),
		argv: []string{"sh", "-c", "set -e; " + listing},
	}.exec(ctx)
	if err != nil {
		// Before anything of the output is kept or shown: it may quote what was read.
		if outside := w.outsideOf(obj, string(all)); outside != nil && ctx.Err() == nil {
			return nil, false, outside
		}
		var re *RunError
		err = command{name: "compile " + obj, dir: w.Dir, argv: []string{"sh", "-c", cmd},
			logs: w.tree.logs()}.failed(ctx, all, err)
		if errors.As(err, &re) {
			return nil, false, &CompileError{Object: obj, Output: re.Tail, Log: re.Log}
		}
		return nil, false, err
	}
	result := &Built{Object: obj, Source: w.sourceOf(cmd), Command: cmd}
	var stale bool
	if result.Deps, stale, err = w.depFile(obj); err != nil {
		return nil, false, err
	}
	for _, dep := range result.Deps {
		if !w.inside(dep) {
			return nil, false, &OutsideError{obj, dep, "#include"}
		}
	}
	if err := w.checkAssembled(obj); err != nil {
		return nil, false, err
	}
	if err := w.tree.checkRead(w.unchangedOf(result.Deps)); err != nil {
		return nil, false, err
	}
	if result.Path, err = w.keepAfter(obj); err != nil {
		return nil, false, err
	}
	result.Elapsed = time.Since(start)
	return result, stale, nil
}

// keepAfter moves an object to work/<id>/after.
func (w *Work) keepAfter(obj string) (string, error) {
	kept := filepath.Join(w.base, "after", obj)
	if err := os.MkdirAll(filepath.Dir(kept), 0o755); err != nil {
		return "", fmt.Errorf("keep %s: %w", obj, err)
	}
	if err := os.Rename(filepath.Join(w.Dir, obj), kept); err != nil {
		return "", fmt.Errorf("keep %s: %w", obj, err)
	}
	return kept, nil
}

// sourceOf is the last word of a compile command.
func (w *Work) sourceOf(cmd string) string {
	words, err := compilerCall(cmd)
	if err != nil {
		return ""
	}
	return w.relative(path.Clean(words[len(words)-1].text))
}

// depFile reads the dependencies the compiler wrote (-MMD): a make rule whose
// prerequisites are separated by blanks and line continuations.
func (w *Work) depFile(obj string) (deps []string, stale bool, err error) {
	dir, base := path.Split(obj)
	data, err := os.ReadFile(filepath.Join(w.Dir, dir+"."+base+".d"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read dependencies of %s: %w", obj, err)
	}
	_, list, ok := strings.Cut(string(data), ":")
	if !ok {
		return nil, false, fmt.Errorf("read dependencies of %s: no rule in the file", obj)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, dep := range strings.Fields(strings.ReplaceAll(list, "\\\n", " ")) {
		raw := dep
		dep = w.relative(path.Clean(dep))
		stale = stale || w.changed[dep] && raw != dep && !sameFile(filepath.Join(w.Dir, dep), w.Dir+"/"+raw)
		// fixdep replaces this one by the options used; be like it.
		if dep != "include/generated/autoconf.h" {
			deps = append(deps, dep)
		}
	}
	slices.Sort(deps)
	return slices.Compact(deps), stale, nil
}

// sameFile compares without cleaning b, whose ".." may follow symbolic links.
func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// generate makes files that are no objects and returns every file that is new in
// their directories. Files that cannot be made are left out.
func (w *Work) generate(ctx context.Context, files []string) ([]string, error) {
	if err := w.wide(); err != nil {
		return nil, err
	}
	return w.generateHere(ctx, files)
}

// generateHere is generate in the directories that are real already.
func (w *Work) generateHere(ctx context.Context, files []string) ([]string, error) {
	env, err := w.tree.environment(ctx, w.flags)
	if err != nil {
		return nil, err
	}
	db, err := w.tree.owners()
	if err != nil {
		return nil, err
	}
	if _, err := w.tree.makeGoals(ctx, env, db, w.Dir, []string{"-k", fmt.Sprintf("-j%d", w.jobs)}, files); err != nil {
		var re *RunError
		if !errors.As(err, &re) {
			return nil, err
		}
	}

	// What make left beside the files, and the prepared tree does not have, is made by the build.
	var made []string
	seen := map[string]bool{}
	for _, f := range files {
		dir := path.Dir(f)
		if seen[dir] {
			continue
		}
		seen[dir] = true
		entries, err := os.ReadDir(filepath.Join(w.Dir, dir))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			rel := path.Join(dir, e.Name())
			if e.Type().IsRegular() && !built(rel, false) && !exists(filepath.Join(w.tree.Dir, rel)) {
				made = append(made, rel)
			}
		}
	}
	return made, nil
}

// BuildNew builds objects from the tree as it is now through its own makefiles: for
// objects that exist only after the change, or whose makefile changed.
func (w *Work) BuildNew(ctx context.Context, objects []string) ([]Built, error) {
	if err := w.alive(); err != nil {
		return nil, err
	}
	if err := w.checkGenerated(ctx); err != nil {
		return nil, err
	}

	clean := make([]string, len(objects))
	for i, obj := range objects {
		var err error
		if clean[i], err = cleanRel(obj); err != nil {
			return nil, err
		}
	}
	w.progress("compile new", 0, len(clean))
	if err := w.make(ctx, clean, "new"); err != nil {
		return nil, err
	}

	// make runs the rules that generate sources too, so what an object was made of is known only
	// now.
	out := make([]Built, len(clean))
	for i, obj := range clean {
		made, err := w.collect(obj)
		if err != nil {
			return nil, err
		}
		if err := w.tree.checkRead(w.unchangedOf(made.Deps)); err != nil {
			return nil, err
		}
		if made.Path, err = w.keepAfter(obj); err != nil {
			return nil, err
		}
		w.remember(obj, made.Command)
		out[i] = *made
	}
	return out, nil
}
