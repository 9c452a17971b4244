package releases

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/internal/build"
	"github.com/klpforge/klpforge/release"
	"github.com/klpforge/klpforge/release/manifest"
)

// SummarySchema identifies the JSON form of Summary.
const SummarySchema = "klpforge.release-build/v1"

// Summary is what became of a release.
type Summary struct {
	Schema   string            `json:"schema"`
	Name     string            `json:"name"`
	Version  string            `json:"version"`
	Findings []release.Finding `json:"findings"` // about the release as a whole
	Targets  []Target          `json:"targets"`
}

// Target is what became of one target.
type Target struct {
	Release  string   `json:"release"`
	Module   string   `json:"module,omitempty"` // path; "" when there is none
	Bytes    int      `json:"bytes,omitempty"`
	Empty    bool     `json:"empty,omitempty"` // the target has all patches already, or none is for it
	Included []string `json:"included"`
	Skipped  []string `json:"skipped"` // patches that the target's source has already
	// Error is why there is no module; Refused says that the release is at
	// fault, not the machine.
	Error     string            `json:"error,omitempty"`
	Refused   bool              `json:"refused,omitempty"`
	Functions []string          `json:"functions,omitempty"`
	Problems  []build.Problem   `json:"problems,omitempty"` // warnings and errors
	Findings  []release.Finding `json:"findings"`           // prerequisites
	Accepted  []string          `json:"accepted,omitempty"`
	Notes     []string          `json:"notes,omitempty"`
	Seconds   float64           `json:"seconds"`
}

// Failed reports whether anything of the release failed, and whether the
// machine rather than the release is at fault.
func (s *Summary) Failed() (failed, machine bool) {
	for _, f := range s.Findings {
		failed = failed || f.Severity == elfdiff.Error
	}
	for _, t := range s.Targets {
		if t.Error != "" {
			failed, machine = true, machine || !t.Refused
		}
	}
	return failed, machine
}

// Collect merges the summaries of several jobs at paths. With a manifest, a
// target that no job reported is a failure.
func Collect(paths []string, m *manifest.Manifest) (*Summary, error) {
	var all *Summary
	from := map[string]string{}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		var s Summary
		if err := json.Unmarshal(b, &s); err != nil {
			return nil, fmt.Errorf("read %s: %w", p, err)
		}
		if s.Schema != SummarySchema {
			return nil, fmt.Errorf("read %s: schema is %q, want %q", p, s.Schema, SummarySchema)
		}
		if all == nil {
			all = &Summary{Schema: SummarySchema, Name: s.Name, Version: s.Version, Findings: []release.Finding{}, Targets: []Target{}}
		}
		if s.Name != all.Name || s.Version != all.Version {
			return nil, fmt.Errorf("read %s: it is of %s %s, others are of %s %s", p, s.Name, s.Version, all.Name, all.Version)
		}
		for _, f := range s.Findings {
			if !slices.Contains(all.Findings, f) {
				all.Findings = append(all.Findings, f)
			}
		}
		for _, t := range s.Targets {
			if other, twice := from[t.Release]; twice {
				return nil, fmt.Errorf("target %s is in %s and in %s", t.Release, other, p)
			}
			from[t.Release] = p
			all.Targets = append(all.Targets, t)
		}
	}
	if m != nil {
		if all.Name != m.Name || all.Version != m.Version {
			return nil, fmt.Errorf("the results are of %s %s, the manifest is of %s %s", all.Name, all.Version, m.Name, m.Version)
		}
		for _, t := range m.Targets {
			if from[t.Release] == "" {
				all.Targets = append(all.Targets, Target{Release: t.Release, Error: "no job reported this target", Included: []string{}, Skipped: []string{}, Findings: []release.Finding{}})
			}
		}
	}
	slices.SortFunc(all.Targets, func(a, b Target) int { return strings.Compare(a.Release, b.Release) })
	return all, nil
}
