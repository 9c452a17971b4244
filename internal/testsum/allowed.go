package main

import (
	_ "embed"
	"fmt"
	"path"
	"strings"
)

//go:embed allowed.txt
var allowedText string

// allowance is one line of allowed.txt.
type allowance struct {
	pkg    string // relative to the module
	test   string // pattern of path.Match for the whole name
	reason string
}

func (a allowance) covers(t Test) bool {
	ok, err := path.Match(a.test, t.Test)
	return err == nil && ok && strings.TrimPrefix(t.Package, module+"/") == a.pkg
}

// allowList reads allowed.txt: package, test, reason in each line, # for
// comments.
func allowList() ([]allowance, error) { return parseAllowed(allowedText) }

func parseAllowed(text string) ([]allowance, error) {
	var out []allowance
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 3 {
			return nil, fmt.Errorf("allowed.txt:%d: want package, test and a reason", n)
		}
		if _, err := path.Match(f[1], ""); err != nil {
			return nil, fmt.Errorf("allowed.txt:%d: pattern %q: %w", n, f[1], err)
		}
		out = append(out, allowance{pkg: f[0], test: f[1], reason: strings.Join(f[2:], " ")})
	}
	return out, nil
}
