package kfuncs

import (
	"cmp"
	_ "embed"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

//go:embed table.txt
var tableText string

// Row is what the table says of one function.
type Row struct {
	// Name of the function, or of a family, with a * at one end or both.
	Name string
	// File that defines it, "kernel/locking/mutex.c"; "" for a family.
	File string
	// As is the word by which the file makes the name; mostly the name.
	As string
	// Since and Until are the first and the last version that has it, "6.1";
	// "" for all.
	Since, Until string
	// Columns are the other columns of the row by name, "" for a word alone.
	Columns map[string]string
}

// All yields the rows in the order of the table.
func All() iter.Seq[Row] { return slices.Values(table.rows) }

// columns are the names that a column may have, and whether it has a value.
var columns = map[string]value{
	"noreturn": bare, "ends-thread": bare, "sleeps": bare, "never-sleeps": bare, "gfp": valued, "waits": valued,
	"state-arg": valued, "lock": valued, "traced": bare, "saves": bare, "restores": valued, "pair": valued,
	"locking": either, "free": valued, "frees": bare, "put": valued, "get": valued, "grace": valued,
	"runs": valued, "over": bare, "ends": bare, "fills": bare, "keeps": valued, "message": bare,
	"static-calls": bare, "shadow-id": valued, "atomic": bare, "publishes": bare, "overflows": bare,
	"any-memory": bare, "memory": valued, "last": valued, "hands-on": bare,
	"assigns": bare, "walks": bare, "counts-down": bare,
	"idle": bare, "patching": valued, "changes": valued, "preserves": bare, "no-args": bare,
	"own-convention": bare, "callee": valued,
	"reads-memory": bare, "aside": bare,
}

type value uint8

const (
	bare value = iota
	valued
	either
)

// parse reads the table. The error names the line.
func parse(text string) ([]Row, error) {
	var rows []Row
	file, seen := "", map[string][]Row{} // seen: by name
	for i, line := range strings.Split(text, "\n") {
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			continue
		case !strings.HasPrefix(line, " "):
			name, ok := strings.CutSuffix(line, ":")
			if !ok || strings.ContainsAny(name, " \t") {
				return nil, fmt.Errorf("line %d: neither a file nor a row", i+1)
			}
			file = name
			continue
		}

		row, err := parseRow(strings.Fields(line))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		family := strings.Contains(row.Name, "*")
		switch {
		case slices.ContainsFunc(seen[row.Name], func(other Row) bool { return !before(row, other) && !before(other, row) }):
			return nil, fmt.Errorf("line %d: %s has a row of these versions already", i+1, row.Name)
		case file == "" || family != (file == families):
			return nil, fmt.Errorf("line %d: %s does not belong below %q", i+1, row.Name, file)
		case !family:
			row.File = file
		}
		seen[row.Name] = append(seen[row.Name], row)
		rows = append(rows, row)
	}
	return rows, nil
}

// before reports whether the versions of a row end before those of another begin.
func before(row, other Row) bool {
	return row.Until != "" && other.Since != "" && versionLess(row.Until, other.Since)
}

// versionLess compares two versions, "6.9" and "6.10".
func versionLess(a, b string) bool {
	majorA, minorA, _ := strings.Cut(a, ".")
	majorB, minorB, _ := strings.Cut(b, ".")
	pad := func(s string) string { return fmt.Sprintf("%4s", s) }
	return cmp.Or(cmp.Compare(pad(majorA), pad(majorB)), cmp.Compare(pad(minorA), pad(minorB))) < 0
}

// families stands in the place of a file above the families.
const families = "*"

func parseRow(words []string) (Row, error) {
	row := Row{Name: words[0], As: words[0], Columns: map[string]string{}}
	if inner := strings.TrimSuffix(strings.TrimPrefix(row.Name, "*"), "*"); inner == "" || strings.Contains(inner, "*") {
		return Row{}, fmt.Errorf("%s: a * stands at the ends of a name", row.Name)
	}
	for _, word := range words[1:] {
		name, val, has := strings.Cut(word, "=")
		switch name {
		case "as":
			row.As = val
			continue
		case "since":
			row.Since = val
			continue
		case "until":
			row.Until = val
			continue
		}
		kind, ok := columns[name]
		if _, twice := row.Columns[name]; !ok || twice || has && kind == bare || !has && kind == valued || has && val == "" {
			return Row{}, fmt.Errorf("%s: column %q", row.Name, word)
		}
		row.Columns[name] = val
	}
	if len(row.Columns) == 0 {
		return Row{}, fmt.Errorf("%s: the row says nothing", row.Name)
	}
	return row, nil
}

// index finds rows by names.
type index struct {
	rows  []Row
	exact map[string][]int // of rows
	// Families by the column that they have.
	prefixes    map[string]map[string]string // by what their names begin with
	lengths     map[string][]int             // of these beginnings, longest first
	ends, inner map[string][]family          // by what names end with, and hold anywhere; longest first
}

// family is a row with a * in front, for one column.
type family struct{ word, val string }

var table = func() *index {
	rows, err := parse(tableText)
	if err != nil {
		panic("kfuncs: table.txt: " + err.Error()) // it is built in
	}
	return newIndex(rows)
}()

func newIndex(rows []Row) *index {
	x := &index{rows: rows, exact: map[string][]int{}, prefixes: map[string]map[string]string{},
		lengths: map[string][]int{}, ends: map[string][]family{}, inner: map[string][]family{}}
	for i, row := range rows {
		front, behind := strings.HasPrefix(row.Name, "*"), strings.HasSuffix(row.Name, "*")
		if !front && !behind {
			x.exact[row.Name] = append(x.exact[row.Name], i)
			continue
		}
		word := strings.Trim(row.Name, "*")
		for column, val := range row.Columns {
			switch {
			case front && behind:
				x.inner[column] = append(x.inner[column], family{word, val})
			case front:
				x.ends[column] = append(x.ends[column], family{word, val})
			default:
				x.addPrefix(column, word, val)
			}
		}
	}
	for _, l := range x.lengths {
		slices.SortFunc(l, func(a, b int) int { return b - a })
	}
	for _, m := range []map[string][]family{x.ends, x.inner} {
		for _, l := range m {
			slices.SortFunc(l, func(a, b family) int { return len(b.word) - len(a.word) })
		}
	}
	return x
}

func (x *index) addPrefix(column, word, val string) {
	if x.prefixes[column] == nil {
		x.prefixes[column] = map[string]string{}
	}
	x.prefixes[column][word] = val
	if !slices.Contains(x.lengths[column], len(word)) {
		x.lengths[column] = append(x.lengths[column], len(word))
	}
}

// of finds the rows of a function by its name, several when versions differ;
// allocation profiling appends _noprof to the names of allocators
// (include/linux/alloc_tag.h, since v6.10).
func (x *index) of(name string) []int {
	if rows, ok := x.exact[name]; ok {
		return rows
	}
	base, _ := strings.CutSuffix(name, "_noprof")
	return x.exact[base]
}

// own finds a column in the rows of a function itself. Who asks does not know the
// version, so where rows differ nothing is told.
func (x *index) own(name, column string) (val string, ok, differ bool) {
	for i, row := range x.of(name) {
		v, has := x.rows[row].Columns[column]
		if i > 0 && (has != ok || v != val) {
			return "", false, true
		}
		val, ok = v, has
	}
	return val, ok, false
}

// get finds a column of a function: its row's, else that of its family.
func (x *index) get(name, column string) (string, bool) {
	if val, ok, differ := x.own(name, column); ok || differ {
		return val, ok
	}
	for _, n := range x.lengths[column] {
		if n > len(name) {
			continue
		}
		if val, ok := x.prefixes[column][name[:n]]; ok {
			return val, true
		}
	}
	for _, f := range x.ends[column] {
		if strings.HasSuffix(name, f.word) {
			return f.val, true
		}
	}
	for _, f := range x.inner[column] {
		if strings.Contains(name, f.word) {
			return f.val, true
		}
	}
	return "", false
}

// has reports whether a function has a column.
func has(name, column string) bool {
	_, ok := table.get(name, column)
	return ok
}

// arg is a column that is the number of an argument.
func arg(name, column string) (int, bool) {
	val, ok := table.get(name, column)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(val)
	return n, err == nil
}

// with lists the functions, not families, whose row has a column of that value,
// sorted.
func with(column, val string) []string {
	var out []string
	for i := range table.rows {
		row := &table.rows[i]
		if v, ok := row.Columns[column]; ok && v == val && row.File != "" {
			out = append(out, row.Name)
		}
	}
	slices.Sort(out)
	return out
}
