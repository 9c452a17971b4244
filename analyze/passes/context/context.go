package context

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/plan"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Name: "context", Doc: analyze.PackageDoc(doc), Checks: analyze.Checks(finding.IDContext), Run: run}
}

func run(p *analyze.Pass) error {
	for _, u := range p.Units {
		if len(u.Replace) == 0 {
			continue
		}
		before, after, ok := u.Sides()
		if !ok {
			continue // other checks say that the object cannot be decoded
		}
		if err := sleeping(p, u, before, after); err != nil {
			return err
		}
		for _, ch := range u.Replace {
			state(p, u, ch, before, after)
		}
	}
	return nil
}

// state compares what a function does to the CPU's state.
func state(p *analyze.Pass, u *analyze.Unit, ch elfdiff.Change, before, after *code.Object) {
	old, ok1 := stateOf(before, ch.Orig)
	newer, ok2 := stateOf(after, ch.Patched)
	if !ok1 || !ok2 || slices.Equal(old.ways, newer.ways) {
		return
	}
	f := finding.Finding{ID: finding.IDContext, Severity: finding.Error, Message: "returns with interrupts, bottom halves or preemption other than before: old callers of the new function go on in the wrong context",
		Evidence: []string{"before: " + strings.Join(old.ways, "; or "), "after: " + strings.Join(newer.ways, "; or ")},
		Remedy:   "restore the state before returning, or patch the callers with the function"}
	if why := old.why | newer.why; why != 0 {
		f.Severity, f.Unknown = finding.Warning, true
		f.Message = "may return with interrupts, bottom halves or preemption other than before; not everything could be followed"
		f.Evidence = append(f.Evidence, why.String())
	}
	callers, holders := before.Callers(ch.Orig)
	for _, a := range slices.Concat(callers, holders) {
		if name := u.Name(a); name != "" && !u.Replaced(a) && !strings.HasPrefix(name, "__ksymtab") {
			f.Who = append(f.Who, name)
		}
	}
	p.ReportChange(u, ch, f)
}

type cpuState struct {
	ways []string // of returning; a set
	why  locks.Why
}

func stateOf(o *code.Object, a elfdiff.AtomID) (cpuState, bool) {
	id, err := o.Func(a)
	if err != nil {
		return cpuState{}, false
	}
	e := o.Flows().Result.Effect(id)
	s := cpuState{why: e.Unknown}
	for i := range e.Outcomes {
		var words []string
		for _, c := range e.Outcomes[i].Changes {
			if c.Kind != locks.IRQ && c.Kind != locks.BH && c.Kind != locks.Preempt {
				continue
			}
			if c.Unsure {
				s.why |= locks.WhyAmbiguous
			}
			word := "disabled "
			if c.Delta < 0 {
				word = "enabled "
			}
			words = append(words, word+contextWords[c.Kind])
		}
		way := "returns as it was entered"
		if len(words) > 0 {
			way = "returns having " + strings.Join(words, ", ")
		}
		s.ways = append(s.ways, way)
	}
	slices.Sort(s.ways)
	s.ways = slices.Compact(s.ways)
	return s, true
}

var contextWords = map[locks.Kind]string{locks.IRQ: "interrupts", locks.BH: "bottom halves", locks.Preempt: "preemption"}

// sleeping reports where code that must not sleep now does.
func sleeping(p *analyze.Pass, u *analyze.Unit, before, after *code.Object) error {
	old, newer := newView(before, nil), newView(after, nil)
	by := news(u, old, newer)
	if p.Kernel != nil && slices.ContainsFunc(slices.Concat(slices.Collect(maps.Values(by))...), func(v violation) bool { return !v.sure }) {
		// The kernel may know what the object does not.
		k, err := p.Kernel()
		if err != nil {
			return fmt.Errorf("look for sleeping functions in the kernel: %w", err)
		}
		known := k.Sleepers(u.Owner)
		old, newer = newView(before, known), newView(after, known)
		by = news(u, old, newer)
	}
	for _, ch := range u.Replace {
		list := by[ch.Name]
		more, err := elsewhere(p, u, ch, old, newer)
		if err != nil {
			return err
		}
		for _, v := range more {
			if !slices.ContainsFunc(list, func(x violation) bool { return x.holder == v.holder }) {
				list = append(list, v)
			}
		}
		if len(list) > 0 {
			report(p, u, ch, list)
		}
	}
	return nil
}

// news lists the violations that the change brings, by changed function.
func news(u *analyze.Unit, old, newer *view) map[string][]violation {
	known := map[string]bool{}
	for _, v := range old.violations() {
		known[v.key()] = true
	}
	by := map[string][]violation{}
	for _, v := range newer.violations() {
		if known[v.key()] || !v.sure && v.forbids == inRCU {
			continue // nearly everything is called within read-side sections
		}
		if name := culprit(u, v); name != "" {
			by[name] = append(by[name], v)
		}
	}
	return by
}

// culprit is the changed function that a violation comes about by: the last
// one on the way, or the one that forbids sleeping.
func culprit(u *analyze.Unit, v violation) string {
	for _, name := range slices.Backward(append([]string{v.holder}, v.way...)) {
		if slices.ContainsFunc(u.Replace, func(ch elfdiff.Change) bool { return ch.Name == name }) {
			return name
		}
	}
	return ""
}

func report(p *analyze.Pass, u *analyze.Unit, ch elfdiff.Change, list []violation) {
	f := finding.Finding{ID: finding.IDContext, Severity: finding.Note, Unknown: true,
		Remedy: "allocate with GFP_ATOMIC, defer the work to a workqueue, or patch the caller so that it calls this outside of the locked region"}
	sleeps := false
	seen := map[string]bool{}
	for _, v := range list {
		f.Severity = max(f.Severity, v.severity())
		sleeps = sleeps || v.sleeps
		if k := v.holder + v.at; seen[k] {
			continue // with more locks held
		} else {
			seen[k] = true
		}
		f.Unknown = f.Unknown && v.severity() == finding.Note
		line := fmt.Sprintf("%s %s at %s: %s", v.holder, v.forbids, v.at, strings.Join(append([]string{v.holder}, v.way...), " -> "))
		if len(v.way) > 0 && !v.kernel {
			if at := p.CallPlace(u, v.holder, v.way[0]); at.Line > 0 {
				line += fmt.Sprintf(" (%s:%d)", at.File, at.Line)
			}
		}
		if v.why != "" {
			line += "; " + v.why
		}
		f.Evidence = append(f.Evidence, line)
		if v.holder != ch.Name && !slices.Contains(f.Who, v.holder) {
			f.Who = append(f.Who, v.holder)
		}
	}
	switch f.Severity {
	case finding.Error:
		f.Message = "now sleeps where that is forbidden: scheduling while atomic"
	case finding.Warning:
		f.Message = "may now sleep where that is forbidden, on some paths"
	default:
		f.Message = "newly calls what is not known, where sleeping is forbidden"
		if sleeps {
			f.Message = "newly calls what may sleep; whether a lock forbids it there is not known"
		}
	}
	p.ReportChange(u, ch, f)
}

// elsewhere looks at callers in the rest of the kernel, when the function
// sleeps now and did not before.
func elsewhere(p *analyze.Pass, u *analyze.Unit, ch elfdiff.Change, old, newer *view) ([]violation, error) {
	if u.Owner != plan.Vmlinux || p.Kernel == nil {
		return nil, nil
	}
	x, err := old.o.Func(ch.Orig)
	if err != nil {
		return nil, nil // another check says so
	}
	y, err := newer.o.Func(ch.Patched)
	if err != nil {
		return nil, nil
	}
	a, b := old.sleeps.Fact(x), newer.sleeps.Fact(y)
	if b.Answer != mayAnswer || a.Answer == mayAnswer {
		return nil, nil
	}
	k, err := p.Kernel()
	if err != nil {
		return nil, fmt.Errorf("look for callers in the kernel: %w", err)
	}
	var out []violation
	way := append([]string{ch.Name}, newer.sleeps.Chain(y)...)
	seen := map[string]bool{ch.Name: true}
	level := map[string][]string{ch.Name: way}
	names := []string{ch.Name}
	for range maxUp {
		var next []string
		for _, name := range names {
			for _, c := range k.CallsTo(name) {
				if slices.ContainsFunc(u.Replace, func(ch elfdiff.Change) bool { return ch.Name == c.Caller }) {
					continue
				}
				if word := forbids(c.Held, func(l locks.Lock) string { return k.Locks.LockName(l, c.Caller, k.Types) }); word != "" {
					out = append(out, violation{holder: c.Caller, at: c.Place, forbids: word, way: level[name], always: b.Always && len(level[name]) == len(way), sure: true, kernel: true})
				} else if !seen[c.Caller] {
					seen[c.Caller] = true
					level[c.Caller] = append([]string{c.Caller}, level[name]...)
					next = append(next, c.Caller)
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

// runsAs says as what a function runs in a context that forbids sleeping.
var runsAs = map[kfuncs.Context]string{
	kfuncs.InRCU: "runs as an RCU callback", kfuncs.InSRCU: "runs as an SRCU callback", kfuncs.InRCUTasks: "runs as an RCU callback",
	kfuncs.InTimer: "runs as a timer", kfuncs.InHrtimer: "runs as a timer", kfuncs.InTasklet: "runs as a tasklet",
	kfuncs.InSoftirq: "runs as a softirq", kfuncs.InIRQ: "runs as an interrupt handler", kfuncs.InNMI: "runs as an NMI handler",
	kfuncs.InIPI: "runs in an inter-processor interrupt", kfuncs.InStopper: "runs in a stopper thread, with preemption disabled",
}

// entryOf says as what a function is run, when that forbids sleeping.
func entryOf(o *code.Object, id model.FuncID) string {
	for r := range o.Model.CodeRefsTo(id) {
		for _, c := range o.Model.Calls(r.In) {
			if r.Call == 0 || c.Site != r.Call || c.Target == model.NoFunc {
				continue
			}
			if in := kfuncs.Runs(o.Model.Func(c.Target).Name, int(r.Arg)); in.ForbidsSleep() {
				return runsAs[in]
			}
		}
	}
	return ""
}
