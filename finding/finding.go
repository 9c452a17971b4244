package finding

import (
	"cmp"
	"fmt"
	"slices"
)

// Position is a line of a source file. The zero value means not known.
type Position struct {
	File string `json:"file,omitempty"` // slash path in the source tree
	Line int    `json:"line,omitempty"` // 1-based; 0 when only the file is known
}

// String gives "file:line", "file", or nothing when the position is not known.
func (p Position) String() string {
	if p.File == "" || p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Finding is one thing that a stage or a check says. Verdicts are findings too.
//
// The JSON form is the short one of documents about builds and releases; what it
// leaves out is in the form of package report.
type Finding struct {
	ID       ID       `json:"id"`
	Severity Severity `json:"severity"`
	// Symbol is the function or variable that it is about, or a place in a file, see
	// InFile; empty for the patch, the object or the release as a whole.
	Symbol  string `json:"symbol,omitempty"`
	Section string `json:"section,omitempty"` // of Symbol, or the section that it is about
	Message string `json:"message"`           // lower case, without a full stop
	Remedy  string `json:"remedy,omitempty"`  // what to do
	Object  string `json:"object,omitempty"`  // vmlinux or a module
	Unit    string `json:"unit,omitempty"`    // object file, "fs/ext4/mballoc.o"
	Allowed string `json:"allowed,omitempty"` // the reason given for accepting the finding

	Old Position `json:"-"` // before the patch
	New Position `json:"-"` // after the patch
	// Unknown says that the question of the check could not be decided.
	Unknown bool `json:"-"`
	// Given says that a verdict holds. A verdict that is not given tells why.
	Given    bool     `json:"-"`
	Evidence []string `json:"-"` // one fact each, most important first
	Who      []string `json:"-"` // functions, threads or objects affected
	// Detail is evidence that is more than text, nil for most: the layouts of types or
	// the certificates of a verdict (analyze.Layouts, analyze.Proofs).
	Detail any `json:"-"`
}

// InFile makes a finding one about a file, or a line of it, instead of a symbol.
func (f Finding) InFile(at Position) Finding {
	f.Symbol, f.New = at.String(), at
	return f
}

// AboutFile reports whether the finding is about a file, so that Symbol is a place in it.
func (f *Finding) AboutFile() bool { return f.Symbol != "" && f.Symbol == f.New.String() }

// Error makes a finding an error value that reads as one line.
func (f *Finding) Error() string {
	s := string(f.ID) + ": "
	if f.Symbol != "" {
		s += f.Symbol + ": "
	}
	return s + f.Message
}

// String names object and symbol: "error KLP108: vmlinux: f: message".
func (f Finding) String() string {
	s := f.Severity.String() + " " + string(f.ID) + ": "
	for _, where := range []string{f.Object, f.Symbol} {
		if where != "" {
			s += where + ": "
		}
	}
	return s + f.Message
}

// Line renders the heart of the finding in one line.
func (f *Finding) Line() string {
	where := f.Symbol
	if where == "" {
		where = f.Section
	}
	if f.Unit != "" {
		if where != "" {
			where += " "
		}
		where += "(" + f.Unit + ")"
	}
	s := string(f.ID) + " " + f.Severity.String() + ": "
	if where != "" {
		s += where + ": "
	}
	return s + f.Message
}

// Text is Line, with the remedy and the reason for accepting the finding on lines of
// their own.
func (f *Finding) Text() string {
	s := f.Line()
	if f.Remedy != "" {
		s += "\n      remedy: " + f.Remedy
	}
	if f.Allowed != "" {
		s += "\n      allowed: " + f.Allowed
	}
	return s
}

// Same reports whether two findings say the same of the same place. What only
// supports a finding (evidence, positions, detail) is not compared.
func Same(a, b Finding) bool {
	return a.ID == b.ID && a.Severity == b.Severity && a.Symbol == b.Symbol && a.Section == b.Section &&
		a.Object == b.Object && a.Unit == b.Unit && a.Message == b.Message && a.Remedy == b.Remedy && a.Allowed == b.Allowed
}

// Sort brings findings into the order of reports: the worst first, then by id,
// object, unit, symbol and message.
func Sort(list []Finding) {
	slices.SortStableFunc(list, func(a, b Finding) int {
		return cmp.Or(-cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Object, b.Object),
			cmp.Compare(a.Unit, b.Unit), cmp.Compare(a.Symbol, b.Symbol), cmp.Compare(a.Message, b.Message))
	})
}
