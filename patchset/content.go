package patchset

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"slices"

	"github.com/bluekeyes/go-gitdiff/gitdiff"
)

// Content is a digest of what the patch changes: its files, and the lines it
// adds and removes in their order. Context, line numbers and the description
// are left out, so that it survives a backport that only moved.
func (p *Patch) Content() string {
	sum := sha256.New()
	files := slices.Clone(p.Files)
	slices.SortStableFunc(files, func(change, b *Change) int {
		switch {
		case change.Path < b.Path:
			return -1
		case change.Path > b.Path:
			return 1
		}
		return 0
	})
	for _, change := range files {
		fmt.Fprintf(sum, "file %q %q %s\n", change.Path, change.OldPath, change.Kind)
		for _, hunk := range change.Hunks {
			for _, line := range hunk.Lines {
				if line.Op != gitdiff.OpContext {
					io.WriteString(sum, line.Op.String()+line.Line+"\n")
				}
			}
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

var (
	cveRE      = regexp.MustCompile(`\bCVE-[0-9]{4}-[0-9]{4,}\b`)
	upstreamRE = regexp.MustCompile(`(?mi)^\s*(?:commit ([0-9a-f]{40}) upstream\.?|\[ upstream commit ([0-9a-f]{40}) \]|\(cherry picked from commit ([0-9a-f]{40})\))\s*$`)
)

// IDs is what the patch is known by: what it was given, the CVE numbers of its description, the
// commit it is, and those that its description says it was taken from.
func (p *Patch) IDs() []string {
	text := p.Subject + "\n" + p.Log
	ids := append(slices.Clone(p.Known), cveRE.FindAllString(text, -1)...)
	if p.Commit != "" {
		ids = append(ids, p.Commit)
	}
	for _, m := range upstreamRE.FindAllStringSubmatch(text, -1) {
		ids = append(ids, m[1]+m[2]+m[3])
	}
	var out []string
	for _, id := range ids {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}
