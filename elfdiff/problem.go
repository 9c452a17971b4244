package elfdiff

import "fmt"

// Severity orders problems.
type Severity uint8

// Severities: a note informs, a warning wants a person to decide, an error
// means that the pair cannot become a livepatch as it stands.
const (
	Note Severity = iota
	Warning
	Error
)

func (s Severity) String() string { return [...]string{"note", "warning", "error"}[s] }

// MarshalText gives the word used in JSON documents.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Problem is one thing that stands in the way of a livepatch, or that its
// author should know. It is data; as an error it reads as one line.
type Problem struct {
	ID       string   `json:"id"` // KLPnnn
	Severity Severity `json:"severity"`
	Symbol   string   `json:"symbol,omitempty"`
	Section  string   `json:"section,omitempty"`
	Message  string   `json:"message"`
	Remedy   string   `json:"remedy,omitempty"`
}

func (p *Problem) Error() string {
	if p.Symbol != "" {
		return fmt.Sprintf("%s: %s: %s", p.ID, p.Symbol, p.Message)
	}
	return fmt.Sprintf("%s: %s", p.ID, p.Message)
}

// UnmarshalText reads what MarshalText writes.
func (s *Severity) UnmarshalText(b []byte) error {
	for v := Note; v <= Error; v++ {
		if string(b) == v.String() {
			*s = v
			return nil
		}
	}
	return fmt.Errorf("severity %q: want note, warning or error", b)
}
