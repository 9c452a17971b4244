package sealed

import (
	"testing"

	"github.com/klpforge/klpforge/internal/checktest"
)

func TestCases(t *testing.T) { checktest.Run(t, "testdata", New()) }
