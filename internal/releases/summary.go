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
	for _, found := range s.Findings {
		failed = failed || found.Severity == finding.Error
	}
	for _, target := range s.Targets {
		if target.Error != "" {
			failed, machine = true, machine || !target.Refused
		}
	}
	return failed, machine
}

// Collect merges the summaries of several jobs at paths. A target's module comes
// from one job; jobs that compiled a part of its objects become notes. With a
// manifest, a target that no job reported is a failure; one of which there are
// parts only is a failure in any case.
func Collect(paths []string, m *manifest.Manifest) (*Summary, error) {
	collected := collection{from: map[string]string{}, parts: map[string][]Target{}}
	for _, path := range paths {
		if err := collected.add(path); err != nil {
			return nil, err
		}
	}

	// A target without a module is a failure that no job could report: its job never ran.
	all := collected.all
	missing := func(rel, why string) {
		all.Targets = append(all.Targets, Target{Release: rel, Error: why, Included: []string{}, Skipped: []string{},
			Findings: []finding.Finding{}})
		collected.from[rel] = "nowhere"
	}
	for _, rel := range slices.Sorted(maps.Keys(collected.parts)) {
		if collected.from[rel] == "" {
			missing(rel, "parts of it were compiled, but no job reported its module")
		}
	}
	if m != nil {
		if all.Name != m.Name || all.Version != m.Version {
			return nil, fmt.Errorf("the results are of %s %s, the manifest is of %s %s", all.Name, all.Version, m.Name,
				m.Version)
		}
		for _, target := range m.Targets {
			if collected.from[target.Release] == "" {
				missing(target.Release, "no job reported this target")
			}
		}
	}

	// Parts only cost time when they fail, so that they are notes of the target.
	for i := range all.Targets {
		target := &all.Targets[i]
		target.Notes = append(target.Notes, partNotes(collected.parts[target.Release])...)
	}
	slices.SortFunc(all.Targets, func(first, second Target) int {
		return strings.Compare(first.Release,
			second.Release)
	})
	return all, nil
}

// collection is what Collect has read.
type collection struct {
	all   *Summary
	from  map[string]string   // target to the file with its module
	parts map[string][]Target // by target
}

func (c *collection) add(path string) error {
	data, err := regular.Read(path, 16<<20)
	if err != nil {
		return err
	}
	var summary Summary
	if err := json.Unmarshal(data, &summary); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if summary.Schema != SummarySchema {
		return fmt.Errorf("read %s: schema is %q, want %q", path, summary.Schema, SummarySchema)
	}

	// All summaries must be of one release: results of an older run may lie beside them.
	if c.all == nil {
		c.all = &Summary{Schema: SummarySchema, Name: summary.Name, Version: summary.Version,
			Findings: []finding.Finding{}, Targets: []Target{}}
	}
	if summary.Name != c.all.Name || summary.Version != c.all.Version {
		return fmt.Errorf("read %s: it is of %s %s, others are of %s %s", path, summary.Name, summary.Version,
			c.all.Name, c.all.Version)
	}
	for _, found := range summary.Findings {
		if !slices.ContainsFunc(c.all.Findings, func(have finding.Finding) bool { return finding.Same(have, found) }) {
			c.all.Findings = append(c.all.Findings, found)
		}
	}

	// A target has one module, and as many parts as its jobs were cut into.
	for _, target := range summary.Targets {
		if target.Part != nil {
			have := c.parts[target.Release]
			if slices.ContainsFunc(have, func(other Target) bool {
				return other.Part.Of != target.Part.Of || other.Part.Number == target.Part.Number
			}) {
				return fmt.Errorf("read %s: part %d of %d of target %s does not go with the other parts", path,
					target.Part.Number, target.Part.Of, target.Release)
			}
			c.parts[target.Release] = append(have, target)
			continue
		}
		if other, twice := c.from[target.Release]; twice {
			return fmt.Errorf("target %s is in %s and in %s", target.Release, other, path)
		}
		c.from[target.Release] = path
		c.all.Targets = append(c.all.Targets, target)
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
	for _, part := range parts {
		objects += len(part.Compiled)
		delete(missing, part.Part.Number)
		if part.Error != "" {
			bad = append(bad, fmt.Sprintf("part %d of %d failed: %s", part.Part.Number, part.Part.Of, part.Error))
		}
	}
	slices.Sort(bad)
	for _, number := range slices.Sorted(maps.Keys(missing)) {
		bad = append(bad, fmt.Sprintf("no job reported part %d of %d", number, parts[0].Part.Of))
	}
	return append([]string{fmt.Sprintf("%d objects were compiled in %d parts", objects, len(parts))}, bad...)
}
