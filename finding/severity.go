package finding

import "fmt"

// Severity says how much a finding weighs. Severities are ordered.
type Severity uint8

// Severities: a note informs, a warning wants a person to decide, an error must not
// ship.
const (
	Note Severity = iota
	Warning
	Error
)

var words = [...]string{Note: "note", Warning: "warning", Error: "error"}

func (s Severity) String() string { return words[s] }

// ParseSeverity reads what String gives.
func ParseSeverity(word string) (Severity, error) {
	for s, w := range words {
		if w == word {
			return Severity(s), nil
		}
	}
	return 0, fmt.Errorf("severity %q: want note, warning or error", word)
}

// MarshalText gives the word used in JSON documents.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Severity) UnmarshalText(text []byte) error {
	parsed, err := ParseSeverity(string(text))
	if err == nil {
		*s = parsed
	}
	return err
}
