package report

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

func TestGraphLayout(t *testing.T) {
	g := sample().Graph
	boxes, width, height := g.layout()
	at := map[string]box{}
	for _, b := range boxes {
		at[b.Name] = b
		if b.X < 0 || b.Y < 0 || b.X+b.W > width || b.Y+boxHeight > height {
			t.Errorf("%s at %.0f,%.0f leaves the %.0fx%.0f drawing", b.Name, b.X, b.Y, width, height)
		}
	}
	for _, c := range [][2]string{{"x_open", "x_lookup"}, {"x_lookup", "x_get"}, {"and 12 more", "x_get"}} {
		if from, to := at[c[0]], at[c[1]]; from.X+from.W >= to.X {
			t.Errorf("the caller %s is not to the left of %s", c[0], c[1])
		}
	}
	dec := xml.NewDecoder(strings.NewReader(string(g.SVG())))
	for {
		_, err := dec.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(string(g.SVG()), "x_walk&lt;T&gt;") {
		t.Error("a name is not escaped")
	}
}

func TestGraphOfNothing(t *testing.T) {
	var none *Graph
	if none.SVG() != "" || (&Graph{}).SVG() != "" {
		t.Error("draws nothing as something")
	}
	self := &Graph{Nodes: []Node{{Name: "f", Role: Replaced}}, Calls: [][2]int{{0, 0}}}
	if !strings.Contains(string(self.SVG()), "<path class=\"edge\"") {
		t.Error("a function that calls itself has no edge")
	}
}
