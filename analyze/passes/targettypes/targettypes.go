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

func run(pass *analyze.Pass) error {
	seen := map[string]bool{}
	for _, unit := range pass.Units {
		switch check := unit.Target; {
		case check == nil:
		case check.Err != nil:
			pass.Report(finding.Finding{ID: finding.IDTypes, Severity: finding.Warning, Unknown: true,
				Object: unit.Owner, Unit: unit.Object, Evidence: []string{check.Err.Error()},
				Message: "the types that the code uses could not be compared with the target's"})
		case check.Source == "":
			pass.Report(noTypes(unit))
		default:
			mismatches(pass, unit, seen)
		}
		if unit.Target != nil && unit.Target.Other != nil {
			headers(pass, unit)
		}
	}
	config(pass)
	return nil
}

// here is how findings call the side of the compiled object.
const here = "the compiled object"

// mismatches reports the differences of one unit. A type that differs in the same way in
// several is reported once.
func mismatches(pass *analyze.Pass, unit *analyze.Unit, seen map[string]bool) {
	var unused []string
	for i := range unit.Target.Report.Mismatches {
		m := &unit.Target.Report.Mismatches[i]
		if m.Use == typecheck.Unused {
			unused = append(unused, m.Name)
			continue
		}
		f := mismatch(unit, m)
		if key := unit.Owner + " " + f.Message; !seen[key] {
			seen[key] = true
			pass.Report(f)
		}
	}
	if len(unused) == 0 {
		return
	}
	pass.Report(finding.Finding{ID: finding.IDTypes, Severity: finding.Note, Object: unit.Owner, Unit: unit.Object,
		Message: fmt.Sprintf("%d of %d types, enumerators and prototypes differ from %s, in parts that the patched "+
			"code does not use",
			len(unused), len(unit.Target.Report.Checked), unit.Target.Source),
		Evidence: []string{"types: " + short(unused, 12)}})
}

func mismatch(unit *analyze.Unit, diff *typecheck.Mismatch) finding.Finding {
	found := finding.Finding{ID: finding.IDTypes, Severity: finding.Error, Object: unit.Owner, Unit: unit.Object,
		Message: diff.Parts[0].Say(here, unit.Target.Source), Remedy: remedy}
	if diff.Use == typecheck.Unsure {
		found.Severity, found.Unknown = finding.Warning, true
		found.Evidence = append(found.Evidence,
			"the patched code handles the type; whether it depends on the size is not seen")
	} else {
		found.Evidence = append(found.Evidence, "the patched code can depend on it: "+diff.Why)
	}
	const most = 8
	for i := range diff.Parts[1:] {
		if i == most {
			found.Evidence = append(found.Evidence, fmt.Sprintf("%d more differences", len(diff.Parts)-1-most))
			break
		}
		found.Evidence = append(found.Evidence, diff.Parts[1+i].Say(here, unit.Target.Source))
	}
	if diff.Several {
		found.Evidence = append(found.Evidence, unit.Target.Source+
			" has several of that name, none of them the same; this is the most alike")
	}
	return found
}

// headers reports what code is made of by headers that are not the target's.
func headers(pass *analyze.Pass, u *analyze.Unit) {
	other := u.Target.Other
	found := finding.Finding{ID: finding.IDTypes, Object: u.Owner, Unit: u.Object, Remedy: remedy}
	if len(other.Headers) > 0 {
		found.Evidence = append(found.Evidence, "the target has otherwise: "+short(other.Headers, 8))
	}

	// What could not be compared comes first, then differences that were found, then what may
	// differ.
	switch {
	case other.Err != nil:
		found.Severity, found.Unknown = finding.Warning, true
		found.Message = "headers of the source are not the target's, and what they make of the code could not be " +
			"compared"
		found.Evidence = append(found.Evidence, other.Err.Error())
	case len(other.Where) > 0:
		found.Severity = finding.Error
		w := other.Where[0]
		found.Message = fmt.Sprintf("headers of the source are not the target's: %s is compiled as `%s`, by the "+
			"target's headers `%s`", w.Name, w.Here, w.There)
		if w.Here == w.There {
			found.Message = fmt.Sprintf("headers of the source are not the target's: the target's make something "+
				"else of %s", w.Name)
		}
		for _, more := range other.Where[1:min(len(other.Where), 9)] {
			found.Evidence = append(found.Evidence, fmt.Sprintf("%s: `%s`, by the target's headers `%s`", more.Name,
				more.Here, more.There))
		}
	case len(other.Changed) > 0:
		found.Severity, found.Unknown = finding.Warning, true
		found.Message = "the patch changes headers that are not the target's to begin with: " + short(other.Changed, 8)
	default:
		found.Severity = finding.Note
		found.Message = fmt.Sprintf("%d headers of the source are not the target's, in parts that the patched code "+
			"does not use", len(other.Headers))
	}
	pass.Report(found)
}

// noTypes tells what is known of a target without types.
func noTypes(u *analyze.Unit) finding.Finding {
	check := u.Target
	found := finding.Finding{ID: finding.IDTypes, Severity: finding.Note, Unknown: true, Object: u.Owner,
		Unit:   u.Object,
		Remedy: "give a vmlinux with BTF or debug information (--vmlinux)"}
	var open []string
	for _, m := range check.Members {
		if !slices.Contains(check.Proved, m) {
			open = append(open, m)
		}
	}
	found.Message = fmt.Sprintf("the target has neither BTF nor DWARF: types were not compared with it; "+
		"of %d members that the patched code can use, shipped code proves the offsets of %d",
		len(check.Members), len(check.Members)-len(open))
	if len(open) > 0 {
		found.Evidence = append(found.Evidence, "not proved: "+short(open, 24))
	}
	if len(check.Headers) > 0 {
		found.Evidence = append(found.Evidence, "generated headers differ: "+short(check.Headers, 8))
	}
	if len(check.Proved) > 0 {
		found.Evidence = append(found.Evidence, "proved: "+short(check.Proved, 24))
	}
	return found
}

// config reports options that differ.
func config(pass *analyze.Pass) {
	var rest []string
	from := ""
	for _, diff := range pass.Config {
		text := fmt.Sprintf("%s is %s, in the target %s", diff.Name, shown(diff.Tree), shown(diff.Target))
		from = diff.From
		if len(diff.Reaches) == 0 {
			rest = append(rest, text)
			continue
		}
		pass.Report(finding.Finding{ID: finding.IDConfig, Severity: finding.Error, Unit: diff.Reaches[0],
			Message:  text + ", and the patched code is compiled from files that name it",
			Evidence: []string{"the target's own: " + diff.From, "reaches " + short(diff.Reaches, 8)},
			Remedy:   "leave out --config, or give the target's own"})
	}
	if len(rest) > 0 {
		pass.Report(finding.Finding{ID: finding.IDConfig, Severity: finding.Note,
			Message:  fmt.Sprintf("%d options of the configuration differ from the target's own and reach no patched object", len(rest)),
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
