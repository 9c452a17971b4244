package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Outcome is what became of what a cell stands for.
type Outcome string

// The outcomes.
const (
	Done    Outcome = "ok"
	Failed  Outcome = "FAILED"
	Untried Outcome = "not tried" // with the reason
)

// Cell is one cell of the table.
type Cell struct {
	Outcome Outcome `json:"outcome"`
	Text    string  `json:"text,omitempty"`   // what was seen; a short phrase
	Detail  string  `json:"detail,omitempty"` // all that a program said that failed
	Seconds float64 `json:"seconds,omitempty"`
}

// Column is the name of a column, which is what was tried.
type Column string

// The columns that are tried, in their order.
const (
	ColFind    Column = "fetch or find"
	ColPrepare Column = "prepare"
	ColLint    Column = "lint"
	ColBuild   Column = "build"
	ColVerify  Column = "verify"
	ColBefore  Column = "load before the module"
	ColAfter   Column = "load after the module"
	ColEffect  Column = "effect"
	ColReplace Column = "replace"
	ColUnload  Column = "unload"
	ColCorpus  Column = "corpus"
)

var columns = []Column{ColFind, ColPrepare, ColLint, ColBuild, ColVerify, ColBefore, ColAfter, ColEffect, ColReplace, ColUnload, ColCorpus}

// State is what is known of a row. It is written after each cell, so that a run that is
// killed goes on there.
type State struct {
	Row      Row             `json:"row"`
	Program  string          `json:"program"` // SHA-256 of klpforge's file
	Release  string          `json:"release,omitempty"`
	Compiler string          `json:"compiler,omitempty"`
	Host     string          `json:"host,omitempty"`
	Tree     string          `json:"tree,omitempty"` // prepared source
	Patches  []string        `json:"patches,omitempty"`
	Modules  []string        `json:"modules,omitempty"`
	Refused  []string        `json:"refused,omitempty"` // of the corpus: file, ids and message
	Cells    map[Column]Cell `json:"cells"`

	path string
}

// key identifies what a row's results depend on: the program, and what the row says, but
// for its words.
func key(r Row, program string) (string, error) {
	r.Title, r.NoCorpus = "", ""
	text, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s", program, text))
	return hex.EncodeToString(sum[:8]), nil
}

// openState reads what an earlier run of the same program left in dir, which is the row's.
func openState(dir string, r Row, program string) (*State, error) {
	s := &State{Row: r, Program: program, Cells: map[Column]Cell{}, path: filepath.Join(dir, "state.json")}
	err := s.read()
	if errors.Is(err, fs.ErrNotExist) {
		err = os.MkdirAll(dir, 0o755)
	}
	return s, err
}

func (s *State) read() error {
	text, err := os.ReadFile(s.path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, s); err != nil {
		return fmt.Errorf("read %s: %w", s.path, err)
	}
	return nil
}

// set records a cell for good.
func (s *State) set(c Column, cell Cell) error {
	s.Cells[c] = cell
	text, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.path+".tmp", append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(s.path+".tmp", s.path)
}

// forget drops the cells that failed and those that were not tried because of them.
func (s *State) forget() {
	for c, cell := range s.Cells {
		if cell.Outcome != Done {
			delete(s.Cells, c)
		}
	}
}

// failed lists the columns that failed, in their order.
func (s *State) failed() []Column {
	var out []Column
	for _, c := range columns {
		if s.Cells[c].Outcome == Failed {
			out = append(out, c)
		}
	}
	return out
}

// latest is the newest state of a row by any program, nil when it never ran. dir has a
// directory for each key.
func latest(dir string, r Row) (*State, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*", "state.json"))
	if err != nil {
		return nil, err
	}
	var newest *State
	var when int64
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		s := &State{path: p}
		if err := s.read(); err != nil {
			return nil, err
		}
		// What the row meant then must be what it means now.
		was, err := key(s.Row, "")
		if err != nil {
			return nil, err
		}
		is, err := key(r, "")
		if err != nil {
			return nil, err
		}
		if was == is && info.ModTime().UnixNano() > when {
			newest, when = s, info.ModTime().UnixNano()
		}
	}
	return newest, nil
}
