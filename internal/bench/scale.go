package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/klpforge/klpforge/kbuild"
)

// The project's targets for many objects in one run, as multiples of the compilations of the
// same objects on as many processors.
const (
	manyLimit   = 1.3 // a patch for each of many files
	headerLimit = 1.2 // one patch of a header that many objects read
)

// scaled is the measurement of one patch series.
type scaled struct {
	what    string
	objects int // that are compiled, on either side
	pure    time.Duration
	run     sample
	limit   float64
}

// scale measures how time and memory grow with the number of objects: a patch for each of
// as many files as sizes say, then one of a header that about header objects read. No object
// is in the cache when a measurement begins.
func (b *bench) scale(ctx context.Context, out io.Writer, sizes []int, header int) (met bool, err error) {
	if err := b.setUp(ctx); err != nil {
		return false, err
	}
	defer os.RemoveAll(b.dir)
	fmt.Fprintf(out, "%s, %d CPUs, load %s\n\n", release, runtime.NumCPU(), load())
	tree, done, err := b.prepared(ctx)
	if err != nil {
		return false, err
	}
	defer done()

	var all []scaled
	pool, err := b.patchPool(ctx, tree, slices.Max(sizes))
	if err != nil {
		return false, err
	}
	// The first module of a kernel and the first look at it cost once what later runs find.
	if _, err := b.afresh(ctx, "build", pool[:1], "-o", filepath.Join(b.dir, "scale.ko")); err != nil {
		return false, err
	}
	for _, size := range sizes {
		some := evenly(pool, size)
		one := scaled{what: fmt.Sprintf("build, a patch for each of %d files", len(some)), limit: manyLimit}
		if one.run, err = b.afresh(ctx, "build", some, "-o", filepath.Join(b.dir, "scale.ko")); err != nil {
			return false, err
		}
		if one.pure, one.objects, err = b.bare(ctx, tree, some); err != nil {
			return false, err
		}
		all = append(all, one)
	}
	if header > 0 {
		change, readers, err := headerEdit(ctx, tree, header)
		if err == nil {
			err = b.write(&change)
		}
		if err != nil {
			return false, err
		}
		one := scaled{what: fmt.Sprintf("lint, %s, which %d objects read", change.file, readers), limit: headerLimit}
		if one.run, err = b.afresh(ctx, "lint", []edit{change}); err != nil {
			return false, err
		}
		if one.pure, one.objects, err = b.bare(ctx, tree, []edit{change}); err != nil {
			return false, err
		}
		all = append(all, one)
	}
	return printScaled(out, all), nil
}

// printScaled writes the table and says whether every target is met; a single file has none here.
func printScaled(out io.Writer, all []scaled) (met bool) {
	met = true
	fmt.Fprintf(out, "%-60s %8s %10s %10s %6s %8s %7s\n", "what", "objects", "compiling", "klpforge", "times", "memory", "aim")
	for _, one := range all {
		ratio := one.run.total.Seconds() / one.pure.Seconds()
		verdict := "-"
		if one.objects > 1 {
			verdict = fmt.Sprintf("%.1f", one.limit)
			if ratio > one.limit {
				verdict += " MISSED"
				met = false
			}
		}
		fmt.Fprintf(out, "%-60s %8d %8.1f s %8.1f s %6.2f %5d MB %7s\n", one.what, one.objects, one.pure.Seconds(),
			one.run.total.Seconds(), ratio, one.run.memory>>20, verdict)
		for _, stage := range one.run.stages {
			fmt.Fprintf(out, "    %-56s %41.1f s\n", stage.Name, stage.Seconds)
		}
	}
	return met
}

// afresh runs klpforge on patches with no object in the cache.
func (b *bench) afresh(ctx context.Context, verb string, edits []edit, more ...string) (sample, error) {
	if err := os.RemoveAll(filepath.Join(b.cache(), "objects")); err != nil {
		return sample{}, err
	}
	var patches []string
	for _, e := range edits {
		patches = append(patches, e.patch)
	}
	return b.klpforgeRun(ctx, verb, patches, more...)
}

// bare times the commands of the objects that the edits concern, before and after, on all
// processors. The tree's object cache is warm by then.
func (b *bench) bare(ctx context.Context, tree *kbuild.Tree, edits []edit) (time.Duration, int, error) {
	work, err := tree.Work(ctx, kbuild.WorkOptions{})
	if err != nil {
		return 0, 0, err
	}
	defer work.Close()
	var files []string
	for _, e := range edits {
		files = append(files, e.file)
	}
	affected, err := tree.Affected(ctx, files)
	if err != nil {
		return 0, 0, err
	}
	var objects []string
	for _, object := range affected.Objects {
		if !object.Input {
			objects = append(objects, object.Object)
		}
	}
	old := map[string][]byte{}
	for _, e := range edits {
		if old[e.file], err = work.Read(e.file); err == nil {
			err = work.Write(e.file, e.new)
		}
		if err != nil {
			return 0, 0, err
		}
	}
	if objects, err = work.Thin(ctx, objects); err != nil {
		return 0, 0, err
	}
	// Both sides once, so that all that the compilations read is in the work tree.
	built, err := work.Before(ctx, objects)
	if err == nil {
		_, err = work.After(ctx, objects)
	}
	if err != nil {
		return 0, 0, err
	}
	all := func() error {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(runtime.NumCPU())
		for _, object := range built {
			group.Go(func() error { return command(ctx, work.Dir, "sh", "-c", "set -e; "+object.Command) })
		}
		return group.Wait()
	}
	begun := time.Now()
	if err := all(); err != nil {
		return 0, 0, err
	}
	pure := time.Since(begun)
	for file, text := range old {
		if err := work.Write(file, text); err != nil {
			return 0, 0, err
		}
	}
	begun = time.Now()
	if err := all(); err != nil {
		return 0, 0, err
	}
	return pure + time.Since(begun), len(objects), nil
}

// patchPool makes patches, each of one source, that a livepatch can be built of: what klpforge
// finds an error in is left out. The sources lie evenly over all that the configuration builds.
func (b *bench) patchPool(ctx context.Context, tree *kbuild.Tree, want int) ([]edit, error) {
	objects, err := tree.Objects()
	if err != nil {
		return nil, err
	}
	var pool []edit
	for _, object := range objects {
		file := strings.TrimSuffix(object, ".o") + ".c"
		text, err := os.ReadFile(filepath.Join(tree.Dir, file))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if newer, line, ok := addNop(text); ok {
			pool = append(pool, edit{file: file, old: text, new: newer, line: line})
		}
	}

	// A quarter more than wanted, for those that go.
	pool = evenly(pool, want+want/4+2)
	for i := range pool {
		if err := b.write(&pool[i]); err != nil {
			return nil, err
		}
	}
	refused, err := b.refused(ctx, pool)
	if err != nil {
		return nil, err
	}
	pool = slices.DeleteFunc(pool, func(e edit) bool { return refused[strings.TrimSuffix(e.file, ".c")+".o"] })
	if len(pool) < want {
		return nil, fmt.Errorf("only %d of the %d patches that are wanted can go live", len(pool), want)
	}
	return pool, nil
}

// refused are the object files in which klpforge lint finds an error.
func (b *bench) refused(ctx context.Context, pool []edit) (map[string]bool, error) {
	argv := b.arguments("lint")
	for _, e := range pool {
		argv = append(argv, e.patch)
	}
	cmd := exec.CommandContext(ctx, b.klpforge, argv...)
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) { // 1: errors were found
		return nil, fmt.Errorf("klpforge lint: %w: %s", err, log.String())
	}
	var doc struct {
		Findings []struct{ Severity, Unit string }
	}
	if err := json.Unmarshal(out, &doc); err != nil {
		return nil, fmt.Errorf("read klpforge's report: %w", err)
	}
	refused := map[string]bool{}
	for _, found := range doc.Findings {
		if found.Severity == "error" {
			refused[found.Unit] = true
		}
	}
	return refused, nil
}

// evenly returns n of all, at equal distances.
func evenly[T any](all []T, n int) []T {
	if n >= len(all) {
		return all
	}
	out := make([]T, n)
	for i := range out {
		out[i] = all[i*len(all)/n]
	}
	return out
}

// headerEdit finds a header that about want objects read and that has a function to change.
func headerEdit(ctx context.Context, tree *kbuild.Tree, want int) (edit, int, error) {
	names, err := filepath.Glob(filepath.Join(tree.Dir, "include/*/*.h"))
	if err != nil {
		return edit{}, 0, err
	}
	for _, name := range names {
		file, err := filepath.Rel(tree.Dir, name)
		if err != nil {
			return edit{}, 0, err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return edit{}, 0, err
		}
		newer, line, ok := addNop(text)
		if !ok {
			continue
		}
		affected, err := tree.Affected(ctx, []string{file})
		if err != nil {
			return edit{}, 0, err
		}
		if n := len(affected.Objects); n >= want*4/5 && n <= want*6/5 {
			return edit{file: file, old: text, new: newer, line: line}, n, nil
		}
	}
	return edit{}, 0, fmt.Errorf("no header of include is read by about %d objects", want)
}

// edit is a line that is inserted into a file.
type edit struct {
	file     string // tree-relative
	old, new []byte
	line     int    // index of the new line
	patch    string // path of the patch
}

// addNop inserts an instruction before the first return at the outermost level of a function
// in a file, so that its code changes and its meaning does not.
func addNop(text []byte) (newer []byte, line int, ok bool) {
	lines := bytes.SplitAfter(text, []byte("\n"))
	opened := false // a function's brace came
	for i, now := range lines {
		switch {
		case bytes.HasPrefix(now, []byte("{")):
			opened = !bytes.Contains(lines[i-min(i, 1)], []byte("__init")) && !bytes.Contains(lines[i-min(i, 2)], []byte("__init"))
		case bytes.HasPrefix(now, []byte("}")):
			opened = false
		case opened && bytes.HasPrefix(now, []byte("\treturn ")) && endsStatement(lines[i-1]):
			return bytes.Join(slices.Insert(lines, i, []byte("\tasm volatile (\"nop\");\n")), nil), i, true
		}
	}
	return nil, 0, false
}

// endsStatement reports whether a line before a statement is complete: it is not a condition
// or a label that the statement belongs to.
func endsStatement(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) == 0 || bytes.HasSuffix(line, []byte(";")) || bytes.HasSuffix(line, []byte("}"))
}

// write writes an edit's patch.
func (b *bench) write(e *edit) error {
	const context = 3
	lines := bytes.SplitAfter(e.new, []byte("\n"))
	first := max(0, e.line-context)
	last := min(len(lines), e.line+1+context)
	if last == len(lines) && len(lines[last-1]) == 0 {
		last-- // what follows the last line break
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "--- a/%s\n+++ b/%s\n@@ -%d,%d +%d,%d @@\n", e.file, e.file, first+1, last-first-1, first+1, last-first)
	for i := first; i < last; i++ {
		mark := " "
		if i == e.line {
			mark = "+"
		}
		fmt.Fprintf(&out, "%s%s", mark, lines[i])
		if !bytes.HasSuffix(lines[i], []byte("\n")) {
			fmt.Fprint(&out, "\n\\ No newline at end of file\n")
		}
	}
	e.patch = filepath.Join(b.dir, strings.ReplaceAll(path.Clean(e.file), "/", "_")+".patch")
	return os.WriteFile(e.patch, out.Bytes(), 0o644)
}
