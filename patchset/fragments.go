package patchset

import (
	"errors"
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"
	"github.com/go-git/go-git/v5/utils/diff"
	"github.com/sergi/go-diff/diffmatchpatch"
)

// contextLines is how much unchanged text surrounds a change, as in git.
const contextLines = 3

// fragments compares two texts by line and returns the hunks between them,
// as a unified diff would hold them. go-git's own encoder of unified diffs
// puts the line before a hunk where the function name belongs, which the
// applier relies on, so the hunks are made here from its line comparison.
func fragments(old, newer string) ([]*gitdiff.TextFragment, error) {
	if old == newer {
		return nil, nil
	}
	diffs := diff.Do(old, newer)
	if diff.Src(diffs) != old || diff.Dst(diffs) != newer {
		return nil, errors.New("line comparison lost text")
	}
	var lines []gitdiff.Line
	for _, part := range diffs {
		op := gitdiff.OpContext
		switch part.Type {
		case diffmatchpatch.DiffDelete:
			op = gitdiff.OpDelete
		case diffmatchpatch.DiffInsert:
			op = gitdiff.OpAdd
		}
		for _, l := range splitLines(part.Text) {
			lines = append(lines, gitdiff.Line{Op: op, Line: l})
		}
	}
	return group(lines), nil
}

// group cuts a line-by-line comparison into hunks.
func group(lines []gitdiff.Line) []*gitdiff.TextFragment {
	var out []*gitdiff.TextFragment
	heading := "" // nearest line that looks like a function's, before index i
	oldLine, newLine := int64(0), int64(0)
	advance := func(line gitdiff.Line) {
		if line.Old() {
			oldLine++
			if t := strings.TrimSpace(line.Line); isHeading(line.Line) && !strings.HasSuffix(t, ":") {
				heading = t
			}
		}
		if line.New() {
			newLine++
		}
	}
	for i := 0; i < len(lines); {
		// Find the next change and the end of its hunk.
		first := i
		for first < len(lines) && lines[first].Op == gitdiff.OpContext {
			first++
		}
		if first == len(lines) {
			break
		}
		start := max(i, first-contextLines)
		end, last := first, first
		for end < len(lines) && end-last <= 2*contextLines {
			if lines[end].Op != gitdiff.OpContext {
				last = end
			}
			end++
		}
		end = min(last+1+contextLines, len(lines))
		for ; i < start; i++ {
			advance(lines[i])
		}
		fragment := &gitdiff.TextFragment{Comment: heading, OldPosition: oldLine + 1, NewPosition: newLine + 1,
			Lines: lines[start:end:end]}
		for ; i < end; i++ {
			line := lines[i]
			advance(line)
			switch line.Op {
			case gitdiff.OpAdd:
				fragment.LinesAdded++
			case gitdiff.OpDelete:
				fragment.LinesDeleted++
			}
			if line.Old() {
				fragment.OldLines++
			}
			if line.New() {
				fragment.NewLines++
			}
		}
		fragment.LeadingContext = int64(first - start)
		fragment.TrailingContext = int64(end - last - 1)
		if fragment.OldLines == 0 {
			fragment.OldPosition--
		}
		if fragment.NewLines == 0 {
			fragment.NewPosition--
		}
		out = append(out, fragment)
	}
	return out
}
