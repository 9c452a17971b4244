package kbuild

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// A patch that brings a source file brings a line of a makefile that lists its
// object. Makefiles are programs: kbuild's own functions, shell commands and rules
// stand beside plain lists. So a stranger's makefile is not run. Of what it changes,
// lines of one kind are understood by reading: lists of objects,
//
//	obj-y += new.o
//	obj-$(CONFIG_X) += new.o
//	name-y := a.o b.o \
//		new.o
//
// outside of conditionals. The object's owner and command follow from another object
// of the same list (derive.go). All other changes are RuleProblems.

// RuleChange is a build file before and after a change; nil is a file that is not
// there.
type RuleChange struct{ Old, New []byte }

// RuleProblem is a change of build rules that is not understood without running them.
type RuleProblem struct {
	File string
	Line int    // of the new text, or of the old one for a line that is gone; 0 for the whole file
	Text string // the line
	Why  string
}

func (p *RuleProblem) String() string {
	text := p.File
	if p.Line > 0 {
		text = fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	if p.Text != "" {
		text += fmt.Sprintf(" %.80q", p.Text)
	}
	return text + ": " + p.Why
}

// ruleLine is one logical line of a makefile.
type ruleLine struct {
	number int    // of its first line, 1-based
	text   string // without comment, blanks made single
	plain  bool   // outside of conditionals, definitions and recipes
}

var (
	opensBlock  = regexp.MustCompile(`^(ifeq|ifneq|ifdef|ifndef)\b`)
	closesBlock = regexp.MustCompile(`^endif\b`)
	opensDefine = regexp.MustCompile(`^(override |export )*define\b`)
	endsDefine  = regexp.MustCompile(`^endef\b`)
)

// ruleLines splits a makefile, joining continued lines first, as make does (GNU Make
// manual, 3.1.1). Empty lines are left out.
func ruleLines(text []byte) []ruleLine {
	var out []ruleLine
	blocks, defines := 0, 0
	lines := strings.Split(string(text), "\n")
	for i := 0; i < len(lines); i++ {
		// One line as make sees it: continued lines joined, without its comment.
		first, line := i, lines[i]
		for strings.HasSuffix(line, `\`) && i+1 < len(lines) {
			i++
			line = strings.TrimSuffix(line, `\`) + " " + lines[i]
		}
		recipe := strings.HasPrefix(line, "\t")
		if !recipe {
			line = withoutComment(line)
		}
		line = strings.Join(strings.Fields(line), " ")

		// Only a line outside conditionals, defines and recipes can be judged by itself.
		switch {
		case line == "":
			continue
		case opensDefine.MatchString(line):
			defines++
		case endsDefine.MatchString(line):
			defines--
		case opensBlock.MatchString(line):
			blocks++
		}
		plain := !recipe && blocks == 0 && defines == 0
		if closesBlock.MatchString(line) {
			blocks, plain = blocks-1, false
		}
		out = append(out, ruleLine{first + 1, line, plain})
	}
	return out
}

func withoutComment(line string) string {
	for i := 0; i < len(line); i++ {
		if line[i] == '#' && (i == 0 || line[i-1] != '\\') {
			return line[:i]
		}
	}
	return line
}

// listLine is a line that adds objects to a list of kbuild's.
type listLine struct {
	list   string // what stands before the last "-": "obj", or the name of a composite object
	config string // CONFIG_X; "y", "m" or "objs" for those
	op     string // "+=", ":=" or "="
	words  []string
}

var (
	listForm = regexp.MustCompile(`^([A-Za-z0-9_.-]+)-(y|m|objs|\$\(CONFIG_[A-Za-z0-9_]+\)) ?(\+=|:=|=) ?(.*)$`)
	wordForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_+./-]*\.o$`)
)

// otherLists look like lists of objects, but mean something else to kbuild
// (scripts/Makefile.build and Makefile.lib, v6.12).
var otherLists = []string{"ccflags", "asflags", "ldflags", "rustflags", "cppflags", "arflags", "subdir",
	"subdir-ccflags", "subdir-asflags",
	"ccflags-remove", "asflags-remove", "extra", "always", "hostprogs", "userprogs", "targets", "lib", "libs", "core",
	"drivers", "net", "head",
	"init", "virt", "dtb", "dtbo", "header-test", "no-header-test", "generic", "mandatory", "syscall", "clean",
	"no-clean", "install", "modules"}

// parseList reads a line that adds plain names of objects; ok is false for all else.
func parseList(line ruleLine) (parsed listLine, ok bool) {
	m := listForm.FindStringSubmatch(line.text)
	if !line.plain || m == nil || slices.Contains(otherLists, m[1]) {
		return parsed, false
	}
	parsed = listLine{list: m[1], config: strings.TrimSuffix(strings.TrimPrefix(m[2], "$("), ")"), op: m[3],
		words: strings.Fields(m[4])}
	for _, w := range parsed.words {
		if !wordForm.MatchString(w) || path.Clean(w) != w || strings.HasPrefix(w, "../") {
			return parsed, false
		}
	}
	return parsed, parsed.list != "obj" || parsed.config != "objs"
}

// addition is an object that a makefile newly lists.
type addition struct {
	file   string // the makefile
	line   int
	word   string // as listed
	list   string // see listLine
	config string
}

// maxRuleLines bounds the comparison of two makefiles, whose cost is the product of
// their lengths.
const maxRuleLines = 4000

// readRules tells what a change of a makefile adds to lists of objects, and what it
// changes beside that.
func readRules(file string, c RuleChange) (added []addition, other []*RuleProblem) {
	if c.Old == nil || c.New == nil {
		return nil, []*RuleProblem{{File: file, Why: "the patch adds or removes the file"}}
	}
	before, after := ruleLines(c.Old), ruleLines(c.New)
	if len(before) > maxRuleLines || len(after) > maxRuleLines {
		return nil, []*RuleProblem{{File: file, Why: "it is too long to be compared"}}
	}
	gone, fresh := differing(before, after)

	// A list that is written anew: what it held already is not added.
	held := map[string]map[string]bool{}
	for _, line := range gone {
		parsed, ok := parseList(line)
		if !ok {
			other = append(other, &RuleProblem{file, line.number, line.text,
				"the line is gone, and is no list of objects"})
			continue
		}
		key := parsed.list + "-" + parsed.config + parsed.op
		if held[key] == nil {
			held[key] = map[string]bool{}
		}
		for _, w := range parsed.words {
			held[key][w] = true
		}
	}
	for _, line := range fresh {
		parsed, ok := parseList(line)
		if !ok {
			why := "it is no list of objects"
			if !line.plain {
				why = "it is part of a conditional, a definition or a recipe"
			}
			other = append(other, &RuleProblem{file, line.number, line.text, why})
			continue
		}
		had := held[parsed.list+"-"+parsed.config+parsed.op]
		if parsed.op != "+=" && had == nil && assigns(before, parsed) {
			other = append(other, &RuleProblem{file, line.number, line.text,
				"it replaces a list that other lines made"})
			continue
		}
		for _, w := range parsed.words {
			if !had[w] {
				added = append(added, addition{file, line.number, w, parsed.list, parsed.config})
			}
		}
	}
	return added, other
}

// assigns reports whether lines already say something of a list.
func assigns(lines []ruleLine, l listLine) bool {
	return slices.ContainsFunc(lines, func(line ruleLine) bool {
		have, ok := parseList(line)
		return ok && have.list == l.list && have.config == l.config
	})
}

// differing returns the lines that only one of two texts has, by their longest common
// subsequence.
func differing(left, right []ruleLine) (gone, fresh []ruleLine) {
	same := func(x, y ruleLine) bool { return x.text == y.text && x.plain == y.plain }

	// Most edits leave both ends alone.
	for len(left) > 0 && len(right) > 0 && same(left[0], right[0]) {
		left, right = left[1:], right[1:]
	}
	for len(left) > 0 && len(right) > 0 && same(left[len(left)-1], right[len(right)-1]) {
		left, right = left[:len(left)-1], right[:len(right)-1]
	}

	// length[i][j] is that of the longest common subsequence behind i and j; read from the front
	// it tells what is gone and what is fresh.
	length := make([][]int32, len(left)+1)
	for i := range length {
		length[i] = make([]int32, len(right)+1)
	}
	for i := len(left) - 1; i >= 0; i-- {
		for j := len(right) - 1; j >= 0; j-- {
			if same(left[i], right[j]) {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}

	i, j := 0, 0
	for i < len(left) || j < len(right) {
		switch {
		case i < len(left) && j < len(right) && same(left[i], right[j]):
			i, j = i+1, j+1
		case j == len(right) || i < len(left) && length[i+1][j] >= length[i][j+1]:
			gone = append(gone, left[i])
			i++
		default:
			fresh = append(fresh, right[j])
			j++
		}
	}
	return gone, fresh
}

// members lists the objects that a makefile's text lists for a composite object,
// whatever conditions they stand under.
func members(text []byte, composite string) []string {
	var out []string
	for _, line := range ruleLines(text) {
		line.plain = true
		m := listForm.FindStringSubmatch(line.text)
		if m == nil || m[1] != composite {
			continue
		}
		for _, w := range strings.Fields(m[4]) {
			if wordForm.MatchString(w) && !slices.Contains(out, w) {
				out = append(out, w)
			}
		}
	}
	return out
}

// mentionedAlone reports whether a makefile says something of an object beside
// listing it: CFLAGS_x.o, KASAN_SANITIZE_x.o, or a rule for $(obj)/x.o.
func mentionedAlone(text []byte, word string) bool {
	for at := 0; ; {
		i := bytes.Index(text[at:], []byte(word))
		if i < 0 {
			return false
		}
		at += i
		if at > 0 && !strings.ContainsRune(" \t\n=", rune(text[at-1])) {
			before := text[at-1]
			// part of a longer name, as of super.o in xsuper.o, is another object
			if before == '_' || before == '/' || before == ')' || before == '%' {
				return true
			}
		}
		if end := at + len(word); end < len(text) && text[end] == ':' {
			return true
		}
		at += len(word)
	}
}
