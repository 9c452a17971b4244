package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/klpforge/klpforge/finding"
)

// tally counts the outcomes of one check and half, or of all.
type tally struct {
	hazards, found, noted, silent int
	harmless, flagged             int
	verdictOnHazard               int
	alone, verdictOnAlone         int // harmless ones that a verdict is right for
	unfit                         int
}

func (t *tally) add(o *outcome) {
	count := func(n *int, when bool) {
		if when {
			*n++
		}
	}
	count(&t.unfit, o.Answer == unfit)
	if o.Answer == unfit {
		return
	}
	count(&t.hazards, o.Kind == hazard)
	count(&t.found, o.Answer == found)
	count(&t.noted, o.Answer == noted)
	count(&t.silent, o.Answer == silent)
	count(&t.harmless, o.Kind == harmless)
	count(&t.flagged, o.Answer == flagged)
	count(&t.verdictOnHazard, o.Kind == hazard && o.Verdict)
	count(&t.alone, o.Standalone)
	count(&t.verdictOnAlone, o.Standalone && o.Verdict)
}

func (t *tally) row(name string) string {
	return fmt.Sprintf("| %s | %d | %s | %s | %s | %d | %d | %d | %s |", name, t.hazards, share(t.found, t.hazards),
		share(t.noted, t.hazards), share(t.silent, t.hazards), t.verdictOnHazard, t.harmless, t.flagged,
		share(t.verdictOnAlone, t.alone))
}

// share is "3 (50 %)".
func share(part, whole int) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%d (%.0f %%)", part, 100*float64(part)/float64(whole))
}

// tables writes what the outcomes come to, half by half and check by check, and
// then each case.
func tables(out io.Writer, list []outcome) {
	fmt.Fprintln(out, "| half, check | hazards | found | as a note | silent | with a verdict | harmless | flagged | verdict where it stands alone |")
	fmt.Fprintln(out, "| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, part := range []half{before, after} {
		by := map[finding.ID]*tally{}
		var all tally
		for i := range list {
			o := &list[i]
			if o.Half != part {
				continue
			}
			if by[o.Check] == nil {
				by[o.Check] = &tally{}
			}
			by[o.Check].add(o)
			all.add(o)
		}
		if len(by) == 0 {
			continue
		}
		for _, id := range sortedIDs(by) {
			fmt.Fprintln(out, by[id].row(fmt.Sprintf("%s, %s", part, id)))
		}
		fmt.Fprintln(out, all.row(fmt.Sprintf("**%s, all**", part)))
	}
	fmt.Fprintln(out)
	fmt.Fprintln(out, "| check | half | kind | case | outcome | verdict | also said |")
	fmt.Fprintln(out, "| --- | --- | --- | --- | --- | --- | --- |")
	for i := range list {
		o := &list[i]
		kind, mark, verdict := string(o.Kind), "", ""
		if o.Standalone {
			kind += ", stands alone"
		}
		if o.wrong() {
			mark = "! "
		}
		if o.Verdict {
			verdict = "given"
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s%s | %s | %s |\n", o.Check, o.Half, kind, o.Name, mark, o.Answer, verdict,
			o.others())
	}
}

// others are the warnings and errors of other checks; of an unfit patch, why
// it is unfit.
func (o *outcome) others() string {
	if o.Answer == unfit {
		first, _, _ := strings.Cut(o.Fault, "\n")
		return strings.ReplaceAll(first, "|", "\\|")
	}
	var ids []string
	for i := range o.Says {
		if f := &o.Says[i]; f.Severity >= finding.Warning && f.ID != o.Check {
			ids = append(ids, fmt.Sprintf("%s %s", f.ID, f.Severity))
		}
	}
	slices.Sort(ids)
	return strings.Join(slices.Compact(ids), ", ")
}

func sortedIDs(by map[finding.ID]*tally) []finding.ID {
	var ids []finding.ID
	for id := range by {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// page is the text of docs/measured/truth.md.
func page(tables, flags []byte, now time.Time) []byte {
	return fmt.Appendf(nil, `# What the checks see

`+"`make truth`"+` reviews patches whose truth was decided beforehand and without asking the checks
(`+"`testdata/truth`"+`, [its README](../../testdata/truth/README.md)): hazards, which are right as source and dangerous as a livepatch,
and harmless patches that look like them. Half of each check's were written before the check was changed for them, half after.

*Found* is a finding of the check that the hazard is for, at warning or error; *as a note* is one that says it, but holds nothing up;
*silent* is none of that check, whatever others say. *Flagged* is a harmless patch with a warning or an error of any check. A
verdict (KLP401, KLP402) on a hazard and a flagged patch make the command fail.

6.1.0-55-cloud-amd64, %s.

%s
## Against the source's own words

Some of what the checks know of functions, they find from code: which may return NULL, which take or give up references
to their arguments, and whether callers look at a result. Developers wrote the same down for others: the flags of functions that BPF
programs call, and `+"`__must_check`"+`. Of functions in the kernel's image; `+"`go run ./internal/truth -contracts`"+` prints this part.
%s`, now.UTC().Format(time.DateOnly), tables, flags)
}
