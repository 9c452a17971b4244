package context

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Code: true, Name: "context", Doc: analyze.PackageDoc(doc),
		Checks: analyze.Checks(finding.IDContext),
		Run:    run}
}

func run(pass *analyze.Pass) error {
	for _, unit := range pass.Units {
		if len(unit.Replace) == 0 {
			continue
		}
		before, after, ok := unit.Sides()
		if !ok {
			continue // other checks say that the object cannot be decoded
		}
		if err := sleeping(pass, unit, before, after); err != nil {
			return err
		}
		for _, ch := range unit.Replace {
			state(pass, unit, ch, before, after)
		}
	}
	return nil
}

// state compares what a function does to the CPU's state.
func state(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, before, after *code.Object) {
	old, ok1 := stateOf(before, ch.Orig)
	newer, ok2 := stateOf(after, ch.Patched)
	if !ok1 || !ok2 || slices.Equal(old.returns, newer.returns) {
		return
	}
	found := finding.Finding{ID: finding.IDContext, Severity: finding.Error,
		Message: "returns with interrupts, bottom halves or preemption other than before: old callers of the new " +
			"function go on in the wrong context",
		Evidence: []string{"before: " + strings.Join(old.returns, "; or "), "after: " + strings.Join(newer.returns, "; or ")},
		Remedy:   "restore the state before returning, or patch the callers with the function"}
	if why := old.why | newer.why; why != 0 {
		found.Severity, found.Unknown = finding.Warning, true
		found.Message = "may return with interrupts, bottom halves or preemption other than before; not everything " +
			"could be followed"
		found.Evidence = append(found.Evidence, why.String())
	}
	callers, holders := before.Callers(ch.Orig)
	for _, a := range slices.Concat(callers, holders) {
		if name := unit.Name(a); name != "" && !unit.Replaced(a) && !strings.HasPrefix(name, "__ksymtab") {
			found.Who = append(found.Who, name)
		}
	}
	pass.ReportChange(unit, ch, found)
}

type cpuState struct {
	returns []string // what each return path leaves disabled; a set
	why     locks.Why
}

func stateOf(o *code.Object, a elfdiff.AtomID) (cpuState, bool) {
	id, err := o.Func(a)
	if err != nil {
		return cpuState{}, false
	}
	e := o.Flows().Result.Effect(id)
	cpu := cpuState{why: e.Unknown}

	// Each way out of the function says what it leaves disabled; of locks others tell.
	for i := range e.Outcomes {
		var words []string
		for _, change := range e.Outcomes[i].Changes {
			if change.Kind != locks.IRQ && change.Kind != locks.BH && change.Kind != locks.Preempt {
				continue
			}
			if change.Unsure {
				cpu.why |= locks.WhyAmbiguous
			}
			word := "disabled "
			if change.Delta < 0 {
				word = "enabled "
			}
			words = append(words, word+contextWords[change.Kind])
		}
		how := "returns as it was entered"
		if len(words) > 0 {
			how = "returns having " + strings.Join(words, ", ")
		}
		cpu.returns = append(cpu.returns, how)
	}

	slices.Sort(cpu.returns)
	cpu.returns = slices.Compact(cpu.returns)
	return cpu, true
}

var contextWords = map[locks.Kind]string{locks.IRQ: "interrupts", locks.BH: "bottom halves",
	locks.Preempt: "preemption"}

// sleeping reports where code that must not sleep now does.
func sleeping(pass *analyze.Pass, unit *analyze.Unit, before, after *code.Object) error {
	old, newer := newView(before), newView(after)
	by, err := news(unit, old, newer)
	if err != nil {
		return err
	}
	if pass.Kernel != nil && asksKernel(unit, by, old, newer) {
		// The kernel may know what the object does not.
		k, err := pass.Kernel()
		if err != nil {
			return fmt.Errorf("look for sleeping functions in the kernel: %w", err)
		}
		kept, err := newKeepers(k, unit.Owner)
		if err != nil {
			return err
		}
		known := k.Sleepers(unit.Owner)
		old, newer = newViewIn(k, before, known, kept), newViewIn(k, after, known, kept)
		newer.newly = newlySleeping(old, newer)
		if by, err = news(unit, old, newer); err != nil {
			return err
		}
	}
	for _, ch := range unit.Replace {
		list := by[ch.Name]
		more, err := elsewhere(pass, unit, ch, old, newer)
		if err != nil {
			return err
		}
		for _, v := range more {
			if !slices.ContainsFunc(list, func(x violation) bool { return x.holder == v.holder }) {
				list = append(list, v)
			}
		}
		if len(list) > 0 {
			report(pass, unit, ch, list)
		}
	}
	return nil
}

// asksKernel reports whether the kernel may tell more than the object does: something is
// not known, or a changed function makes a call that may sleep and that it did not make.
func asksKernel(unit *analyze.Unit, by map[string][]violation, old, newer *view) bool {
	if slices.ContainsFunc(slices.Concat(slices.Collect(maps.Values(by))...),
		func(v violation) bool { return !v.sure }) {
		return true
	}
	for _, ch := range unit.Replace {
		before, after, err := code.Both(old.o, newer.o, ch)
		if err != nil {
			continue // another check says so
		}
		had := old.sleeping(before)
		for name := range newer.sleeping(after) {
			if !had[name] {
				return true
			}
		}
	}
	return false
}

// news lists the violations that the change brings, by changed function.
func news(unit *analyze.Unit, old, newer *view) (map[string][]violation, error) {
	before, err := old.violations()
	if err != nil {
		return nil, err
	}
	after, err := newer.violations()
	if err != nil {
		return nil, err
	}
	by := map[string][]violation{}
	for _, v := range fresh(before, after) {
		if name := culprit(unit, v); name != "" {
			by[name] = append(by[name], v)
		}
	}
	return by, nil
}

// fresh lists the violations after a change that were not there before it. What a function is
// said to hold on some paths only is not held, or those paths cannot be taken, where old code
// makes calls there that sleep for certain: it works.
func fresh(before, after []violation) (out []violation) {
	known := map[string]bool{}
	for _, v := range before {
		known[v.key()] = true
		for part := range strings.SplitSeq(v.forbids, ", ") {
			if v.partly && (v.sure || v.sleeps) {
				known[v.holder+" "+part] = true
			}
		}
	}
	for _, v := range after {
		switch {
		case known[v.key()]:
		case v.partly && !slices.ContainsFunc(strings.Split(v.forbids, ", "),
			func(part string) bool { return !known[v.holder+" "+part] }):
		case !v.sure && v.forbids == inRCU: // nearly everything is called within read-side sections
		default:
			out = append(out, v)
		}
	}
	return out
}

// culprit is the changed function that a violation comes about by: the last
// one on the way, or the one that forbids sleeping.
func culprit(u *analyze.Unit, v violation) string {
	for _, name := range slices.Backward(append([]string{v.holder}, v.path...)) {
		if slices.ContainsFunc(u.Replace, func(ch elfdiff.Change) bool { return ch.Name == name }) {
			return name
		}
	}
	return ""
}

func report(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, list []violation) {
	found := finding.Finding{ID: finding.IDContext, Severity: finding.Note, Unknown: true,
		Remedy: "allocate with GFP_ATOMIC, defer the work to a workqueue, or patch the caller so that it calls this " +
			"outside of the locked region"}
	sleeps := false
	seen := map[string]bool{}
	for _, breach := range list {
		found.Severity = max(found.Severity, breach.severity())
		sleeps = sleeps || breach.sleeps
		if k := breach.holder + breach.at; seen[k] {
			continue // with more locks held
		} else {
			seen[k] = true
		}
		found.Unknown = found.Unknown && breach.severity() == finding.Note
		line := fmt.Sprintf("%s %s at %s: %s", breach.holder, breach.forbids, breach.at,
			strings.Join(append([]string{breach.holder}, breach.path...), " -> "))
		if len(breach.path) > 0 && !breach.kernel {
			if at := pass.CallPlace(unit, breach.holder, breach.path[0]); at.Line > 0 {
				line += fmt.Sprintf(" (%s:%d)", at.File, at.Line)
			}
		}
		if breach.why != "" {
			line += "; " + breach.why
		}
		found.Evidence = append(found.Evidence, line)
		if breach.holder != ch.Name && !slices.Contains(found.Who, breach.holder) {
			found.Who = append(found.Who, breach.holder)
		}
	}
	switch found.Severity {
	case finding.Error:
		found.Message = "now sleeps where that is forbidden: scheduling while atomic"
	case finding.Warning:
		found.Message = "may now sleep where that is forbidden, on some paths"
	default:
		found.Message = "newly calls what is not known, where sleeping is forbidden"
		if sleeps {
			found.Message = "newly calls what may sleep; whether a lock forbids it there is not known"
		}
	}
	pass.ReportChange(unit, ch, found)
}

// elsewhere looks at callers in the rest of the kernel or of the module, when the function
// sleeps now and did not before.
func elsewhere(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, old, newer *view) ([]violation, error) {
	if pass.Kernel == nil {
		return nil, nil
	}
	before, after, err := code.Both(old.o, newer.o, ch)
	if err != nil {
		return nil, nil // another check says so
	}
	a, fact := old.sleeps.Fact(before), newer.sleeps.Fact(after)
	if fact.Answer != mayAnswer || a.Answer == mayAnswer {
		return nil, nil
	}
	kern, err := pass.Kernel()
	if err != nil {
		return nil, fmt.Errorf("look for callers in the kernel: %w", err)
	}
	program := kern.Program(unit.Owner)
	if program == nil {
		return nil, nil
	}
	kept, err := newKeepers(kern, unit.Owner)
	if err != nil {
		return nil, err
	}
	up := climb{unit: unit, program: program, kept: kept, seen: map[string]bool{ch.Name: true}}
	return up.from(append([]string{ch.Name}, newer.sleeps.Chain(after)...), fact.Always)
}

// climb goes up the callers of a function that sleeps.
type climb struct {
	unit    *analyze.Unit
	program *analyze.Program
	kept    *keepers // may be nil
	seen    map[string]bool
}

// from climbs from the first of path, which sleeps at its end, on every path through it
// if always.
func (c *climb) from(path []string, always bool) ([]violation, error) {
	var out []violation
	level := map[string][]string{path[0]: path}
	names := []string{path[0]}
	for range maxUp {
		var next []string
		for _, name := range names {
			for _, call := range c.program.CallsTo(name) {
				if slices.ContainsFunc(c.unit.Replace, func(ch elfdiff.Change) bool { return ch.Name == call.Caller }) {
					continue
				}
				word := forbids(call.Held, func(l locks.Lock) string {
					return c.program.Locks.LockName(l, call.Caller, c.program.Types)
				})
				if word == "" {
					var err error
					if word, err = c.kept.contextOf(call.Caller); err != nil {
						return nil, err
					}
				}
				if word != "" {
					out = append(out, violation{holder: call.Caller, at: call.Place, forbids: word, path: level[name],
						always: always && len(level[name]) == len(path), sure: true, kernel: true})
				} else if !c.seen[call.Caller] {
					c.seen[call.Caller] = true
					level[call.Caller] = append([]string{call.Caller}, level[name]...)
					next = append(next, call.Caller)
				}
			}
		}
		names = next
	}
	return out, nil
}

// maxUp is how many calls up the kernel's callers are followed.
const maxUp = 3

const inRCU = "is in an RCU read-side section"

// forbids says what of the held locks forbids sleeping; "" when nothing does.
func forbids(held []locks.Lock, name func(locks.Lock) string) string {
	var out []string
	for _, l := range held {
		switch l.Kind {
		case locks.Spin, locks.ReadLock, locks.WriteLock:
			out = append(out, "holds "+name(l))
		case locks.IRQ, locks.BH, locks.Preempt:
			out = append(out, "has "+contextWords[l.Kind]+" disabled")
		case locks.RCU:
			out = append(out, inRCU)
		}
	}
	return strings.Join(out, ", ")
}
