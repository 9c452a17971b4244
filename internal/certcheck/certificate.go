package certcheck

import (
	"encoding/json"
	"fmt"
	"strings"
)

// certificate is what is read of the JSON. Fields that are not known are an error.
type certificate struct {
	Schema   string `json:"schema"`
	Function string `json:"function"`
	Frame    int64  `json:"frame"`
	Guards   []guard
	Messages [2]map[string]string
	Spots    []spot
	Terms    []term
}

type guard struct {
	At, Exit, Test, Because, Before, Old string
	Source                               string // a place for readers; nothing rests on it
	Value                                int64
	Void                                 bool
	Releases                             []string
}

type spot struct {
	Before, After string
	State         map[string]int
	Known         []struct {
		Term int
		Is   bool
	}
	Steps []struct{ Kind, Before, After string }
}

type term struct {
	Op   string
	K    uint64
	Args [3]int
	Name string
}

func parse(b []byte) (*certificate, error) {
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	c := &certificate{}
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	if c.Schema != "klpforge.equivalence/v1" {
		return nil, fmt.Errorf("schema is %q", c.Schema)
	}
	for i := range c.Terms {
		for _, a := range c.Terms[i].Args {
			if a < 0 || a >= max(i, 1) {
				return nil, fmt.Errorf("term %d: an operand does not stand before it", i)
			}
		}
	}
	for i := range c.Spots {
		for where, t := range c.Spots[i].State {
			if t <= 0 || t >= len(c.Terms) {
				return nil, fmt.Errorf("spot %d: %s holds no term", i, where)
			}
		}
		for _, k := range c.Spots[i].Known {
			if k.Term <= 0 || k.Term >= len(c.Terms) {
				return nil, fmt.Errorf("spot %d: a condition is no term", i)
			}
		}
	}
	return c, nil
}
