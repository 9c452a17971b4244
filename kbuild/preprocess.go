package kbuild

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/klpforge/klpforge/internal/sealed"
)

// Preprocess returns a hash of an object's source after preprocessing, as the tree
// is now, without line markers: where two are equal, the compiler gets the same
// text. Positions that reach code, as __LINE__ does, are part of the text.
func (w *Work) Preprocess(ctx context.Context, object string) (string, error) {
	cmds, err := w.Commands(ctx, []string{object})
	if err != nil {
		return "", err
	}
	return w.preprocess(ctx, object, cmds[object])
}

func (w *Work) preprocess(ctx context.Context, object, cmd string) (string, error) {
	out, err := w.preprocessed(ctx, object, cmd)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(out)
	return hex.EncodeToString(sum[:]), nil
}

// digest is the codeDigest of an object's source after preprocessing, as the tree is now.
// Of assembly every word counts.
func (w *Work) digest(ctx context.Context, object, cmd string) (string, error) {
	if strings.HasSuffix(w.sourceOf(cmd), ".S") {
		return w.preprocess(ctx, object, cmd)
	}
	out, err := w.preprocessed(ctx, object, cmd)
	if err != nil {
		return "", err
	}
	return codeDigest(out), nil
}

// Text returns an object's source after preprocessing, as the tree is now, without
// line markers.
func (w *Work) Text(ctx context.Context, object string) ([]byte, error) {
	cmds, err := w.Commands(ctx, []string{object})
	if err != nil {
		return nil, err
	}
	return w.preprocessed(ctx, object, cmds[object])
}

func (w *Work) preprocessed(ctx context.Context, object, cmd string) ([]byte, error) {
	argv, err := preprocessCall(cmd, "-E", "-P")
	if err != nil {
		return nil, fmt.Errorf("preprocess %s: %w", object, err)
	}
	return w.runPreprocessor(ctx, object, argv)
}

// runPreprocessor runs a preprocessor's call for an object.
func (w *Work) runPreprocessor(ctx context.Context, object string, argv []string) ([]byte, error) {
	out, err := command{name: "preprocess " + object, dir: w.Dir, env: baseEnv(), argv: argv, logs: w.tree.logs(),
		box: w.tree.box(w.base)}.run(ctx)
	if err != nil {
		var re *RunError
		if errors.As(err, &re) {
			return nil, &CompileError{Object: object, Output: re.Tail, Log: re.Log}
		}
		return nil, err
	}
	return out, nil
}

// Thin returns those of the objects whose preprocessed text the changes made so
// far alter, as far as it can reach the object (codeDigest), in the order given. Digests
// of the unchanged text are cached; with WorkOptions.KeepAfter those of the changed text are, too.
// An object that cannot be preprocessed, before or
// after, is kept: compiling it will tell why.
func (w *Work) Thin(ctx context.Context, objects []string) ([]string, error) {
	cmds, err := w.Commands(ctx, objects)
	if err != nil {
		return nil, err
	}
	before, err := w.preprocessPristine(ctx, objects, cmds)
	if err != nil {
		return nil, err
	}

	digest := w.digest
	if memory, err := w.rememberTexts(ctx); err != nil {
		return nil, err
	} else if memory != nil {
		digest = memory.digest
	}

	// An object that cannot be preprocessed counts as different: the compiler says what is wrong.
	differs := make([]bool, len(objects))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(w.jobs)
	var mu sync.Mutex
	done := 0
	for i, obj := range objects {
		group.Go(func() error {
			hash, err := digest(ctx, obj, cmds[obj])
			var ce *CompileError
			if err != nil && !errors.As(err, &ce) {
				return err
			}
			differs[i] = err != nil || before[i] == "" || before[i] != hash
			mu.Lock()
			defer mu.Unlock()
			done++
			w.progress("compare preprocessed text", done, len(objects))
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}

	var out []string
	for i, obj := range objects {
		if differs[i] {
			out = append(out, obj)
		}
	}
	return out, nil
}

// preprocessPristine returns the digests of the unchanged text, "" where there is
// none. It preprocesses in the prepared tree, which preprocessing does not write to.
func (w *Work) preprocessPristine(ctx context.Context, objects []string, cmds map[string]string) ([]string, error) {
	hashes := make([]string, len(objects))
	pristine := &Work{Dir: w.tree.Dir, tree: w.tree, base: w.base}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(w.jobs)
	for i, obj := range objects {
		group.Go(func() error {
			// The text of the prepared tree never changes, so its hash is kept.
			memo := w.objectPath(w.objectKey(obj), ".reach")
			kind := "reached text " + w.objectKey(obj)
			if data, err := readSealed(w.tree.cache, memo, kind); err == nil {
				hashes[i] = string(data)
				return nil
			}

			hash, err := pristine.digest(ctx, obj, strings.ReplaceAll(cmds[obj], w.Dir, w.tree.Dir))
			var ce *CompileError
			if errors.As(err, &ce) {
				return nil
			}
			if err != nil {
				return err
			}
			hashes[i] = hash
			if err := sealed.MakeDir(w.tree.cache, filepath.Dir(memo)); err != nil {
				return err
			}
			return writeAtomic(memo, sealed.Seal(kind, []byte(hash)), 0o644)
		})
	}
	return hashes, group.Wait()
}

// SymbolCRCs computes the versions of the symbols that an object exports, from the
// tree as it is now, as kbuild does for CONFIG_MODVERSIONS
// (cmd_gensymtypes_c in scripts/Makefile.build, v6.1). The object's command must be
// known from Before or Commands; the result is empty if it exports nothing. With
// WorkOptions.KeepAfter they are kept in the cache.
func (w *Work) SymbolCRCs(ctx context.Context, object string) (map[string]uint32, error) {
	cmds, err := w.Commands(ctx, []string{object})
	if err != nil {
		return nil, err
	}
	memory, err := w.rememberTexts(ctx)
	if err != nil {
		return nil, err
	}
	if memory != nil {
		return memory.versions(ctx, object, cmds[object])
	}
	return w.symbolCRCs(ctx, object, cmds[object])
}

func (w *Work) symbolCRCs(ctx context.Context, object, cmd string) (map[string]uint32, error) {
	argv, err := preprocessCall(cmd, "-E", "-D__GENKSYMS__")
	if err != nil {
		return nil, fmt.Errorf("compute symbol versions of %s: %w", object, err)
	}

	// As kbuild computes them (cmd_gensymtypes_c): genksyms on the preprocessed text.
	text, err := command{name: "preprocess " + object, dir: w.Dir, env: baseEnv(), argv: argv, logs: w.tree.logs(),
		box: w.tree.box(w.base)}.run(ctx)
	if err != nil {
		return nil, fmt.Errorf("compute symbol versions of %s: %w", object, err)
	}

	genksyms := filepath.Join(w.Dir, "scripts/genksyms/genksyms")
	if !exists(genksyms) {
		return nil, fmt.Errorf("compute symbol versions of %s: the configuration has no CONFIG_MODVERSIONS", object)
	}
	out, err := command{
		name: "genksyms " + object, dir: w.Dir, env: baseEnv(), logs: w.tree.logs(), box: w.tree.box(w.base),
		argv: []string{genksyms, "-r", "/dev/null"}, stdin: text,
	}.run(ctx)
	if err != nil {
		return nil, fmt.Errorf("compute symbol versions of %s: %w", object, err)
	}

	crcs := map[string]uint32{}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "#SYMVER ") {
			if err := addCRC(crcs, line); err != nil {
				return nil, err
			}
		}
	}
	return crcs, nil
}

// generators are the sources of headers that hold constants of the whole kernel.
func (t *Tree) generators() []string {
	return []string{"kernel/bounds.c", "arch/" + t.Arch + "/kernel/asm-offsets.c"}
}

// checkGenerated makes sure that the changes leave generated headers as they are:
// After does not make them again, and the running kernel was built with them.
// Only a changed header, or a changed generator, can alter them.
func (w *Work) checkGenerated(ctx context.Context) error {
	w.mu.Lock()
	checked := w.generated
	var changed []string
	for rel := range w.changed {
		changed = append(changed, rel)
	}
	w.mu.Unlock()
	if checked {
		return nil
	}

	// Headers that the build generates, from constants that headers define: these may reach them.
	headers := slices.DeleteFunc(changed, func(rel string) bool {
		return !strings.HasSuffix(rel, ".h") && !slices.Contains(w.tree.generators(), rel)
	})
	if len(headers) > 0 {
		g, err := w.tree.graph(ctx)
		if err != nil {
			return err
		}
		for _, src := range w.tree.generators() {
			if exists(filepath.Join(w.Dir, src)) && g.reaches(headers, src) {
				if err := w.compareGenerator(ctx, src); err != nil {
					return err
				}
			}
		}
	}

	w.mu.Lock()
	w.generated = true
	w.mu.Unlock()
	return nil
}

// compareGenerator compiles a generator to assembly in both trees and compares the
// constants in it.
func (w *Work) compareGenerator(ctx context.Context, src string) error {
	asm := strings.TrimSuffix(src, ".c") + ".s"
	data, err := os.ReadFile(filepath.Join(w.tree.Dir, cmdFile(asm)))
	if errors.Is(err, os.ErrNotExist) {
		return nil // this kernel does not generate anything from it
	}
	if err != nil {
		return err
	}
	saved, err := parseCmdFile(data)
	if err != nil {
		return fmt.Errorf("compare generated headers: %s: %w", asm, err)
	}
	if err := w.wide(); err != nil {
		return err
	}
	words, err := compilerCall(strings.ReplaceAll(saved.Command, w.tree.Dir, w.Dir))
	if err != nil {
		return err
	}
	var argv []string
	for i := 0; i < len(words); i++ {
		switch {
		case words[i].text == "-o":
			argv = append(argv, "-o", "-")
			i++
		case !strings.HasPrefix(words[i].text, "-Wp,-M"):
			argv = append(argv, words[i].text)
		}
	}
	out, err := command{name: "compile " + asm, dir: w.Dir, env: baseEnv(), argv: argv, logs: w.tree.logs(),
		box: w.tree.box(w.base)}.run(ctx)
	if err != nil {
		var re *RunError
		if errors.As(err, &re) {
			return &CompileError{Object: asm, Output: re.Tail, Log: re.Log}
		}
		return err
	}
	old, err := os.ReadFile(filepath.Join(w.tree.Dir, asm))
	if err != nil {
		return fmt.Errorf("compare generated headers: %w", err)
	}
	if !slices.Equal(constants(old), constants(out)) {
		return &GeneratedChangedError{Source: src}
	}
	return nil
}

// constants picks the lines that include/linux/kbuild.h's DEFINE makes: they hold
// "->NAME VALUE".
func constants(asm []byte) []string {
	var out []string
	for line := range strings.Lines(string(asm)) {
		if i := strings.Index(line, "->"); i >= 0 {
			out = append(out, strings.TrimSpace(line[i:]))
		}
	}
	return out
}
