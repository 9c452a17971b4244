package meaning

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
)

// definedValues gives the values of #defines without parameters and of enumerators, as
// written; of an enumerator without one, how far it stands behind one with.
func definedValues(text []byte) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if m := define.FindStringSubmatchIndex(line); m != nil {
			body, _, _ := strings.Cut(line[m[3]:], "/*")
			body, _, _ = strings.Cut(body, "//")
			out[line[m[2]:m[3]]] = strings.Join(strings.Fields(body), " ")
		}
	}

	// An enumeration is "enum", perhaps a name, and a brace.
	var list []string // tokens of the enumerator at hand
	last, inside, head, depth, behind := "0", false, false, 0, 0
	end := func() {
		if len(list) == 0 {
			return
		}
		if len(list) > 2 && list[1] == "=" {
			last, behind = strings.Join(list[2:], " "), 0
		}
		out[list[0]] = fmt.Sprintf("%s + %d", last, behind)
		list, behind = nil, behind+1
	}
	for tok := range analyze.Tokens(text) {
		switch {
		case tok == "enum":
			head = true
		case head && tok == "{":
			head, inside, last, behind, depth = false, true, "0", 0, 0
		case head && strings.Contains(";),*=", tok):
			head = false
		case !inside:
		case tok == "}":
			end()
			inside = false
		case tok == "," && depth == 0:
			end()
		default:
			switch tok {
			case "(":
				depth++
			case ")":
				depth--
			}
			list = append(list, tok)
		}
	}
	return out
}

// changedValues lists the names that a file gives another value than before, and that the
// file compares or takes for bits: limits and times, which are counted with, say nothing
// of objects from before.
func changedValues(file *analyze.File) map[string]string {
	out := map[string]string{}
	if file.Old == nil || file.New == nil || len(file.Hunks) == 0 {
		return out
	}
	old := definedValues(file.Old)
	for name, now := range definedValues(file.New) {
		if was, ok := old[name]; ok && was != now && distinguishes(file.New, name) {
			out[name] = was + " before, " + now + " after"
		}
	}
	return out
}

// distinguishes reports whether a text asks for a value: by a comparison, a case, or as a
// bit.
func distinguishes(text []byte, name string) bool {
	var last [2]string
	named := false
	for tok := range analyze.Tokens(text) {
		if named && (tok == "|" || tok == "&") {
			return true
		}
		named = tok == name
		if named {
			equal := last[1] == "=" && (last[0] == "=" || last[0] == "!")
			bit := last[1] == "&" || last[1] == "|" || last[0] == "|" && last[1] == "="
			call := last[1] == "(" && strings.HasSuffix(last[0], "_bit")
			if equal || bit || call || last[1] == "case" {
				return true
			}
		}
		last = [2]string{last[1], tok}
	}
	return false
}

var number = regexp.MustCompile(`^(0[xX][0-9a-fA-F]+|[1-9][0-9]*)[uUlL]*$`)

// literals finds bits that changed lines set in a member by their number, and that the
// old text does not name beside the member.
func literals(file *analyze.File) map[string]string {
	out := map[string]string{}
	var last [4]string // ".", member, "|", "="
	for tok, line := range analyze.Tokens(file.New) {
		if number.MatchString(tok) && last[3] == "=" && last[2] == "|" && (last[0] == "." || last[0] == ">") &&
			changedLine(file, line) && !beside(file.Old, last[1], tok) {
			out[tok] = file.Path
		}
		last = [4]string{last[1], last[2], last[3], tok}
	}
	return out
}

// beside reports whether a line of a text has both words.
func beside(text []byte, a, b string) bool {
	at, hasA, hasB := 0, false, false
	for tok, line := range analyze.Tokens(text) {
		if line != at {
			at, hasA, hasB = line, false, false
		}
		hasA, hasB = hasA || tok == a, hasB || tok == b
		if hasA && hasB {
			return true
		}
	}
	return false
}

// turned reports comparisons whose direction alone changed, where they put elements in an
// order or find them by it: in the walk along a list or tree, or as the result of a
// function that compares one member of two objects.
func turned(pass *analyze.Pass, unit *analyze.Unit, file *analyze.File) {
	for _, hunk := range file.Hunks {
		if hunk.OldLines != 1 || hunk.NewLines != 1 {
			continue
		}
		old, newer := lineTokens(file.Old, hunk.OldStart), lineTokens(file.New, hunk.NewStart)
		at := directionOnly(old, newer)
		if at < 0 {
			continue
		}
		for _, ch := range unit.Replace {
			def, ok := file.Definition(sourceName(ch.Name), true)
			inside := ok && def.Func && hunk.NewStart >= def.Line && hunk.NewStart <= def.End
			if !inside && !inlined(unit, file, hunk.NewStart) {
				continue
			}
			if !(inside && walks(file.New, def)) && !comparesOneMember(newer, at) {
				continue
			}
			pass.ReportChange(unit, ch, orderTurned(file, hunk, ch, old, newer))
			break
		}
	}
}

func orderTurned(file *analyze.File, hunk analyze.Hunk, ch elfdiff.Change, old, newer []string) finding.Finding {
	return finding.Finding{ID: finding.IDDataMeaning, Severity: finding.Warning,
		Message: "compares in the other direction than old code: elements that are in order already, and code that " +
			"is not patched, have the old one",
		Evidence: []string{fmt.Sprintf("%s:%d: before: %s", file.Path, hunk.OldStart, strings.Join(old, " ")),
			fmt.Sprintf("%s:%d: after: %s", file.Path, hunk.NewStart, strings.Join(newer, " "))},
		Who:    []string{"what is in a list or tree when " + sourceName(ch.Name) + " is replaced"},
		Remedy: "put what exists in the new order in a post-patch callback, with all users kept out; or keep the old order"}
}

func lineTokens(text []byte, number int) (out []string) {
	for tok, line := range analyze.Tokens(text) {
		if line == number {
			out = append(out, tok)
		}
	}
	return out
}

// directionOnly gives the place of the one token that differs, where that is < on one side
// and > on the other; -1 otherwise.
func directionOnly(old, newer []string) int {
	at := -1
	if len(old) != len(newer) {
		return -1
	}
	for i := range old {
		if old[i] == newer[i] {
			continue
		}
		pair := old[i] + newer[i]
		if at >= 0 || pair != "<>" && pair != "><" || i > 0 && old[i-1] == "-" {
			return -1
		}
		at = i
	}
	return at
}

// inlined reports whether a line lies in a function that is no function of its own in the
// object: those that changed have it in them.
func inlined(unit *analyze.Unit, file *analyze.File, line int) bool {
	for i := range unit.Diff.Patched.Atoms {
		name := sourceName(unit.Diff.Patched.Atoms[i].Name)
		if def, ok := file.Definition(name, true); ok && def.Func && line >= def.Line && line <= def.End {
			return false
		}
	}
	return true
}

// links are members that lead from one element of a tree or list to another
// (include/linux/rbtree_types.h, types.h, v6.1).
var links = regexp.MustCompile(`^(rb_(left|right)|next)$`)

// walks reports whether a function goes along a list or a tree.
func walks(text []byte, def analyze.Text) bool {
	for tok, line := range analyze.Tokens(text) {
		if line < def.Line || line > def.End {
			continue
		}
		if links.MatchString(tok) || kfuncs.Walks(tok) {
			return true
		}
	}
	return false
}

// comparesOneMember reports whether a line returns how one member of two objects compares;
// at is the comparison.
func comparesOneMember(line []string, at int) bool {
	if len(line) == 0 || line[0] != "return" {
		return false
	}
	member := func(tokens []string) string {
		for i := len(tokens) - 1; i > 1; i-- {
			if tokens[i-1] == "." || tokens[i-2] == "-" && tokens[i-1] == ">" {
				return tokens[i]
			}
		}
		return ""
	}
	left, right := member(line[:at]), member(line[at:])
	return left != "" && left == right && !slices.Contains(line, "&")
}
