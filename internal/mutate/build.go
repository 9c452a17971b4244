package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"go/types"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// program is a package with all its faults, compiled into test programs.
type program struct {
	subject
	mutants  []*mutant
	unsound  int // faults that do not compile
	binaries []binary
}

// binary is a test program and the directory in which its tests run.
type binary struct{ pkg, path, dir string }

// mutated loads a package, chooses faults and writes rewritten sources into dir
// until they compile. The overlay maps files of the tree to those. Faults are put only into
// files whose names match, where that is not nil.
func mutated(
	ctx context.Context, s subject, dir string, seed uint64, share float64, match *regexp.Regexp,
) (*program, map[string]string, error) {
	pkg, err := load(ctx, s.pkg)
	if err != nil {
		return nil, nil, err
	}
	p := &program{subject: s}
	sources := map[string][]byte{}
	for i, file := range pkg.Syntax {
		name := pkg.CompiledGoFiles[i]
		if sources[name], err = os.ReadFile(name); err != nil {
			return nil, nil, err
		}
		base := filepath.Base(name)
		if match != nil && !match.MatchString(base) {
			continue
		}
		for _, site := range findSites(pkg.Fset, pkg.TypesInfo, pkg.Types, file, sources[name]) {
			if chosen(seed, share, s.pkg, base, site.key) {
				p.mutants = append(p.mutants, &mutant{id: len(p.mutants) + 1, file: name, site: site})
			}
		}
	}

	helper := filepath.Join(filepath.Dir(pkg.CompiledGoFiles[0]), "zz_mutate.go")
	for range 10 {
		texts := map[string][]byte{}
		spans := map[string][]span{}
		for name, src := range sources {
			texts[name], spans[name] = rewrite(src, p.of(name))
		}
		bad, err := broken(pkg, texts, spans)
		if err != nil {
			return nil, nil, err
		}
		if len(bad) == 0 {
			texts[helper] = fmt.Appendf(nil, helperText, pkg.Name)
			files, err := place(dir, texts)
			return p, files, err
		}
		kept := p.mutants[:0]
		for _, m := range p.mutants {
			if !bad[m.id] {
				kept = append(kept, m)
			}
		}
		p.mutants, p.unsound = kept, p.unsound+len(bad)
	}
	return nil, nil, fmt.Errorf("%s: what does not compile was not found in ten rounds", s.pkg)
}

// of lists the mutants of a file.
func (p *program) of(file string) (out []*mutant) {
	for _, m := range p.mutants {
		if m.file == file {
			out = append(out, m)
		}
	}
	return out
}

func load(ctx context.Context, pkg string) (*packages.Package, error) {
	list, err := packages.Load(&packages.Config{Mode: packages.LoadSyntax, Context: ctx}, modulePath+"/"+pkg)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", pkg, err)
	}
	if len(list) != 1 {
		return nil, fmt.Errorf("load %s: %d packages", pkg, len(list))
	}
	if len(list[0].Errors) > 0 {
		return nil, fmt.Errorf("load %s: %w", pkg, list[0].Errors[0])
	}
	return list[0], nil
}

// imported gives the packages that another was compiled with.
type imported map[string]*packages.Package

func (m imported) Import(path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	if p := m[path]; p != nil && p.Types != nil {
		return p.Types, nil
	}
	return nil, fmt.Errorf("%s is not imported by the package", path)
}

// broken names the faults in whose text the type checker finds an error.
func broken(pkg *packages.Package, texts map[string][]byte, spans map[string][]span) (map[int]bool, error) {
	fset := token.NewFileSet()
	bad := map[int]bool{}
	var homeless error
	blame := func(pos token.Position, msg string) {
		for _, s := range spans[pos.Filename] { // the narrowest first
			if pos.Offset >= s.start && pos.Offset < s.end {
				bad[s.id] = true
				return
			}
		}
		// An operator before a fault is told of at its own place.
		next := 0
		nearest := math.MaxInt
		for _, s := range spans[pos.Filename] {
			if s.start >= pos.Offset && s.start < nearest {
				next, nearest = s.id, s.start
			}
		}
		if next > 0 && nearest-pos.Offset < 80 {
			bad[next] = true
			return
		}
		homeless = fmt.Errorf("%s with faults does not compile, and no fault stands at %v: %s", pkg.PkgPath, pos, msg)
	}
	helper, err := parser.ParseFile(fset, "zz_mutate.go", fmt.Sprintf(helperTypes, pkg.Name), 0)
	if err != nil {
		return nil, err
	}
	files := []*ast.File{helper}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		f, err := parser.ParseFile(fset, name, texts[name], parser.SkipObjectResolution)
		var list scanner.ErrorList
		switch {
		case errors.As(err, &list):
			blame(list[0].Pos, list[0].Msg)
		case err != nil:
			return nil, err
		default:
			files = append(files, f)
		}
	}
	if len(bad) > 0 || homeless != nil {
		return bad, homeless
	}
	conf := types.Config{Importer: imported(pkg.Imports), Sizes: pkg.TypesSizes, Error: func(err error) {
		var e types.Error
		if errors.As(err, &e) {
			blame(fset.Position(e.Pos), e.Msg)
		}
	}}
	_, _ = conf.Check(pkg.PkgPath, fset, files, nil) // every error went to blame
	return bad, homeless
}

// place writes rewritten files into dir and returns where each is.
func place(dir string, overlay map[string][]byte) (map[string]string, error) {
	out := map[string]string{}
	for name, text := range overlay {
		to := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return nil, err
		}
		out[name] = to
	}
	return out, nil
}

// compile makes the test programs of a program in dir.
func (p *program) compile(ctx context.Context, files map[string]string, dir string) error {
	text, err := json.Marshal(map[string]any{"Replace": files})
	if err != nil {
		return err
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, text, 0o644); err != nil {
		return err
	}
	patterns := []string{modulePath + "/" + p.pkg}
	for _, t := range p.tests {
		patterns = append(patterns, modulePath+"/"+t)
	}
	list, err := packages.Load(&packages.Config{Mode: packages.NeedName | packages.NeedFiles, Context: ctx, Tests: true}, patterns...)
	if err != nil {
		return fmt.Errorf("find the tests of %s: %w", p.pkg, err)
	}
	for _, t := range list {
		name, isTest := strings.CutSuffix(t.PkgPath, ".test")
		if !isTest || t.Name != "main" {
			continue
		}
		at := filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(name, modulePath+"/"), "/", "_")+".test")
		cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", at, name)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("compile the tests of %s with faults: %w\n%s", name, err, out)
		}
		if _, err := os.Stat(at); errors.Is(err, os.ErrNotExist) {
			continue // no test files
		}
		src, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", name).Output()
		if err != nil {
			return fmt.Errorf("find %s: %w", name, err)
		}
		p.binaries = append(p.binaries, binary{strings.TrimPrefix(name, modulePath+"/"), at, strings.TrimSpace(string(src))})
	}
	if len(p.binaries) == 0 {
		return fmt.Errorf("%s has no tests", p.pkg)
	}
	return nil
}
