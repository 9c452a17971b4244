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

// newlySleeping names the functions of an object that may sleep now and did not before.
func newlySleeping(old, newer *view) map[string]bool {
	out := map[string]bool{}
	for i := range newer.o.Model.Funcs {
		id := newer.o.ID(i)
		if newer.sleeps.Fact(id).Answer != sleeps.May {
			continue
		}
		name := newer.o.Model.Func(id).Name
		was := old.o.Model.Lookup(name)
		if len(was) == 0 || old.sleeps.Fact(was[0]).Answer != sleeps.May {
			out[code.Name(name)] = true
		}
	}
	return out
}

// keepers say where functions of one program of the target are kept: by that program, and
// by modules, for functions that those may refer to.
type keepers struct {
	kernel *analyze.Kernel
	owner  string
	kept   *registered.Result // of the program; nil when not known
	words  map[string]string  // what contextOf said, by function
}

// newKeepers looks through an owner's program; nil when it is not known where functions
// are kept.
func newKeepers(k *analyze.Kernel, owner string) (*keepers, error) {
	if k.Registered == nil {
		return nil, nil
	}
	kept, err := k.Registered(owner)
	if err != nil {
		return nil, fmt.Errorf("look for what functions of %s are registered as: %w", owner, err)
	}
	return &keepers{kernel: k, owner: owner, kept: kept, words: map[string]string{}}, nil
}

// entry says as what a function of the object is run, when that forbids sleeping: by what
// it is given to in the object, and by where the target keeps it. Other modules are asked
// about functions that newly sleep: of others nothing is news, and there may be many modules.
func (w *view) entry(id model.FuncID) (string, error) {
	if word := entryOf(w.o, id); word != "" || w.kept == nil {
		return word, nil
	}
	name := code.Name(w.o.Model.Func(id).Name)
	word := w.kept.own(name)
	if word != "" || !w.newly[name] {
		return word, nil
	}
	return w.kept.contextOf(name)
}

// own says as what a function of the program is run, by its name and where the program
// keeps it.
func (k *keepers) own(name string) string { return word(k.kept, name, "") }

// contextOf is own that also looks where modules keep a function which the program
// exports.
func (k *keepers) contextOf(name string) (string, error) {
	if k == nil {
		return "", nil
	}
	if known, ok := k.words[name]; ok {
		return known, nil
	}
	found, err := k.find(name)
	if err != nil {
		return "", err
	}
	k.words[name] = found
	return found, nil
}

func (k *keepers) find(name string) (string, error) {
	if found := k.own(name); found != "" || k.kernel.Users == nil || !k.exports(name) {
		return found, nil
	}
	users, err := k.kernel.Users(name)
	if err != nil {
		return "", fmt.Errorf("look for modules that use %s: %w", name, err)
	}
	for _, user := range users {
		if user == k.owner {
			continue
		}
		kept, err := k.kernel.Registered(user)
		if err != nil {
			return "", fmt.Errorf("look for what functions are registered as by %s: %w", user, err)
		}
		if found := word(kept, name, user); found != "" {
			return found, nil
		}
	}
	return "", nil
}

// exports reports whether modules may refer to a function of the program by its name.
func (k *keepers) exports(name string) bool {
	if k.kept == nil {
		return false
	}
	_, ok := k.kept.Model.Prog.Lookup("__ksymtab_" + name)
	return ok
}

// word says as what a function is run because of where a program keeps it, by its name,
// when that forbids sleeping. The module is "" for the function's own program.
func word(kept *registered.Result, name, module string) string {
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
	if module != "" {
		where += ", in module " + module
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
