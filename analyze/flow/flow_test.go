package flow_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/analyze/flow"
	"github.com/klpforge/klpforge/analyze/model"
)

// graph is a list of successors for each block.
type graph [][]int32

func (g graph) edges(k int) (out []model.Edge) {
	for i, to := range g[k] {
		kind := model.EdgeJump
		if i > 0 {
			kind = model.EdgeFall
		}
		out = append(out, model.Edge{To: to, Kind: kind})
	}
	return out
}

// sets are the sets of numbers that a path may have passed, joined by union.
type sets map[int]bool

func (s sets) sorted() (out []int) {
	for k := range s {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func passed(g graph, edge func(*sets, int, model.Edge) bool) (flow.Result[sets], []int) {
	var order []int
	r := flow.Solve(len(g), g.edges, flow.Problem[sets]{
		Entry: sets{},
		Copy: func(s sets) sets {
			c := sets{}
			for k := range s {
				c[k] = true
			}
			return c
		},
		Join: func(into *sets, from sets, _ int) (changed bool) {
			for k := range from {
				changed = changed || !(*into)[k]
				(*into)[k] = true
			}
			return changed
		},
		Transfer: func(s *sets, k int) { order = append(order, k); (*s)[k] = true },
		Edge:     edge,
	})
	return r, order
}

// TestForward: facts reach every block from all of its predecessors, around
// loops too, in an order that depends on the graph alone.
func TestForward(t *testing.T) {
	for _, c := range []struct {
		name  string
		g     graph
		in    [][]int
		order []int
	}{
		{"line", graph{{1}, {2}, {}}, [][]int{{}, {0}, {0, 1}}, []int{0, 1, 2}},
		{"diamond", graph{{2, 1}, {3}, {3}, {}}, [][]int{{}, {0}, {0}, {0, 1, 2}}, []int{0, 1, 2, 3}},
		{"loop", graph{{1}, {3, 2}, {1}, {}}, [][]int{{}, {0, 1, 2}, {0, 1, 2}, {0, 1, 2}}, []int{0, 1, 2, 1, 2, 3}},
		{"to the entry", graph{{1}, {0, 2}, {}}, [][]int{{0, 1}, {0, 1}, {0, 1}}, []int{0, 1, 0, 1, 2}},
		{"to itself", graph{{0, 1}, {}}, [][]int{{0}, {0}}, []int{0, 0, 1}},
		{"not reached", graph{{2}, {2}, {}}, [][]int{{}, nil, {0}}, []int{0, 2}},
	} {
		r, order := passed(c.g, nil)
		if !r.Complete {
			t.Errorf("%s: not complete", c.name)
		}
		for k := range c.g {
			if r.Reached[k] != (c.in[k] != nil) {
				t.Errorf("%s: block %d reached: %v", c.name, k, r.Reached[k])
			}
			if got := r.In[k].sorted(); !slices.Equal(got, c.in[k]) {
				t.Errorf("%s: block %d: %v, want %v", c.name, k, got, c.in[k])
			}
		}
		if d := cmp.Diff(c.order, order); d != "" {
			t.Errorf("%s: order (-want +got):\n%s", c.name, d)
		}
	}
}

// TestEdge: an edge that is not taken carries nothing, and what an edge says
// holds on its way only.
func TestEdge(t *testing.T) {
	g := graph{{2, 1}, {}, {}}
	r, _ := passed(g, func(s *sets, k int, e model.Edge) bool {
		(*s)[100+int(e.To)] = true
		return e.To != 2
	})
	if r.Reached[2] || !r.Reached[1] || !slices.Equal(r.In[1].sorted(), []int{0, 101}) {
		t.Errorf("%v %v", r.Reached, r.In)
	}
}

// TestBound: a join that never comes to rest ends, and says so; widening by
// the number of visits comes to rest.
func TestBound(t *testing.T) {
	for _, widen := range []bool{false, true} {
		g := graph{{0, 1}, {}}
		r := flow.Solve(len(g), g.edges, flow.Problem[int]{
			Join: func(into *int, from int, visits int) bool {
				if widen && visits > 5 {
					from = 1 << 30
				}
				changed := from > *into
				*into = max(*into, from)
				return changed
			},
			Transfer: func(s *int, k int) {
				if *s < 1<<30 {
					*s++
				}
			},
		})
		if r.Complete != widen {
			t.Errorf("widening %v: complete %v", widen, r.Complete)
		}
	}
}

// TestNothing: a function without blocks has no facts.
func TestNothing(t *testing.T) {
	if r := flow.Solve(0, nil, flow.Problem[int]{}); len(r.In) != 0 || !r.Complete {
		t.Error(fmt.Sprint(r))
	}
}
