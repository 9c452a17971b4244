package kbuild

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

//go:embed mk/goal.mk
var goalMakefile []byte

// maxGoals keeps the list of goals in one environment variable.
const maxGoals = 500

// route is the chain of directories below the top that leads to the makefile which
// knows obj, nil where kbuild finds it by itself. Asked for one object, kbuild goes
// down every listed directory whose name the object's starts with. drivers/Makefile
// (v6.1) lists block/ and block/aoe/ alike: both compile drivers/block/aoe/aoeblk.o,
// at the same time, and only one of them with its module's name and flags.
func (db *ownerDB) route(obj string) []string {
	if db == nil {
		return nil
	}
	f, known := db.Objects[obj]
	owner := cmp.Or(f.Dir, path.Dir(obj))
	claims := db.claims(".", cmp.Or(f.Goal, obj))
	if !known && !slices.Contains(claims, owner) {
		// New, or not an object: the nearest directory.
		owner = slices.MaxFunc(claims, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	}
	if slices.Equal(claims, []string{owner}) {
		return nil
	}
	return db.chain(owner)
}

// claims lists the directories whose makefiles take goal for theirs when kbuild is
// asked for it from dir.
func (db *ownerDB) claims(dir, goal string) []string {
	var out []string
	for _, sub := range db.Subdirs[dir] {
		if strings.HasPrefix(goal, sub+"/") {
			out = append(out, db.claims(sub, goal)...)
		}
	}
	if out == nil {
		return []string{dir}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// chain is the shortest way from the top to dir, nil if there is none.
func (db *ownerDB) chain(dir string) []string {
	from := map[string]string{".": ""}
	for todo := []string{"."}; len(todo) > 0; todo = todo[1:] {
		for _, sub := range db.Subdirs[todo[0]] {
			if _, seen := from[sub]; !seen {
				from[sub] = todo[0]
				todo = append(todo, sub)
			}
		}
	}
	if _, ok := from[dir]; !ok {
		return nil
	}
	var out []string
	for ; dir != "."; dir = from[dir] {
		out = append(out, dir)
	}
	slices.Reverse(out)
	return out
}

// makeGoals runs make in dir, a copy of the prepared tree, for goals (paths as
// kbuild knows them), and returns what it printed. With -k among the options, one
// goal that fails leaves the others alone. db is nil before the tree is evaluated.
func (t *Tree) makeGoals(ctx context.Context, env *environment, db *ownerDB, dir string, options,
	goals []string) ([]byte, error) {
	// Goals that the top makefile has no rule for go to the Makefile.build of their directory.
	plain, routed := []string(nil), map[string][]string{}
	for _, g := range goals {
		if r := db.route(path.Clean(g)); r != nil {
			key := strings.Join(r, " ")
			routed[key] = append(routed[key], g)
		} else {
			plain = append(plain, g)
		}
	}

	var commands []command
	if len(plain) > 0 {
		commands = append(commands, t.makePlain(env, dir, options, plain))
	}
	if len(routed) > 0 {
		mk, err := t.makefile("goal.mk", goalMakefile)
		if err != nil {
			return nil, err
		}
		for _, key := range slices.Sorted(maps.Keys(routed)) {
			for part := range slices.Chunk(routed[key], maxGoals) {
				commands = append(commands, t.makeRouted(env, dir, options, mk, key, part))
			}
		}
	}

	box, vars, done, err := t.scratch(dir)
	if err != nil {
		return nil, fmt.Errorf("run make: %w", err)
	}
	defer done()

	// A failed command does not keep the others from running: with -k, each makes what it can.
	var out []byte
	var first error
	for _, c := range commands {
		c.box, c.argv = box, append(c.argv, vars...)
		o, err := c.run(ctx)
		out = append(out, o...)
		var failed *RunError
		if err != nil && !errors.As(err, &failed) {
			return nil, err
		}
		first = cmp.Or(first, err)
	}
	return out, first
}

// makeRouted is the make command that goes down chain, directories separated by
// blanks, and makes goals there.
func (t *Tree) makeRouted(env *environment, dir string, options []string, mk, chain string, goals []string) command {
	argv := append([]string{"make", "-rR", "--no-print-directory"}, options...)
	argv = append(argv, "-f", mk, "obj=.", "need-builtin=1", "need-modorder=1")
	argv = append(argv, t.compileVars(env, dir)...)
	return command{
		name: "make " + shortList(goals), dir: dir, logs: t.logs(),
		env: append(env.in(dir), "KLPFORGE_MK="+mk, "KLPFORGE_CHAIN="+chain,
			"KLPFORGE_GOALS="+strings.Join(goals, " ")),
		argv: append(argv, "klpforge-goals"),
	}
}
