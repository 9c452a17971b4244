package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/templates"
)

// suggestShadow writes accessors of shadow variables for the members that
// patches add to types, one for each type of a KLP208.
func (a *app) suggestShadow(path string, findings []finding.Finding) error {
	var out bytes.Buffer
	seen := map[string]bool{}
	for _, found := range findings {
		for _, change := range analyze.Layouts(&found) {
			members := added(&change)
			if found.ID != finding.IDLayout || seen[change.Before.Name] || len(members) == 0 {
				continue
			}
			seen[change.Before.Name] = true
			// The id follows from type and members, so that the next release finds the variable
			// again.
			words := strings.Fields(change.Before.Name)
			shadow := templates.NewShadow{Name: templates.Identifier(words[len(words)-1] + "_new"),
				Type: change.Before.Name, Members: members}
			shadow.ID = templates.ShadowID(change.Before.Name + " " + fmt.Sprint(members))
			if out.Len() > 0 {
				out.WriteByte('\n')
			}
			if err := templates.ShadowSkeleton(&out, shadow); err != nil {
				return err
			}
		}
	}

	if out.Len() == 0 {
		fmt.Fprintln(a.err, "no type gets new members, so there is nothing to suggest")
		return nil
	}
	if err := os.WriteFile(path, out.Bytes(), 0o666); err != nil {
		return fmt.Errorf("write the suggested code: %w", err)
	}
	return nil
}

// added lists the members that only the new layout has. What has no name
// cannot be reached by one.
func added(c *types.Change) []templates.ShadowMember {
	var out []templates.ShadowMember
	for _, m := range c.After.Members {
		if m.Name != "(anonymous)" && !slices.ContainsFunc(c.Before.Members,
			func(o types.Member) bool { return o.Name == m.Name }) {
			out = append(out, templates.ShadowMember{Type: m.Type, Name: m.Name})
		}
	}
	return out
}
