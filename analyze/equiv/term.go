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
	// from are the two values that an unknown of a join stands for.
	from map[term][2]term
}

func newPool() *pool {
	return &pool{nodes: make([]node, 1), width: make([]uint8, 1), index: map[node]term{}, from: map[term][2]term{}}
}

func (p *pool) cons(n node) term {
	if known, ok := p.index[n]; ok {
		return known
	}
	made := term(len(p.nodes))
	p.nodes = append(p.nodes, n)
	p.width = append(p.width, p.bitsOf(&n))
	p.index[n] = made
	return made
}

func (p *pool) bitsOf(n *node) uint8 {
	switch n.op {
	case "const":
		bits := uint8(0)
		for rest := n.k; rest != 0; rest >>= 1 {
			bits++
		}
		return bits
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
	expr := &p.nodes[t]
	return expr.k, expr.op == "const"
}

func mask(width uint64) uint64 {
	if width >= 64 {
		return ^uint64(0)
	}
	return 1<<width - 1
}

// plus adds a constant; the constant of a sum stays outermost.
func (p *pool) plus(t term, k uint64) term {
	expr := p.nodes[t]
	switch {
	case k == 0:
		return t
	case expr.op == "const":
		return p.constant(expr.k + k)
	case expr.op == "plus":
		return p.plus(expr.a, expr.k+k)
	}
	return p.cons(node{op: "plus", k: k, a: t})
}

// offset takes the outermost constant off a sum.
func (p *pool) offset(t term) (base term, k uint64) {
	if expr := &p.nodes[t]; expr.op == "plus" {
		return expr.a, expr.k
	}
	return t, 0
}

func (p *pool) add(a, b term) term {
	if imm, ok := p.isConst(a); ok {
		return p.plus(b, imm)
	}
	if imm, ok := p.isConst(b); ok {
		return p.plus(a, imm)
	}
	leftBase, leftOff := p.offset(a)
	rightBase, rightOff := p.offset(b)
	if leftBase > rightBase {
		leftBase, rightBase = rightBase, leftBase
	}
	return p.plus(p.cons(node{op: "add", a: leftBase, b: rightBase}), leftOff+rightOff)
}

func (p *pool) sub(a, b term) term {
	if a == b {
		return p.constant(0)
	}
	if imm, ok := p.isConst(b); ok {
		return p.plus(a, -imm)
	}
	leftBase, leftOff := p.offset(a)
	rightBase, rightOff := p.offset(b)
	if leftBase == rightBase {
		return p.constant(leftOff - rightOff)
	}
	return p.plus(p.cons(node{op: "sub", a: leftBase, b: rightBase}), leftOff-rightOff)
}

// low gives the lower bits of a value, the others zero.
func (p *pool) low(width uint64, t term) term {
	t = p.strip(width, t, 4)
	if imm, ok := p.isConst(t); ok {
		return p.constant(imm & mask(width))
	}
	if uint64(p.width[t]) <= width {
		return t
	}
	return p.cons(node{op: "low", k: width, a: t})
}

// strip leaves away in t what only decides bits above width.
func (p *pool) strip(width uint64, t term, depth int) term {
	expr := p.nodes[t]
	if depth == 0 {
		return t
	}
	in := func(x term) term { return p.strip(width, x, depth-1) }
	switch expr.op {
	case "low":
		if expr.k >= width {
			return in(expr.a)
		}
	case "sext":
		if expr.k>>8 >= width {
			return in(expr.a)
		}
	case "ins":
		if expr.k >= width {
			return in(expr.b)
		}
	case "plus":
		return p.plus(in(expr.a), signed(width, expr.k&mask(width)))
	case "add":
		return p.add(in(expr.a), in(expr.b))
	case "sub":
		return p.sub(in(expr.a), in(expr.b))
	case "and", "or", "xor", "mul":
		return p.op2(expr.op, in(expr.a), in(expr.b))
	case "not", "neg":
		return p.cons(node{op: expr.op, a: in(expr.a)})
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
	if imm, ok := p.isConst(t); ok {
		return p.constant(signed(from, imm) & mask(to))
	}
	if uint64(p.width[t]) < from {
		return t // not negative
	}
	return p.low(to, p.cons(node{op: "sext", k: from<<8 | 64, a: p.strip(from, t, 4)}))
}

// op2 makes and, or, xor and mul: their operands have no order.
func (p *pool) op2(op string, a, b term) term {
	leftImm, va := p.isConst(a)
	rightImm, wb := p.isConst(b)
	if va && wb {
		switch op {
		case "and":
			return p.constant(leftImm & rightImm)
		case "or":
			return p.constant(leftImm | rightImm)
		case "xor":
			return p.constant(leftImm ^ rightImm)
		case "mul":
			return p.constant(leftImm * rightImm)
		}
	}
	if va {
		a, b, leftImm, rightImm, va, wb = b, a, rightImm, leftImm, wb, va
	}
	switch {
	case op == "xor" && a == b:
		return p.constant(0)
	case (op == "and" || op == "or") && a == b:
		return a
	case wb && op == "and" && rightImm == 0, wb && op == "mul" && rightImm == 0:
		return p.constant(0)
	case wb && rightImm == 0 && op != "and", wb && op == "mul" && rightImm == 1:
		return a
	case wb && op == "and" && (rightImm == mask(8) || rightImm == mask(16) || rightImm == mask(32)):
		width := uint64(8)
		for mask(width) != rightImm {
			width *= 2
		}
		return p.low(width, a)
	case wb && op == "mul" && rightImm&(rightImm-1) == 0:
		result := uint64(0)
		for rightImm>>result != 1 {
			result++
		}
		return p.shl(a, result)
	}
	if !wb && a > b {
		a, b = b, a
	}
	return p.cons(node{op: op, a: a, b: b})
}

func (p *pool) shl(a term, n uint64) term {
	if imm, ok := p.isConst(a); ok {
		return p.constant(imm << n)
	}
	if n == 0 {
		return a
	}
	return p.cons(node{op: "shl", a: a, b: p.constant(n), k: 64})
}

// text writes a term for a reader.
func (p *pool) text(t term) string { return p.words(t, 5) }

func (p *pool) words(t term, depth int) string {
	expr := &p.nodes[t]
	in := func(x term) string { return p.words(x, depth-1) }
	switch {
	case t == 0:
		return "?"
	case expr.op == "const":
		if small := int64(expr.k); small > -4096 && small < 1<<16 {
			return strconv.FormatInt(small, 10)
		}
		return fmt.Sprintf("%#x", expr.k)
	case expr.op == "sym":
		return expr.s
	case expr.op == "var":
		name, _, _ := strings.Cut(expr.s, "#")
		return name
	case depth == 0:
		return "…"
	case expr.op == "plus":
		return fmt.Sprintf("%s%+#x", in(expr.a), int64(expr.k))
	case expr.op == "load":
		return "[" + in(expr.a) + "]"
	case expr.op == "low":
		return in(expr.a)
	}
	var args []string
	for _, operand := range []term{expr.a, expr.b, expr.c} {
		if operand != 0 {
			args = append(args, in(operand))
		}
	}
	return expr.op + "(" + strings.Join(args, ", ") + ")"
}
