package main

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/internal/checktest"
	"github.com/klpforge/klpforge/report"
)

func TestCallGraph(t *testing.T) {
	in := checktest.Load(t, filepath.Join("..", "..", "analyze", "passes", "lockeffect", "testdata", "takes"))
	u := in.Units[0]
	g := callGraph(in)
	roles := map[string]report.Role{}
	for _, n := range g.Nodes {
		roles[n.Name] = n.Role
	}
	want := map[string]report.Role{"prepare": report.Replaced, "caller": report.Outside}
	if d := cmp.Diff(want, roles); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}

	// A caller that joins is drawn to what it switches with.
	before, err := u.Before()
	if err != nil {
		t.Fatal(err)
	}
	callers, _ := before.Callers(u.Replace[0].Orig)
	a := callers[0]
	u.Replace = append(u.Replace, elfdiff.Change{Name: u.Name(a), Kind: elfdiff.Changed, Orig: a, Patched: u.Diff.PatchedOf(a)})
	u.Joined = map[elfdiff.AtomID][]string{a: {"prepare"}}
	g = callGraph(in)
	var edges []string
	for _, c := range g.Calls {
		edges = append(edges, string(g.Nodes[c[0]].Role)+" "+g.Nodes[c[0]].Name+" -> "+g.Nodes[c[1]].Name)
	}
	if d := cmp.Diff([]string{"joins caller -> prepare"}, edges); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}

	u.Replace = nil
	if g := callGraph(in); g != nil {
		t.Errorf("nothing is replaced, but %+v", g)
	}
}
