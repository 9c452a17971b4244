// Package all is the one place where analyzers are put together.
package all

import (
	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/passes/context"
	"github.com/klpforge/klpforge/analyze/passes/contract"
	"github.com/klpforge/klpforge/analyze/passes/coupled"
	"github.com/klpforge/klpforge/analyze/passes/future"
	"github.com/klpforge/klpforge/analyze/passes/handler"
	"github.com/klpforge/klpforge/analyze/passes/layout"
	"github.com/klpforge/klpforge/analyze/passes/lockdata"
	"github.com/klpforge/klpforge/analyze/passes/lockeffect"
	"github.com/klpforge/klpforge/analyze/passes/lockorder"
	"github.com/klpforge/klpforge/analyze/passes/meaning"
	"github.com/klpforge/klpforge/analyze/passes/object"
	"github.com/klpforge/klpforge/analyze/passes/optable"
	"github.com/klpforge/klpforge/analyze/passes/outlive"
	"github.com/klpforge/klpforge/analyze/passes/ownership"
	"github.com/klpforge/klpforge/analyze/passes/rcu"
	"github.com/klpforge/klpforge/analyze/passes/reported"
	"github.com/klpforge/klpforge/analyze/passes/returns"
	"github.com/klpforge/klpforge/analyze/passes/sealed"
	"github.com/klpforge/klpforge/analyze/passes/selflock"
	"github.com/klpforge/klpforge/analyze/passes/targettypes"
	"github.com/klpforge/klpforge/analyze/passes/transition"
	"github.com/klpforge/klpforge/analyze/passes/unseen"
	"github.com/klpforge/klpforge/analyze/passes/verdict"
)

// Registry returns all analyzers.
func Registry() *analyze.Registry {
	checks := []*analyze.Analyzer{
		reported.New(), object.New(), optable.New(), sealed.New(), targettypes.New(), lockeffect.New(), contract.New(),
		returns.New(), coupled.New(), future.New(), layout.New(), context.New(), lockdata.New(), lockorder.New(), rcu.New(),
		selflock.New(), transition.New(), ownership.New(), handler.New(), meaning.New(), outlive.New(), unseen.New(),
	}
	r, err := analyze.NewRegistry(append(checks, verdict.New(checks...))...)
	if err != nil {
		panic(err) // a mistake in this file, which its test finds
	}
	return r
}
