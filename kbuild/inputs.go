package kbuild

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Reader is one way in which the target's build reads a file other than by
// compiling or including it.
type Reader struct {
	Made  string // what is made of the file in the end: "lib/raid6/int%.c", a host program
	Where string // the rule that reads it: "lib/raid6/Makefile:59"
	// Tool means that it becomes part of a program that works on what was compiled,
	// such as objtool or modpost, and nothing of it gets into the kernel.
	Tool bool
}

// inputIndex finds the readers of files. It is made once per tree.
type inputIndex struct {
	t        *Tree
	env      *environment
	db       *ownerDB
	dirs     []string          // whose makefiles the target's build reads, sorted
	text     map[string]string // makefiles of each of dirs
	global   string            // makefiles that every directory reads
	commands []*savedCommand   // of what the preparation made

	mu    sync.Mutex
	rules map[string]*makeRules
}

// inputs returns the tree's index, making it if no call has done so.
func (t *Tree) inputs(ctx context.Context) (*inputIndex, error) {
	db, err := t.owners()
	if err != nil {
		return nil, err
	}
	env, err := t.environment(ctx, t.kcflags(false))
	if err != nil {
		return nil, err
	}
	t.facts.inputsMu.Lock()
	defer t.facts.inputsMu.Unlock()
	if t.facts.inputs != nil {
		return t.facts.inputs, nil
	}
	x := &inputIndex{t: t, env: env, db: db, text: map[string]string{}, rules: map[string]*makeRules{}}
	if err := x.load(); err != nil {
		return nil, fmt.Errorf("find the inputs of the build: %w", err)
	}
	t.facts.inputs = x
	return x, nil
}

// load reads the makefiles of the directories that are built, and the commands
// that the preparation recorded.
func (x *inputIndex) load() error {
	all, err := x.t.allFiles()
	if err != nil {
		return err
	}
	visited := map[string]bool{}
	for _, d := range x.db.Dirs {
		visited[d] = true
	}
	makefiles := map[string][]string{}
	for _, f := range all.links {
		if dir := path.Dir(f); isMakefile(f) && (visited[dir] || specialPlace(dir+"/x.o") != "" || dir == "scripts" ||
			strings.HasPrefix(dir, "arch/"+x.t.Arch)) {
			makefiles[dir] = append(makefiles[dir], f)
		}
	}
	for dir, files := range makefiles {
		var buf bytes.Buffer
		for _, f := range files {
			data, err := os.ReadFile(filepath.Join(x.t.Dir, f))
			if err != nil {
				return err
			}
			buf.Write(data)
		}
		x.text[dir] = buf.String()
	}
	x.global = x.text["scripts"] + x.text["."] + x.text["arch/"+x.t.Arch]
	for dir := range makefiles {
		if visited[dir] || x.reached(dir, visited) {
			x.dirs = append(x.dirs, dir)
		}
	}
	slices.Sort(x.dirs)
	for _, f := range all.copies {
		if !strings.HasSuffix(f, ".cmd") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(x.t.Dir, f))
		if err != nil {
			return err
		}
		// Some hold no command: those of archives that were not made.
		if saved, err := parseCmdFile(data); err == nil {
			saved.Object = x.relative(saved.Object)
			for i, d := range saved.Deps {
				saved.Deps[i] = x.relative(d)
				saved.Deps[i] = x.beside(saved.Object, saved.Deps[i])
			}
			saved.Source = x.beside(saved.Object, x.relative(saved.Source))
			saved.Command = strings.ReplaceAll(saved.Command, x.t.Dir+"/", "")
			x.commands = append(x.commands, saved)
		}
	}
	return nil
}

// relative makes a path of the tools' makefiles, which write whole ones, relative to
// the tree.
func (x *inputIndex) relative(name string) string {
	return strings.TrimPrefix(path.Clean(name), x.t.Dir+"/")
}

// beside corrects the name of a file that a makefile of the tools gave as seen from
// the directory of the object.
func (x *inputIndex) beside(object, file string) string {
	if f := path.Join(path.Dir(object), file); file != "" && strings.HasPrefix(object, "tools/") &&
		exists(filepath.Join(x.t.Dir, f)) {
		return f
	}
	return file
}

// reached reports whether a directory of the architecture that the walk did not
// visit is built all the same: by a rule of its own, as arch/x86/boot is, not from a
// list that the configuration leaves it out of.
func (x *inputIndex) reached(dir string, visited map[string]bool) bool {
	if !strings.HasPrefix(dir, "arch/"+x.t.Arch+"/") || strings.HasPrefix(dir, "arch/"+x.t.Arch+"/um") {
		return false
	}
	parent := path.Dir(dir)
	if _, known := x.text[parent]; known && !visited[parent] && parent != "arch/"+x.t.Arch &&
		!x.reached(parent, visited) {
		return false
	}
	for word := range strings.FieldsSeq(x.text[parent]) {
		if word == path.Base(dir)+"/" {
			return false
		}
	}
	return true
}

func isMakefile(file string) bool {
	base := path.Base(file)
	return base == "Makefile" || base == "Kbuild" || path.Ext(base) == ".mk" || strings.HasPrefix(base, "Makefile.") ||
		strings.HasPrefix(base, "Kbuild.")
}

// Readers finds what the target's build makes of a file other than by compiling or
// including it, following what is made up to something that is compiled, linked or
// run on compiled code. file is tree-relative and need not exist; a new one is
// taken to be read where others of its kind in its directory are. Nothing is built.
func (t *Tree) Readers(ctx context.Context, file string) ([]Reader, error) {
	file, err := cleanRel(file)
	if err != nil {
		return nil, err
	}
	index, err := t.inputs(ctx)
	if err != nil {
		return nil, err
	}
	out, err := index.follow(ctx, file, map[string]bool{})
	if err != nil || len(out) > 0 || !strings.HasPrefix(file, "scripts/") {
		return out, err
	}
	// What the top makefile runs is in no rule of a directory.
	for _, dir := range []string{".", "scripts", "arch/" + t.Arch} {
		if containsWord(index.text[dir], file) {
			return []Reader{{Made: file, Where: path.Join(dir, "Makefile"), Tool: true}}, nil
		}
	}
	return nil, nil
}

// follow returns the ends of all paths from file.
func (x *inputIndex) follow(ctx context.Context, file string, seen map[string]bool) ([]Reader, error) {
	if seen[file] || len(seen) > 50 {
		return nil, nil
	}
	seen[file] = true
	direct, err := x.direct(ctx, file)
	if err != nil {
		return nil, err
	}
	var out []Reader
	for _, reader := range direct {
		if !reader.Tool {
			out = append(out, reader)
			continue
		}
		further, err := x.follow(ctx, reader.Made, seen)
		if err != nil {
			return nil, err
		}
		if further == nil {
			further = []Reader{reader}
		}
		for _, f := range further {
			// The rule that reads the file itself is what a person looks for.
			out = append(out, Reader{f.Made, reader.Where, f.Tool})
		}
	}
	slices.SortFunc(out, func(a, b Reader) int { return strings.Compare(a.Made+"\x00"+a.Where, b.Made+"\x00"+b.Where) })
	return slices.Compact(out), nil
}

// direct returns what is made of file by one rule. Tool is set where that is a
// program or a part of one.
func (x *inputIndex) direct(ctx context.Context, file string) ([]Reader, error) {
	var out []Reader
	add := func(made, where string) {
		if base := path.Base(made); made == file || strings.HasPrefix(base, ".") || isPhony(made) {
			return
		}
		out = append(out, Reader{made, where, x.program(made, where)})
	}
	header := path.Ext(file) == ".h"
	for _, saved := range x.commands {
		uses := saved.Source == file || !header && slices.Contains(saved.Deps, file)
		if !uses && strings.Contains(saved.Command, path.Base(file)) {
			uses = (&makeRules{}).names(saved.Command, file)
		}
		if uses {
			add(saved.Object, path.Join(path.Dir(saved.Object), "."+path.Base(saved.Object)+".cmd"))
		}
	}
	rules, err := x.candidates(ctx, file)
	if err != nil {
		return nil, err
	}
	for _, deps := range rules {
		for i := range deps.rules {
			rule := &deps.rules[i]
			stem, reads := x.reads(deps, rule, file)
			if !reads {
				continue
			}
			for _, made := range rule.targets {
				if stem != "" {
					made = strings.Replace(made, "%", stem, 1)
				}
				if compiling(file, made, rule.where) {
					continue
				}
				// a rule of every directory
				everywhere := strings.Contains(made, "%") && deps.dir == "." && strings.HasPrefix(file, "scripts/")
				if everywhere || x.needed(deps, made, map[string]bool{}) {
					add(made, rule.where)
				}
			}
		}
	}
	return out, nil
}

// compiling recognizes kbuild's general rules for sources, and for what can be made
// of one on request.
func compiling(file, made, where string) bool {
	ext := path.Ext(file)
	return (ext == ".c" || ext == ".S") && strings.HasPrefix(where, "scripts/Makefile.build:") &&
		slices.Contains([]string{".o", ".i", ".s", ".ll", ".lst", ".symtypes"}, path.Ext(made))
}

// program reports whether a file that is made is a program of the build, or a part
// of one that was not linked yet.
func (x *inputIndex) program(made, where string) bool {
	if strings.HasPrefix(where, "scripts/Makefile.host:") {
		return true
	}
	if first, _, _ := strings.Cut(made, "/"); first == "scripts" || first == "tools" {
		return path.Ext(made) != ".lds"
	}
	if path.Ext(made) == ".o" && slices.ContainsFunc(x.commands,
		func(c *savedCommand) bool { return c.Object == made && c.host() }) {
		return true
	}
	return path.Ext(made) == "" && !strings.Contains(made, "%") || x.db.Objects[made+".o"].Special == hostProgram ||
		x.db.Objects[made].Special == hostProgram
}

// host reports whether a recorded command compiles for the machine that builds.
func (c *savedCommand) host() bool {
	_, err := compilerCall(c.Command)
	return err == nil && !strings.Contains(c.Command, "-D__KERNEL__")
}

// isPhony tells goals from files.
func isPhony(made string) bool {
	return made == "." || !strings.ContainsAny(made, "/.")
}

// candidates returns the rules of the directories that may say something about file.
func (x *inputIndex) candidates(ctx context.Context, file string) ([]*makeRules, error) {
	base := path.Base(file)
	var dirs []string
	nearest := ""

	// Makefiles that name the file, and the one that is nearest: a pattern rule names no file.
	for _, d := range x.dirs {
		if d != "scripts" && containsWord(x.text[d], base) {
			dirs = append(dirs, d)
		}
		if (d == "." || d == path.Dir(file) || strings.HasPrefix(file, d+"/")) && len(d) > len(nearest) {
			nearest = d
		}
	}
	if path.Ext(file) != ".h" && nearest != "" && nearest != "scripts" {
		dirs = append(dirs, nearest)
	}
	if containsWord(x.global, base) {
		dirs = append(dirs, ".")
	}
	slices.Sort(dirs)
	dirs = slices.Compact(dirs)

	// make reads each directory's makefiles once; several are read at a time.
	out := make([]*makeRules, len(dirs))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, x.t.jobs))
	for i, dir := range dirs {
		group.Go(func() error {
			x.mu.Lock()
			have := x.rules[dir]
			x.mu.Unlock()
			if have == nil {
				var err error
				if have, err = x.t.rulesOf(ctx, x.env, dir); err != nil {
					return err
				}
				x.mu.Lock()
				x.rules[dir] = have
				x.mu.Unlock()
			}
			out[i] = have
			return nil
		})
	}
	return out, group.Wait()
}

// containsWord finds a file name in a makefile where it is not a part of another.
func containsWord(text, word string) bool {
	for at := 0; ; {
		i := strings.Index(text[at:], word)
		if i < 0 {
			return false
		}
		i += at
		end := i + len(word)
		if (i == 0 || !nameByte(text[i-1])) && (end == len(text) || !nameByte(text[end])) {
			return true
		}
		at = i + 1
	}
}

func nameByte(c byte) bool {
	return c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// reads reports whether a rule reads file, and what % stands for then.
func (x *inputIndex) reads(rules *makeRules, rule *makeRule, file string) (stem string, ok bool) {
	isNew := path.Ext(file) != ".o" && !exists(filepath.Join(x.t.Dir, file))
	for _, prereq := range rule.prereqs {
		if stem, ok = matchPattern(prereq, file); ok {
			return stem, true
		}
		// A wildcard, or an include of the generator's language, reads others of a kind.
		sibling := path.Dir(prereq) == path.Dir(file) && path.Base(prereq) != path.Base(file) &&
			!strings.Contains(prereq, "%")
		if sibling && (isNew && path.Ext(prereq) == path.Ext(file) && path.Ext(file) != ".c" &&
			path.Ext(file) != ".h" && path.Ext(file) != "" ||
			path.Ext(file) == ".dtsi" && path.Ext(prereq) == ".dts") {
			return "", true
		}
	}
	return "", rules.mentions(rule, file)
}

// needed reports whether the target's build makes a file: it is in a list of what
// to build, the source of an object that is built, or something that is needed is
// made of it.
func (x *inputIndex) needed(rules *makeRules, made string, seen map[string]bool) bool {
	if seen[made] {
		return false
	}
	seen[made] = true
	if isPhony(made) || strings.Contains(made, "include/generated/") || !slices.Contains(x.db.Dirs, rules.dir) {
		return true
	}
	for obj, f := range x.db.Objects {
		if _, ok := matchPattern(made, obj); ok {
			return true
		}
		if _, ok := matchPattern(made, f.Source); ok && f.Source != "" {
			return true
		}
	}
	if path.Ext(made) == ".o" && !strings.Contains(made, "%") {
		return false // every object that is built was found above
	}
	for _, list := range []string{"extra-y", "always-y", "real-obj-y", "real-obj-m", "lib-y"} {
		for w := range strings.FieldsSeq(rules.vars[list]) {
			if _, ok := matchPattern(made, path.Clean(w)); ok {
				return true
			}
		}
	}
	for i := range rules.rules {
		rule := &rules.rules[i]
		uses := slices.ContainsFunc(rule.prereqs, func(p string) bool {
			if _, ok := matchPattern(made, p); ok {
				return true
			}
			return p == made
		})
		if !uses {
			continue
		}
		for _, t := range rule.targets {
			if !strings.HasPrefix(path.Base(t), ".") && x.needed(rules, t, seen) {
				return true
			}
		}
	}
	return false
}
