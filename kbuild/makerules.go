package kbuild

import (
	"context"
	"path"
	"regexp"
	"strings"
)

// makeRule is one rule of a directory's makefile, as make understood it with the
// tree's configuration.
type makeRule struct {
	targets []string // clean paths relative to the tree; may hold one %
	prereqs []string // the same
	recipe  []string // lines, variables not expanded
	where   string   // "lib/raid6/Makefile:59"; "" if the rule has no recipe
}

// makeRules is what make knows after it has read the makefile of one directory.
type makeRules struct {
	dir   string
	rules []makeRule
	vars  map[string]string
}

// rulesOf asks make for the rules that build dir, without building anything: -p
// prints them, and the goal does not exist.
func (t *Tree) rulesOf(ctx context.Context, env *environment, dir string) (*makeRules, error) {
	argv := []string{"make", "-rRpnq", "--no-print-directory", "-f", "./scripts/Makefile.build", "obj=" + dir,
		"need-builtin=1", "need-modorder=1"}
	argv = append(argv, t.compileVars(env, t.Dir)...)
	box, vars, done, err := t.scratch(t.Dir)
	if err != nil {
		return nil, err
	}
	defer done()
	argv = append(argv, vars...)
	out, all, err := command{name: "make (rules of " + dir + ")", dir: t.Dir, logs: t.logs(), env: env.in(t.Dir),
		argv: append(argv, "klpforge-no-goal"), box: box}.exec(ctx)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	// That the goal cannot be made is an error always; that a makefile cannot be read
	// prints no rules.
	if err != nil && !strings.Contains(string(all), "klpforge-no-goal") {
		return &makeRules{dir: dir}, nil
	}
	return parseRules(dir, string(out)), nil
}

var (
	ruleOrigin = regexp.MustCompile(`^#  recipe to execute \(from '([^']+)', line (\d+)\):`)
	varLine    = regexp.MustCompile(`^([^\s:#=]+) :?[:?+]?= ?(.*)$`)
)

// parseRules reads what make -p prints (GNU make 4.3): variables first, then
// rules, each a line "targets: prerequisites" and a recipe behind tabs. Files that
// make met otherwise stand under "# Not a target:".
func parseRules(dir, text string) *makeRules {
	rules := &makeRules{dir: dir, vars: map[string]string{}}
	inRules, skip := false, false
	var current *makeRule

	// make -p prints the variables first, then the rules, each with its place and recipe in lines
	// that follow it.
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "# Implicit Rules" || line == "# Files":
			inRules = true
		case !inRules:
			if m := varLine.FindStringSubmatch(line); m != nil {
				rules.vars[m[1]] = m[2]
			}
		case line == "":
			skip, current = false, nil
		case line == "# Not a target:":
			skip = true
		case strings.HasPrefix(line, "\t"):
			if current != nil {
				current.recipe = append(current.recipe, line[1:])
			}
		case strings.HasPrefix(line, "#"):
			if m := ruleOrigin.FindStringSubmatch(line); m != nil && current != nil {
				current.where = path.Clean(m[1]) + ":" + m[2]
			}
		case !skip:
			left, right, ok := strings.Cut(line, ":")
			if !ok {
				continue
			}
			right = strings.TrimPrefix(right, ":")
			rules.rules = append(rules.rules, makeRule{targets: rulePaths(left), prereqs: rulePaths(right)})
			current = &rules.rules[len(rules.rules)-1]
		}
	}
	return rules
}

func rulePaths(list string) []string {
	var out []string
	for _, w := range strings.Fields(list) {
		if w != "|" && w != "FORCE" {
			out = append(out, path.Clean(w))
		}
	}
	return out
}

var (
	calledCommand = regexp.MustCompile(`\$\(call (if_changed|cmd|filechk)\w*,\s*([\w.-]+)`)
	variableUse   = regexp.MustCompile(`\$[({]([\w.-]+)[)}]`)
)

// expand replaces the variables that the makefiles set in a recipe, to a depth that
// commands of kbuild have.
func (d *makeRules) expand(text string) string {
	for range 4 {
		out := variableUse.ReplaceAllStringFunc(text, func(use string) string {
			name := use[2 : len(use)-1]
			switch name {
			case "srctree", "objtree", "abs_srctree", "abs_objtree", "src", "obj":
				return use
			}
			if v, ok := d.vars[name]; ok {
				return v
			}
			return use
		})
		if out == text {
			break
		}
		text = out
	}
	return text
}

// mentions reports whether the recipe of a rule, or a command that it calls, names
// the file.
func (d *makeRules) mentions(r *makeRule, file string) bool {
	base := path.Base(file)
	for _, line := range r.recipe {
		texts := []string{line}
		for _, m := range calledCommand.FindAllStringSubmatch(line, -1) {
			kind := "cmd_"
			if m[1] == "filechk" {
				kind = "filechk_"
			}
			texts = append(texts, d.vars[kind+m[2]])
		}
		for _, text := range texts {
			if text = d.expand(text); strings.Contains(text, base) && d.names(text, file) {
				return true
			}
		}
	}
	return false
}

// commandBreaks separate words of a shell command.
const commandBreaks = " \t\"'`;|&<>,="

// names reports whether one word of a command is the file.
func (d *makeRules) names(command, file string) bool {
	command = strings.NewReplacer("$(srctree)/", "", "$(objtree)/", "", "$(abs_srctree)/", "", "$(abs_objtree)/", "",
		"$(src)/", d.dir+"/", "$(obj)/", d.dir+"/").Replace(command)
	for _, w := range strings.FieldsFunc(command, func(r rune) bool { return strings.ContainsRune(commandBreaks, r) }) {
		if path.Clean(strings.TrimRight(w, ")")) == file {
			return true
		}
	}
	return false
}

// matchPattern matches name against a make pattern with at most one %, and returns
// what % stood for.
func matchPattern(pattern, name string) (stem string, ok bool) {
	before, after, has := strings.Cut(pattern, "%")
	if !has {
		return "", pattern == name
	}
	if len(name) <= len(before)+len(after) || !strings.HasPrefix(name, before) || !strings.HasSuffix(name, after) {
		return "", false
	}
	return name[len(before) : len(name)-len(after)], true
}
