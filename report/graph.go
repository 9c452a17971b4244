package report

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"
)

// Graph says who calls what around the functions of a livepatch.
type Graph struct {
	Nodes []Node   `json:"nodes"`
	Calls [][2]int `json:"calls"` // caller and callee, as indices of Nodes
}

// Role is what a function of a graph has to do with the livepatch.
type Role string

// Roles.
const (
	Replaced Role = "changed" // its code changes
	Joins    Role = "joins"   // its code stays, but it must switch together with what it calls
	Outside  Role = "caller"  // calls one of the others and is not part of the livepatch
)

// Node is a function of a graph, or several callers that are not listed one by
// one ("and 12 more").
type Node struct {
	Name   string `json:"name"`
	Object string `json:"object,omitempty"`
	Role   Role   `json:"role"`
}

// Sizes of the drawing, in pixels. Names are set in a monospaced font of 12
// pixels, whose characters are 7.3 wide.
const (
	charWidth  = 7.3
	boxHeight  = 26
	rowStep    = 36
	columnGap  = 70
	boxPadding = 10
	margin     = 8
)

// box is a node with its place in the drawing.
type box struct {
	Node
	X, Y, W float64
	column  int
	row     int
}

// SVG draws the graph: callers to the left of what they call. The result is
// well-formed and uses the colours of the page by class names.
func (g *Graph) SVG() template.HTML {
	if g == nil || len(g.Nodes) == 0 {
		return ""
	}
	boxes, width, tall := g.layout()
	height := tall
	var out, edges strings.Builder
	for _, c := range g.Calls {
		from, to := boxes[c[0]], boxes[c[1]]
		x1, y1, x2, y2 := from.X+from.W, from.Y+boxHeight/2, to.X, to.Y+boxHeight/2
		bend := columnGap / 2.0
		if from.column >= to.column { // back, or within a column: below, to the right side
			x2, height = to.X+to.W, tall+rowStep
			fmt.Fprintf(&edges, `<path class="edge" d="M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f"/>`, x1, y1, x1+bend,
				y1+rowStep, x2+bend, y2+rowStep, x2, y2)
			continue
		}
		fmt.Fprintf(&edges, `<path class="edge" d="M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f"/>`, x1, y1, x1+bend, y1,
			x2-bend, y2, x2, y2)
	}
	fmt.Fprintf(&out,
		`<svg class="graph" role="img" aria-label="call graph" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f">`,
		width, height, width, height)
	out.WriteString(`<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>`)
	out.WriteString(edges.String())
	for _, node := range boxes {
		title := string(node.Role)
		if node.Object != "" {
			title += ", " + node.Object
		}
		fmt.Fprintf(&out,
			`<g class="node %s"><title>%s</title><rect x="%.1f" y="%.1f" width="%.1f" height="%d" rx="5"/><text x="%.1f" y="%.1f">%s</text></g>`,
			node.Role, template.HTMLEscapeString(title), node.X, node.Y, node.W, boxHeight, node.X+boxPadding,
			node.Y+boxHeight/2+4, template.HTMLEscapeString(node.Name))
	}
	out.WriteString("</svg>")
	return template.HTML(out.String())
}

// layout gives every node a column, so that calls go to the right wherever
// there is no cycle, and a row near those it is connected with.
func (g *Graph) layout() (boxes []box, width, height float64) {
	boxes = make([]box, len(g.Nodes))
	for i, n := range g.Nodes {
		boxes[i] = box{Node: n, W: charWidth*float64(len([]rune(n.Name))) + 2*boxPadding}
	}
	callers := make([][]int, len(g.Nodes))
	callees := make([][]int, len(g.Nodes))
	for _, call := range g.Calls {
		callers[call[1]] = append(callers[call[1]], call[0])
		callees[call[0]] = append(callees[call[0]], call[1])
	}
	g.columns(boxes, callers)
	var columns [][]int
	for i := range boxes {
		for len(columns) <= boxes[i].column {
			columns = append(columns, nil)
		}
		columns[boxes[i].column] = append(columns[boxes[i].column], i)
	}
	place := func(col []int) {
		for row, i := range col {
			boxes[i].row = row
		}
	}
	for _, col := range columns {
		place(col)
	}
	// Two sweeps of the barycenter rule keep most edges from crossing.
	mean := func(i int, near [][]int) float64 {
		if len(near[i]) == 0 {
			return float64(boxes[i].row)
		}
		sum := 0.0
		for _, j := range near[i] {
			sum += float64(boxes[j].row)
		}
		return sum / float64(len(near[i]))
	}
	for sweep := range 2 {
		for column := range columns {
			near := callers
			if sweep == 1 {
				column = len(columns) - 1 - column
				near = callees
			}
			slices.SortStableFunc(columns[column], func(a, b int) int {
				return cmp.Compare(mean(a, near), mean(b, near))
			})
			place(columns[column])
		}
	}
	left, tallest := float64(margin), 0
	for _, col := range columns {
		tallest = max(tallest, len(col))
	}
	for _, col := range columns {
		widest := 0.0
		for _, i := range col {
			widest = max(widest, boxes[i].W)
		}
		top := margin + float64(tallest-len(col))*rowStep/2
		for _, i := range col {
			boxes[i].X, boxes[i].Y = left, top+float64(boxes[i].row)*rowStep
		}
		left += widest + columnGap
	}
	return boxes, left, 2*margin + float64(tallest)*rowStep
}

// columns gives each box the length of the longest chain of callers that leads
// to it; an edge that closes a cycle does not count.
func (g *Graph) columns(boxes []box, callers [][]int) {
	const unseen, open, done = 0, 1, 2
	state := make([]int, len(boxes))
	var visit func(i int) int
	visit = func(i int) int {
		if state[i] == done {
			return boxes[i].column
		}
		state[i] = open
		for _, j := range callers[i] {
			if state[j] != open {
				boxes[i].column = max(boxes[i].column, visit(j)+1)
			}
		}
		state[i] = done
		return boxes[i].column
	}
	for i := range boxes {
		visit(i)
	}
}
