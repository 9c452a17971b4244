package analyze

import (
	"cmp"
	"slices"

	"github.com/klpforge/klpforge/analyze/equiv"
	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/elfdiff"
)

// Severity is elfdiff's: an error must not ship, a warning wants a person to
// decide, a note informs.
type Severity = elfdiff.Severity

// The severities.
const (
	Note    = elfdiff.Note
	Warning = elfdiff.Warning
	Error   = elfdiff.Error
)

// Place is a line of a source file. The zero value means not known.
type Place struct {
	File string `json:"file,omitempty"` // slash path in the source tree
	Line int    `json:"line,omitempty"` // 1-based; 0 when only the file is known
}

// Finding is one thing that an analyzer says. Verdicts are findings too.
type Finding struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Function string   `json:"function"`         // function or variable it is about; empty for the patch as a whole
	Object   string   `json:"object,omitempty"` // vmlinux or a module
	Unit     string   `json:"unit,omitempty"`   // object file
	Old      Place    `json:"old"`              // before the patch
	New      Place    `json:"new"`              // after the patch
	Message  string   `json:"message"`
	// Unknown says that the question of the check could not be decided.
	Unknown bool `json:"unknown,omitempty"`
	// Given says that a verdict holds. A verdict that is not given tells why.
	Given    bool     `json:"given,omitempty"`
	Evidence []string `json:"evidence,omitempty"` // one fact each, most important first
	Who      []string `json:"who,omitempty"`      // functions, threads or objects affected
	// Layouts are the types that the finding is about, before and after.
	Layouts []types.Change `json:"layouts,omitempty"`
	// Proofs are the certificates of a verdict, one for each function.
	Proofs  []*equiv.Certificate `json:"proofs,omitempty"`
	Remedy  string               `json:"remedy,omitempty"`
	Allowed string               `json:"allowed,omitempty"` // the reason given for accepting the finding
}

// Line renders the heart of the finding in one line.
func (f *Finding) Line() string {
	s := f.ID + " " + f.Severity.String() + ": "
	if f.Function != "" {
		s += f.Function
		if f.Unit != "" {
			s += " (" + f.Unit + ")"
		}
		s += ": "
	} else if f.Unit != "" {
		s += "(" + f.Unit + "): "
	}
	return s + f.Message
}

// Sort brings findings into the order of reports: the worst first, then by id,
// unit, function and message.
func Sort(list []Finding) {
	slices.SortStableFunc(list, func(a, b Finding) int {
		return cmp.Or(-cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Object, b.Object),
			cmp.Compare(a.Unit, b.Unit), cmp.Compare(a.Function, b.Function), cmp.Compare(a.Message, b.Message))
	})
}
