package releases

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/internal/regular"
	"github.com/klpforge/klpforge/pipeline"
	"github.com/klpforge/klpforge/release/manifest"
)

// SummarySchema identifies the JSON form of Summary.
const SummarySchema = "klpforge.release-build/v1"

// Summary is what became of a release.
type Summary struct {
	Schema   string            `json:"schema"`
	Name     string            `json:"name"`
	Version  string            `json:"version"`
	Findings []finding.Finding `json:"findings"` // about the release as a whole
	Targets  []Target          `json:"targets"`
}

// Target is what became of one target.
type Target struct {
	Release string `json:"release"`
	// Part is set when only a share of the objects was compiled, Compiled.
	Part     *pipeline.Part `json:"part,omitempty"`
	Compiled []string       `json:"compiled,omitempty"`
	Module   string         `json:"module,omitempty"` // path; "" when there is none
	Bytes    int            `json:"bytes,omitempty"`
	Empty    bool           `json:"empty,omitempty"` // the target has all patches already, or none is for it
	Included []string       `json:"included"`
	Skipped  []string       `json:"skipped"` // patches that the target's source has already
	// Error is why there is no module; Refused says that the release is at
	// fault, not the machine.
	Error     string            `json:"error,omitempty"`
	Refused   bool              `json:"refused,omitempty"`
	Functions []string          `json:"functions,omitempty"`
	Problems  []finding.Finding `json:"problems,omitempty"` // warnings and errors
	Findings  []finding.Finding `json:"findings"`           // prerequisites
	Accepted  []string          `json:"accepted,omitempty"`
	Notes     []string          `json:"notes,omitempty"`
	Seconds   float64           `json:"seconds"`
}

// Failed reports whether anything of the release failed, and whether the
// machine rather than the release is at fault.
func (s *Summary) Failed() (failed, machine bool) {
	for _, f := range s.Findings {
		failed = failed || f.Severity == finding.Error
	}
	for _, t := range s.Targets {
		if t.Error != "" {
			failed, machine = true, machine || !t.Refused
		}
	}
	return failed, machine
}

// Collect merges the summaries of several jobs at paths. A target's module comes
// from one job; jobs that compiled a part of its objects become notes. With a
// manifest, a target that no job reported is a failure; one of which there are
// parts only is a failure in any case.
func Collect(paths []string, m *manifest.Manifest) (*Summary, error) {
	c := collection{from: map[string]string{}, parts: map[string][]Target{}}
	for _, p := range paths {
		if err := c.add(p); err != nil {
			return nil, err
		}
	}
	all := c.all
	missing := func(rel, why string) {
		all.Targets = append(all.Targets, Target{Release: rel, Error: why, Included: []string{}, Skipped: []string{}, Findings: []finding.Finding{}})
		c.from[rel] = "nowhere"
	}
	for _, rel := range slices.Sorted(maps.Keys(c.parts)) {
		if c.from[rel] == "" {
			missing(rel, "parts of it were compiled, but no job reported its module")
		}
	}
	if m != nil {
		if all.Name != m.Name || all.Version != m.Version {
			return nil, fmt.Errorf("the results are of %s %s, the manifest is of %s %s", all.Name, all.Version, m.Name, m.Version)
		}
		for _, t := range m.Targets {
			if c.from[t.Release] == "" {
				missing(t.Release, "no job reported this target")
			}
		}
	}
	for i := range all.Targets {
		t := &all.Targets[i]
		t.Notes = append(t.Notes, partNotes(c.parts[t.Release])...)
	}
	slices.SortFunc(all.Targets, func(a, b Target) int { return strings.Compare(a.Release, b.Release) })
	return all, nil
}

// collection is what Collect has read.
type collection struct {
	all   *Summary
	from  map[string]string   // target to the file with its module
	parts map[string][]Target // by target
}

func (c *collection) add(path string) error {
	b, err := regular.Read(path, 16<<20)
	if err != nil {
		return err
	}
	var s Summary
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if s.Schema != SummarySchema {
		return fmt.Errorf("read %s: schema is %q, want %q", path, s.Schema, SummarySchema)
	}
	if c.all == nil {
		c.all = &Summary{Schema: SummarySchema, Name: s.Name, Version: s.Version, Findings: []finding.Finding{}, Targets: []Target{}}
	}
	if s.Name != c.all.Name || s.Version != c.all.Version {
		return fmt.Errorf("read %s: it is of %s %s, others are of %s %s", path, s.Name, s.Version, c.all.Name, c.all.Version)
	}
	for _, f := range s.Findings {
		if !slices.ContainsFunc(c.all.Findings, func(have finding.Finding) bool { return finding.Same(have, f) }) {
			c.all.Findings = append(c.all.Findings, f)
		}
	}
	for _, t := range s.Targets {
		if t.Part != nil {
			have := c.parts[t.Release]
			if slices.ContainsFunc(have, func(o Target) bool { return o.Part.Of != t.Part.Of || o.Part.Number == t.Part.Number }) {
				return fmt.Errorf("read %s: part %d of %d of target %s does not go with the other parts", path, t.Part.Number, t.Part.Of, t.Release)
			}
			c.parts[t.Release] = append(have, t)
			continue
		}
		if other, twice := c.from[t.Release]; twice {
			return fmt.Errorf("target %s is in %s and in %s", t.Release, other, path)
		}
		c.from[t.Release] = path
		c.all.Targets = append(c.all.Targets, t)
	}
	return nil
}

// partNotes tells what became of the parts of one target. A part that failed or
// that is missing costs time only: the job that made the module compiled what it
// did not find.
func partNotes(parts []Target) []string {
	if len(parts) == 0 {
		return nil
	}
	objects := 0
	var bad []string
	missing := map[int]bool{}
	for i := range parts[0].Part.Of {
		missing[i+1] = true
	}
	for _, p := range parts {
		objects += len(p.Compiled)
		delete(missing, p.Part.Number)
		if p.Error != "" {
			bad = append(bad, fmt.Sprintf("part %d of %d failed: %s", p.Part.Number, p.Part.Of, p.Error))
		}
	}
	slices.Sort(bad)
	for _, n := range slices.Sorted(maps.Keys(missing)) {
		bad = append(bad, fmt.Sprintf("no job reported part %d of %d", n, parts[0].Part.Of))
	}
	return append([]string{fmt.Sprintf("%d objects were compiled in %d parts", objects, len(parts))}, bad...)
}
