package patchset

import (
	"fmt"
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"

	"github.com/klpforge/klpforge/finding"
)

// Placing hunks. go-gitdiff applies a fragment only at the very line it
// names; real patches meet sources where the same lines moved. The rules are
// those of patch(1) without fuzz, made stricter where patch would guess:
//
//   - The place named, shifted by the offset of the hunk before it, is tried
//     first, then the place named. A match there stands.
//   - Otherwise every place after the previous hunk where all old lines match
//     is a candidate. Those in the function that the hunk header names win.
//     If more than one is left, the hunk is refused: nearness is no proof.
//   - A hunk at the top of a file (fewer lines of context before than after,
//     line 1) only matches at the top; one with fewer lines of context after
//     than before only at the end.
//   - A hunk without any old line has nothing to be found by and only goes
//     exactly where it says.

// maxFailedHunks bounds how many hunks of one change are looked for in vain: each
// costs a search through the file, and the patch is for another source.
const maxFailedHunks = 50

// hunks applies the hunks of change to edited and collects failures. It reports
// whether all applied; if not, edited is marked bad. base is added to hunk numbers.
func (a *applier) hunks(patch *Patch, change *Change, edited *text, path string, base int) bool {
	if len(change.Hunks) == 0 {
		return true
	}

	// Hunks are placed in order: none may begin before the end of the one before, and each starts
	// to search where the drift of the last one leads.
	in := edited.lines
	out := make([]srcLine, 0, len(in)+16)
	cursor, drift := 0, 0
	ok, failures := true, 0
	for i, hunk := range change.Hunks {
		if failures == maxFailedHunks {
			a.failed = append(a.failed, &ApplyError{Patch: patch.ID, File: path,
				Reason: fmt.Sprintf("after so many failures, its other %d hunks were not tried", len(change.Hunks)-i)})
			break
		}
		found, reason := place(in, hunk, cursor, drift, a.fuzz)
		if reason != "" {
			ok = false
			failures++
			a.failed = append(a.failed, &ApplyError{
				Patch: patch.ID, File: path, Hunk: base + i + 1, Line: int(hunk.OldPosition),
				Context: oldSide(hunk), Reason: reason, Applied: reverses(in, hunk),
			})
			continue
		}

		// What was not exact is said, because a hunk can fit at a wrong place.
		if found.pos != nominal(hunk) {
			a.notes = append(a.notes, Note{Kind: finding.RemarkApplied, Patch: patch.ID, File: path, Hunk: base + i + 1,
				Text: fmt.Sprintf("applied at line %d, offset %+d", found.pos+1, found.pos-nominal(hunk))})
		}
		if found.fuzz > 0 {
			a.notes = append(a.notes, Note{Kind: finding.RemarkApplied, Patch: patch.ID, File: path, Hunk: base + i + 1,
				Text: fmt.Sprintf("applied with fuzz %d: outer context lines differ", found.fuzz)})
		}
		if hunk.OldLines == 0 && len(in) > 0 {
			a.notes = append(a.notes, Note{Kind: finding.RemarkApplied, Patch: patch.ID, File: path, Hunk: base + i + 1,
				Text: "has no context, its place is not verified"})
		}

		drift = found.pos - nominal(hunk)
		out = append(out, in[cursor:found.pos]...)
		cursor = found.pos
		for _, line := range hunk.Lines {
			switch line.Op {
			case gitdiff.OpContext:
				out = append(out, in[cursor])
				cursor++
			case gitdiff.OpDelete:
				cursor++
			case gitdiff.OpAdd:
				out = append(out, srcLine{text: line.Line})
			}
		}
	}

	out = append(out, in[cursor:]...)
	if ok {
		for _, line := range out[:max(len(out)-1, 0)] {
			if !strings.HasSuffix(line.text, "\n") {
				a.failed = append(a.failed, &ApplyError{Patch: patch.ID, File: path,
					Reason: "a line without newline would be followed by another"})
				ok = false
				break
			}
		}
	}

	// A file with a failed hunk is not changed at all: later hunks would be placed by half a
	// change.
	if !ok {
		edited.bad = true
		return false
	}
	edited.lines = out
	return true
}

// nominal is the 0-based index where the hunk's old lines should start.
func nominal(hunk *gitdiff.TextFragment) int {
	if hunk.OldLines == 0 {
		return int(hunk.OldPosition) // "after line n"
	}
	return int(hunk.OldPosition) - 1
}

// oldSide lists the lines the hunk expects, without line ends.
func oldSide(hunk *gitdiff.TextFragment) []string {
	var out []string
	for _, line := range hunk.Lines {
		if line.Old() {
			out = append(out, strings.TrimSuffix(line.Line, "\n"))
		}
	}
	return out
}

// match is where a hunk fits.
type match struct {
	pos  int // 0-based index of its first old line
	fuzz int
}

// place finds where hunk fits in lines at or after cursor. A non-empty reason
// says why it does not.
func place(lines []srcLine, hunk *gitdiff.TextFragment, cursor, drift, maxFuzz int) (match, string) {
	pat := make([]string, 0, hunk.OldLines)
	for _, line := range hunk.Lines {
		if line.Old() {
			pat = append(pat, line.Line)
		}
	}
	at := nominal(hunk)
	if len(pat) == 0 {
		switch {
		case drift != 0:
			return match{}, "hunk has no context lines to find its place by, and earlier hunks were moved: make the " +
				"patch with context (diff -u)"
		case at < cursor || at > len(lines):
			return match{}, fmt.Sprintf("hunk has no context lines and its line is not in the file of %d lines",
				len(lines))
		}
		return match{pos: at}, ""
	}
	lead, trail := int(hunk.LeadingContext), int(hunk.TrailingContext)
	ctx := max(lead, trail)
	many := ""
	for fuzz := 0; fuzz <= min(maxFuzz, ctx); fuzz++ {
		head := max(fuzz+lead-ctx, 0) // context lines not compared at the start
		tail := max(fuzz+trail-ctx, 0)
		fits := fitter{lines: lines, pat: pat, head: head, tail: tail,
			top:    fuzz+lead-ctx < 0 && hunk.OldPosition <= 1,
			bottom: fuzz+trail-ctx < 0,
		}
		for _, try := range []int{at + drift, at} {
			if try >= cursor && fits.fits(try) {
				return match{try, fuzz}, ""
			}
		}
		var found, named []int
		for try := cursor; try+len(pat) <= len(lines) && len(found) < maxFound; try++ {
			if fits.fits(try) {
				found = append(found, try)
				if inFunction(lines, try, hunk.Comment) {
					named = append(named, try)
				}
			}
		}
		if len(named) > 0 && len(found) < maxFound {
			found = named
		}
		if len(found) == 1 {
			return match{found[0], fuzz}, ""
		}
		if len(found) > 1 && many == "" {
			many = fmt.Sprintf("its lines are found at %d places (lines %d, %d, …), none where the hunk says: "+
				"refresh the patch against this source", len(found), found[0]+1, found[1]+1)
		}
	}
	if many != "" {
		return match{}, many
	}
	return match{}, explain(lines, pat, at+drift, cursor, trail < lead)
}

// maxFound bounds how many places of one hunk are looked at: so many mean
// that its lines say nothing.
const maxFound = 1000

// fitter compares a pattern at places of a file.
type fitter struct {
	lines       []srcLine
	pat         []string
	head, tail  int
	top, bottom bool // must stand at the top, the end of the file
}

func (f *fitter) fits(at int) bool {
	if at < 0 || at+len(f.pat) > len(f.lines) || (f.top && at != 0) || (f.bottom && at+len(f.pat) != len(f.lines)) {
		return false
	}
	if f.head+f.tail >= len(f.pat) {
		return false // nothing left to compare
	}
	for i := f.head; i < len(f.pat)-f.tail; i++ {
		if f.lines[at+i].text != f.pat[i] {
			return false
		}
	}
	return true
}

// inFunction says whether comment, the text after the second "@@", is the
// line that diff would print for a hunk at index at: the nearest earlier line
// that starts with a letter, "_" or "$". git's C rules skip labels, so both
// readings count.
func inFunction(lines []srcLine, at int, comment string) bool {
	comment = strings.TrimSpace(comment)
	if comment == "" {
		return false
	}
	for i := at - 1; i >= 0; i-- {
		if !isHeading(lines[i].text) {
			continue
		}
		l := strings.TrimSpace(lines[i].text)
		if strings.HasPrefix(l, comment) {
			return true
		}
		if !strings.HasSuffix(l, ":") {
			return false
		}
	}
	return false
}

// isHeading says whether diff takes a line for the start of a function.
func isHeading(line string) bool {
	if line == "" {
		return false
	}
	c := line[0]
	return c == '_' || c == '$' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// maxExplain bounds the work spent on explaining one failure, in line
// comparisons.
const maxExplain = 20_000_000

// explain says how far the best candidate place is from matching.
func explain(lines []srcLine, pat []string, want, cursor int, atEnd bool) string {
	if len(lines) == 0 {
		return "the file is empty"
	}

	// Perhaps they are there, and the rules of placing forbid that place.
	all := &fitter{lines: lines, pat: pat}
	for try := 0; try+len(pat) <= len(lines); try++ {
		if !all.fits(try) {
			continue
		}
		switch {
		case try < cursor:
			return fmt.Sprintf("its lines are found only at line %d, before the end of the previous hunk: the hunks "+
				"are out of order or overlap", try+1)
		case atEnd && try+len(pat) != len(lines):
			return fmt.Sprintf("its lines are found at line %d, but the hunk ends its file and this one goes on: "+
				"allow fuzz, or refresh the patch", try+1)
		}
		return fmt.Sprintf("its lines are found at line %d, but the hunk starts its file: allow "+
			"fuzz, or refresh the patch", try+1)
	}

	// Otherwise the place where most lines agree shows best what differs. Its cost is bounded:
	// files and hunks are strangers'.
	best, bestScore, bestDist := -1, 0, 0
	for try := 0; try < len(lines) && try*len(pat) < maxExplain; try++ {
		score := 0
		for i, wanted := range pat {
			if try+i < len(lines) && lines[try+i].text == wanted && strings.TrimSpace(wanted) != "" {
				score++
			}
		}
		dist := try - want
		if dist < 0 {
			dist = -dist
		}
		if score > bestScore || (score == bestScore && score > 0 && dist < bestDist) {
			best, bestScore, bestDist = try, score, dist
		}
	}

	if best < 0 {
		return "none of its lines is in the file"
	}
	for i, wanted := range pat {
		if best+i >= len(lines) {
			return fmt.Sprintf("closest match at line %d: the file ends there, the patch expects %q", best+1,
				strings.TrimRight(wanted, "\r\n"))
		}
		if got := lines[best+i].text; got != wanted {
			hint := ""
			switch {
			case strings.TrimRight(got, " \t\r\n") == strings.TrimRight(wanted, " \t\r\n"):
				hint = " (only white space or the line end differs)"
			case strings.Join(strings.Fields(got), " ") == strings.Join(strings.Fields(wanted), " "):
				hint = " (only white space differs)"
			}
			return fmt.Sprintf("closest match at line %d: line %d is %q where the patch expects %q%s",
				best+1, best+i+1, strings.TrimRight(got, "\r\n"), strings.TrimRight(wanted, "\r\n"), hint)
		}
	}
	return "its lines do not match"
}

// reverses says whether the new side of a hunk is in the file, so that the
// hunk would apply backwards.
func reverses(lines []srcLine, hunk *gitdiff.TextFragment) bool {
	var pat []string
	text := 0
	for _, line := range hunk.Lines {
		if line.New() {
			pat = append(pat, line.Line)
			if strings.TrimSpace(line.Line) != "" {
				text++
			}
		}
	}
	// A lone brace or blank line is everywhere; ask for something to go by.
	if text < 2 && hunk.LinesAdded != int64(len(pat)) || text == 0 {
		return false
	}
	f := &fitter{lines: lines, pat: pat}
	for try := 0; try+len(pat) <= len(lines); try++ {
		if f.fits(try) {
			return true
		}
	}
	return false
}
