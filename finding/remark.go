package finding

import "fmt"

// RemarkKind says what a remark tells. Whoever makes the remark sets it; nobody reads
// it from the text. The value stands in JSON.
type RemarkKind string

// The kinds of remarks.
const (
	RemarkPlain   RemarkKind = "note"
	RemarkApplied RemarkKind = "applied" // a hunk was applied in another way than written
	RemarkLeftOut RemarkKind = "leftOut" // something of the patches, or asked for, is not in the livepatch
)

// Remark is what a person should know though nothing is wrong: reports call it a note.
// It stops nothing, and nothing is accepted by it; what does either is a Finding.
type Remark struct {
	Kind RemarkKind
	Text string // lower case, without a full stop
}

// Remarkf makes a remark of a format, as fmt.Sprintf does.
func Remarkf(kind RemarkKind, format string, args ...any) Remark {
	return Remark{kind, fmt.Sprintf(format, args...)}
}

func (r Remark) String() string { return r.Text }

// RemarkTexts lists the texts of remarks, nil for none.
func RemarkTexts(remarks []Remark) []string {
	var out []string
	for _, r := range remarks {
		out = append(out, r.Text)
	}
	return out
}

// RemarkKinds lists the kinds of remarks, nil for none.
func RemarkKinds(remarks []Remark) []RemarkKind {
	var out []RemarkKind
	for _, r := range remarks {
		out = append(out, r.Kind)
	}
	return out
}
