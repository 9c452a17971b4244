package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/report"
)

// maxCallers is how many callers that are not part of the livepatch a graph shows
// for each function.
const maxCallers = 6

// callGraph gathers who calls what is replaced: callers in the same object file, and
// those in others that were looked for. It is nil when nothing is replaced.
func callGraph(in *analyze.Input) *report.Graph {
	graph := &report.Graph{}
	index := map[[2]string]int{}
	node := func(object, name string, role report.Role) int {
		k := [2]string{object, name}
		i, ok := index[k]
		if !ok {
			i = len(graph.Nodes)
			index[k] = i
			graph.Nodes = append(graph.Nodes, report.Node{Name: name, Object: object, Role: role})
		}
		return i
	}
	call := func(from, to int) {
		if c := [2]int{from, to}; !slices.Contains(graph.Calls, c) {
			graph.Calls = append(graph.Calls, c)
		}
	}

	// First all that is replaced, so that calls between units find their nodes.
	for _, unit := range in.Units {
		for _, ch := range unit.Replace {
			role := report.Replaced
			if len(unit.Joined[ch.Orig]) > 0 {
				role = report.Joins
			}
			node(unit.Owner, ch.Name, role)
		}
	}

	if len(graph.Nodes) == 0 {
		return nil
	}

	for _, unit := range in.Units {
		before, err := unit.Before()
		for _, ch := range unit.Replace {
			to := node(unit.Owner, ch.Name, report.Replaced)
			for _, callee := range unit.Joined[ch.Orig] {
				for _, other := range in.Units {
					if i, ok := index[[2]string{other.Owner, callee}]; ok {
						call(to, i)
					}
				}
			}
			// Callers that are not replaced stand at the edge of the graph; too many would hide
			// the rest.
			var outside []string
			if err == nil {
				callers, _ := before.Callers(ch.Orig)
				for _, a := range callers {
					if name := unit.Name(a); unit.Replaced(a) {
						call(node(unit.Owner, name, report.Replaced), to)
					} else if name != "" && !elfdiff.InitSection(unit.Diff.Orig.Section(a)) {
						outside = append(outside, name)
					}
				}
			}
			for _, c := range unit.Outside[ch.Orig].Unpatched {
				name, _, _ := strings.Cut(c, " ")
				outside = append(outside, name)
			}

			slices.Sort(outside)
			outside = slices.Compact(outside)
			for i, name := range outside {
				if i == maxCallers && len(outside) > maxCallers+1 {
					more := len(graph.Nodes)
					graph.Nodes = append(graph.Nodes, report.Node{Name: fmt.Sprintf("and %d more", len(outside)-i),
						Role: report.Outside})
					call(more, to)
					break
				}
				call(node(unit.Owner, name, report.Outside), to)
			}
		}
	}
	return graph
}
