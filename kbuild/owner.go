package kbuild

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Kind says what becomes of an object in a build with the tree's configuration.
type Kind string

const (
	KindVmlinux   Kind = "vmlinux"    // linked into vmlinux
	KindModule    Kind = "module"     // linked into one or more modules
	KindSpecial   Kind = "special"    // built, but into something a livepatch cannot reach
	KindDisabled  Kind = "disabled"   // has a source, but the configuration does not build it
	KindNotObject Kind = "not-object" // no source makes it
)

// Module is a loadable module.
type Module struct {
	Name string // as the kernel knows it, with "_" for "-": "nf_tables"
	Path string // of the .ko in the tree: "net/netfilter/nf_tables.ko"
}

// Owner says where an object ends up.
type Owner struct {
	Kind Kind
	// sorted by path; more than one when modules share the object, and set for KindVmlinux if
	// vmlinux shares it with modules
	Modules []Module
	Reason  string // for KindSpecial and KindDisabled: what is known about it
}

// Object is the name by which a livepatch knows what the object is part of: a
// module's name, or "vmlinux". It is "" for an object that is part of neither, or of
// more than one.
func (o Owner) Object() string {
	switch {
	case o.Kind == KindVmlinux && len(o.Modules) == 0:
		return "vmlinux"
	case o.Kind == KindModule && len(o.Modules) == 1:
		return o.Modules[0].Name
	}
	return ""
}

// objectFact is what evaluation found out about one object.
type objectFact struct {
	Vmlinux bool     `json:",omitempty"`
	Modules []string `json:",omitempty"` // .ko paths
	Special string   `json:",omitempty"` // reason
	Dir     string   `json:",omitempty"` // whose makefile lists it, if it is not the one the object is in
	Goal    string   `json:",omitempty"` // name kbuild knows it by, if not its clean path
	// where no file beside the object has its name; may be one that kbuild generates
	Source string `json:",omitempty"`
}

// ownerDB maps objects to facts for the whole tree.
type ownerDB struct {
	Objects map[string]objectFact
	Dirs    []string            // directories kbuild visits, sorted
	Subdirs map[string][]string // those each of them leads to, sorted
}

// Owner tells what becomes of an object, from kbuild's own makefiles: that an
// object compiles says nothing, as kbuild compiles what it is asked for.
func (t *Tree) Owner(object string) (Owner, error) {
	db, err := t.owners()
	if err != nil {
		return Owner{}, err
	}
	return db.owner(t.Dir, object), nil
}

// Objects lists every object that goes into vmlinux or a module, sorted.
func (t *Tree) Objects() ([]string, error) {
	db, err := t.owners()
	if err != nil {
		return nil, err
	}
	var out []string
	for obj, f := range db.Objects {
		if f.Vmlinux || len(f.Modules) > 0 {
			out = append(out, obj)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Modules lists every module the configuration builds, sorted by path.
func (t *Tree) Modules() ([]Module, error) {
	db, err := t.owners()
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, f := range db.Objects {
		for _, m := range f.Modules {
			seen[m] = true
		}
	}
	return modules(seen), nil
}

func modules(paths map[string]bool) []Module {
	var out []Module
	for p := range paths {
		name := strings.TrimSuffix(path.Base(p), ".ko")
		out = append(out, Module{Name: strings.ReplaceAll(name, "-", "_"), Path: p})
	}
	slices.SortFunc(out, func(a, b Module) int { return cmp.Compare(a.Path, b.Path) })
	return out
}

func (t *Tree) owners() (*ownerDB, error) {
	t.facts.mu.Lock()
	defer t.facts.mu.Unlock()
	if t.facts.owners != nil {
		return t.facts.owners, nil
	}
	data, err := t.kept("owners.json")
	if err != nil {
		return nil, fmt.Errorf("read owners of objects: %w", err)
	}
	db := &ownerDB{}
	if err := json.Unmarshal(data, db); err != nil {
		return nil, fmt.Errorf("read owners of objects: %w", err)
	}
	t.facts.owners = db
	return db, nil
}

// owner answers for one object; root is the tree that holds the sources.
func (db *ownerDB) owner(root, object string) Owner {
	object = path.Clean(object)
	fact, known := db.Objects[object]
	set := map[string]bool{}
	for _, m := range fact.Modules {
		set[m] = true
	}
	owner := Owner{Modules: modules(set)}
	switch {
	case fact.Vmlinux:
		owner.Kind = KindVmlinux
		return owner
	case len(fact.Modules) > 0:
		owner.Kind = KindModule
		return owner
	}
	if path.Ext(object) != ".o" || findSource(root, object) == "" {
		return Owner{Kind: KindNotObject, Reason: "no source makes it"}
	}
	if known && fact.Special != "" {
		return Owner{Kind: KindSpecial, Reason: fact.Special}
	}
	if why := specialPlace(object); why != "" {
		return Owner{Kind: KindSpecial, Reason: why}
	}
	return Owner{Kind: KindDisabled, Reason: "the configuration does not build it"}
}

// sourceSuffixes are the sources kbuild makes objects of, in its order of rules.
var sourceSuffixes = []string{".c", ".S", ".rs", ".asn1", ".c_shipped", ".S_shipped", ".dts", ".l", ".y"}

// findSource returns the tree-relative source of an object, "" if there is none.
func findSource(root, object string) string {
	stem := strings.TrimSuffix(object, ".o")
	for _, s := range sourceSuffixes {
		name := stem + s
		if s == ".asn1" {
			name = strings.TrimSuffix(stem, ".asn1") + s
		}
		if info, err := os.Stat(filepath.Join(root, name)); err == nil && info.Mode().IsRegular() {
			return name
		}
	}
	return ""
}

// specialPlaces are directories whose objects are built, but run outside the
// kernel proper. Patterns are matched against the leading path elements.
var specialPlaces = []struct{ pattern, why string }{
	{"arch/*/boot", "it runs before the kernel, in the boot loader stage"},
	{"arch/*/realmode", "it is part of the real-mode trampoline, a binary of its own"},
	{"arch/*/purgatory", "it is part of kexec's purgatory, a binary of its own"},
	{"arch/*/entry/vdso", "it is part of the vDSO, which runs in user space"},
	{"arch/*/kernel/vdso", "it is part of the vDSO, which runs in user space"},
	{"arch/*/kernel/vdso32", "it is part of the vDSO, which runs in user space"},
	{"arch/*/um", "it is for user-mode Linux"},
	{"lib/vdso", "it is part of the vDSO, which runs in user space"},
	{"drivers/firmware/efi/libstub", "it is part of the EFI stub, which runs before the kernel"},
	{"scripts", "it is a host tool"},
	{"tools", "it is a tool or a test in user space"},
	{"samples", "it is a sample"},
	{"usr", "it is part of the initial file system's making"},
	{"Documentation", "it is documentation"},
}

func specialPlace(object string) string {
	parts := strings.Split(object, "/")
	for _, special := range specialPlaces {
		want := strings.Split(special.pattern, "/")
		if len(parts) <= len(want) {
			continue
		}
		if ok, _ := path.Match(special.pattern, strings.Join(parts[:len(want)], "/")); ok {
			return special.why
		}
	}
	return ""
}

// evaluate runs kbuild's makefiles over the whole tree and stores what they say.
func (t *Tree) evaluate(ctx context.Context, progress func(done, total int)) error {
	env, err := t.environment(ctx, t.kcflags(false))
	if err != nil {
		return err
	}
	dirs, err := t.walk(ctx, env, t.Dir, ".")
	if err != nil {
		return err
	}
	db, err := resolve(dirs, env.Lists)
	if err != nil {
		return err
	}
	values, err := t.options()
	if err != nil {
		return err
	}
	if err := db.plausible(values); err != nil {
		return err
	}
	progress(len(dirs), len(dirs))
	if err := t.findOddSources(ctx, env, db); err != nil {
		return err
	}
	return t.keepJSON("owners.json", db)
}

// findOddSources asks kbuild what the objects are made of that have no source
// beside them, such as kernel/bpf/relo_core.o, which is made of a file in tools/,
// and crypto/rsapubkey.asn1.o, which is made of a file that kbuild generates.
func (t *Tree) findOddSources(ctx context.Context, env *environment, db *ownerDB) error {
	var odd []string
	for obj, f := range db.Objects {
		if (f.Vmlinux || len(f.Modules) > 0) && !compiled(findSource(t.Dir, obj)) {
			odd = append(odd, obj)
		}
	}
	if len(odd) == 0 {
		return nil
	}
	slices.Sort(odd)
	cmds, err := t.dryRun(ctx, env, db, t.Dir, db.goals(odd))
	if err != nil {
		return fmt.Errorf("find sources of %s: %w", shortList(odd), err)
	}
	for obj, cmd := range cmds {
		words, err := compilerCall(cmd)
		f, known := db.Objects[obj]
		if err != nil || !known || !f.Vmlinux && len(f.Modules) == 0 {
			continue
		}
		f.Source = path.Clean(words[len(words)-1].text)
		db.Objects[obj] = f
	}
	return nil
}

// goals maps objects to the names kbuild knows them by.
func (db *ownerDB) goals(objects []string) []string {
	goals := make([]string, len(objects))
	for i, obj := range objects {
		goals[i] = cmp.Or(db.Objects[obj].Goal, obj)
	}
	return goals
}

// generated lists the sources that kbuild generates, sorted.
func (db *ownerDB) generated(root string) []string {
	var out []string
	for _, f := range db.Objects {
		if f.Source != "" && !exists(filepath.Join(root, f.Source)) {
			out = append(out, f.Source)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// source returns the tree-relative source of an object, "" if none is known.
func (db *ownerDB) source(root, obj string) string {
	if s := findSource(root, obj); compiled(s) || db.Objects[obj].Source == "" {
		return s
	}
	return db.Objects[obj].Source
}

// compiled tells sources that the compiler reads from those a generator reads.
func compiled(source string) bool {
	ext := path.Ext(source)
	return ext == ".c" || ext == ".S" || ext == ".rs"
}

// walk evaluates root, which is inside the copy dir of the tree, and all
// directories kbuild would descend to from it.
func (t *Tree) walk(ctx context.Context, env *environment, dir, root string) (map[string]*dirFacts, error) {
	mk, err := t.makefile("walk.mk", walkMakefile)
	if err != nil {
		return nil, err
	}

	// What the makefiles say is written beside the tree that they are read in.
	place := t.base
	if dir != t.Dir {
		place = filepath.Dir(dir)
	}
	out, err := os.MkdirTemp(place, ".walk-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(out)

	argv := []string{"make", "-rR", "--no-print-directory", fmt.Sprintf("-j%d", t.jobs+1), "-f", mk, "obj=" + root,
		"need-builtin=1", "need-modorder=1"}
	box, vars, done, err := t.scratch(dir)
	if err != nil {
		return nil, fmt.Errorf("evaluate Kbuild files: %w", err)
	}
	defer done()

	argv = append(append(append(argv, t.vars(env.Flags)...), vars...), "klpforge-walk")
	_, err = command{
		name: "make (evaluate " + root + ")", dir: dir, logs: t.logs(), argv: argv, box: box,
		env: append(env.in(dir), "KLPFORGE_OUT="+out, "KLPFORGE_MK="+mk,
			"KLPFORGE_TOP="+strings.Join(env.listedDirs(), " ")),
	}.run(ctx)
	if err != nil {
		return nil, fmt.Errorf("evaluate Kbuild files: %w", err)
	}
	return readDirFacts(out)
}

// dirFacts is what one directory's makefile says, see mk/walk.mk.
type dirFacts struct {
	dir   string
	lists map[string][]string
	parts map[string][]string // composite module object -> parts, relative to dir
}

func readDirFacts(out string) (map[string]*dirFacts, error) {
	entries, err := os.ReadDir(out)
	if err != nil {
		return nil, err
	}
	facts := map[string]*dirFacts{}
	for _, item := range entries {
		file, err := os.Open(filepath.Join(out, item.Name()))
		if err != nil {
			return nil, err
		}

		// One file for each directory: its name, then its lists, a word and what is in it on each
		// line.
		dir := &dirFacts{lists: map[string][]string{}, parts: map[string][]string{}}
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 8<<20)
		for lines.Scan() {
			fields := strings.Fields(lines.Text())
			switch {
			case len(fields) == 0:
			case fields[0] == "dir" && len(fields) == 2:
				dir.dir = path.Clean(fields[1])
			case fields[0] == "part-m" && len(fields) == 3:
				dir.parts[path.Clean(fields[1])] = append(dir.parts[path.Clean(fields[1])], fields[2])
			default:
				dir.lists[fields[0]] = append(dir.lists[fields[0]], fields[1:]...)
			}
		}

		err = lines.Err()
		file.Close()
		if err != nil {
			return nil, err
		}
		if dir.dir == "" {
			return nil, fmt.Errorf("evaluate Kbuild files: %s says nothing", item.Name())
		}
		facts[dir.dir] = dir
	}
	return facts, nil
}

// resolve follows the chain of directories from the top: an object is in vmlinux
// when its directory's built-in.a is in its parent's, up to the top, or when it is
// in a lib.a that vmlinux links; it is in a module when modules.order leads there.
func resolve(dirs map[string]*dirFacts, lists map[string]string) (*ownerDB, error) {
	if dirs["."] == nil {
		return nil, errors.New("evaluate Kbuild files: the top directory was not visited")
	}
	top := dirs["."]
	db := &ownerDB{Objects: map[string]objectFact{}, Subdirs: map[string][]string{}}
	top.adopt(lists["objs"])
	libs := map[string]bool{}
	for _, l := range strings.Fields(lists["libs"]) {
		libs[path.Clean(strings.TrimSuffix(l, "lib.a"))] = true
	}
	head := map[string]bool{}
	for _, o := range strings.Fields(lists["head"]) {
		head[path.Clean(o)] = true
	}
	owners := resolver{db: db, dirs: dirs, libs: libs, head: head, seen: map[string]bool{}}
	owners.visit(".", true, true)
	for _, facts := range dirs {
		db.Dirs = append(db.Dirs, facts.dir)
		for _, sub := range facts.lists["subdirs"] {
			db.Subdirs[facts.dir] = append(db.Subdirs[facts.dir], path.Clean(sub))
		}
		slices.Sort(db.Subdirs[facts.dir])
		owners.special(facts)
	}
	slices.Sort(db.Dirs)
	return db, nil
}

type resolver struct {
	db   *ownerDB
	dirs map[string]*dirFacts
	libs map[string]bool
	head map[string]bool
	seen map[string]bool
}

func (r *resolver) visit(dir string, builtin, modular bool) {
	state := fmt.Sprint(dir, builtin, modular)
	facts := r.dirs[dir]
	if facts == nil || r.seen[state] {
		return
	}
	r.seen[state] = true
	below := map[string]bool{}
	if builtin {
		for _, o := range facts.lists["real-y"] {
			if sub, ok := archive(o); ok {
				below[sub] = true
			} else {
				r.add(facts, o, func(f *objectFact) { f.Vmlinux = true })
			}
		}
		for _, o := range facts.lists["extra-y"] {
			if r.head[path.Clean(o)] {
				r.add(facts, o, func(f *objectFact) { f.Vmlinux = true })
			}
		}
	}
	if r.libs[dir] {
		for _, o := range facts.lists["lib-y"] {
			r.add(facts, o, func(f *objectFact) { f.Vmlinux = true })
		}
	}
	ordered := map[string]bool{}
	for _, o := range slices.Concat(facts.lists["modorder"], facts.lists["obj-m"]) {
		// until v5.3 obj-m has no directories
		if path.Base(o) == "modules.order" {
			ordered[path.Clean(path.Dir(o))] = true
		} else if modular && path.Ext(o) == ".o" {
			r.module(facts, path.Clean(o))
		}
	}
	for _, sub := range facts.lists["subdirs"] {
		sub = path.Clean(sub)
		r.visit(sub, below[sub], modular && ordered[sub])
	}
}

// archive recognizes a subdirectory's built-in.a (built-in.o before v4.17).
func archive(o string) (string, bool) {
	if b := path.Base(o); b == "built-in.a" || b == "built-in.o" {
		return path.Clean(path.Dir(o)), true
	}
	return "", false
}

func (r *resolver) module(facts *dirFacts, obj string) {
	ko := strings.TrimSuffix(obj, ".o") + ".ko"
	parts := facts.parts[obj]
	if len(parts) == 0 {
		r.add(facts, obj, func(f *objectFact) { f.addModule(ko) })
		return
	}
	for _, p := range parts {
		r.add(facts, facts.dir+"/"+p, func(f *objectFact) { f.addModule(ko) })
	}
}

func (f *objectFact) addModule(ko string) {
	if !slices.Contains(f.Modules, ko) {
		f.Modules = append(f.Modules, ko)
		slices.Sort(f.Modules)
	}
}

func (r *resolver) add(facts *dirFacts, goal string, set func(*objectFact)) {
	if path.Ext(goal) != ".o" {
		return
	}
	goal = strings.TrimPrefix(goal, "./")
	obj := path.Clean(goal)
	fact := r.db.Objects[obj]
	if goal != obj {
		fact.Goal = goal
	}
	if path.Dir(obj) != facts.dir {
		fact.Dir = facts.dir
	}
	set(&fact)
	r.db.Objects[obj] = fact
}

// hostProgram is the reason of objects that are, or are a part of, programs of the
// build.
const hostProgram = "it is a host program"

// special notes objects that a visited directory builds for something else.
func (r *resolver) special(facts *dirFacts) {
	note := func(obj, why string) {
		obj = path.Clean(obj)
		fact, known := r.db.Objects[obj]
		if path.Ext(obj) != ".o" || known {
			return
		}
		if place := specialPlace(obj); place != "" {
			why = place
		}
		fact.Special = why
		r.db.Objects[obj] = fact
	}
	for _, h := range facts.lists["hostprogs"] {
		if !strings.HasPrefix(h, facts.dir+"/") {
			h = facts.dir + "/" + h
		}
		note(h+".o", hostProgram)
	}
	for _, list := range []string{"lib-y", "real-y", "extra-y", "targets"} {
		for _, o := range facts.lists[list] {
			note(o, "kbuild makes it, but does not link it into vmlinux or a module")
		}
	}
}

// Owners evaluates the given directories and those below them again in the work
// tree, where a changed makefile may have added or removed objects, and returns
// the owner of every object found there. Directories are tree-relative; they are
// taken to be reached from vmlinux and modules alike if the prepared tree's are, or
// if they are new.
func (w *Work) Owners(ctx context.Context, dirs []string) (map[string]Owner, error) {
	if err := w.alive(); err != nil {
		return nil, err
	}
	if err := w.whole(); err != nil {
		return nil, err
	}
	env, err := w.tree.environment(ctx, w.flags)
	if err != nil {
		return nil, err
	}
	// Reachability depends on every makefile above, so evaluate from the top; it
	// takes three seconds for a whole distribution kernel.
	facts, err := w.tree.walk(ctx, env, w.Dir, ".")
	if err != nil {
		return nil, err
	}
	db, err := resolve(facts, env.Lists)
	if err != nil {
		return nil, err
	}
	out := map[string]Owner{}
	for obj := range db.Objects {
		for _, d := range dirs {
			if d = path.Clean(d); d == "." || strings.HasPrefix(obj, d+"/") {
				out[obj] = db.owner(w.Dir, obj)
			}
		}
	}
	return out, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
