package report

import "github.com/klpforge/klpforge/analyze"

// Row is one line of a side-by-side comparison.
type Row struct {
	Kind   RowKind
	OldNo  int // 1-based line or byte offset; meaningful where the side has text
	NewNo  int
	Old    string
	New    string
	HasOld bool
	HasNew bool
}

// RowKind says how the sides compare.
type RowKind string

// Kinds of rows. A gap stands for equal lines that are left out.
const (
	Same    RowKind = "same"
	Changed RowKind = "changed"
	Added   RowKind = "added"
	Removed RowKind = "removed"
	Gap     RowKind = "gap"
)

// around is the number of unchanged lines shown around a change.
const around = 3

// SourceRows puts the hunks of a file side by side.
func SourceRows(file *analyze.File) []Row {
	old, newer := lines(file.Old), lines(file.New)
	hunks := file.Hunks
	if file.Old == nil || file.New == nil {
		hunks = []analyze.Hunk{{OldStart: min(1, len(old)), OldLines: len(old), NewStart: min(1, len(newer)),
			NewLines: len(newer)}}
	}
	var rows []Row
	oldLine, newLine := 1, 1 // next lines not shown
	same := func(untilOld int) {
		for ; oldLine < untilOld && oldLine <= len(old) &&
			newLine <= len(newer); oldLine, newLine = oldLine+1, newLine+1 {
			rows = append(rows, Row{Kind: Same, OldNo: oldLine, NewNo: newLine, Old: old[oldLine-1],
				New: newer[newLine-1], HasOld: true, HasNew: true})
		}
	}
	for i, hunk := range hunks {
		os, ns := hunk.OldStart, hunk.NewStart
		if hunk.OldLines == 0 {
			os++
		}
		if hunk.NewLines == 0 {
			ns++
		}
		if i > 0 {
			same(min(oldLine+around, os))
		}
		if skip := os - around - oldLine; skip > 0 {
			if i > 0 || oldLine > 1 {
				rows = append(rows, Row{Kind: Gap})
			}
			oldLine, newLine = oldLine+skip, newLine+skip
		}
		same(os)
		oldLine, newLine = os, ns
		for k := range max(hunk.OldLines, hunk.NewLines) {
			row := Row{Kind: Changed}
			if k < hunk.OldLines && oldLine <= len(old) {
				row.OldNo, row.Old, row.HasOld = oldLine, old[oldLine-1], true
				oldLine++
			}
			if k < hunk.NewLines && newLine <= len(newer) {
				row.NewNo, row.New, row.HasNew = newLine, newer[newLine-1], true
				newLine++
			}
			rows = append(rows, row.settle())
		}
	}
	if len(hunks) > 0 {
		same(oldLine + around)
	}
	return rows
}

func (r Row) settle() Row {
	switch {
	case !r.HasOld:
		r.Kind = Added
	case !r.HasNew:
		r.Kind = Removed
	}
	return r
}

func lines(text []byte) []string {
	var out []string
	start := 0
	for i, c := range text {
		if c == '\n' {
			out = append(out, string(text[start:i]))
			start = i + 1
		}
	}
	if start < len(text) {
		out = append(out, string(text[start:]))
	}
	return out
}
