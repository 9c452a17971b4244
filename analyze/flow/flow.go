// Package flow is the one worklist of the analyses: it follows what holds at
// the start of every basic block of a function along all paths, until nothing
// changes any more.
//
// What holds is a value of a lattice, the caller's own type. Facts only get
// weaker where paths meet: Join must keep only what holds of both, and be
// monotone, so that a block that is looked at again says no more than before.
// Blocks are taken in order of their number, the lowest first, so the same
// function gives the same result and the same calls in every run.
package flow

import (
	"container/heap"

	"github.com/klpforge/klpforge/analyze/model"
)

// Problem is a forward analysis of one function with facts of type L.
type Problem[L any] struct {
	// Entry is what holds where the function begins.
	Entry L
	// Copy makes a copy that can be changed independently. Nil is assignment.
	Copy func(L) L
	// Join weakens *into to what also holds of from, and reports whether that
	// changed it. visits counts how often paths have met in that block before: a
	// lattice with long chains widens when it grows.
	Join func(into *L, from L, visits int) bool
	// Transfer changes *s from what holds before a block to what holds behind it.
	// It is called again whenever more paths have reached the block; the last call
	// for a block has all of them.
	Transfer func(s *L, block int)
	// Edge, when set, changes *s by what taking an edge says, as a condition does;
	// false says that the edge is not taken.
	Edge func(s *L, block int, e model.Edge) bool
}

// maxVisits bounds how often one block is looked at. A monotone Join over a
// lattice of finite height ends long before; one that does not is a fault of
// the caller's, which must not hang a run.
const maxVisits = 1000

// Result is what holds at the start of each block.
type Result[L any] struct {
	// In is by the number of the block; Reached says which blocks any path comes to.
	In      []L
	Reached []bool
	// Complete says that nothing would change any more. When it is false, the
	// bound was reached and the facts say too much: they must not be used.
	Complete bool
}

// Forward solves a problem over a function's blocks, of which 0 is the entry.
func Forward[L any](m *model.Model, blocks []model.Block, p Problem[L]) Result[L] {
	return Solve(len(blocks), func(k int) []model.Edge { return m.Edges(&blocks[k]) }, p)
}

// Solve is Forward over any graph of n blocks.
func Solve[L any](n int, edges func(block int) []model.Edge, p Problem[L]) Result[L] {
	r := Result[L]{In: make([]L, n), Reached: make([]bool, n), Complete: true}
	if n == 0 {
		return r
	}
	dup := p.Copy
	if dup == nil {
		dup = func(l L) L { return l }
	}
	r.In[0], r.Reached[0] = dup(p.Entry), true
	joins, visits := make([]int, n), make([]int, n)
	queue := &queue{in: make([]bool, n)}
	queue.add(0)

	for queue.Len() > 0 {
		k := heap.Pop(queue).(int)
		if visits[k]++; visits[k] > maxVisits {
			r.Complete = false
			return r
		}
		out := dup(r.In[k])
		p.Transfer(&out, k)

		es := edges(k)
		for i, e := range es {
			s := out
			if i < len(es)-1 || p.Edge != nil {
				s = dup(out)
			}
			if p.Edge != nil && !p.Edge(&s, k, e) {
				continue
			}
			to := int(e.To)
			if !r.Reached[to] {
				r.In[to], r.Reached[to] = s, true
				queue.add(to)
				continue
			}
			changed := p.Join(&r.In[to], s, joins[to])
			joins[to]++
			if changed {
				queue.add(to)
			}
		}
	}
	return r
}

// queue is the blocks to look at, each once, the lowest number first.
type queue struct {
	blocks []int
	in     []bool
}

func (q *queue) add(k int) {
	if !q.in[k] {
		q.in[k] = true
		heap.Push(q, k)
	}
}

func (q *queue) Len() int           { return len(q.blocks) }
func (q *queue) Less(i, j int) bool { return q.blocks[i] < q.blocks[j] }
func (q *queue) Swap(i, j int)      { q.blocks[i], q.blocks[j] = q.blocks[j], q.blocks[i] }
func (q *queue) Push(x any)         { q.blocks = append(q.blocks, x.(int)) }

func (q *queue) Pop() any {
	last := len(q.blocks) - 1
	k := q.blocks[last]
	q.blocks, q.in[k] = q.blocks[:last], false
	return k
}
