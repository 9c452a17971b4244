package verdict

import (
	"testing"

	"github.com/klpforge/klpforge/analyze/passes/reported"
	"github.com/klpforge/klpforge/internal/checktest"
)

// TestCases gives the rule every case with nothing beside it but what earlier
// stages found: it must refuse a hazard by itself, not because another check sees it.
func TestCases(t *testing.T) {
	r := reported.New()
	checktest.Run(t, "testdata", r, New(r))
}
