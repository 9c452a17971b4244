package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Report is what a run found.
type Report struct {
	Seed     uint64    `json:"seed"`
	Sample   float64   `json:"sample"` // share of the faults that were tried
	Packages []Package `json:"packages"`
}

// Package is the score of one package.
type Package struct {
	Name      string     `json:"name"`
	Killed    int        `json:"killed"`
	Survived  int        `json:"survived"`
	Uncovered int        `json:"uncovered"` // reached by no test
	Unsound   int        `json:"unsound"`   // do not compile; not counted
	Seconds   float64    `json:"seconds"`
	Survivors []Survivor `json:"survivors"`
}

// Survivor is a fault that no test noticed.
type Survivor struct {
	Place   string `json:"place"` // file:line
	Func    string `json:"func,omitempty"`
	Op      string `json:"op"`
	Text    string `json:"text"`
	Reached bool   `json:"reached"`
}

// Score is the share of the reached faults that were killed, in percent; 100
// when there are none.
func (p Package) Score() float64 { return percent(p.Killed, p.Survived) }

func percent(killed, survived int) float64 {
	if killed+survived == 0 {
		return 100
	}
	return 100 * float64(killed) / float64(killed+survived)
}

// total adds up all packages.
func (r *Report) total() Package {
	t := Package{Name: "total"}
	for _, p := range r.Packages {
		t.Killed += p.Killed
		t.Survived += p.Survived
		t.Uncovered += p.Uncovered
		t.Unsound += p.Unsound
		t.Seconds += p.Seconds
	}
	return t
}

// text prints survivors, when asked for, and the table of scores.
func (r *Report) text(w io.Writer, survivors bool) {
	if survivors {
		for _, p := range r.Packages {
			for _, s := range p.Survivors {
				fate := survived
				if !s.Reached {
					fate = uncovered
				}
				fmt.Fprintf(w, "%-9s %s: %s in %s: %s\n", fate, s.Place, s.Op, s.Func, s.Text)
			}
		}
	}
	fmt.Fprintf(w, "%-20s %7s %8s %9s %7s %7s\n", "package", "killed", "survived", "uncovered", "score", "seconds")
	for _, p := range append(r.Packages, r.total()) {
		fmt.Fprintf(w, "%-20s %7d %8d %9d %6.1f%% %7.0f\n", p.Name, p.Killed, p.Survived, p.Uncovered, p.Score(), p.Seconds)
	}
}

func (r *Report) write(file string) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

// survivor describes a mutant.
func survivor(pkg string, m *mutant, outcome string) Survivor {
	return Survivor{Place: fmt.Sprintf("%s/%s:%d", pkg, filepath.Base(m.file), m.Line), Func: m.Func, Op: m.Op, Text: m.Text, Reached: outcome == survived}
}
