package kbuild

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// The include graph is read from the text of the sources, not from dependency
// files: those exist only for what has been compiled. It starts at every source
// that the configuration builds and follows #include lines whatever #if they stand
// under. Where a name could mean several files, it means all of them:
//
//   - a quoted name means the file beside the includer, if there is one;
//   - otherwise every file of that name below the directories of LINUXINCLUDE;
//   - otherwise, as a makefile may add directories with -I, every file in the tree
//     whose path ends in the name, other architectures and tools aside.
//
// So the graph has edges that no build has, and a changed file is taken to affect
// more than it does, but no less.

// includeGraph says which file includes which. Files are indices into Files.
type includeGraph struct {
	Files []string
	Edges [][]int32 // sorted indices of what Files[i] may include
	Texts [][]string
	Roots []rootFile // sorted by object

	index    map[string]int32
	reverse  [][]int32
	textUses map[string][]int32 // base name of an include text -> includers
}

// rootFile is a source and the object made of it.
type rootFile struct {
	Object  string
	File    int32
	Special bool
}

// include is one #include line.
type include struct {
	name   string
	quoted bool
}

// implicit are the headers that kbuild gives to every compilation (LINUXINCLUDE
// and c_flags in the top Makefile and scripts/Makefile.lib, v6.1).
var implicit = []string{"include/linux/compiler-version.h", "include/linux/kconfig.h", "include/linux/compiler_types.h"}

// scanIncludes finds the files a text includes. A name given by a macro is looked
// for in the same text: #define GENL_MAGIC_INCLUDE_FILE <linux/drbd_genl.h>.
// TRACE_INCLUDE(TRACE_INCLUDE_FILE) names the header that asked for tracepoints,
// which includes the one with that line anyway, or what TRACE_INCLUDE_FILE says.
func scanIncludes(text []byte) []include {
	var out []include
	for len(text) > 0 {
		line := text
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			text = nil
		}
		line = bytes.TrimLeft(line, " \t")
		if len(line) == 0 || line[0] != '#' {
			continue
		}
		line = bytes.TrimLeft(line[1:], " \t")
		switch {
		case bytes.HasPrefix(line, []byte("include")):
			line = bytes.TrimPrefix(line[len("include"):], []byte("_next"))
		case bytes.HasPrefix(line, []byte("define")):
			var ok bool
			if line, ok = macroFile(line); !ok {
				continue
			}
		default:
			continue
		}
		if inc, ok := includeName(line); ok {
			out = append(out, inc)
		}
	}
	return out
}

// macroFile returns the value of a #define that could name an included file.
func macroFile(line []byte) ([]byte, bool) {
	f := bytes.Fields(line)
	if len(f) != 3 {
		return nil, false
	}
	if string(f[1]) == "TRACE_INCLUDE_FILE" || string(f[1]) == "TRACE_CUSTOM_INCLUDE_FILE" {
		return []byte(`"` + string(f[2]) + `.h"`), true
	}
	value := f[2]
	last := value[len(value)-1]
	return value, value[0] == '<' && last == '>' || value[0] == '"' && bytes.HasSuffix(value, []byte(`.h"`))
}

func includeName(line []byte) (include, bool) {
	line = bytes.TrimLeft(line, " \t")
	if len(line) < 3 {
		return include{}, false
	}
	end := byte('"')
	switch line[0] {
	case '"':
	case '<':
		end = '>'
	default:
		return include{}, false
	}
	i := bytes.IndexByte(line[1:], end)
	if i <= 0 {
		return include{}, false
	}
	return include{name: string(line[1 : 1+i]), quoted: end == '"'}, true
}

// resolver of include names.
type includeResolver struct {
	files  map[string]bool
	byBase map[string][]string // base name -> paths, sorted
	roots  []string            // LINUXINCLUDE
	arch   string
}

func newIncludeResolver(files []string, arch string) *includeResolver {
	r := &includeResolver{files: make(map[string]bool, len(files)), byBase: map[string][]string{}, arch: arch}
	a := "arch/" + arch + "/include"
	r.roots = []string{a, a + "/generated", "include", a + "/uapi", a + "/generated/uapi", "include/uapi", "include/generated/uapi"}
	for _, f := range files {
		r.files[f] = true
		base := path.Base(f)
		r.byBase[base] = append(r.byBase[base], f)
	}
	return r
}

// top is the part of the tree a file belongs to for looking up names.
func (r *includeResolver) top(file string) string {
	first, rest, _ := strings.Cut(file, "/")
	switch first {
	case "arch":
		arch, _, _ := strings.Cut(rest, "/")
		if arch == r.arch {
			return ""
		}
		return "arch/" + arch
	case "tools", "samples", "scripts", "Documentation":
		return first
	}
	return ""
}

// resolve returns all files an include line in from may mean, sorted.
func (r *includeResolver) resolve(from string, inc include) []string {
	if inc.quoted {
		if p := path.Join(path.Dir(from), inc.name); r.files[p] {
			return []string{p}
		}
	}
	var out []string
	for _, root := range r.roots {
		if p := path.Join(root, inc.name); r.files[p] {
			out = append(out, p)
		}
	}
	if len(out) > 0 {
		slices.Sort(out)
		return slices.Compact(out)
	}
	name := path.Clean(inc.name)
	for strings.HasPrefix(name, "../") {
		name = name[3:]
	}
	for _, p := range r.byBase[path.Base(name)] {
		if (p == name || strings.HasSuffix(p, "/"+name)) && (r.top(p) == "" || r.top(p) == r.top(from)) {
			out = append(out, p)
		}
	}
	return out
}

// graph returns the tree's include graph, scanning the tree if no run has done so.
func (t *Tree) graph(ctx context.Context) (*includeGraph, error) {
	db, err := t.owners()
	if err != nil {
		return nil, err
	}
	t.facts.graphMu.Lock()
	defer t.facts.graphMu.Unlock()
	if t.facts.includes != nil {
		return t.facts.includes, nil
	}
	const name = "includes-2.gob"
	g := &includeGraph{}
	if data, err := t.kept(name); err != nil || gob.NewDecoder(bytes.NewReader(data)).Decode(g) != nil {
		if g, err = t.scan(ctx, db); err != nil {
			return nil, fmt.Errorf("scan include lines: %w", err)
		}
		var b bytes.Buffer
		if err := gob.NewEncoder(&b).Encode(g); err != nil {
			return nil, fmt.Errorf("keep include graph: %w", err)
		}
		if err := t.keep(name, b.Bytes()); err != nil {
			return nil, fmt.Errorf("keep include graph: %w", err)
		}
	}
	g.link()
	t.facts.includes = g
	return g, nil
}

// scan reads the tree. Some sources are generated only when their object is built;
// they are made in a private tree first.
func (t *Tree) scan(ctx context.Context, db *ownerDB) (*includeGraph, error) {
	m, err := t.allFiles()
	if err != nil {
		return nil, err
	}
	files := slices.Concat(m.links, m.copies)
	dir := t.Dir
	if missing := db.generated(t.Dir); len(missing) > 0 {
		w, err := t.newWork(ctx, WorkOptions{}, m)
		if err != nil {
			return nil, err
		}
		defer w.Close()
		made, err := w.generate(ctx, missing)
		if err != nil {
			return nil, err
		}
		files = append(files, made...)
		dir = w.Dir
	}
	return scanTree(ctx, dir, t.Arch, files, rootSources(dir, t.Arch, files, db, t.generators()), t.jobs)
}

// source and object of a root before files have indices.
type rootSource struct {
	object, source string
	special        bool
}

// rootSources lists what is compiled: sources of enabled objects, and those of
// special ones, which the makefiles may not be visited for. Linker scripts include
// headers as sources do.
func rootSources(dir, arch string, files []string, db *ownerDB, generators []string) []rootSource {
	var out []rootSource
	seen := map[string]bool{}
	for obj, f := range db.Objects {
		src := db.source(dir, obj)
		if (path.Ext(src) == ".c" || path.Ext(src) == ".S") && exists(filepath.Join(dir, src)) {
			out = append(out, rootSource{obj, src, !f.Vmlinux && len(f.Modules) == 0})
			seen[src] = true
		}
	}
	for _, src := range generators {
		if exists(filepath.Join(dir, src)) && !seen[src] {
			out = append(out, rootSource{strings.TrimSuffix(src, ".c") + ".s", src, true})
			seen[src] = true
		}
	}
	for _, f := range files {
		if strings.HasSuffix(f, ".lds.S") && slices.Contains(db.Dirs, path.Dir(f)) {
			out = append(out, rootSource{strings.TrimSuffix(f, ".S"), f, true})
			seen[f] = true
		}
		if ext := path.Ext(f); (ext == ".c" || ext == ".S") && !seen[f] &&
			(strings.HasPrefix(f, "arch/"+arch+"/") || strings.HasPrefix(f, "drivers/")) && specialPlace(f) != "" {
			out = append(out, rootSource{strings.TrimSuffix(f, ext) + ".o", f, true})
		}
	}
	slices.SortFunc(out, func(a, b rootSource) int { return strings.Compare(a.object+a.source, b.object+b.source) })
	return out
}

// scanTree reads everything reachable from the roots, level by level.
func scanTree(ctx context.Context, dir, arch string, files []string, roots []rootSource, jobs int) (*includeGraph, error) {
	res := newIncludeResolver(files, arch)
	g := &includeGraph{index: map[string]int32{}}
	var level []int32
	add := func(file string) int32 {
		i, ok := g.index[file]
		if !ok {
			i = int32(len(g.Files))
			g.index[file] = i
			g.Files = append(g.Files, file)
			level = append(level, i)
		}
		return i
	}
	for _, r := range roots {
		g.Roots = append(g.Roots, rootFile{Object: r.object, File: add(r.source), Special: r.special})
	}
	nroots := len(g.Files)
	for _, f := range implicit {
		if res.files[f] {
			add(f)
		}
	}
	for len(level) > 0 {
		now := level
		level = nil
		found := make([][]string, len(now))
		texts := make([][]string, len(now))
		grp, ctx := errgroup.WithContext(ctx)
		grp.SetLimit(2 * max(1, jobs))
		var mu sync.Mutex
		next := 0
		for range 2 * max(1, jobs) {
			grp.Go(func() error {
				for ctx.Err() == nil {
					mu.Lock()
					lo := next
					next = min(next+64, len(now))
					hi := next
					mu.Unlock()
					if lo == hi {
						return nil
					}
					for k := lo; k < hi; k++ {
						name := g.Files[now[k]]
						data, err := os.ReadFile(filepath.Join(dir, name))
						if err != nil {
							return err
						}
						for _, inc := range scanIncludes(data) {
							texts[k] = append(texts[k], inc.name)
							found[k] = append(found[k], res.resolve(name, inc)...)
						}
					}
				}
				return context.Cause(ctx)
			})
		}
		if err := grp.Wait(); err != nil {
			return nil, err
		}
		for k, i := range now {
			var edges []int32
			for _, f := range found[k] {
				edges = append(edges, add(f))
			}
			if int(i) < nroots {
				for _, f := range implicit {
					if j, ok := g.index[f]; ok {
						edges = append(edges, j)
					}
				}
			}
			slices.Sort(edges)
			for len(g.Edges) <= int(i) {
				g.Edges, g.Texts = append(g.Edges, nil), append(g.Texts, nil)
			}
			g.Edges[i] = slices.Compact(edges)
			slices.Sort(texts[k])
			g.Texts[i] = slices.Compact(texts[k])
		}
	}
	return g, nil
}

// link derives the maps that are not stored.
func (g *includeGraph) link() {
	g.index = make(map[string]int32, len(g.Files))
	g.reverse = make([][]int32, len(g.Files))
	g.textUses = map[string][]int32{}
	for i, f := range g.Files {
		g.index[f] = int32(i)
		if i >= len(g.Edges) {
			continue
		}
		for _, j := range g.Edges[i] {
			g.reverse[j] = append(g.reverse[j], int32(i))
		}
		for _, text := range g.Texts[i] {
			g.textUses[path.Base(text)] = append(g.textUses[path.Base(text)], int32(i))
		}
	}
}

// dependents returns the indices of all files that include one of the given files,
// directly or not, with themselves. A file that is not in the graph is one that
// nothing includes yet; files with an include line that could come to mean it count.
func (g *includeGraph) dependents(files []string) map[int32]bool {
	seen := map[int32]bool{}
	var todo []int32
	visit := func(i int32) {
		if !seen[i] {
			seen[i] = true
			todo = append(todo, i)
		}
	}
	for _, f := range files {
		if i, ok := g.index[f]; ok {
			visit(i)
			continue
		}
		for _, i := range g.textUses[path.Base(f)] {
			for _, text := range g.Texts[i] {
				name := path.Clean(text)
				for strings.HasPrefix(name, "../") {
					name = name[3:]
				}
				if f == name || strings.HasSuffix(f, "/"+name) {
					visit(i)
				}
			}
		}
	}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, j := range g.reverse[i] {
			visit(j)
		}
	}
	return seen
}

// reaches reports whether one of the changed files is included by target.
func (g *includeGraph) reaches(changed []string, target string) bool {
	i, ok := g.index[target]
	return ok && g.dependents(changed)[i]
}
