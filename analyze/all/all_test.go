package all

import (
	"testing"

	"github.com/klpforge/klpforge/finding"
)

// TestEveryIDIsExplained: the analyzers together have each registered id once, with
// its title and a text.
func TestEveryIDIsExplained(t *testing.T) {
	r := Registry()
	for _, k := range finding.Kinds() {
		c, ok := r.Check(k.ID)
		if !ok || c.Title != k.Title || len(c.Doc) < 60 {
			t.Errorf("klpforge explain has no text of %s, or another title: %+v", k.ID, c)
		}
	}
	if got, want := len(r.Checks()), len(finding.Kinds()); got != want {
		t.Errorf("%d checks, %d registered ids", got, want)
	}
}
