package analyze

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/klpforge/klpforge/elfdiff"
)

// NewContract says in what way a changed function is called otherwise than
// before: by its prototype in the source, without the names of parameters, or
// as a clone whose parameters the compiler chose. It is empty when neither
// changed, or the changed files do not define the function.
func (in *Input) NewContract(u *Unit, ch elfdiff.Change) []string {
	var why []string
	if before, after := clones(u.Name(ch.Orig)), clones(u.Diff.Patched.Atoms[ch.Patched].Name); before != after {
		why = append(why, fmt.Sprintf("the compiler made %q of it before and %q after: it chose other parameters",
			before, after))
	}
	if before, after, ok := in.prototypes(u, ch.Name); ok && before != after {
		why = append(why, "the prototype was: "+before, "the prototype is:  "+after)
	}
	return why
}

// clones returns the marks of compiler-made clones without their numbers.
func clones(name string) string {
	var out []string
	for i, part := range strings.Split(name, ".") {
		if i > 0 && strings.Trim(part, "0123456789") != "" && part != "part" && part != "cold" {
			out = append(out, part)
		}
	}
	return strings.Join(out, ".")
}

// prototypes returns what the source says of a function before and after.
func (in *Input) prototypes(u *Unit, name string) (before, after string, ok bool) {
	base, _, _ := strings.Cut(name, ".")
	for i := range in.Files {
		f := &in.Files[i]
		if f.Path != u.Source && !strings.HasSuffix(f.Path, ".h") {
			continue
		}
		o, inOld := f.Definition(base, false)
		n, inNew := f.Definition(base, true)
		if inOld && inNew && o.Func && n.Func {
			return prototype(o.Head, base), prototype(n.Head, base), true
		}
	}
	return "", "", false
}

// decoration does not belong to how a function is called.
var decoration = regexp.MustCompile(`\b(static|inline|noinline|extern|__must_check|__always_inline|__maybe_unused|__init|__exit|__cold|__attribute_const__|__attribute__ \( \( [^()]* \) \)|const) ?`)

// prototype normalises the head of a definition: no storage class, no names of
// parameters. A macro that wraps the definition stays as it is.
func prototype(head, name string) string {
	before, params, ok := strings.Cut(head, " "+name+" (")
	if !ok {
		return head
	}
	end := strings.LastIndex(params, ")")
	if end < 0 {
		return head
	}
	var out []string
	depth, start := 0, 0
	params = params[:end] + ","
	for i, c := range params {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				out = append(out, parameter(params[start:i]))
				start = i + 1
			}
		}
	}
	ret := strings.TrimSpace(decoration.ReplaceAllString(before+" ", ""))
	return ret + " " + name + "(" + strings.Join(out, ", ") + ")"
}

var lastName = regexp.MustCompile(`^(.*\S)\s+([A-Za-z_]\w*)((?: \[.*)?)$`)

// parameter drops the name of one parameter, if it has one.
func parameter(s string) string {
	s = strings.TrimSpace(decoration.ReplaceAllString(strings.TrimSpace(s)+" ", ""))
	m := lastName.FindStringSubmatch(s)
	if m == nil || keyword[m[2]] || strings.HasSuffix(m[1], "struct") || strings.HasSuffix(m[1], "enum") ||
		strings.HasSuffix(m[1], "union") {
		return s
	}
	return m[1] + m[3]
}

var keyword = map[string]bool{"int": true, "long": true, "char": true, "short": true, "unsigned": true, "signed": true,
	"void": true, "bool": true}
