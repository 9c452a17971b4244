package kbuild

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// ModuleOptions says which external module to build.
type ModuleOptions struct {
	Tree *Tree
	Dir  string    // directory with the module's Kbuild or Makefile; objects and the .ko are made there
	Log  io.Writer // receives make's output, may be nil
	Jobs int       // 0 takes the tree's
}

// BuildModule builds the external module in opts.Dir against the tree. Symbols that
// modpost does not find are warnings only, because klp symbols are resolved by the
// kernel, not by modpost; the caller has to check the others. The .ko does not
// depend on the name of the directory.
//
// The prepared tree is not written to. Errors are *RunError.
func BuildModule(ctx context.Context, opts ModuleOptions) error {
	tree := opts.Tree
	dir, err := filepath.Abs(opts.Dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return fmt.Errorf("build module: %w", err)
	}
	if strings.ContainsAny(dir, badInPaths) {
		return fmt.Errorf("build module in %q: kbuild does not work in a directory whose name has spaces, colons, "+
			"commas or quotes", dir)
	}
	jobs := opts.Jobs
	if jobs <= 0 {
		jobs = tree.jobs
	}
	// The compiler is given absolute names below M=, which assertions and debug
	// information would keep.
	flags := fmt.Sprintf("-g0 -ffile-prefix-map=%s/= -ffile-prefix-map=%s=.", dir, dir)
	form, plain := readModuleForm(dir)
	recipeName := tree.recipeName(form, strings.ReplaceAll(flags, dir, wordDir))
	recipe := tree.knownRecipe(recipeName)
	if plain && recipe != nil {
		out, err := recipe.follow(ctx, tree, dir, form)
		var failed *RunError
		switch {
		case err == nil:
			return opts.made(out, dir)
		case !errors.As(err, &failed):
			return fmt.Errorf("build module in %s: %w", filepath.Base(dir), err)
		}
		// Make says what is wrong with the sources.
	}

	cmd := command{
		name: "make modules",
		dir:  tree.Dir,
		env:  append(baseEnv(), "KBUILD_MODPOST_WARN=1"),
		argv: append([]string{"make", fmt.Sprintf("-j%d", jobs), "M=" + dir},
			append(tree.vars(flags), "KBUILD_MODPOST_WARN=1", "modules")...),
		logs: tree.logs(),
		box:  tree.box(dir),
	}
	if tmp := cmd.box.tmp(); tmp != "" {
		defer os.RemoveAll(tmp)
	}
	_, out, err := cmd.runBoth(ctx)
	if err != nil {
		if opts.Log != nil {
			_, werr := opts.Log.Write(out)
			err = errors.Join(err, werr)
		}
		return fmt.Errorf("build module in %s: %w", filepath.Base(dir), err)
	}
	if err := opts.made(out, dir); err != nil || !plain || recipe != nil {
		return err
	}
	if err := tree.learn(ctx, dir, recipeName, form); err != nil {
		return fmt.Errorf("build module in %s: %w", filepath.Base(dir), err)
	}
	return nil
}

// made hands on what was printed while a module was made, and checks what is there.
func (opts *ModuleOptions) made(out []byte, dir string) error {
	if opts.Log != nil {
		if _, err := opts.Log.Write(out); err != nil {
			return fmt.Errorf("build module in %s: write log: %w", filepath.Base(dir), err)
		}
	}
	if err := opts.Tree.checkModuleRead(dir); err != nil {
		return fmt.Errorf("build module in %s: %w", filepath.Base(dir), err)
	}
	if matches, _ := filepath.Glob(filepath.Join(dir, "*.ko")); len(matches) == 0 {
		return fmt.Errorf("build module in %s: make succeeded, but made no .ko: %w", filepath.Base(dir), os.ErrNotExist)
	}
	return nil
}

// checkModuleRead is checkRead for what the objects of a module were made of.
func (t *Tree) checkModuleRead(dir string) error {
	saved, err := filepath.Glob(filepath.Join(dir, ".*.o.cmd"))
	if err != nil {
		return err
	}
	for _, name := range saved {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		// Objects of other origin have empty ones.
		if c, err := parseCmdFile(data); err == nil {
			if err := t.checkRead(c.Deps); err != nil {
				return err
			}
		}
	}
	return nil
}
