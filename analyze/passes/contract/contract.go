package contract

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
	return &analyze.Analyzer{Name: "contract", Doc: analyze.PackageDoc(doc), Checks: []analyze.Check{{ID: "KLP204", Title: "calling contract changed"}}, Run: run}
}

func run(p *analyze.Pass) error {
	for _, u := range p.Units {
		for _, ch := range u.Replace {
			var why []string
			if before, after := clones(u.Name(ch.Orig)), clones(u.Diff.Patched.Atoms[ch.Patched].Name); before != after {
				why = append(why, fmt.Sprintf("the compiler made %q of it before and %q after: it chose other parameters", before, after))
			}
			if before, after, ok := prototypes(p.Input, u, ch.Name); ok && before != after {
				why = append(why, "the prototype was: "+before, "the prototype is:  "+after)
			}
			if len(why) > 0 {
				judge(p, u, ch, why)
			}
		}
	}
	return nil
}

func judge(p *analyze.Pass, u *analyze.Unit, ch elfdiff.Change, why []string) {
	o, err := u.Before()
	if err != nil {
		p.ReportChange(u, ch, analyze.Finding{ID: "KLP204", Severity: analyze.Warning, Unknown: true, Evidence: append(why, err.Error()),
			Message: "the calling contract changed; who calls the function could not be found"})
		return
	}
	callers, holders := o.Callers(ch.Orig)
	var who, held []string
	for _, a := range callers {
		if !u.Replaced(a) && !u.Diff.Orig.InitOnly(a) && u.Diff.PatchedOf(a) >= 0 {
			who = append(who, u.Name(a))
		}
	}
	for _, a := range holders {
		if name := u.Name(a); name != "" && !strings.HasPrefix(name, "__ksymtab") && !u.Replaced(a) && !u.Diff.Orig.InitOnly(a) && u.Diff.PatchedOf(a) >= 0 {
			held = append(held, name)
		}
	}
	outside := !u.Diff.Orig.Local(ch.Orig)
	switch {
	case len(who)+len(held) > 0:
		if len(held) > 0 {
			why = append(why, "its address is held by "+strings.Join(held, ", "))
		}
		if outside {
			why = append(why, "other object files can call it too")
		}
		p.ReportChange(u, ch, analyze.Finding{ID: "KLP204", Severity: analyze.Warning, Evidence: why, Who: slices.Concat(who, held),
			Message: "the calling contract changed, and code that is not patched calls the function by the old one",
			Remedy:  "patch these callers too, or keep the function and add a new one with the new contract"})
	case outside:
		p.ReportChange(u, ch, analyze.Finding{ID: "KLP204", Severity: analyze.Warning, Unknown: true, Evidence: why,
			Message: "the calling contract changed, and other object files can call the function: whether all of them are patched is not known",
			Remedy:  "see that every caller is part of the patch, and that no module outside of the kernel's tree calls it"})
	}
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
func prototypes(in *analyze.Input, u *analyze.Unit, name string) (before, after string, ok bool) {
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
	if m == nil || keyword[m[2]] || strings.HasSuffix(m[1], "struct") || strings.HasSuffix(m[1], "enum") || strings.HasSuffix(m[1], "union") {
		return s
	}
	return m[1] + m[3]
}

var keyword = map[string]bool{"int": true, "long": true, "char": true, "short": true, "unsigned": true, "signed": true, "void": true, "bool": true}
