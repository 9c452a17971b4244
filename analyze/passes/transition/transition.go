package transition

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/stacks"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/plan"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Code: true, Name: "transition", Doc: analyze.PackageDoc(doc), Run: run,
		Checks: analyze.Checks(finding.IDSleepers, finding.IDEndlessLoop, finding.IDIdle, finding.IDUnreliableStack)}
}

const remedy = "patch a function that it calls instead, or one that returns between waits; else plan to restart what " +
	"sleeps in it"

func run(pass *analyze.Pass) error {
	if pass.API != nil && !pass.API.Consistency {
		return nil
	}
	for _, unit := range pass.Units {
		if len(unit.Replace) == 0 {
			continue
		}
		before, err := unit.Before()
		if err != nil {
			continue // other checks say that the object cannot be decoded
		}
		after, err := unit.After()
		if err != nil {
			continue
		}
		kernel, object, err := frames(pass, unit, before.Model)
		if err != nil {
			pass.Report(finding.Finding{ID: finding.IDSleepers, Severity: finding.Note, Unknown: true,
				Object: unit.Owner, Unit: unit.Object, Evidence: []string{err.Error()},
				Message: "where tasks of the kernel sleep could not be found"})
		}
		for _, ch := range unit.Replace {
			place(pass, unit, ch)
			reliable(pass, unit, ch, before, after)
			if id, err := before.Func(ch.Orig); err == nil {
				if !endless(pass, unit, ch, before.Model, id, "before") {
					if id, err := after.Func(ch.Patched); err == nil {
						endless(pass, unit, ch, after.Model, id, "after")
					}
				}
				sleeps(pass, unit, ch, kernel, object, id)
			}
		}
	}
	return nil
}

// frames finds where tasks sleep: in the whole kernel, which knows the functions of
// its own, and in an object that is not of it. After an error it is what the object
// alone tells.
func frames(p *analyze.Pass, u *analyze.Unit, mod *model.Model) (kernel, object *stacks.Result, err error) {
	if p.Stacks != nil {
		if kernel, err = p.Stacks(); err == nil && u.Owner == plan.Vmlinux {
			return kernel, kernel, nil
		}
	}
	if err == nil {
		object, err = stacks.Object(mod, kernel)
	}
	if err != nil {
		kernel = nil
		object, _ = stacks.Object(mod, nil) // only a kernel can be missing
	}
	return kernel, object, err
}

// sleeps reports tasks that sleep on the function's frame. The whole kernel
// knows the functions of its own; those of a module only their object.
func sleeps(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, kernel, object *stacks.Result,
	inObject model.FuncID) {
	// The kernel's own result counts for its functions: it knows all callers.
	result, id := object, inObject
	if kernel != nil && unit.Owner == plan.Vmlinux {
		result = kernel
		ids := kernel.Lookup(unit.Name(ch.Orig))
		i := slices.IndexFunc(ids, func(id model.FuncID) bool { return kernel.Facts[id].Stays() })
		if i < 0 {
			return
		}
		id = ids[i]
	}
	fact := &result.Facts[id]
	if !fact.Stays() {
		return
	}

	// The idle loop and the scheduler have findings of their own.
	switch fact.Reason {
	case stacks.Idle:
		pass.ReportChange(unit, ch, finding.Finding{ID: finding.IDIdle, Severity: finding.Warning,
			Who: []string{"the idle task of every CPU"},
			Message: "the function is part of the idle loop, which an idle CPU does not leave: it runs the old code " +
				"until then", Remedy: remedy})
		return
	case stacks.Scheduler:
		out := finding.Finding{ID: finding.IDIdle, Severity: finding.Note,
			Message: "the function is one of those that tasks wait in, for a short time only"}
		if result.WaitsForever(id) {
			out.Severity, out.Who, out.Remedy = finding.Error, []string{"every task that sleeps"}, "leave it as it is"
			out.Message = "every sleeping task has this function on its stack: the transition cannot end"
		}
		pass.ReportChange(unit, ch, out)
		return
	}

	out := finding.Finding{ID: finding.IDSleepers, Severity: finding.Note,
		Evidence: []string{strings.Join(result.Path(id), " → ")},
		Remedy:   "none needed where the signal may interrupt the system calls; else " + remedy}

	// Threads weigh more than system calls: the transition sends them no signal
	// (klp_send_signals).
	threads := result.ThreadsIn(id)
	others, calls := result.Roots(id, 6)
	for _, s := range calls {
		out.Who = append(out.Who, "system call "+s)
	}
	// The signal of the transition wakes interruptible tasks alone (signal_wake_up, called by
	// klp_send_signals, kernel/livepatch/transition.c, v6.1).
	how := signal(pass)
	if result.Killable(id) {
		how = "they wait until a program answers, and no signal wakes them but a fatal one"
		out.Remedy = "have the program answer (the FUSE server, the automount daemon, the child of vfork), or kill the " +
			"tasks that wait; " + remedy
	}
	switch {
	case result.Killable(id) && fact.Sure:
		out.Severity, out.Message = finding.Warning, "tasks may sleep in this function without bound; "+how
		out.Who = append(slices.Clone(threads), out.Who...)
	case len(threads) > 0:
		out.Severity, out.Remedy = finding.Warning, remedy
		out.Who = append(slices.Clone(threads), out.Who...)
		out.Message = "kernel threads sleep in this function without bound: the transition waits until they leave it"
		if fact.Reason == stacks.Loops || fact.Reason == stacks.Waits &&
			slices.Contains(result.ThreadNames(id), threads[0]) {
			out.Message = "it is the main loop of a kernel thread: the transition ends only when the thread does"
		}
	case !fact.Sure:
		out.Unknown = true
		out.Message = "tasks may sleep in this function without bound, if the pointers, times and loops on the way " +
			"are such; " + how
	default:
		out.Message = "tasks may sleep in this function without bound; " + how
	}

	if len(threads)+len(calls) == 0 {
		for _, s := range others {
			out.Who = append(out.Who, "perhaps thread function "+s)
		}
	}
	pass.ReportChange(unit, ch, out)
}

// signal says what gets such tasks out of the kernel.
func signal(p *analyze.Pass) string {
	switch {
	case p.API == nil || p.API.Replace:
		return "livepatch signals them after 15 seconds, and they change over as they leave the kernel"
	case p.API.Callbacks && !p.API.FuncImmediate:
		return "write 1 to the livepatch's signal attribute to make them leave the kernel"
	}
	return "send them SIGSTOP and SIGCONT to make them leave the kernel"
}

func endless(p *analyze.Pass, u *analyze.Unit, ch elfdiff.Change, m *model.Model, id model.FuncID, when string) bool {
	if m.Func(id).Flags&model.FuncEndless == 0 {
		return false
	}
	p.ReportChange(u, ch, finding.Finding{ID: finding.IDEndlessLoop, Severity: finding.Warning,
		Who:      []string{"every task that gets into the loop"},
		Message:  fmt.Sprintf("%s the patch the function can get into a loop that it never leaves", when),
		Evidence: []string{"no path leads from the loop to a return, nor to a function that ends the thread"},
		Remedy:   "patch what the loop calls instead; a task in it changes over only by force"})
	return true
}

// sections hold code that sleeping or idle tasks are in, by a part of the name.
var sections = []struct{ name, what string }{
	{".cpuidle.text", "idle code"}, {".sched.text", "the scheduler's waiting functions"}, {".entry.text", "entry code"},
	{".noinstr.text", "code that must not be traced"},
}

// place reports by the section that the function was compiled into. The target
// kernel knows better where a waiting function of the scheduler matters.
func place(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change) {
	sec := unit.Diff.Orig.Atoms[ch.Orig].Sec
	if int(sec) <= 0 || int(sec) >= len(unit.Diff.Orig.File.Sections) {
		return
	}
	name := unit.Diff.Orig.File.Sections[sec].Name
	for _, s := range sections {
		if strings.HasPrefix(name, s.name) && (pass.Stacks == nil ||
			s.name != ".sched.text" && s.name != ".cpuidle.text" || unit.Owner != plan.Vmlinux) {
			pass.ReportChange(unit, ch, finding.Finding{ID: finding.IDIdle, Severity: finding.Warning,
				Evidence: []string{"section " + name},
				Message:  "the function belongs to " + s.what + ": tasks may be in it for as long as they sleep",
				Remedy:   remedy})
		}
	}
}

// reliable looks at what objtool and its annotations say of the frame.
func reliable(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, before, after *code.Object) {
	for _, side := range []struct {
		o    *code.Object
		a    elfdiff.AtomID
		when string
	}{{before, ch.Orig, "before"}, {after, ch.Patched, "after"}} {
		why := ""
		if marked(side.o.Atoms, side.a) {
			why = "it is marked STACK_FRAME_NON_STANDARD"
		} else if name := blind(side.o, side.a); name != "" {
			why = "objtool could not tell the frame where it calls " + name + ": there is no ORC unwind data"
		} else {
			continue
		}
		pass.ReportChange(unit, ch, finding.Finding{ID: finding.IDUnreliableStack, Severity: finding.Warning,
			Evidence: []string{side.when + ": " + why},
			Message:  "the unwinder cannot walk the function's frame: a task that is in it counts as not ready",
			Remedy:   "patch its callers instead, or change it so that its frame is ordinary"})
		return
	}
}

// marked reports whether the function is annotated as having a frame of its own kind.
func marked(elfObj *elfdiff.Object, id elfdiff.AtomID) bool {
	atom := &elfObj.Atoms[id]
	for i := range elfObj.File.Sections {
		s := &elfObj.File.Sections[i]
		if s.Name != ".discard.func_stack_frame_non_standard" {
			continue
		}
		for _, r := range s.Relocs {
			sym := &elfObj.File.Symbols[r.Sym]
			at := sym.Value + uint64(r.Addend)
			if sym.Sec == atom.Sec && at >= atom.Start && at < atom.End {
				return true
			}
		}
	}
	return false
}
