package equiv

import (
	"fmt"
	"strconv"
	"strings"
)

// term is the number of a value. Equal numbers are equal values, in whichever
// of the two functions they were computed: terms are made by hash consing, and
// an expression over equal operands is the same expression.
type term int32

// node is what a term is made of.
type node struct {
	op      string
	k       uint64 // constant, width in bits, or what the operation says
	a, b, c term   // operands, 0 when there is none
	s       string // name of a symbol or of an unknown
}

// pool holds all terms of one comparison. Term 0 is no value.
type pool struct {
	nodes []node
	width []uint8 // bits above which the value is zero
	index map[node]term
	next  int // number of the next unknown
	// from are the two values that an unknown of a meet stands for.
	from map[term][2]term
}

func newPool() *pool {
	return &pool{nodes: make([]node, 1), width: make([]uint8, 1), index: map[node]term{}, from: map[term][2]term{}}
}

func (p *pool) cons(n node) term {
	if t, ok := p.index[n]; ok {
		return t
	}
	t := term(len(p.nodes))
	p.nodes = append(p.nodes, n)
	p.width = append(p.width, p.bitsOf(&n))
	p.index[n] = t
	return t
}

func (p *pool) bitsOf(n *node) uint8 {
	switch n.op {
	case "const":
		b := uint8(0)
		for v := n.k; v != 0; v >>= 1 {
			b++
		}
		return b
	case "low", "load", "gsload", "stackarg", "shr", "div", "mod":
		return uint8(n.k & 0xff)
	case "set":
		return 1
	case "and":
		return min(p.width[n.a], p.width[n.b])
	case "or", "xor":
		return max(p.width[n.a], p.width[n.b])
	case "ite":
		return max(p.width[n.b], p.width[n.c])
	}
	return 64
}

// unknown makes a value that equals no other.
func (p *pool) unknown(why string) term {
	p.next++
	return p.cons(node{op: "var", s: why + "#" + strconv.Itoa(p.next)})
}

// unknownAt makes the value that an instruction leaves in a place where nothing
// more is known of it.
func (p *pool) unknownAt(why string, side int, at place, epoch term) term {
	return p.cons(node{op: "var", s: why + "#" + at.String(), k: uint64(side), a: epoch})
}

func (p *pool) constant(v uint64) term  { return p.cons(node{op: "const", k: v}) }
func (p *pool) symbol(name string) term { return p.cons(node{op: "sym", s: name}) }

func (p *pool) isConst(t term) (uint64, bool) {
	n := &p.nodes[t]
	return n.k, n.op == "const"
}

func mask(width uint64) uint64 {
	if width >= 64 {
		return ^uint64(0)
	}
	return 1<<width - 1
}

// plus adds a constant; the constant of a sum stays outermost.
func (p *pool) plus(t term, k uint64) term {
	n := p.nodes[t]
	switch {
	case k == 0:
		return t
	case n.op == "const":
		return p.constant(n.k + k)
	case n.op == "plus":
		return p.plus(n.a, n.k+k)
	}
	return p.cons(node{op: "plus", k: k, a: t})
}

// offset takes the outermost constant off a sum.
func (p *pool) offset(t term) (base term, k uint64) {
	if n := &p.nodes[t]; n.op == "plus" {
		return n.a, n.k
	}
	return t, 0
}

func (p *pool) add(a, b term) term {
	if v, ok := p.isConst(a); ok {
		return p.plus(b, v)
	}
	if v, ok := p.isConst(b); ok {
		return p.plus(a, v)
	}
	x, i := p.offset(a)
	y, j := p.offset(b)
	if x > y {
		x, y = y, x
	}
	return p.plus(p.cons(node{op: "add", a: x, b: y}), i+j)
}

func (p *pool) sub(a, b term) term {
	if a == b {
		return p.constant(0)
	}
	if v, ok := p.isConst(b); ok {
		return p.plus(a, -v)
	}
	x, i := p.offset(a)
	y, j := p.offset(b)
	if x == y {
		return p.constant(i - j)
	}
	return p.plus(p.cons(node{op: "sub", a: x, b: y}), i-j)
}

// low gives the lower bits of a value, the others zero.
func (p *pool) low(width uint64, t term) term {
	t = p.strip(width, t, 4)
	if v, ok := p.isConst(t); ok {
		return p.constant(v & mask(width))
	}
	if uint64(p.width[t]) <= width {
		return t
	}
	return p.cons(node{op: "low", k: width, a: t})
}

// strip leaves away in t what only decides bits above width.
func (p *pool) strip(width uint64, t term, depth int) term {
	n := p.nodes[t]
	if depth == 0 {
		return t
	}
	in := func(x term) term { return p.strip(width, x, depth-1) }
	switch n.op {
	case "low":
		if n.k >= width {
			return in(n.a)
		}
	case "sext":
		if n.k>>8 >= width {
			return in(n.a)
		}
	case "ins":
		if n.k >= width {
			return in(n.b)
		}
	case "plus":
		return p.plus(in(n.a), signed(width, n.k&mask(width)))
	case "add":
		return p.add(in(n.a), in(n.b))
	case "sub":
		return p.sub(in(n.a), in(n.b))
	case "and", "or", "xor", "mul":
		return p.op2(n.op, in(n.a), in(n.b))
	case "not", "neg":
		return p.cons(node{op: n.op, a: in(n.a)})
	}
	return t
}

// signed extends the sign bit of a value of that width.
func signed(width, v uint64) uint64 {
	if width < 64 && v>>(width-1)&1 == 1 {
		return v | ^mask(width)
	}
	return v
}

// sext extends the sign from one width to another.
func (p *pool) sext(from, to uint64, t term) term {
	t = p.low(from, t)
	if v, ok := p.isConst(t); ok {
		return p.constant(signed(from, v) & mask(to))
	}
	if uint64(p.width[t]) < from {
		return t // not negative
	}
	return p.low(to, p.cons(node{op: "sext", k: from<<8 | 64, a: p.strip(from, t, 4)}))
}

// op2 makes and, or, xor and mul: their operands have no order.
func (p *pool) op2(op string, a, b term) term {
	v, va := p.isConst(a)
	w, wb := p.isConst(b)
	if va && wb {
		switch op {
		case "and":
			return p.constant(v & w)
		case "or":
			return p.constant(v | w)
		case "xor":
			return p.constant(v ^ w)
		case "mul":
			return p.constant(v * w)
		}
	}
	if va {
		a, b, v, w, va, wb = b, a, w, v, wb, va
	}
	switch {
	case op == "xor" && a == b:
		return p.constant(0)
	case (op == "and" || op == "or") && a == b:
		return a
	case wb && op == "and" && w == 0, wb && op == "mul" && w == 0:
		return p.constant(0)
	case wb && w == 0 && op != "and", wb && op == "mul" && w == 1:
		return a
	case wb && op == "and" && (w == mask(8) || w == mask(16) || w == mask(32)):
		width := uint64(8)
		for mask(width) != w {
			width *= 2
		}
		return p.low(width, a)
	case wb && op == "mul" && w&(w-1) == 0:
		n := uint64(0)
		for w>>n != 1 {
			n++
		}
		return p.shl(a, n)
	}
	if !wb && a > b {
		a, b = b, a
	}
	return p.cons(node{op: op, a: a, b: b})
}

func (p *pool) shl(a term, n uint64) term {
	if v, ok := p.isConst(a); ok {
		return p.constant(v << n)
	}
	if n == 0 {
		return a
	}
	return p.cons(node{op: "shl", a: a, b: p.constant(n), k: 64})
}

// text writes a term for a reader.
func (p *pool) text(t term) string { return p.words(t, 5) }

func (p *pool) words(t term, depth int) string {
	n := &p.nodes[t]
	in := func(x term) string { return p.words(x, depth-1) }
	switch {
	case t == 0:
		return "?"
	case n.op == "const":
		if v := int64(n.k); v > -4096 && v < 1<<16 {
			return strconv.FormatInt(v, 10)
		}
		return fmt.Sprintf("%#x", n.k)
	case n.op == "sym":
		return n.s
	case n.op == "var":
		name, _, _ := strings.Cut(n.s, "#")
		return name
	case depth == 0:
		return "…"
	case n.op == "plus":
		return fmt.Sprintf("%s%+#x", in(n.a), int64(n.k))
	case n.op == "load":
		return "[" + in(n.a) + "]"
	case n.op == "low":
		return in(n.a)
	}
	var args []string
	for _, x := range []term{n.a, n.b, n.c} {
		if x != 0 {
			args = append(args, in(x))
		}
	}
	return n.op + "(" + strings.Join(args, ", ") + ")"
}
