package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// FindingTable tells, for each check and severity, how many findings the
// self-contained patches of a corpus got, and on how many patches.
func FindingTable(cases []Case) string {
	type key struct{ id, severity string }
	type count struct{ findings, patches int }
	counts := map[key]count{}
	judged := 0
	for _, c := range cases {
		if c.Outcome != Built && c.Outcome != Refused {
			continue
		}
		judged++
		seen := map[key]bool{}
		for i := range c.Findings {
			f := &c.Findings[i]
			k := key{string(f.ID), f.Severity.String()}
			switch {
			case f.ID.IsVerdict() && f.Given:
				k.severity = "given"
			case f.ID.IsVerdict():
				k.severity = "not given"
			case f.Unknown:
				k.severity += ", unknown"
			}
			n := counts[k]
			n.findings++
			if !seen[k] {
				n.patches++
			}
			seen[k] = true
			counts[k] = n
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nfindings on %d self-contained patches that change code:\n", judged)
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "check\tseverity\tfindings\tpatches")
	for _, k := range slices.SortedFunc(maps.Keys(counts), func(a, b key) int { return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.severity, b.severity)) }) {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\n", k.id, k.severity, counts[k].findings, counts[k].patches)
	}
	w.Flush()
	return b.String()
}
