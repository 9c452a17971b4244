package meaning

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/elfdiff"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Name: "meaning", Doc: analyze.PackageDoc(doc), Checks: []analyze.Check{{ID: "KLP209", Title: "data meaning changed"}}, Run: run}
}

// use is one place in a changed function that names a new value.
type use struct {
	name, member string // member is empty when the value is tested only
	line         int
}

func run(p *analyze.Pass) error {
	names := map[string]string{} // new value -> where it comes from
	for i := range p.Files {
		for _, n := range added(&p.Files[i]) {
			names[n] = p.Files[i].Path
		}
	}
	if len(names) == 0 {
		return nil
	}
	for _, u := range p.Units {
		for i := range p.Files {
			f := &p.Files[i]
			if f.Path != u.Source || f.New == nil || f.Old == nil {
				continue
			}
			for _, ch := range u.Replace {
				judge(p, u, f, ch, names)
			}
		}
	}
	return nil
}

func judge(p *analyze.Pass, u *analyze.Unit, f *analyze.File, ch elfdiff.Change, names map[string]string) {
	base, _, _ := strings.Cut(ch.Name, ".")
	def, ok := f.Definition(base, true)
	if !ok || !def.Func {
		return
	}
	var stored, tested []use
	for _, x := range uses(f.New, def.Line, def.End, names) {
		if x.member != "" {
			stored = append(stored, x)
		} else {
			tested = append(tested, x)
		}
	}
	if len(stored) == 0 {
		return
	}
	out := analyze.Finding{ID: "KLP209", Severity: analyze.Note, Remedy: "see what code that does not know the value makes of it; patch the functions that use the member, or use a shadow variable"}
	var what []string
	for _, x := range stored {
		s := fmt.Sprintf("%s in .%s", x.name, x.member)
		if !slices.Contains(what, s) {
			what = append(what, s)
			out.Evidence = append(out.Evidence, fmt.Sprintf("%s:%d: stores %s, new in %s, in member %s", f.Path, x.line, x.name, names[x.name], x.member))
			for _, fn := range users(u, f, x.member) {
				if !slices.Contains(out.Who, fn) {
					out.Who = append(out.Who, fn)
				}
			}
		}
	}
	for _, x := range tested {
		out.Evidence = append(out.Evidence, fmt.Sprintf("%s:%d: tests for %s, which only new code stores", f.Path, x.line, x.name))
	}
	out.Message = fmt.Sprintf("the function stores a value that old code does not know (%s); tasks that have not changed over meet it", strings.Join(what, ", "))
	if len(out.Who) > 0 {
		out.Severity = analyze.Warning
		out.Message = fmt.Sprintf("the function stores a value that code which is not patched does not know (%s)", strings.Join(what, ", "))
	}
	p.ReportChange(u, ch, out)
}

var define = regexp.MustCompile(`^\s*#\s*define\s+([A-Za-z_]\w*)\s+\S`)

// added lists the enumerators and #defines without parameters that a file has
// only after the patch.
func added(f *analyze.File) []string {
	if f.New == nil {
		return nil
	}
	old := map[string]bool{}
	for _, n := range values(f.Old) {
		old[n] = true
	}
	return slices.DeleteFunc(values(f.New), func(n string) bool { return old[n] })
}

func values(text []byte) []string {
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
	var t []token
	for s, line := range analyze.Tokens(text) {
		if line >= from && line <= to {
			t = append(t, token{s, line})
		}
	}
	at := func(i int) string {
		if i < 0 || i >= len(t) {
			return ""
		}
		return t[i].s
	}
	// member returns the member named at i, when it is one.
	member := func(i int) string {
		if at(i-1) == "." || at(i-2) == "-" && at(i-1) == ">" {
			return at(i)
		}
		return ""
	}
	var out []use
	for i, x := range t {
		if names[x.s] == "" {
			continue
		}
		u := use{name: x.s, line: x.line}
		// Back over other values that are joined to this one.
		k := i - 1
		for at(k) == "|" || at(k) == "(" && at(k-1) != "set_bit" && at(k-1) != "__set_bit" && at(k-1) != "WRITE_ONCE" || (at(k+1) == "|" && at(k) != "=") {
			k--
		}
		switch {
		case at(k) == "=" && at(k-1) == "|":
			u.member = member(k - 2)
		case at(k) == "=" && !strings.Contains("=!<>&^+-*/%", at(k-1)):
			u.member = member(k - 1)
		case at(k) == "(" && (at(k-1) == "set_bit" || at(k-1) == "__set_bit"):
			for j := i + 1; j < len(t) && at(j) != ";"; j++ {
				if m := member(j); m != "" {
					u.member = m
				}
			}
		}
		out = append(out, u)
	}
	return out
}

// users names the functions of the object file that name the member and are
// not patched.
func users(u *analyze.Unit, f *analyze.File, member string) []string {
	var out []string
	for i := range u.Diff.Orig.Atoms {
		a := elfdiff.AtomID(i)
		name := u.Name(a)
		if !u.Diff.Orig.IsCode(a) || u.Replaced(a) || strings.Contains(name, ".") || u.Diff.PatchedOf(a) < 0 {
			continue
		}
		d, ok := f.Definition(name, false)
		if !ok || !d.Func {
			continue
		}
		before := ""
		for tok, line := range analyze.Tokens(f.Old) {
			if line >= d.Line && line <= d.End && tok == member && (before == ">" || before == ".") {
				out = append(out, name)
				break
			}
			before = tok
		}
	}
	return out
}
