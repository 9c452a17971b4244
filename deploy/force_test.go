package deploy

import (
	"strings"
	"testing"
)

// TestForceAsked: the verdict in a note counts only when somebody vouches for
// the note.
func TestForceAsked(t *testing.T) {
	for name, c := range map[string]struct {
		safe, trusted bool
		why, words    string
		on            OnTimeout
		refused       string // part of the refusal, "" for none
	}{
		"not asked for":                 {on: Reverse},
		"no verdict":                    {on: Force, trusted: true, refused: "does not carry the verdict"},
		"no verdict, words":             {on: Force, words: ForceWords("m")},
		"verdict, nobody vouches":       {on: Force, safe: true, refused: "no signature was verified"},
		"verdict, nobody vouches, why":  {on: Force, safe: true, why: "the module is not signed", refused: "the module is not signed"},
		"verdict, other words":          {on: Force, safe: true, words: ForceWords("n"), refused: `--force "give up consistency for m"`},
		"verdict, nobody vouches, word": {on: Force, safe: true, words: ForceWords("m")},
		"verdict, trusted":              {on: Force, safe: true, trusted: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := &Facts{SafeToForce: c.safe, NoteTrusted: c.trusted, NoteTrust: c.why}
			r := forceAsked("m", f, Options{OnTimeout: c.on, ForceWords: c.words})
			switch {
			case c.refused == "" && r != nil:
				t.Errorf("refused: %v", r)
			case c.refused != "" && (r == nil || !strings.Contains(r.Error(), c.refused)):
				t.Errorf("%v, want %q", r, c.refused)
			}
			if want := c.safe && c.trusted; f.mayForce() != want {
				t.Errorf("mayForce %v", !want)
			}
		})
	}
}
