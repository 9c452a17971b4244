package note

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/klpforge/klpforge/internal/regular"
)

// Encode gives the note as indented JSON with a final newline.
func (n *Note) Encode() ([]byte, error) {
	b, err := n.marshal("  ")
	if err != nil {
		return nil, err
	}
	return collapseMasks(b), nil
}

func (n *Note) marshal(indent string) ([]byte, error) {
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	if err := encoder.Encode(n); err != nil {
		return nil, fmt.Errorf("encode manifest of %s: %w", n.Name, err)
	}
	return buf.Bytes(), nil
}

// collapseMasks puts each mask, a pair of numbers, on one line.
func collapseMasks(b []byte) []byte {
	lines := bytes.SplitAfter(b, []byte("\n"))
	out := make([]byte, 0, len(b))
	for i := 0; i < len(lines); i++ {
		if string(bytes.TrimSpace(lines[i])) == "[" && i+3 < len(lines) {
			end := bytes.TrimSpace(lines[i+3])
			if string(end) == "]" || string(end) == "]," {
				out = append(out, bytes.TrimRight(lines[i], "\n")...)
				out = append(out, bytes.TrimSpace(lines[i+1])...)
				out = append(out, ' ')
				out = append(out, bytes.TrimSpace(lines[i+2])...)
				out = append(out, end...)
				out = append(out, '\n')
				i += 3
				continue
			}
		}
		out = append(out, lines[i]...)
	}
	return out
}

// Parse reads a note from JSON. The error wraps ErrMalformed.
func Parse(b []byte) (*Note, error) {
	parsed := &Note{}
	if err := json.Unmarshal(b, parsed); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if parsed.Schema != Schema {
		return nil, fmt.Errorf("%w: schema is %q, want %q", ErrMalformed, parsed.Schema, Schema)
	}
	return parsed, nil
}

// ReadFile reads the JSON file at path.
func ReadFile(path string) (*Note, error) {
	b, err := regular.Read(path, maxJSON)
	if err != nil {
		return nil, err
	}
	n, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return n, nil
}
