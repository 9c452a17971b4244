package kbuild

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// NewObject is an object that a change adds, understood without running the changed
// makefiles.
type NewObject struct {
	Object string
	Owner  Owner
	// Command is the one to compile it with, derived from that of Like, an unchanged
	// object that the same list names.
	Command string
	Like    string
}

// RulesError reports objects that only changed build rules could make, or the
// changed rules that would have to run.
type RulesError struct {
	Object   string
	Problems []*RuleProblem
}

func (e *RulesError) Error() string {
	if len(e.Problems) == 0 {
		return fmt.Sprintf("make %s: the changed build rules would have to run", e.Object)
	}
	return fmt.Sprintf("make %s: the changed build rules would have to run: %s", e.Object, e.Problems[0])
}

// Understand finds out what becomes of new sources, from what the changes of build
// files add to lists of objects. rules are all changed files that Withheld names.
// The result says for each source, which is tree-relative: an object, or a reason why
// only running the rules would tell; or nothing, where no rule lists it or the
// configuration leaves it out.
func (w *Work) Understand(ctx context.Context, sources []string,
	rules map[string]RuleChange) (map[string]NewObject, map[string]*RulesError, error) {
	db, err := w.tree.owners()
	if err != nil {
		return nil, nil, err
	}
	known := &understanding{w: w, db: db, rules: rules, added: map[string][]addition{},
		other: map[string][]*RuleProblem{}}
	for _, file := range slices.Sorted(maps.Keys(rules)) {
		if dirMakefile(file) {
			known.added[path.Dir(file)], known.other[path.Dir(file)] = readRules(file, rules[file])
		}
	}
	out, failed := map[string]NewObject{}, map[string]*RulesError{}
	for _, src := range sources {
		added, problems, err := known.source(ctx, src)
		switch {
		case err != nil:
			return nil, nil, err
		case len(problems) > 0:
			failed[src] = &RulesError{strings.TrimSuffix(src, path.Ext(src)) + ".o", problems}
		case added != nil:
			w.remember(added.Object, added.Command)
			out[src] = *added
		}
	}
	return out, failed, nil
}

// dirMakefile reports whether kbuild reads a file as the makefile of its directory.
func dirMakefile(file string) bool {
	base := path.Base(file)
	return base == "Makefile" || base == "Kbuild"
}

type understanding struct {
	w     *Work
	db    *ownerDB
	rules map[string]RuleChange
	added map[string][]addition // by directory
	other map[string][]*RuleProblem
}

// source answers for one new source.
func (u *understanding) source(ctx context.Context, src string) (*NewObject, []*RuleProblem, error) {
	obj := strings.TrimSuffix(src, path.Ext(src)) + ".o"

	// Which list names it? Makefiles of the directory and of those above may.
	var found *addition
	var problems []*RuleProblem
	for dir := path.Dir(src); ; dir = path.Dir(dir) {
		for i, a := range u.added[dir] {
			if path.Join(dir, a.word) == obj {
				found = &u.added[dir][i]
			}
		}
		// What else is changed there could list it, or alter how it is compiled.
		problems = append(problems, u.other[dir]...)
		if dir == "." {
			break
		}
	}
	// Parts of makefiles that others include, and what all of kbuild is made of.
	for file := range u.rules {
		if !dirMakefile(file) && interpretedName.MatchString(path.Base(file)) &&
			!strings.HasPrefix(strings.ToLower(path.Base(file)), "kconfig") &&
			(strings.HasPrefix(file, "scripts/") || strings.HasPrefix(src, path.Dir(file)+"/") ||
				strings.HasPrefix(file, "arch/")) {
			problems = append(problems, &RuleProblem{File: file, Why: "the patch changes it"})
		}
	}
	slices.SortFunc(problems, func(a, b *RuleProblem) int { return strings.Compare(a.String(), b.String()) })
	if len(problems) > 0 {
		return nil, problems, nil
	}
	if f, known := u.db.Objects[obj]; known && (f.Vmlinux || len(f.Modules) > 0) {
		return nil, []*RuleProblem{{File: obj,
			Why: "makefiles list it already, and make it of something else than the new file"}}, nil
	}
	if found == nil {
		return nil, nil, nil
	}
	return u.derive(ctx, obj, found)
}

// derive finds an object like the new one, and from it owner and command.
func (u *understanding) derive(ctx context.Context, obj string, added *addition) (*NewObject, []*RuleProblem, error) {
	cannot := func(format string, args ...any) (*NewObject, []*RuleProblem, error) {
		return nil, []*RuleProblem{{added.file, added.line, "", fmt.Sprintf(format, args...)}}, nil
	}
	value, err := u.w.tree.optionOf(added.config)
	if err != nil {
		return nil, nil, err
	}
	if value == "" || value == "n" {
		return nil, nil, nil
	}
	dir, single := path.Dir(added.file), added.list == "obj"
	if single && added.word != path.Base(added.word) {
		return cannot("%s is in a directory below, which has a makefile of its own", added.word)
	}

	// Objects of the same list, and what they belong to.
	like, fact := u.candidates(dir, added, value)
	if len(like) == 0 {
		return cannot("no other object of this list is built, from which to tell how %s is compiled", added.word)
	}
	if fact == nil {
		return cannot("the objects of this list belong to different modules")
	}
	if !single && fact.Vmlinux && value == "m" {
		return nil, nil, nil // kbuild takes no name-m into what is built in
	}
	text := u.text(added.file)
	for _, word := range []string{added.word, path.Base(added.word)} {
		if mentionedAlone(text, word) {
			return cannot("the makefile says more of %s than that it is listed", word)
		}
	}
	cmds, err := u.w.Commands(ctx, like)
	if err != nil {
		return nil, nil, err
	}

	// Two of them must agree on how the name of an object enters its command.
	for i, from := range like {
		cmd, err := renamedCommand(cmds[from], from, obj, single)
		if err != nil {
			continue
		}
		if !single && modname(cmds[from]) != fixName(added.list) {
			return cannot("%s is no part of %s", from, added.list)
		}
		agreed := len(like) == 1
		for j, other := range like {
			again, err := renamedCommand(cmds[from], from, other, single)
			agreed = agreed || i != j && err == nil && again == cmds[other]
		}
		if !agreed {
			continue
		}
		object := &NewObject{Object: obj, Command: cmd, Like: from}
		set := map[string]bool{}
		object.Owner.Kind = KindVmlinux
		if !fact.Vmlinux {
			object.Owner.Kind = KindModule
		}
		if single && !fact.Vmlinux {
			set[strings.TrimSuffix(obj, ".o")+".ko"] = true
		} else {
			for _, m := range fact.Modules {
				set[m] = true
			}
		}
		object.Owner.Modules = modules(set)
		return object, nil, nil
	}
	return cannot("the other objects of this list are compiled in different ways")
}

// maxLike bounds the objects whose commands are compared.
const maxLike = 6

// candidates lists enabled objects that are in the same list as a, and of which the
// makefile says nothing more; fact is what they all belong to, nil if they differ.
func (u *understanding) candidates(dir string, added *addition, value string) (like []string, fact *objectFact) {
	text := u.text(added.file)
	var words []string
	if added.list == "obj" {
		for obj, f := range u.db.Objects {
			// Those of composite objects have other names in their commands, and are
			// told apart by these later.
			if path.Dir(obj) == dir && f.Dir == "" && (value == "y") == f.Vmlinux &&
				(value == "m") == (len(f.Modules) > 0) {
				words = append(words, path.Base(obj))
			}
		}
		slices.Sort(words)
		words = slices.DeleteFunc(words, func(w string) bool { return !slices.Contains(members(text, "obj"), w) })
	} else {
		words = members(text, added.list)
	}
	same := true
	for _, word := range words {
		obj := path.Join(dir, word)
		facts, known := u.db.Objects[obj]
		src := u.db.source(u.w.tree.Dir, obj)
		if word == added.word || !known || !facts.Vmlinux && len(facts.Modules) == 0 || path.Ext(src) != ".c" ||
			facts.Source != "" || facts.Goal != "" {
			continue
		}
		if mentionedAlone(text, word) || mentionedAlone(text, path.Base(word)) ||
			path.Dir(word) != path.Dir(added.word) {
			continue
		}
		if fact == nil {
			fact = &facts
		} else if fact.Vmlinux != facts.Vmlinux || added.list != "obj" && !slices.Equal(fact.Modules, facts.Modules) {
			same = false
		}
		if len(like) < maxLike {
			like = append(like, obj)
		}
	}
	if !same {
		return like, nil
	}
	return like, fact
}

// text is a makefile before and after the change, for what is said anywhere.
func (u *understanding) text(file string) []byte {
	c := u.rules[file]
	return slices.Concat(c.Old, []byte("\n"), c.New)
}

// fixName is what kbuild makes of a name that goes into C (name-fix-token,
// scripts/Makefile.lib, v6.1).
func fixName(name string) string { return strings.NewReplacer("-", "_", ",", "_").Replace(name) }

// modname is KBUILD_MODNAME of a compile command.
func modname(cmd string) string {
	words, err := compilerCall(cmd)
	if err != nil {
		return ""
	}
	for _, w := range words {
		if value, ok := strings.CutPrefix(w.text, "-DKBUILD_MODNAME="); ok {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

// renamedCommand turns the command of one object into that of another of the same
// directory and list. single says that each is a module, or part of vmlinux, by
// itself, so that names of modules change as well. It fails if the old name is left
// anywhere.
func renamedCommand(cmd, from, to string, single bool) (string, error) {
	words, err := shellWords(cmd)
	if err != nil {
		return "", err
	}
	oldStem, newStem := strings.TrimSuffix(from, ".o"), strings.TrimSuffix(to, ".o")
	oldBase, newBase := path.Base(oldStem), path.Base(newStem)
	if path.Dir(from) != path.Dir(to) || strings.ContainsAny(newBase, "'\"\\$ ") {
		return "", fmt.Errorf("rename command: %s is not beside %s", to, from)
	}
	if single && modname(cmd) != fixName(oldBase) {
		return "", fmt.Errorf("rename command: %s is part of %s", from, modname(cmd))
	}
	depFile := func(stem string) string { return path.Join(path.Dir(stem), "."+path.Base(stem)+".o.d") }

	// The command is copied, word by word, with the name replaced where its place is known.
	var out strings.Builder
	rest := cmd
	places := map[string]int{}
	for _, w := range words {
		i := strings.Index(rest, w.raw)
		out.WriteString(rest[:i])
		rest = rest[i+len(w.raw):]
		name, _, _ := strings.Cut(w.text, "=")
		raw := w.raw
		replace := func(place, old, fresh string) {
			raw = strings.Replace(raw, old, fresh, 1)
			places[place]++
		}
		switch {
		case w.text == from:
			replace("object", from, to)
		case w.text == oldStem+".c":
			replace("source", oldStem+".c", newStem+".c")
		case strings.HasPrefix(w.text, "-Wp,-M") && strings.HasSuffix(w.text, ","+depFile(oldStem)):
			replace("dependencies", depFile(oldStem), depFile(newStem))
		case name == "-DKBUILD_BASENAME":
			replace("basename", `"`+fixName(oldBase)+`"`, `"`+fixName(newBase)+`"`)
		case single && name == "-DKBUILD_MODNAME":
			replace("modname", `"`+fixName(oldBase)+`"`, `"`+fixName(newBase)+`"`)
		case single && name == "-D__KBUILD_MODNAME":
			replace("modname", "kmod_"+fixName(oldBase), "kmod_"+fixName(newBase))
		case single && name == "-DKBUILD_MODFILE":
			replace("modfile", `"`+oldStem+`"`, `"`+newStem+`"`)
		case strings.Contains(w.text, "/"+oldBase+".") || strings.Contains(w.text, "/."+oldBase+"."):
			return "", fmt.Errorf("rename command: it names %s in %s", from, w.text)
		}
		out.WriteString(raw)
	}
	out.WriteString(rest)

	// A command that does not name these is none that can be renamed safely.
	for _, place := range []string{"object", "source", "basename"} {
		if places[place] == 0 {
			return "", fmt.Errorf("rename command: it does not name the %s of %s", place, from)
		}
	}
	return out.String(), nil
}

// optionOf is the value of an option in the tree's configuration, "" for none; "y",
// "m" and "objs" stand for themselves.
func (t *Tree) optionOf(name string) (string, error) {
	switch name {
	case "y", "m":
		return name, nil
	case "objs":
		return "y", nil
	}
	values, err := t.options()
	return values[name], err
}

// Withholding is why a changed file must not come into a tree in which builds run,
// unless the change is trusted. The zero value is for a file that may.
type Withholding struct {
	Why string // "" means that nothing stands against it
	// MakefileMay means that nothing is known against the file, but a makefile that
	// klpforge does not understand may act on it.
	MakefileMay bool
}

// Withheld tells why a changed file must not come into a tree in which builds run,
// unless the change is trusted: builds run the file, or act on what it says. What is
// only compiled or read as data may come in. texts are its contents before and after.
func (t *Tree) Withheld(rel string, texts ...[]byte) (Withholding, error) {
	why, err := t.withheld(rel, texts)
	return Withholding{Why: why}, err
}

func (t *Tree) withheld(rel string, texts [][]byte) (string, error) {
	var mode uint32
	if info, err := os.Lstat(filepath.Join(t.Dir, rel)); err == nil {
		mode = uint32(info.Mode().Perm())
	}
	why := withheldByName(rel, mode, texts)
	if path.Ext(rel) == ".c" {
		db, err := t.owners()
		if err != nil {
			return "", err
		}
		if db.Objects[strings.TrimSuffix(rel, ".c")+".o"].Special == hostProgram {
			return "builds compile it to a program, and run that", nil
		}
	}
	if why == "" || !cSource(rel) || strings.HasPrefix(path.Base(rel), ".") {
		return why, nil
	}

	// What the kernel itself is made of comes in, wherever it is.
	g, err := t.graph(context.Background())
	if err != nil {
		return "", err
	}
	deps := g.dependents([]string{rel})
	for _, r := range g.Roots {
		if deps[r.File] && !r.Special {
			return "", nil
		}
	}
	return why, nil
}

func cSource(rel string) bool { return path.Ext(rel) == ".c" || path.Ext(rel) == ".h" }

// Withheld is Tree.Withheld for a file of the module's source.
func (x *External) Withheld(rel string, texts ...[]byte) (Withholding, error) {
	var mode uint32
	if info, err := os.Lstat(filepath.Join(x.Dir, rel)); err == nil {
		mode = uint32(info.Mode().Perm())
	}
	if why := withheldByName(rel, mode, texts); why != "" {
		return Withholding{Why: why}, nil
	}
	if ext := path.Ext(rel); ext != ".c" && ext != ".h" && ext != ".S" {
		return Withholding{Why: "the module's makefile may act on it", MakefileMay: true}, nil
	}
	return Withholding{}, nil
}

func withheldByName(rel string, mode uint32, texts [][]byte) string {
	ext := path.Ext(rel)
	if cSource(rel) {
		mode = 0 // nobody runs one, and some have the bits by mistake
	}
	switch {
	case slices.ContainsFunc(texts, func(text []byte) bool { return bytes.HasPrefix(text, []byte("#!")) }),
		mode&0o111 != 0:
		return "builds may run it"
	case strings.HasPrefix(rel, "scripts/") || strings.HasPrefix(rel, "tools/") || strings.HasPrefix(rel, "usr/"):
		return "builds may run what is made of it"
	case interpreted(rel, mode):
		return "builds act on what it says"
	case ext == ".l" || ext == ".y":
		return "builds make a program of it"
	case built(rel, false):
		return "builds take it for something that they made"
	}
	return ""
}

// checkHostPrograms makes sure that make, asked for objects, runs no program that is
// made of something that was changed in the tree: a header, for one.
func (w *Work) checkHostPrograms(ctx context.Context, objects []string) error {
	if w.trust {
		return nil
	}
	w.mu.Lock()
	changed := slices.Sorted(maps.Keys(w.changed))
	w.mu.Unlock()
	if len(changed) == 0 {
		return nil
	}
	graph, err := w.tree.graph(ctx)
	if err != nil {
		return err
	}
	db, err := w.tree.owners()
	if err != nil {
		return err
	}

	// Only beside the objects: a program elsewhere is no part of their rules.
	dirs := map[string]string{}
	for _, obj := range objects {
		dirs[path.Dir(obj)] = obj
	}
	for _, file := range changed {
		deps := graph.dependents([]string{file})
		for _, r := range graph.Roots {
			obj, near := dirs[path.Dir(r.Object)]
			if near && deps[r.File] && db.Objects[r.Object].Special == hostProgram {
				return &RulesError{obj, []*RuleProblem{{File: file,
					Why: fmt.Sprintf("the patch changes it, and a program that builds run (%s) is made of it",
						strings.TrimSuffix(r.Object, ".o"))}}}
			}
		}
	}
	return nil
}

// BuildDerived compiles objects that Understand found, from the tree as it is now.
// Errors are those of After.
func (w *Work) BuildDerived(ctx context.Context, objects []string) ([]Built, error) {
	if err := w.alive(); err != nil {
		return nil, err
	}
	if err := w.checkGenerated(ctx); err != nil {
		return nil, err
	}
	cmds, err := w.Commands(ctx, objects)
	if err != nil {
		return nil, err
	}
	var out []Built
	for _, obj := range objects {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(w.Dir, obj)), 0o755); err != nil {
			return nil, fmt.Errorf("compile %s: %w", obj, err)
		}
		b, err := w.compile(ctx, obj, cmds[obj])
		if err != nil {
			return nil, err
		}
		out = append(out, *b)
	}
	return out, nil
}
