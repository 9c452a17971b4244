package kbuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// addReaders completes what the include graph says by what the rules of the build
// say: what else is made of each changed file, and which programs of the build
// include a changed header.
func (t *Tree) addReaders(ctx context.Context, hit *Affected) error {
	ordinary := map[string]bool{}
	for _, o := range hit.Objects {
		ordinary[o.Source] = true
	}
	var headers []string
	for i := range hit.Files {
		changed := &hit.Files[i]
		first, _, _ := strings.Cut(changed.Path, "/")
		if changed.Class == ClassDoc || changed.Class == ClassBuild || changed.Class == ClassNewSource ||
			ordinary[changed.Path] || first == "samples" {
			continue
		}
		var err error
		if changed.Readers, err = t.Readers(ctx, changed.Path); err != nil {
			return err
		}
		if changed.Class == ClassInclude {
			headers = append(headers, changed.Path)
		}
	}

	// Host programs and linker scripts are made of headers too, and are found by the dependencies
	// that their last build recorded.
	if len(headers) == 0 {
		return nil
	}
	x, err := t.inputs(ctx)
	if err != nil {
		return err
	}

	for _, saved := range x.commands {
		if !saved.host() && path.Ext(saved.Object) != ".lds" || strings.HasPrefix(saved.Object, "tools/") {
			continue
		}
		var because []string
		for _, h := range headers {
			if slices.Contains(saved.Deps, h) {
				because = append(because, h)
			}
		}
		if because != nil {
			hit.Special = append(hit.Special, AffectedObject{Object: saved.Object, Source: saved.Source,
				Because: because, Input: true,
				Owner: Owner{Kind: KindSpecial, Reason: hostProgram}})
		}
	}
	return nil
}

// Altered returns those of the objects with Input whose preprocessed text the
// changes made so far alter, in the order given. Nothing of the changes is run. One
// whose command kbuild does not tell is taken for altered.
func (w *Work) Altered(ctx context.Context, objects []string) ([]string, error) {
	if err := w.alive(); err != nil {
		return nil, err
	}
	if err := w.wide(); err != nil {
		return nil, err
	}
	cmds, err := w.tree.inputCommands(ctx, objects)
	if err != nil {
		return nil, fmt.Errorf("ask kbuild for commands: %w", err)
	}

	// Each object is preprocessed in the prepared tree and in the work tree, side by side.
	altered := make([]bool, len(objects))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(w.jobs)
	for i, obj := range objects {
		group.Go(func() error {
			before, err := w.tree.inputText(ctx, w.tree.Dir, obj, cmds[obj])
			if err != nil {
				return err
			}
			after, err := w.tree.inputText(ctx, w.Dir, obj, cmds[obj])
			altered[i] = before == nil || !bytes.Equal(before, after)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}

	var out []string
	for i, obj := range objects {
		if altered[i] {
			out = append(out, obj)
		}
	}
	return out, nil
}

// inputCommands finds how programs of the build and linker scripts are made: as the
// preparation recorded it, else as kbuild says.
func (t *Tree) inputCommands(ctx context.Context, objects []string) (map[string]string, error) {
	index, err := t.inputs(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, c := range index.commands {
		out[c.Object] = c.Command
	}
	var goals []string
	for _, obj := range objects {
		if _, known := out[obj]; !known {
			// A program of one source has no object file of its own.
			goals = append(goals, strings.TrimSuffix(obj, ".o"))
		}
	}
	if len(goals) == 0 {
		return out, nil
	}
	made, err := t.dryRun(ctx, index.env, index.db, t.Dir, goals)
	var failed *RunError
	if err != nil && !errors.As(err, &failed) {
		return nil, err
	}
	for _, obj := range objects {
		for _, name := range []string{obj, strings.TrimSuffix(obj, ".o")} {
			if c, ok := made[name]; ok && out[obj] == "" {
				out[obj] = c
			}
		}
	}
	return out, nil
}

// inputText preprocesses what a command compiles or links; nil if it cannot be.
func (t *Tree) inputText(ctx context.Context, dir, obj, cmd string) ([]byte, error) {
	words, err := compilerCall(strings.ReplaceAll(cmd, t.Dir, dir))
	if err != nil {
		return nil, nil
	}

	// The command without what it writes: only its text is wanted.
	var argv []string
	for i := 0; i < len(words); i++ {
		switch w := words[i].text; {
		case w == "-o":
			i++
		case w == "-c" || w == "-E" || w == "-P" || strings.HasPrefix(w, "-Wp,-M"):
		default:
			argv = append(argv, w)
		}
	}
	argv = append(argv, "-E", "-P")

	box, _, done, err := t.scratch(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	out, err := command{name: "preprocess " + obj, dir: dir, env: baseEnv(), argv: argv, logs: t.logs(),
		box: box}.run(ctx)
	var failed *RunError
	if errors.As(err, &failed) {
		return nil, nil
	}
	return out, err
}

// Regenerates reports whether a changed file makes a difference to what a rule
// generates of it: made is built in two private trees, of which one has text as the
// file and everything else as it was. known is false where that cannot be told
// without running something that is compiled from the file, or where the rule makes
// more than one file.
func (w *Work) Regenerates(ctx context.Context, file string, text []byte,
	made string) (differs, known bool, err error) {
	if strings.Contains(made, "%") || !w.tree.onlyReads(ctx, file, made) {
		return false, false, nil
	}

	// The same file is made twice, in private trees that differ in the changed file alone.
	var got [2][]byte
	for i := range got {
		private, err := w.tree.Work(ctx, WorkOptions{Jobs: w.jobs})
		if err != nil {
			return false, false, err
		}
		if i == 1 {
			err = private.Write(file, text)
		}
		if err == nil {
			_, err = private.generate(ctx, []string{made})
		}
		if err == nil {
			got[i], err = os.ReadFile(filepath.Join(private.Dir, made))
		}
		private.Close()
		if errors.Is(err, os.ErrNotExist) {
			return false, false, nil
		}
		if err != nil {
			return false, false, err
		}
	}
	return !bytes.Equal(got[0], got[1]), true, nil
}

// onlyReads reports whether the rule for made uses nothing but files of the source,
// so that no program is built of what it reads.
func (t *Tree) onlyReads(ctx context.Context, file, made string) bool {
	x, err := t.inputs(ctx)
	if err != nil {
		return false
	}
	rules, err := x.candidates(ctx, file)
	if err != nil {
		return false
	}
	all, err := t.allFiles()
	if err != nil {
		return false
	}
	found := false
	for _, d := range rules {
		for _, r := range d.rules {
			if !slices.Contains(r.targets, made) || r.where == "" {
				continue
			}
			found = true
			for _, p := range r.prereqs {
				// A program that was built is no link to the source, nor is one to be built.
				if p != file && !slices.Contains(all.links, p) {
					return false
				}
			}
		}
	}
	return found
}
