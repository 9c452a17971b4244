package code

import (
	"testing"

	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
)

// Work is what New and Locks did.
type Work struct{ Decoded, Analysed map[*model.Model]int }

// CountWork counts what is decoded and analysed until the test ends.
func CountWork(t *testing.T) *Work {
	w := &Work{map[*model.Model]int{}, map[*model.Model]int{}}
	build = func(p *model.Program) *model.Model {
		m := model.Build(p)
		w.Decoded[m]++
		return m
	}
	analyzeLocks = func(m *model.Model, o locks.Options) *locks.Result {
		w.Analysed[m]++
		return locks.Analyze(m, o)
	}
	t.Cleanup(func() { build, analyzeLocks = model.Build, locks.Analyze })
	return w
}
