package meaning

import (
	"bytes"
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Code: true, Name: "meaning", Doc: analyze.PackageDoc(doc),
		Checks: analyze.Checks(finding.IDDataMeaning), Run: run}
}

// use is one place in a changed function that names a new value.
type use struct {
	name, member string // member is empty when the value is tested only
	line         int
	in           string // the function of the source, which may be inlined into the changed one
}

func run(pass *analyze.Pass) error {
	names := map[string]string{} // new value -> where it comes from
	for i := range pass.Files {
		file := &pass.Files[i]
		for _, n := range added(file) {
			names[n] = "new in " + file.Path
		}
		for name, how := range changedValues(file) {
			names[name] = how + " in " + file.Path
		}
		for literal, path := range literals(file) {
			names[literal] = "not used in " + path + " before"
		}
	}
	for _, unit := range pass.Units {
		if len(unit.Replace) == 0 {
			continue
		}
		for i := range pass.Files {
			f := &pass.Files[i]
			if f.Path != unit.Source || f.New == nil || f.Old == nil {
				continue
			}
			if len(names) > 0 {
				judge(pass, unit, f, names)
			}
			if before, after, ok := unit.Sides(); ok {
				computed(pass, unit, f, before, after)
				turned(pass, unit, f)
			}
		}
	}
	return nil
}

func judge(pass *analyze.Pass, unit *analyze.Unit, file *analyze.File, names map[string]string) {
	if !slices.ContainsFunc(uses(file.New, 0, bytes.Count(file.New, []byte("\n"))+1, names),
		func(x use) bool { return x.member != "" }) {
		return
	}
	src := newSource(file)
	for _, ch := range unit.Replace {
		src.own[sourceName(ch.Name)] = true
	}
	found := make([][]use, len(unit.Replace))
	var tested []use // by all that changes
	for i, ch := range unit.Replace {
		found[i] = src.within(sourceName(ch.Name), names)
		for _, x := range found[i] {
			if x.member == "" && !slices.Contains(tested, x) {
				tested = append(tested, x)
			}
		}
	}
	for i, ch := range unit.Replace {
		stored := slices.DeleteFunc(found[i], func(x use) bool { return x.member == "" })
		if len(stored) > 0 {
			report(pass, unit, file, ch, stored, tested, names)
		}
	}
}

func sourceName(symbol string) string {
	base, _, _ := strings.Cut(symbol, ".")
	return base
}

// source is the new text of a file with what its functions call.
type source struct {
	file  *analyze.File
	calls []call
	own   map[string]bool         // functions that are replaced themselves
	defs  map[string]analyze.Text // that were looked up; zero for no function
}

// call is a name with a parenthesis after it, by line.
type call struct {
	name string
	line int
}

func newSource(f *analyze.File) *source {
	src := &source{file: f, own: map[string]bool{}, defs: map[string]analyze.Text{}}
	before := ""
	for tok, line := range analyze.Tokens(f.New) {
		if tok == "(" && before != "" {
			src.calls = append(src.calls, call{before, line})
		}
		before = tok
	}
	return src
}

func (s *source) definition(name string) analyze.Text {
	text, ok := s.defs[name]
	if !ok {
		if text, ok = s.file.Definition(name, true); !ok || !text.Func {
			text = analyze.Text{}
		}
		s.defs[name] = text
	}
	return text
}

// within finds the new values in a changed function and in what is inlined into
// it: functions of the file that it calls and that are not replaced. One of
// these that names a new value has changed, so it is nowhere but inlined.
func (s *source) within(name string, names map[string]string) []use {
	var out []use
	seen := map[string]bool{name: true}
	for todo := []string{name}; len(todo) > 0; todo = todo[1:] {
		def := s.definition(todo[0])
		if def.Line == 0 {
			continue
		}
		for _, x := range uses(s.file.New, def.Line, def.End, names) {
			x.in = todo[0]
			out = append(out, x)
		}
		for _, c := range s.calls {
			if c.line >= def.Line && c.line <= def.End && !seen[c.name] && !s.own[c.name] {
				seen[c.name] = true
				todo = append(todo, c.name)
			}
		}
	}
	return out
}

// report makes one finding of what a changed function stores; tested is where
// changed functions of the object ask for new values.
func report(pass *analyze.Pass, unit *analyze.Unit, file *analyze.File, ch elfdiff.Change, stored, tested []use,
	names map[string]string) {
	out := finding.Finding{ID: finding.IDDataMeaning, Severity: finding.Note,
		Remedy: "see what code that does not know the value makes of it; patch the functions that use the member, or " +
			"use a shadow variable"}

	var what []string
	for _, x := range stored {
		s := fmt.Sprintf("%s in .%s", x.name, x.member)
		if !slices.Contains(what, s) {
			what = append(what, s)
			out.Evidence = append(out.Evidence, fmt.Sprintf("%s:%d: %sstores %s, %s, in member %s", file.Path,
				x.line, elsewhere(x, ch), x.name, names[x.name], x.member))
			for _, fn := range users(unit, file, x.member) {
				if !slices.Contains(out.Who, fn) {
					out.Who = append(out.Who, fn)
				}
			}
		}
	}

	for _, x := range tested {
		if slices.ContainsFunc(stored, func(s use) bool { return s.name == x.name }) {
			out.Evidence = append(out.Evidence, fmt.Sprintf("%s:%d: %stests for %s, which only new code stores",
				file.Path, x.line, elsewhere(x, ch), x.name))
		}
	}

	// Code that uses the member and is not patched makes it a warning.
	out.Message = fmt.Sprintf("the function stores a value that old code does not know (%s); tasks that have not "+
		"changed over meet it", strings.Join(what, ", "))
	if was := changedOf(stored, names); was != "" {
		out.Severity = finding.Warning
		out.Message = fmt.Sprintf("the function stores another value than old code under the name %s; objects from before "+
			"have the old one", was)
	} else if len(out.Who) > 0 {
		out.Severity = finding.Warning
		out.Message = fmt.Sprintf("the function stores a value that code which is not patched does not know (%s)",
			strings.Join(what, ", "))
	}
	pass.ReportChange(unit, ch, out)
}

// changedOf names one of the values that were there before with another number.
func changedOf(stored []use, names map[string]string) string {
	for _, x := range stored {
		if strings.Contains(names[x.name], " before, ") {
			return x.name
		}
	}
	return ""
}

// elsewhere names the function of a use when it is another than the finding's.
func elsewhere(x use, ch elfdiff.Change) string {
	if x.in == sourceName(ch.Name) {
		return ""
	}
	return x.in + " "
}

var define = regexp.MustCompile(`^\s*#\s*define\s+([A-Za-z_]\w*)\s+\S`)

// added lists the enumerators and #defines without parameters that a file has
// only after the patch.
func added(file *analyze.File) []string {
	if file.New == nil {
		return nil
	}
	old := map[string]bool{}
	for _, n := range values(file.Old) {
		old[n] = true
	}
	return slices.DeleteFunc(values(file.New), func(n string) bool { return old[n] })
}

func values(text []byte) []string {
	// Macros with a value, and then the enumerators: the first name behind a brace or comma.
	var out []string
	for line := range strings.Lines(string(text)) {
		if m := define.FindStringSubmatch(line); m != nil {
			out = append(out, m[1])
		}
	}

	inEnum, depth, expect := false, 0, false
	head := false
	for tok := range analyze.Tokens(text) {
		switch {
		case tok == "enum":
			head = true
		case head && tok == "{":
			inEnum, head, depth, expect = true, false, 0, true
		case head && (tok == ";" || tok == ")" || tok == "," || tok == "*" || tok == "="):
			head = false
		case !inEnum:
		case tok == "}":
			inEnum = false
		case tok == "(":
			depth++
		case tok == ")":
			depth--
		case tok == "," && depth == 0:
			expect = true
		case expect:
			out, expect = append(out, tok), false
		}
	}
	return out
}

// uses finds the new values in some lines. A value is stored in a member by
// "x->m = V", "x->m |= V" and "set_bit(V, &x->m)".
func uses(text []byte, from, to int, names map[string]string) []use {
	type token struct {
		s    string
		line int
	}
	var tokens []token
	for s, line := range analyze.Tokens(text) {
		if line >= from && line <= to {
			tokens = append(tokens, token{s, line})
		}
	}
	at := func(i int) string {
		if i < 0 || i >= len(tokens) {
			return ""
		}
		return tokens[i].s
	}
	// member returns the member named at i, when it is one.
	member := func(i int) string {
		if at(i-1) == "." || at(i-2) == "-" && at(i-1) == ">" {
			return at(i)
		}
		return ""
	}
	var out []use
	for i, x := range tokens {
		if names[x.s] == "" {
			continue
		}
		ref := use{name: x.s, line: x.line}
		// Back over other values that are joined to this one.
		back := i - 1
		for at(back) == "|" || at(back) == "(" && at(back-1) != "set_bit" && at(back-1) != "__set_bit" &&
			at(back-1) != "WRITE_ONCE" || (at(back+1) == "|" && at(back) != "=") {
			back--
		}
		switch {
		case at(back) == "=" && at(back-1) == "|":
			ref.member = member(back - 2)
		case at(back) == "=" && !strings.Contains("=!<>&^+-*/%", at(back-1)):
			ref.member = member(back - 1)
		case at(back) == "(" && (at(back-1) == "set_bit" || at(back-1) == "__set_bit"):
			for j := i + 1; j < len(tokens) && at(j) != ";"; j++ {
				if m := member(j); m != "" {
					ref.member = m
				}
			}
		case at(back) == ",":
			ref.member = storedBy(back, at, member)
		}
		out = append(out, ref)
	}
	return out
}

// storedBy is the member that a macro stores to, as in smp_store_release(&x->m, V), from
// the comma before the value; "" for other calls.
func storedBy(comma int, at, member func(int) string) string {
	name, depth := "", 0
	for i := comma - 1; i >= 0; i-- {
		switch at(i) {
		case ")":
			depth++
		case "(":
			if depth--; depth < 0 {
				if kfuncs.Assigns(at(i - 1)) {
					return name
				}
				return ""
			}
		case ";", "{", "}":
			return ""
		default:
			if m := member(i); m != "" && name == "" {
				name = m
			}
		}
	}
	return ""
}

// users names the functions of the object file that name the member and are
// not patched.
func users(u *analyze.Unit, file *analyze.File, member string) []string {
	var out []string
	for i := range u.Diff.Orig.Atoms {
		a := elfdiff.AtomID(i)
		name := u.Name(a)
		if !u.Diff.Orig.IsCode(a) || u.Replaced(a) || strings.Contains(name, ".") || u.Diff.PatchedOf(a) < 0 {
			continue
		}
		text, ok := file.Definition(name, false)
		if !ok || !text.Func {
			continue
		}
		before := ""
		for tok, line := range analyze.Tokens(file.Old) {
			if line >= text.Line && line <= text.End && tok == member && (before == ">" || before == ".") {
				out = append(out, name)
				break
			}
			before = tok
		}
	}
	return out
}
