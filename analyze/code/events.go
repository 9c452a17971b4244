package code

import (
	"sync"

	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
)

// eventCache keeps the events of the functions that were asked for.
type eventCache struct {
	mu sync.Mutex
	of map[model.FuncID]*locks.Events
}

// Events returns what a function does, in terms that compare between two builds; nil
// for one whose code is not there. It is found once for each function.
func (o *Object) Events(id model.FuncID) *locks.Events {
	flows := o.Flows()
	o.events.mu.Lock()
	defer o.events.mu.Unlock()
	known, ok := o.events.of[id]
	if !ok {
		known = flows.Events(id)
		o.events.of[id] = known
	}
	return known
}
