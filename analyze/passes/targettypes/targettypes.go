package targettypes

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/typecheck"
	"github.com/klpforge/klpforge/finding"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Name: "targettypes", Doc: analyze.PackageDoc(doc), Run: run,
		Checks: analyze.Checks(finding.IDTypes, finding.IDConfig)}
}

const remedy = "build from the source and with the configuration that the target was built from"

func run(p *analyze.Pass) error {
	seen := map[string]bool{}
	for _, u := range p.Units {
		switch c := u.Target; {
		case c == nil:
		case c.Err != nil:
			p.Report(finding.Finding{ID: finding.IDTypes, Severity: finding.Warning, Unknown: true,
				Object: u.Owner, Unit: u.Object, Evidence: []string{c.Err.Error()},
				Message: "the types that the code uses could not be compared with the target's"})
		case c.Source == "":
			p.Report(noTypes(u))
		default:
			mismatches(p, u, seen)
		}
		if u.Target != nil && u.Target.Other != nil {
			headers(p, u)
		}
	}
	config(p)
	return nil
}

// here is how findings call the side of the compiled object.
const here = "the compiled object"

// mismatches reports the differences of one unit. A type that differs in the same way in
// several is reported once.
func mismatches(p *analyze.Pass, u *analyze.Unit, seen map[string]bool) {
	var unused []string
	for i := range u.Target.Report.Mismatches {
		m := &u.Target.Report.Mismatches[i]
		if m.Use == typecheck.Unused {
			unused = append(unused, m.Name)
			continue
		}
		f := mismatch(u, m)
		if key := u.Owner + " " + f.Message; !seen[key] {
			seen[key] = true
			p.Report(f)
		}
	}
	if len(unused) == 0 {
		return
	}
	p.Report(finding.Finding{ID: finding.IDTypes, Severity: finding.Note, Object: u.Owner, Unit: u.Object,
		Message: fmt.Sprintf("%d of %d types, enumerators and prototypes differ from %s, in parts that the patched code does not use",
			len(unused), len(u.Target.Report.Checked), u.Target.Source),
		Evidence: []string{"types: " + short(unused, 12)}})
}

func mismatch(u *analyze.Unit, m *typecheck.Mismatch) finding.Finding {
	f := finding.Finding{ID: finding.IDTypes, Severity: finding.Error, Object: u.Owner, Unit: u.Object,
		Message: m.Parts[0].Say(here, u.Target.Source), Remedy: remedy}
	if m.Use == typecheck.Unsure {
		f.Severity, f.Unknown = finding.Warning, true
		f.Evidence = append(f.Evidence, "the patched code handles the type; whether it depends on the size is not seen")
	} else {
		f.Evidence = append(f.Evidence, "the patched code can depend on it: "+m.Why)
	}
	const most = 8
	for i := range m.Parts[1:] {
		if i == most {
			f.Evidence = append(f.Evidence, fmt.Sprintf("%d more differences", len(m.Parts)-1-most))
			break
		}
		f.Evidence = append(f.Evidence, m.Parts[1+i].Say(here, u.Target.Source))
	}
	if m.Several {
		f.Evidence = append(f.Evidence, u.Target.Source+" has several of that name, none of them the same; this is the most alike")
	}
	return f
}

// headers reports what code is made of by headers that are not the target's.
func headers(p *analyze.Pass, u *analyze.Unit) {
	o := u.Target.Other
	f := finding.Finding{ID: finding.IDTypes, Object: u.Owner, Unit: u.Object, Remedy: remedy}
	if len(o.Headers) > 0 {
		f.Evidence = append(f.Evidence, "the target has otherwise: "+short(o.Headers, 8))
	}
	switch {
	case o.Err != nil:
		f.Severity, f.Unknown = finding.Warning, true
		f.Message = "headers of the source are not the target's, and what they make of the code could not be compared"
		f.Evidence = append(f.Evidence, o.Err.Error())
	case len(o.Where) > 0:
		f.Severity = finding.Error
		w := o.Where[0]
		f.Message = fmt.Sprintf("headers of the source are not the target's: %s is compiled as `%s`, by the target's headers `%s`", w.Name, w.Here, w.There)
		if w.Here == w.There {
			f.Message = fmt.Sprintf("headers of the source are not the target's: the target's make something else of %s", w.Name)
		}
		for _, more := range o.Where[1:min(len(o.Where), 9)] {
			f.Evidence = append(f.Evidence, fmt.Sprintf("%s: `%s`, by the target's headers `%s`", more.Name, more.Here, more.There))
		}
	case len(o.Changed) > 0:
		f.Severity, f.Unknown = finding.Warning, true
		f.Message = "the patch changes headers that are not the target's to begin with: " + short(o.Changed, 8)
	default:
		f.Severity = finding.Note
		f.Message = fmt.Sprintf("%d headers of the source are not the target's, in parts that the patched code does not use", len(o.Headers))
	}
	p.Report(f)
}

// noTypes tells what is known of a target without types.
func noTypes(u *analyze.Unit) finding.Finding {
	c := u.Target
	f := finding.Finding{ID: finding.IDTypes, Severity: finding.Note, Unknown: true, Object: u.Owner, Unit: u.Object,
		Remedy: "give a vmlinux with BTF or debug information (--vmlinux)"}
	var open []string
	for _, m := range c.Members {
		if !slices.Contains(c.Proved, m) {
			open = append(open, m)
		}
	}
	f.Message = fmt.Sprintf("the target has neither BTF nor DWARF: types were not compared with it; "+
		"of %d members that the patched code can use, shipped code proves the offsets of %d",
		len(c.Members), len(c.Members)-len(open))
	if len(open) > 0 {
		f.Evidence = append(f.Evidence, "not proved: "+short(open, 24))
	}
	if len(c.Headers) > 0 {
		f.Evidence = append(f.Evidence, "generated headers differ: "+short(c.Headers, 8))
	}
	if len(c.Proved) > 0 {
		f.Evidence = append(f.Evidence, "proved: "+short(c.Proved, 24))
	}
	return f
}

// config reports options that differ.
func config(p *analyze.Pass) {
	var rest []string
	from := ""
	for _, d := range p.Config {
		text := fmt.Sprintf("%s is %s, in the target %s", d.Name, shown(d.Tree), shown(d.Target))
		from = d.From
		if len(d.Reaches) == 0 {
			rest = append(rest, text)
			continue
		}
		p.Report(finding.Finding{ID: finding.IDConfig, Severity: finding.Error, Unit: d.Reaches[0], Message: text + ", and the patched code is compiled from files that name it",
			Evidence: []string{"the target's own: " + d.From, "reaches " + short(d.Reaches, 8)}, Remedy: "leave out --config, or give the target's own"})
	}
	if len(rest) > 0 {
		p.Report(finding.Finding{ID: finding.IDConfig, Severity: finding.Note, Message: fmt.Sprintf("%d options of the configuration differ from the target's own and reach no patched object", len(rest)),
			Evidence: []string{"the target's own: " + from, short(rest, 12)}})
	}
}

func shown(value string) string {
	if value == "" {
		return "not set"
	}
	return value
}

func short(list []string, most int) string {
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
	}
	return strings.Join(list, ", ")
}
