package verdict

import (
	"testing"

	"github.com/klpforge/klpforge/analyze/passes/contract"
	"github.com/klpforge/klpforge/analyze/passes/coupled"
	"github.com/klpforge/klpforge/internal/checktest"
)

func TestCases(t *testing.T) {
	a, b := contract.New(), coupled.New()
	checktest.Run(t, "testdata", a, b, New(a, b))
}
