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
//     one answer or of one side alone, whose paths lead to spots.
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
	cert := &Certificate{Schema: CertificateSchema, Function: name, Terms: make([]Term, 1)}
	if w.delta != nil {
		cert.Frame = *w.delta
	}
	for _, guard := range w.used.guards {
		guard.Source = w.source(1, guard.when)
		cert.Guards = append(cert.Guards, guard)
	}
	slices.SortFunc(cert.Guards, func(a, b *Guard) int {
		return cmp.Or(cmp.Compare(a.when.piece, b.when.piece), cmp.Compare(a.when.off, b.when.off),
			cmp.Compare(a.Old, b.Old))
	})
	for i := range 2 {
		cert.Messages[i] = map[string]string{}
		for at, to := range w.used.messages[i] {
			cert.Messages[i][at.String()] = to
		}
	}
	export := &exporter{p: w.p, c: cert, index: map[term]int{}}
	for _, sp := range w.sorted() {
		cert.Spots = append(cert.Spots, export.spot(sp))
	}
	return cert, nil
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
		half := &sp.s.m[i]
		for reg, val := range half.regs {
			all[side+" "+regName(machine.Num(reg))] = val
		}
		for slotOff, slot := range half.slots {
			all[fmt.Sprintf("%s [%d:%d]", side, slotOff, slot.size)] = slot.val
		}
		if expr := x.p.nodes[half.flags]; expr.op != "var" {
			all[side+" flags"] = half.flags
		}
	}
	count := map[term]int{}
	for _, val := range all {
		count[val]++
		x.mention(val, count)
	}
	for _, fact := range sp.s.facts {
		x.mention(fact.cond, count)
	}
	for _, where := range slices.Sorted(maps.Keys(all)) {
		if val := all[where]; val != 0 && (x.p.nodes[val].op != "var" || count[val] > 1 || where == "memory") {
			out.State[where] = x.term(val)
		}
	}
	for _, fact := range sp.s.facts {
		out.Known = append(out.Known, Known{x.term(fact.cond), fact.is})
	}
	return out
}

// mention counts the unknowns that a term is made with.
func (x *exporter) mention(t term, count map[term]int) {
	expr := x.p.nodes[t]
	switch expr.op {
	case "var", "ret", "mem", "out":
		return
	}
	for _, operand := range []term{expr.a, expr.b, expr.c} {
		if operand != 0 && count[operand] < 2 {
			count[operand]++
			x.mention(operand, count)
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
	expr := x.p.nodes[t]
	out := Term{Op: expr.op, K: expr.k, Name: expr.s}
	switch expr.op {
	case "var", "ret", "mem", "out":
		// A value that an event made: where it came from is no longer said.
		out = Term{Op: "var", Name: fmt.Sprintf("%s%d", expr.op, t)}
	default:
		for i, operand := range []term{expr.a, expr.b, expr.c} {
			out.Args[i] = x.term(operand)
		}
	}
	x.c.Terms = append(x.c.Terms, out)
	x.index[t] = len(x.c.Terms) - 1
	return x.index[t]
}

// Words says the certificate in a few lines.
func (c *Certificate) Words() []string {
	var out []string
	for _, guard := range c.Guards {
		what := fmt.Sprintf("returns %d", guard.Value)
		if guard.Void {
			what = "returns"
		}
		why := map[string]string{
			"clean":   "nothing was done before, and the old code returns that value too (" + guard.Before + ")",
			"joins":   "the old code has the same exit at the same point (" + guard.Before + ")",
			"faulted": "the old code would have faulted there (" + guard.Before + ")",
		}[guard.Because]
		out = append(out, fmt.Sprintf("%s%s%s: new test, %s: %s; %s", c.Function, guard.At, in(guard.Source),
			guard.Test, what, why))
	}
	for i, when := range []string{"before", "after"} {
		if count := len(c.Messages[i]); count > 0 {
			out = append(out, fmt.Sprintf("%s: %d call(s) that only print %s, not compared", c.Function, count, when))
		}
	}
	return append(out, fmt.Sprintf("%s: all else is the same: calls, stores, locks and results, in their order and with their values, at %d matched pairs of places", c.Function, len(c.Spots)))
}
