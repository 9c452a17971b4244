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
func SourceRows(f *analyze.File) []Row {
	old, newer := lines(f.Old), lines(f.New)
	hunks := f.Hunks
	if f.Old == nil || f.New == nil {
		hunks = []analyze.Hunk{{OldStart: min(1, len(old)), OldLines: len(old), NewStart: min(1, len(newer)), NewLines: len(newer)}}
	}
	var rows []Row
	o, n := 1, 1 // next lines not shown
	same := func(untilOld int) {
		for ; o < untilOld && o <= len(old) && n <= len(newer); o, n = o+1, n+1 {
			rows = append(rows, Row{Kind: Same, OldNo: o, NewNo: n, Old: old[o-1], New: newer[n-1], HasOld: true, HasNew: true})
		}
	}
	for i, h := range hunks {
		os, ns := h.OldStart, h.NewStart
		if h.OldLines == 0 {
			os++
		}
		if h.NewLines == 0 {
			ns++
		}
		if i > 0 {
			same(min(o+around, os))
		}
		if skip := os - around - o; skip > 0 {
			if i > 0 || o > 1 {
				rows = append(rows, Row{Kind: Gap})
			}
			o, n = o+skip, n+skip
		}
		same(os)
		o, n = os, ns
		for k := range max(h.OldLines, h.NewLines) {
			r := Row{Kind: Changed}
			if k < h.OldLines && o <= len(old) {
				r.OldNo, r.Old, r.HasOld = o, old[o-1], true
				o++
			}
			if k < h.NewLines && n <= len(newer) {
				r.NewNo, r.New, r.HasNew = n, newer[n-1], true
				n++
			}
			rows = append(rows, r.settle())
		}
	}
	if len(hunks) > 0 {
		same(o + around)
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
