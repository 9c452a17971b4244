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
	// Texts are the names in the include lines of Files[i] that a new file could come to be
	// meant by: those that the file beside the includer does not answer. (When that one is taken away,
	// the includer is affected by that.)
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

// implicit are the headers that kbuild gives to every compilation but those of host programs (LINUXINCLUDE
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

		// Trace headers name the file that is included in a define.
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
	fields := bytes.Fields(line)
	if len(fields) != 3 {
		return nil, false
	}
	if string(fields[1]) == "TRACE_INCLUDE_FILE" || string(fields[1]) == "TRACE_CUSTOM_INCLUDE_FILE" {
		return []byte(`"` + string(fields[2]) + `.h"`), true
	}
	value := fields[2]
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
	host   map[string]hostFlags // sources of host programs
}

func newIncludeResolver(files []string, arch string) *includeResolver {
	search := &includeResolver{files: make(map[string]bool, len(files)), byBase: map[string][]string{}, arch: arch}
	a := "arch/" + arch + "/include"
	search.roots = []string{a, a + "/generated", "include", a + "/uapi", a + "/generated/uapi", "include/uapi",
		"include/generated/uapi"}
	for _, f := range files {
		search.files[f] = true
		base := path.Base(f)
		search.byBase[base] = append(search.byBase[base], f)
	}
	return search
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

// beside reports whether an include line in from means the file beside it, which the compiler
// takes before any other.
func (r *includeResolver) beside(from string, inc include) bool {
	return inc.quoted && r.files[path.Join(path.Dir(from), inc.name)]
}

// resolve returns all files an include line in from may mean, sorted.
func (r *includeResolver) resolve(from string, inc include) []string {
	if r.beside(from, inc) {
		return []string{path.Join(path.Dir(from), inc.name)}
	}
	var out []string
	for _, root := range r.roots {
		if p := path.Join(root, inc.name); r.files[p] && !r.systems(from, inc, p) {
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
		near := r.top(p) == "" || r.top(p) == r.top(from) || r.host[from] != notHost && r.top(p) == "scripts"
		if near && (p == name || strings.HasSuffix(p, "/"+name)) && !r.systems(from, inc, p) {
			out = append(out, p)
		}
	}
	return out
}

// hostFlags says what is known of the flags that a source of a host program is compiled with.
type hostFlags uint8

const (
	notHost       hostFlags = iota // it is compiled for the kernel
	hostPlain                      // its makefile gives no directory to look in
	hostDirectory                  // it may give some
)

// systems reports whether an include line of a host program means a header of the system rather
// than a file of the tree, which has to lie in scripts/ (scripts/include is given to all, v6.12) or
// in a directory that the makefile gives. Even then <string.h> is include/linux/string.h only for
// who gives -Iinclude/linux, which no makefile does (v5.10 to v7.2).
func (r *includeResolver) systems(from string, inc include, file string) bool {
	if r.host[from] == notHost || inc.quoted || strings.HasPrefix(file, "scripts/") {
		return false
	}
	return r.host[from] == hostPlain || !strings.Contains(inc.name, "/") && !strings.HasPrefix(file, path.Dir(from)+"/")
}

// flagsOfHost reads from the makefile of a host program's source whether it gives directories to
// look in.
func flagsOfHost(dir, source string) hostFlags {
	for _, name := range []string{"Kbuild", "Makefile"} {
		text, err := os.ReadFile(filepath.Join(dir, path.Dir(source), name))
		if err != nil {
			continue
		}
		for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
			words := strings.Fields(line)
			if len(words) == 0 || words[0][0] == '#' {
				continue
			}
			// What another makefile sets is not read.
			if strings.TrimPrefix(words[0], "-") == "include" || strings.Contains(line, "HOST") && strings.Contains(line, "-I") {
				return hostDirectory
			}
		}
		return hostPlain // kbuild takes Kbuild before Makefile
	}
	return hostDirectory
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
	const name = "includes-6.gob"
	graph := &includeGraph{}
	if data, err := t.kept(name); err != nil || gob.NewDecoder(bytes.NewReader(data)).Decode(graph) != nil {
		if graph, err = t.scan(ctx, db); err != nil {
			return nil, fmt.Errorf("scan include lines: %w", err)
		}
		var b bytes.Buffer
		if err := gob.NewEncoder(&b).Encode(graph); err != nil {
			return nil, fmt.Errorf("keep include graph: %w", err)
		}
		if err := t.keep(name, b.Bytes()); err != nil {
			return nil, fmt.Errorf("keep include graph: %w", err)
		}
	}
	graph.link()
	t.facts.includes = graph
	return graph, nil
}

// scan reads the tree. Some sources are generated only when their object is built;
// they are made in a private tree first.
func (t *Tree) scan(ctx context.Context, db *ownerDB) (*includeGraph, error) {
	listing, err := t.allFiles()
	if err != nil {
		return nil, err
	}
	files := slices.Concat(listing.links, listing.copies)
	dir := t.Dir
	if missing := db.generated(t.Dir); len(missing) > 0 {
		// The makefiles of the configuration write to directories that it visits; the others, two
		// thirds of the tree, are read at most.
		work, err := t.newWork(ctx, WorkOptions{}, listing.prune(t.Arch, db.Dirs, nil))
		if err != nil {
			return nil, err
		}
		defer work.Close()
		made, err := work.generateHere(ctx, missing)
		if err != nil {
			return nil, err
		}
		files = append(files, made...)
		dir = work.Dir
	}
	return scanTree(ctx, dir, t.Arch, files, rootSources(dir, t.Arch, files, db, t.generators()), t.jobs)
}

// source and object of a root before files have indices.
type rootSource struct {
	object, source string
	special        bool
	host           hostFlags
}

// rootSources lists what is compiled: sources of enabled objects, and those of
// special ones, which the makefiles may not be visited for. Linker scripts include
// headers as sources do.
func rootSources(dir, arch string, files []string, db *ownerDB, generators []string) []rootSource {
	var out []rootSource
	seen := map[string]bool{}

	// Objects that the Kbuild files list; those of neither vmlinux nor a module are special.
	for obj, f := range db.Objects {
		src := db.source(dir, obj)
		if (path.Ext(src) == ".c" || path.Ext(src) == ".S") && exists(filepath.Join(dir, src)) {
			root := rootSource{object: obj, source: src, special: !f.Vmlinux && len(f.Modules) == 0}
			if f.Special == hostProgram {
				root.host = flagsOfHost(dir, src)
			}
			out = append(out, root)
			seen[src] = true
		}
	}

	for _, src := range generators {
		if exists(filepath.Join(dir, src)) && !seen[src] {
			out = append(out, rootSource{object: strings.TrimSuffix(src, ".c") + ".s", source: src, special: true})
			seen[src] = true
		}
	}

	// Linker scripts, and sources of drivers and the architecture that are compiled in a special
	// place.
	for _, file := range files {
		if strings.HasSuffix(file, ".lds.S") && slices.Contains(db.Dirs, path.Dir(file)) {
			out = append(out, rootSource{object: strings.TrimSuffix(file, ".S"), source: file, special: true})
			seen[file] = true
		}
		if ext := path.Ext(file); (ext == ".c" || ext == ".S") && !seen[file] &&
			(strings.HasPrefix(file, "arch/"+arch+"/") || strings.HasPrefix(file, "drivers/")) &&
			specialPlace(file) != "" {
			out = append(out, rootSource{object: strings.TrimSuffix(file, ext) + ".o", source: file, special: true})
		}
	}

	slices.SortFunc(out, func(a, b rootSource) int { return strings.Compare(a.object+a.source, b.object+b.source) })
	return out
}

// scanTree reads everything reachable from the roots, level by level.
func scanTree(ctx context.Context, dir, arch string, files []string, roots []rootSource,
	jobs int) (*includeGraph, error) {
	search := newIncludeResolver(files, arch)
	search.host = map[string]hostFlags{}
	for _, r := range roots {
		if r.host != notHost {
			search.host[r.source] = r.host
		}
	}
	graph := &includeGraph{index: map[string]int32{}}
	var level []int32
	add := func(file string) int32 {
		node, ok := graph.index[file]
		if !ok {
			node = int32(len(graph.Files))
			graph.index[file] = node
			graph.Files = append(graph.Files, file)
			level = append(level, node)
		}
		return node
	}

	// The roots come first, so that their indices tell them: compilers are given the implicit
	// headers with these only, and not for the host.
	for _, r := range roots {
		graph.Roots = append(graph.Roots, rootFile{Object: r.object, File: add(r.source), Special: r.special})
	}
	nroots := len(graph.Files)
	for _, f := range implicit {
		if search.files[f] {
			add(f)
		}
	}

	for len(level) > 0 {
		now := level
		level = nil
		found, texts, err := scanLevel(ctx, dir, graph, now, search, jobs)
		if err != nil {
			return nil, err
		}

		// In the order of the level, whatever order the files were read in.
		for at, file := range now {
			var edges []int32
			for _, f := range found[at] {
				edges = append(edges, add(f))
			}
			if int(file) < nroots && search.host[graph.Files[file]] == notHost {
				for _, f := range implicit {
					if j, ok := graph.index[f]; ok {
						edges = append(edges, j)
					}
				}
			}
			slices.Sort(edges)
			for len(graph.Edges) <= int(file) {
				graph.Edges, graph.Texts = append(graph.Edges, nil), append(graph.Texts, nil)
			}
			graph.Edges[file] = slices.Compact(edges)
			slices.Sort(texts[at])
			graph.Texts[file] = slices.Compact(texts[at])
		}
	}
	return graph, nil
}

// scanLevel reads the files of one level of the graph, which it does not change: for each, the
// files that its include lines can mean and the names in them, in the order of the level.
func scanLevel(ctx context.Context, dir string, graph *includeGraph, level []int32, search *includeResolver,
	jobs int) (found, texts [][]string, err error) {
	found = make([][]string, len(level))
	texts = make([][]string, len(level))

	// In pieces, so that a file of many includes does not leave the other readers idle.
	grp, ctx := errgroup.WithContext(ctx)
	grp.SetLimit(2 * max(1, jobs))
	var mu sync.Mutex
	next := 0
	for range 2 * max(1, jobs) {
		grp.Go(func() error {
			for ctx.Err() == nil {
				mu.Lock()
				lo := next
				next = min(next+64, len(level))
				hi := next
				mu.Unlock()
				if lo == hi {
					return nil
				}
				for at := lo; at < hi; at++ {
					name := graph.Files[level[at]]
					data, err := os.ReadFile(filepath.Join(dir, name))
					if err != nil {
						return err
					}
					for _, inc := range scanIncludes(data) {
						found[at] = append(found[at], search.resolve(name, inc)...)
						if !search.beside(name, inc) {
							texts[at] = append(texts[at], inc.name)
						}
					}
				}
			}
			return context.Cause(ctx)
		})
	}
	return found, texts, grp.Wait()
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

	// A file that is nowhere in the graph may still be named by an include line that could not be
	// resolved, so its name is compared with their text.
	for _, file := range files {
		if i, ok := g.index[file]; ok {
			visit(i)
			continue
		}
		for _, node := range g.textUses[path.Base(file)] {
			for _, text := range g.Texts[node] {
				name := path.Clean(text)
				for strings.HasPrefix(name, "../") {
					name = name[3:]
				}
				if file == name || strings.HasSuffix(file, "/"+name) {
					visit(node)
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
