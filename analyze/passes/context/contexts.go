package context

import (
	"fmt"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/registered"
	"github.com/klpforge/klpforge/analyze/sleeps"
)

// runsAs says as what a function runs in a context that forbids sleeping.
var runsAs = map[kfuncs.Context]string{
	kfuncs.InRCU: "runs as an RCU callback", kfuncs.InSRCU: "runs as an SRCU callback",
	kfuncs.InRCUTasks: "runs as an RCU callback",
	kfuncs.InTimer:    "runs as a timer", kfuncs.InHrtimer: "runs as a timer", kfuncs.InTasklet: "runs as a tasklet",
	kfuncs.InSoftirq: "runs in a softirq", kfuncs.InIRQ: "runs in an interrupt",
	kfuncs.InNMI:     "runs as an NMI handler",
	kfuncs.InIPI:     "runs in an inter-processor interrupt",
	kfuncs.InStopper: "runs in a stopper thread, with preemption disabled",
	kfuncs.InBH:      "runs with bottom halves disabled", kfuncs.InIRQOff: "runs with interrupts disabled",
	kfuncs.InPreemptOff: "runs with preemption disabled", kfuncs.UnderSpin: "runs under a spinlock",
	kfuncs.InRCURead: inRCU,
}

// keptIn finds where an owner's functions are kept; nil when that is not known.
func keptIn(k *analyze.Kernel, owner string) (*registered.Result, error) {
	if k.Registered == nil {
		return nil, nil
	}
	kept, err := k.Registered(owner)
	if err != nil {
		return nil, fmt.Errorf("look for what functions of %s are registered as: %w", owner, err)
	}
	return kept, nil
}

// entry says as what a function of the object is run, when that forbids sleeping: by what
// it is given to in the object, and by where the target keeps it.
func (w *view) entry(id model.FuncID) string {
	if word := entryOf(w.o, id); word != "" {
		return word
	}
	return contextOf(w.kept, code.Name(w.o.Model.Func(id).Name))
}

// contextOf says as what a function of the target is run, by its name, when that forbids
// sleeping.
func contextOf(kept *registered.Result, name string) string {
	if kept == nil {
		return ""
	}
	ids := kept.Model.Lookup(name)
	if len(ids) != 1 {
		return "" // which of several is meant is not known
	}
	in, ok := kept.Context(ids[0])
	if !ok {
		return ""
	}
	where := in.By
	if in.File != "" {
		where += ", " + in.File
	}
	return fmt.Sprintf("%s (%s)", runsAs[in.In], where)
}

// sleeping names what a function calls that may sleep, or of which that is not known.
func (w *view) sleeping(id model.FuncID) map[string]bool {
	out := map[string]bool{}
	for _, call := range w.o.Model.Calls(id) {
		if call.Target != model.NoFunc && w.sleeps.Site(call.Site) != sleeps.Never {
			out[code.Name(w.o.Model.Func(call.Target).Name)] = true
		}
	}
	return out
}

// entryOf says as what a function is run, when that forbids sleeping.
func entryOf(obj *code.Object, id model.FuncID) string {
	for r := range obj.Model.CodeRefsTo(id) {
		for _, c := range obj.Model.Calls(r.In) {
			if r.Call == 0 || c.Site != r.Call || c.Target == model.NoFunc {
				continue
			}
			if in := kfuncs.Runs(obj.Model.Func(c.Target).Name, int(r.Arg)); in.ForbidsSleep() {
				return runsAs[in]
			}
		}
	}
	return ""
}
