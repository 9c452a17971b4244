package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klpforge/klpforge/internal/e2e"
	"github.com/klpforge/klpforge/internal/userland"
	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/cachedir"
)

// runner tries one row. Each of its steps fills the cells of some columns.
type runner struct {
	cache    cachedir.Dir
	dir      string // of the row's files
	programs programs
	log      io.Writer
	corpus   bool // also the corpus

	*State
	env    *e2e.Env
	home   place    // this machine, with what fetches the row's kernel
	builds place    // where livepatches are built
	flags  []string // that name the kernel
	vm     vm.Options
	loop   loopModule
}

// programs are paths of the programs that run in a row's place: static, and the same in all.
type programs struct{ klpforge, corpus, init string }

// step is what fills cells.
type step struct {
	columns []Column
	do      func(context.Context) (map[Column]Cell, error)
}

// run tries what is not known yet. A step that fails ends the row, and the rest is not
// tried; the error is for what is no result of klpforge: a cancelled ctx, a file that
// cannot be written.
func (r *runner) run(ctx context.Context) error {
	steps := []step{
		{[]Column{ColFind}, r.find}, {[]Column{ColPrepare}, r.prepare}, {[]Column{ColLint}, r.lint}, {[]Column{ColBuild}, r.build},
		{[]Column{ColVerify}, r.verify}, {vmColumns, r.boot}, {[]Column{ColCorpus}, r.tryCorpus},
	}
	r.env = &e2e.Env{Cache: r.cache, Dir: r.dir, Log: r.log}
	r.home = place{cache: r.cache}
	if r.Row.RPM {
		// What publish has this row fetch into.
		defer os.RemoveAll(filepath.Join(r.dir, "cache"))
	}
	broken := Column("")
	for _, s := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch {
		case broken != "":
			for _, c := range s.columns {
				if err := r.set(c, Cell{Outcome: Untried, Text: fmt.Sprintf("“%s” failed before", broken)}); err != nil {
					return err
				}
			}
			continue
		case r.known(s.columns) && !slices.Contains(s.columns, ColFind):
			fmt.Fprintf(r.log, "%s: %s: known\n", r.Row.Name, s.columns[0])
		default:
			begun := time.Now()
			cells, err := s.do(ctx)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				first, _, _ := strings.Cut(strings.TrimSpace(err.Error()), "\n")
				cells = map[Column]Cell{s.columns[0]: {Outcome: Failed, Text: first, Detail: err.Error()}}
				for _, c := range s.columns[1:] {
					cells[c] = Cell{Outcome: Untried, Text: fmt.Sprintf("“%s” failed before", s.columns[0])}
				}
			}
			for _, c := range s.columns {
				cell := cells[c]
				if cell.Seconds == 0 && cell.Outcome == Done && len(s.columns) == 1 {
					cell.Seconds = time.Since(begun).Seconds()
				}
				if err := r.set(c, cell); err != nil {
					return err
				}
				fmt.Fprintf(r.log, "%s: %s: %s %s\n%s", r.Row.Name, c, cell.Outcome, cell.Text, cell.Detail)
			}
		}
		for _, c := range s.columns {
			if r.Cells[c].Outcome == Failed && !slices.Contains(vmColumns, c) {
				broken = c
			}
		}
	}
	return nil
}

// known reports whether an earlier run filled these cells.
func (r *runner) known(cs []Column) bool {
	return !slices.ContainsFunc(cs, func(c Column) bool {
		cell, ok := r.Cells[c]
		return !ok || c == ColCorpus && cell.Outcome == Untried && r.corpus && r.Row.Corpus != nil
	})
}

// one is the cell of a column alone.
func one(c Column, text string) map[Column]Cell {
	return map[Column]Cell{c: {Outcome: Done, Text: text}}
}

// klpforge runs it in a place and wants exit status 0.
func (r *runner) klpforge(ctx context.Context, p *place, args ...string) (string, error) {
	out, errs, code, err := p.run(ctx, r.programs.klpforge, args...)
	if err != nil {
		return "", fmt.Errorf("run klpforge %s: %w", args[0], err)
	}
	if code != 0 {
		// A document of the command says what is wrong; else its last line does.
		lines := strings.Split(strings.TrimSpace(errs), "\n")
		return out, fmt.Errorf("%s: exit code %d\n%s%s", lines[len(lines)-1], code, out, errs)
	}
	return out, nil
}

// target is klpforge with the flags that name the kernel, where it is built for.
func (r *runner) target(ctx context.Context, args ...string) (string, error) {
	n := 1
	if args[0] == "kernel" {
		n = 2
	}
	return r.klpforge(ctx, &r.builds, slices.Concat(args[:n:n], r.flags, args[n:])...)
}

// gone reports whether the archive no longer has a release.
func (r *runner) gone(ctx context.Context, release string) bool {
	served, err := r.env.Serves(ctx, r.Row.Suite, release)
	return err == nil && !served
}

// find brings the kernel, and finds out what it is. It runs each time: what it leaves in
// r is needed by all that follows.
func (r *runner) find(ctx context.Context) (map[Column]Cell, error) {
	how := "found"
	r.builds = place{cache: r.cache, dirs: []string{r.dir, filepath.Dir(r.programs.klpforge)}}
	if r.Row.Suite != "" {
		u, err := userland.Ensure(ctx, r.Row.Suite, userland.Options{Cache: r.cache, Log: r.log})
		if err != nil {
			return nil, err
		}
		r.builds.user = u
	}
	var err error
	if r.Host, err = r.builds.name(); err != nil {
		return nil, err
	}
	release := r.Row.Release
	switch {
	case r.Row.RPM:
		if release, err = r.publish(ctx); err != nil {
			return nil, err
		}
		fallthrough
	case r.Row.Own == "":
		how = "fetched"
		args := []string{"kernel", "fetch", release}
		if r.Row.RPM {
			args = []string{"kernel", "fetch", "--from", "dnf", release}
		}
		_, err := r.klpforge(ctx, &r.home, args...)
		if err != nil && r.Row.Own == "" && r.gone(ctx, release) {
			// The archive goes on; the next kernel of the kind is as good.
			if release, err = r.env.Newest(ctx, r.Row.Suite, release); err != nil {
				return nil, err
			}
			fmt.Fprintf(r.log, "*** %s IS NOT IN THE ARCHIVE ANY MORE, USING %s\n", r.Row.Release, release)
			_, err = r.klpforge(ctx, &r.home, "kernel", "fetch", release)
		}
		if err != nil {
			return nil, err
		}
		r.flags = []string{"-k", release}
		fetched := *r.env
		fetched.Cache = r.home.cache
		if r.vm, err = fetched.VM(ctx, release); err != nil {
			return nil, err
		}
	default:
		k, err := r.own(ctx)
		if err != nil {
			return nil, err
		}
		r.flags = []string{"--build-tree", k.Build}
		r.Tree = k.Source
		r.vm = vm.Options{Kernel: k.Image()}
		r.loop.file = filepath.Join(k.Build, "drivers/block/loop.ko")
	}
	r.vm.Log, r.vm.Memory, r.vm.Init = nil, r.Row.Memory, r.programs.init
	text, err := r.target(ctx, "kernel", "info")
	if err != nil {
		return nil, err
	}
	var info kernel.Info
	if err := json.Unmarshal([]byte(text), &info); err != nil {
		return nil, fmt.Errorf("read what kernel info says: %w", err)
	}
	r.Release, r.Compiler = info.Release, info.Compiler
	if info.Release == "" || len(info.Missing) > 0 {
		return nil, fmt.Errorf("kernel info: parts of %s are missing: %s", info.Release, strings.Join(info.Missing, "; "))
	}
	return one(ColFind, how), nil
}

// prepare makes the source tree, and the patches for it.
func (r *runner) prepare(ctx context.Context) (map[Column]Cell, error) {
	tree, err := r.target(ctx, "kernel", "prepare")
	if err != nil {
		return nil, err
	}
	if r.Tree == "" {
		r.Tree = strings.TrimSpace(tree)
	}
	r.Patches = nil
	for n := 1; n <= 2; n++ {
		p := filepath.Join(r.dir, fmt.Sprintf("matrix%d.patch", n))
		if err := writePatch(ctx, r.Tree, p, n); err != nil {
			return nil, err
		}
		r.Patches = append(r.Patches, p)
	}
	return one(ColPrepare, ""), nil
}

// lint reviews the first patch.
func (r *runner) lint(ctx context.Context) (map[Column]Cell, error) {
	text, err := r.target(ctx, "lint", "--format", "json", r.Patches[0])
	if err != nil {
		return nil, err
	}
	var doc struct {
		Findings []said `json:"findings"`
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return nil, fmt.Errorf("read what lint says: %w", err)
	}
	return one(ColLint, warnings(doc.Findings)), nil
}

// said is a finding in a document of klpforge.
type said struct {
	ID       string `json:"id"`
	Severity string `json:"severity"`
}

// warnings sums up findings; "" for none that warns.
func warnings(all []said) string {
	var warned []string
	for _, f := range all {
		if f.Severity == "warning" {
			warned = append(warned, f.ID)
		}
	}
	slices.Sort(warned)
	if warned = slices.Compact(warned); len(warned) == 0 {
		return ""
	}
	return "warns of " + strings.Join(warned, ", ")
}

// build makes both livepatches.
func (r *runner) build(ctx context.Context) (map[Column]Cell, error) {
	said := ""
	r.Modules = nil
	for i, patch := range r.Patches {
		ko := filepath.Join(r.dir, fmt.Sprintf("matrix%d.ko", i+1))
		text, err := r.target(ctx, "build", "--format", "json", "-o", ko, patch)
		if err != nil {
			return nil, err
		}
		var doc struct {
			Functions []struct{ Object, Name string } `json:"functions"`
		}
		if err := json.Unmarshal([]byte(text), &doc); err != nil {
			return nil, fmt.Errorf("read what build says: %w", err)
		}
		count := map[string]int{}
		for _, f := range doc.Functions {
			count[f.Object]++
		}
		if count["vmlinux"] == 0 || count["loop"] == 0 {
			return nil, fmt.Errorf("functions of vmlinux and of loop were changed, and the livepatch has %v", count)
		}
		said = fmt.Sprintf("%d built-in, %d of a module", count["vmlinux"], count["loop"])
		r.Modules = append(r.Modules, ko)
	}
	return one(ColBuild, said), nil
}

// verify checks both.
func (r *runner) verify(ctx context.Context) (map[Column]Cell, error) {
	var found []said
	for _, ko := range r.Modules {
		text, err := r.target(ctx, "verify", "--format", "json", ko)
		if err != nil {
			return nil, err
		}
		var doc struct {
			Problems []said `json:"problems"`
		}
		if err := json.Unmarshal([]byte(text), &doc); err != nil {
			return nil, fmt.Errorf("read what verify says: %w", err)
		}
		found = append(found, doc.Problems...)
	}
	return one(ColVerify, warnings(found)), nil
}

// boot loads both in the VM.
func (r *runner) boot(ctx context.Context) (map[Column]Cell, error) {
	o := r.vm
	dir, err := os.MkdirTemp(r.dir, "boot-")
	if err != nil {
		return nil, err
	}
	o.Dir = dir
	cells, err := load(ctx, o, script(r.Modules[0], r.Modules[1], r.loop))
	if err == nil && !slices.ContainsFunc(vmColumns, func(c Column) bool { return cells[c].Outcome != Done }) {
		return cells, os.RemoveAll(dir)
	}
	return cells, err
}

// moduleName is the name of a module by its file.
func moduleName(path string) string {
	return strings.ReplaceAll(strings.TrimSuffix(filepath.Base(path), ".ko"), "-", "_")
}
