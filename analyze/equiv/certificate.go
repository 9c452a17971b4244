package equiv

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/klpforge/klpforge/analyze/machine"
)

// CertificateSchema identifies the format.
const CertificateSchema = "klpforge.equivalence/v1"

// Certificate is the evidence that a function does what it did before, but for
// the differences that it names. Places are offsets in the function, "+0x1c", or
// in one of its cold parts, "cold1+0x8". It claims:
//
//   - at each spot, where the old function is at Before and the new one at After,
//     there are values of the variables for which all locations hold their terms;
//   - from a spot, both sides take its Steps: the same calls, stores and other
//     effects with equal operands ("match"), reads without use of the value ("read");
//     calls that only print ("message") and
//     tests that what holds there decides ("decided"), of one side; new tests that are
//     guards ("guard"); at the end a return of both, a stop, or a "test" of both sides with
//     one answer or of one side alone, whose ways lead to spots.
type Certificate struct {
	Schema   string `json:"schema"`
	Function string `json:"function"`
	// Frame is the distance from a variable in the old function's frame to the same
	// in the new one's, bytes.
	Frame  int64    `json:"frame,omitempty"`
	Guards []*Guard `json:"guards,omitempty"`
	// Messages are calls that only print, before and after, by place.
	Messages [2]map[string]string `json:"messages"`
	Spots    []Spot               `json:"spots"`
	Terms    []Term               `json:"terms"` // the operands of a term stand before it
}

// Spot is a pair of matched places and what holds there. A location is
// "before rax", "after [-24:8]" (8 bytes of the frame, by offset from the stack
// pointer at entry) or "memory"; terms are indices of Terms.
type Spot struct {
	Before string         `json:"before"`
	After  string         `json:"after"`
	State  map[string]int `json:"state"`
	// Known are conditions that hold there, or do not.
	Known []Known `json:"known,omitempty"`
	Steps []Step  `json:"steps"`
}

// Step is what is done next, and by which instructions.
type Step struct {
	Kind   string `json:"kind"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// Known is a condition and its answer.
type Known struct {
	Term int  `json:"term"`
	Is   bool `json:"is"`
}

// Term is a value: an operation, its number (a constant, or a width in bits), its
// operands as indices, 0 for none, and a name. Term 0 is none. "var" is a value of
// which nothing is said but its name.
type Term struct {
	Op   string `json:"op"`
	K    uint64 `json:"k,omitempty"`
	Args [3]int `json:"args"`
	Name string `json:"name,omitempty"`
}

// certificate writes down what the walk found.
func (w *walk) certificate(name string) (*Certificate, error) {
	c := &Certificate{Schema: CertificateSchema, Function: name, Terms: make([]Term, 1)}
	if w.delta != nil {
		c.Frame = *w.delta
	}
	for _, g := range w.used.guards {
		g.Source = w.source(1, g.when)
		c.Guards = append(c.Guards, g)
	}
	slices.SortFunc(c.Guards, func(a, b *Guard) int {
		return cmp.Or(cmp.Compare(a.when.piece, b.when.piece), cmp.Compare(a.when.off, b.when.off),
			cmp.Compare(a.Old, b.Old))
	})
	for i := range 2 {
		c.Messages[i] = map[string]string{}
		for at, to := range w.used.messages[i] {
			c.Messages[i][at.String()] = to
		}
	}
	x := &exporter{p: w.p, c: c, index: map[term]int{}}
	for _, sp := range w.sorted() {
		c.Spots = append(c.Spots, x.spot(sp))
	}
	return c, nil
}

// exporter numbers the terms that a certificate needs.
type exporter struct {
	p     *pool
	c     *Certificate
	index map[term]int
}

// spot leaves out what says nothing: a value of which nothing is known, in one
// location alone.
func (x *exporter) spot(sp *spot) Spot {
	out := Spot{Before: sp.at.f.String(), After: sp.at.g.String(), State: map[string]int{}, Steps: sp.steps}
	all := map[string]term{"memory": sp.s.epoch}
	for i, side := range []string{"before", "after"} {
		m := &sp.s.m[i]
		for r, v := range m.regs {
			all[side+" "+regName(machine.Num(r))] = v
		}
		for k, v := range m.slots {
			all[fmt.Sprintf("%s [%d:%d]", side, k, v.size)] = v.val
		}
		if n := x.p.nodes[m.flags]; n.op != "var" {
			all[side+" flags"] = m.flags
		}
	}
	count := map[term]int{}
	for _, v := range all {
		count[v]++
		x.mention(v, count)
	}
	for _, f := range sp.s.facts {
		x.mention(f.cond, count)
	}
	for _, where := range slices.Sorted(maps.Keys(all)) {
		if v := all[where]; v != 0 && (x.p.nodes[v].op != "var" || count[v] > 1 || where == "memory") {
			out.State[where] = x.term(v)
		}
	}
	for _, f := range sp.s.facts {
		out.Known = append(out.Known, Known{x.term(f.cond), f.is})
	}
	return out
}

// mention counts the unknowns that a term is made with.
func (x *exporter) mention(t term, count map[term]int) {
	n := x.p.nodes[t]
	switch n.op {
	case "var", "ret", "mem", "out":
		return
	}
	for _, a := range []term{n.a, n.b, n.c} {
		if a != 0 && count[a] < 2 {
			count[a]++
			x.mention(a, count)
		}
	}
}

func (x *exporter) term(t term) int {
	if t == 0 {
		return 0
	}
	if i, ok := x.index[t]; ok {
		return i
	}
	n := x.p.nodes[t]
	out := Term{Op: n.op, K: n.k, Name: n.s}
	switch n.op {
	case "var", "ret", "mem", "out":
		// A value that an event made: where it came from is no longer said.
		out = Term{Op: "var", Name: fmt.Sprintf("%s%d", n.op, t)}
	default:
		for i, a := range []term{n.a, n.b, n.c} {
			out.Args[i] = x.term(a)
		}
	}
	x.c.Terms = append(x.c.Terms, out)
	x.index[t] = len(x.c.Terms) - 1
	return x.index[t]
}

// Words says the certificate in a few lines.
func (c *Certificate) Words() []string {
	var out []string
	for _, g := range c.Guards {
		what := fmt.Sprintf("returns %d", g.Value)
		if g.Void {
			what = "returns"
		}
		why := map[string]string{
			"clean":   "nothing was done before, and the old code returns that value too (" + g.Before + ")",
			"joins":   "the old code has the same exit at the same point (" + g.Before + ")",
			"faulted": "the old code would have faulted there (" + g.Before + ")",
		}[g.Because]
		out = append(out, fmt.Sprintf("%s%s%s: new test, %s: %s; %s", c.Function, g.At, in(g.Source), g.Test, what, why))
	}
	for i, when := range []string{"before", "after"} {
		if n := len(c.Messages[i]); n > 0 {
			out = append(out, fmt.Sprintf("%s: %d call(s) that only print %s, not compared", c.Function, n, when))
		}
	}
	return append(out, fmt.Sprintf("%s: all else is the same: calls, stores, locks and results, in their order and with their values, at %d matched pairs of places", c.Function, len(c.Spots)))
}
