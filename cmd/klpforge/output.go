package main

import (
	"encoding/json"
	"io"
)

// results is standard output. It remembers the first failure, so that commands
// may print without looking and the program still fails.
type results struct {
	w   io.Writer
	err error
}

func (r *results) Write(b []byte) (int, error) {
	n, err := r.w.Write(b)
	if r.err == nil {
		r.err = err
	}
	return n, err
}

func writeJSON(a *app, v any) error {
	encoder := json.NewEncoder(a.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// checkFormat refuses a --format that is neither text nor json.
func checkFormat(format string) error {
	if format != "text" && format != "json" {
		return usageError("unknown --format %q: text or json", format)
	}
	return nil
}
