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
	decoder := json.NewDecoder(strings.NewReader(string(b)))
	decoder.DisallowUnknownFields()
	cert := &certificate{}
	if err := decoder.Decode(cert); err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	if cert.Schema != "klpforge.equivalence/v1" {
		return nil, fmt.Errorf("schema is %q", cert.Schema)
	}
	for i := range cert.Terms {
		for _, arg := range cert.Terms[i].Args {
			if arg < 0 || arg >= max(i, 1) {
				return nil, fmt.Errorf("term %d: an operand does not stand before it", i)
			}
		}
	}
	for nth := range cert.Spots {
		for where, term := range cert.Spots[nth].State {
			if term <= 0 || term >= len(cert.Terms) {
				return nil, fmt.Errorf("spot %d: %s holds no term", nth, where)
			}
		}
		for _, known := range cert.Spots[nth].Known {
			if known.Term <= 0 || known.Term >= len(cert.Terms) {
				return nil, fmt.Errorf("spot %d: a condition is no term", nth)
			}
		}
	}
	return cert, nil
}
