package ownership

import (
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
)

// dealing is what one build of a function does to objects that are not its own.
type dealing struct {
	obj    *code.Object
	events *locks.Events
	counts map[string]locks.Count // of "gives up X by F" and "takes a reference to X by F" on one path
	sites  map[kind]int           // number of places
	// several are the objects of places that deal with one object or another, as paths have it:
	// how often they are dealt with on one path is not known.
	several map[string]bool
	frees   map[string][]string // object -> the functions that free it
	leaves  map[string]string   // object -> how its address leaves the function
	// later are the objects that are given to a function with another one that it runs on them
	// (call_rcu), by object; hidden are functions of the object file that are called and deal with
	// objects in ways that are not those of their arguments.
	later, hidden map[string]string
	handsOn       bool // it calls what sends an object or frees it
	// queued are functions of the object file whose addresses are stored, as those of work are.
	queued []model.FuncID
}

// counting reports functions that give up or take another number of references to an
// object than before on some path, or free it by another function. It is asked where the
// paths themselves say nothing, or nothing for certain; the result is whether that is all
// there is to say.
func counting(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, before, after *code.Object) bool {
	oldFn, newFn, err := code.Both(before, after, ch)
	renamed := unit.Name(ch.Orig) != unit.Diff.Patched.Atoms[ch.Patched].Name
	if err != nil || renamed || unit.TypesDiffer() {
		return false
	}
	known := newSummaries(pass, unit, before)
	old := deals(known, before, oldFn)
	newer := deals(known.beside(after), after, newFn)
	if old == nil || newer == nil {
		return false
	}
	out := finding.Finding{ID: finding.IDOwnership, Severity: finding.Warning, Remedy: remedy}
	counts, mixed := otherCounts(old, newer)
	out.Evidence = append(counts, otherFrees(old, newer)...)
	sure := len(out.Evidence) > 0
	if !sure && len(mixed) == 0 {
		return settled(old, newer)
	}
	out.Message = "the function gives up, or takes, another number of references than before, or frees an object otherwise"
	local := who(unit, ch, before, &out)
	switch {
	case !sure:
		out.Severity, out.Unknown, out.Evidence = finding.Note, true, append(mixed, out.Evidence...)
	case old.events.Unknown|newer.events.Unknown != 0:
		out.Severity, out.Unknown = finding.Note, true
		out.Evidence = append(out.Evidence, "not followed: "+(old.events.Unknown|newer.events.Unknown).String())
	case local && len(out.Who) == 0:
		out.Severity, out.Remedy = finding.Note, ""
	}
	pass.ReportChange(unit, ch, out)
	return true
}

// deals finds what a function does; nil when its code is not there.
func deals(known *summaries, obj *code.Object, id model.FuncID) *dealing {
	events := obj.Events(id)
	if events == nil {
		return nil
	}
	out := &dealing{obj: obj, events: events, sites: map[kind]int{}, several: map[string]bool{},
		frees: map[string][]string{}, leaves: map[string]string{}, later: map[string]string{}, hidden: map[string]string{}}
	seen, at := map[string]bool{}, map[uint64]string{}
	out.counts = events.Counts(func(ev *locks.Event) string {
		object, how := dealt(known, obj, events, ev)
		if how == 0 {
			return ""
		}
		if site := fmt.Sprint(ev.Site, how); !seen[site] {
			seen[site] = true
			out.sites[how]++
		}
		if one, ok := at[ev.Site]; ok && one != object.String() {
			out.several[one], out.several[object.String()] = true, true
		}
		at[ev.Site] = object.String()
		if !object.Shared() {
			return "" // its own: it made it, or looked it up
		}
		return how.String() + object.String() + by + called(obj, ev)
	})
	for i := range events.List {
		out.note(known, &events.List[i])
	}
	return out
}

// by stands in the name of a count before the function that deals with the object: two
// that are called on different paths are not the same as one that is called twice.
const by = " by "

func called(obj *code.Object, ev *locks.Event) string {
	if ev.Kind != locks.EventCall {
		return "a counter"
	}
	return code.Name(obj.Model.Func(ev.Callee).Name)
}

// sums adds up the counts of one object over the functions that deal with it.
func sums(counts map[string]locks.Count) map[string]int {
	out := map[string]int{}
	for what, count := range counts {
		without, _, _ := strings.Cut(what, by)
		out[without] += count.Most
	}
	return out
}

// dealt tells which object an event takes, gives up or frees; 0 for none.
func dealt(known *summaries, obj *code.Object, events *locks.Events, ev *locks.Event) (*locks.Expr, kind) {
	if how := counted(obj.Model, events, ev); how != 0 {
		object, _ := ev.Place.Base()
		return object, how
	}
	if ev.Kind != locks.EventCall {
		return nil, 0
	}
	for _, does := range known.of(ev.Callee) {
		if int(does.arg) < len(ev.Args) {
			object, _ := ev.Args[does.arg].Base()
			return object, does.kind
		}
	}
	return nil, 0
}

// note sees how objects are freed, and how their addresses leave the function.
func (d *dealing) note(known *summaries, ev *locks.Event) {
	switch ev.Kind {
	case locks.EventReturn:
		object, _ := ev.Value.Base()
		d.leaves[object.String()] = "which it returns"
	case locks.EventWrite:
		if ev.Value != nil && ev.Value.Op == locks.ExprSymbol {
			d.queued = append(d.queued, d.obj.Model.Lookup(ev.Value.Text)...)
		}
	case locks.EventCall:
		if ev.Callee == model.NoFunc {
			return
		}
		name := code.Name(d.obj.Model.Func(ev.Callee).Name)
		d.handsOn = d.handsOn || kfuncs.HandsOn(name)
		if arg, ok := kfuncs.Freed(name); ok && arg < len(ev.Args) && ev.Args[arg].Shared() {
			object := ev.Args[arg].String()
			if !slices.Contains(d.frees[object], name) {
				d.frees[object] = append(d.frees[object], name)
			}
		}
		if known.of(ev.Callee) == nil && d.obj.Model.Func(ev.Callee).Flags&model.FuncExtern == 0 && deep(d.obj, ev.Callee) {
			d.hidden[name] = name
		}
		for i, arg := range ev.Args {
			if object, _ := ev.Args[0].Base(); kfuncs.Runs(name, i) != "" && arg.Op == locks.ExprSymbol {
				d.later[object.String()] = arg.Text
			}
		}
		if kfuncs.Keeps(name) != "" {
			for _, arg := range ev.Args {
				object, _ := arg.Base()
				d.leaves[object.String()] = "which stays with " + name
			}
		}
	}
}

// deep reports whether a function of the object, or one that it calls there, frees, puts
// or takes something.
func deep(obj *code.Object, id model.FuncID) bool {
	return reaches(obj, id, func(name string) bool {
		_, ok := table[name]
		return ok || kfuncs.Overflows(name)
	})
}

// reaches reports whether a function of the object, or one that it calls there, calls one
// with such a name.
func reaches(obj *code.Object, id model.FuncID, is func(name string) bool) bool {
	seen := map[model.FuncID]bool{}
	work := []model.FuncID{id}
	for len(work) > 0 {
		f := work[len(work)-1]
		work = work[:len(work)-1]
		if seen[f] {
			continue
		}
		seen[f] = true
		for _, call := range obj.Model.Calls(f) {
			if call.Target == model.NoFunc {
				continue
			}
			if is(code.Name(obj.Model.Func(call.Target).Name)) {
				return true
			}
			work = append(work, call.Target)
		}
	}
	return false
}

// queues names a function that is left to a queue and that calls another, which puts or
// frees, too; "" when there is none.
func (d *dealing) queues(name string) string {
	for _, id := range d.queued {
		if reaches(d.obj, id, func(called string) bool { return called == name }) {
			return d.obj.Model.Func(id).Name
		}
	}
	return ""
}

// balances reports whether one side takes references and gives them up, of one object or
// another as paths have it, and the other does neither.
func balances(old, newer *dealing) bool {
	for _, sides := range [][2]*dealing{{old, newer}, {newer, old}} {
		does, none := sides[0], sides[1]
		if len(none.sites) == 0 && does.sites[takes] > 0 && does.sites[drops] > 0 && does.sites[frees] == 0 &&
			len(does.several) > 0 {
			return true
		}
	}
	return false
}

// settled reports whether what is new is settled within the function, as far as places tell: it
// takes references and gives some up, where it did less of both, or frees something in place
// of handing it on.
func settled(old, newer *dealing) bool {
	more := func(how kind) int { return newer.sites[how] - old.sites[how] }
	switch {
	case old.events.Unknown|newer.events.Unknown != 0:
		return false
	case more(takes) == 0 && more(drops) == 0 && more(frees) > 0:
		return old.handsOn && newer.handsOn
	}
	return more(takes) > 0 && more(drops) > 0
}

// otherCounts compares how often objects are given up and taken. mixed is what it cannot
// compare: one of several objects, which the other side deals with apart.
func otherCounts(old, newer *dealing) (evidence, mixed []string) {
	if !maps.Equal(old.hidden, newer.hidden) {
		return nil, nil // work that was moved to another function, or from one
	}
	if balances(old, newer) {
		return nil, nil
	}
	either := mixtures{}
	was, is := sums(old.counts), sums(newer.counts)
	all := maps.Clone(old.counts)
	maps.Copy(all, newer.counts)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		had, has := old.counts[key], newer.counts[key]
		what, name, _ := strings.Cut(key, by)
		how, object := split(what)
		later := newer.queues(name)
		if has.Most > had.Most {
			later = old.queues(name)
		}
		reverse := [...]string{takes: drops.String(), drops: takes.String(), frees: takes.String()}[how] + object
		switch {
		case had.Most == has.Most, had.Most == locks.Many || has.Most == locks.Many:
		case was[what] == is[what], was[what]-was[reverse] == is[what]-is[reverse]:
			// By another function, or together with its reverse.
		case runsOtherwise(old, newer, object): // by what is left to a grace period or to a queue
		case old.sites[how] == newer.sites[how]: // perhaps of the same object by another name
		case (was[what] == 0 || is[what] == 0) && how != takes && (was[reverse] > 0 || is[reverse] > 0):
			// Its own reference, which it now gives up on a path on which it forgot to, or no longer
			// takes at all.
		case old.sites[how] > 0 && newer.sites[how] > 0 &&
			(old.several[object] != newer.several[object] || strings.Contains(object, "either(")):
			either.add(how.String()+name, fmt.Sprintf("%s: %s before, %s after; a place deals with it or with another object, "+
				"as paths have it", key, times(had.Most), times(has.Most)), has.Most-had.Most)
		case how == frees && kfuncs.FreesAny(name) && old.handsOn && newer.handsOn:
			// On other paths it hands on what it is given, which is gone either way.
		case how != takes && later != "":
			mixed = append(mixed, fmt.Sprintf("%s: %s before, %s after; %s, which it leaves to a queue, does it too", key,
				times(had.Most), times(has.Most), later))
		default:
			line := fmt.Sprintf("%s: %s before, %s after", key, times(had.Most), times(has.Most))
			if how := old.leaves[object]; how != "" {
				line += ", " + how
			}
			evidence = append(evidence, line)
		}
	}
	return evidence, append(either.other(), mixed...)
}

// mixtures are objects that places deal with or with others, as paths have it, by the way and
// the function: what is said of them, and how many more there are than before.
type mixtures map[string]mixture

type mixture struct {
	lines []string
	more  int
}

func (m mixtures) add(group, line string, more int) {
	had := m[group]
	m[group] = mixture{append(had.lines, line), had.more + more}
}

// other is what is said where their number is another one. Where it is the same, a place
// deals with one of other objects than before, which is no news of any.
func (m mixtures) other() (lines []string) {
	for _, group := range slices.Sorted(maps.Keys(m)) {
		if m[group].more != 0 {
			lines = append(lines, m[group].lines...)
		}
	}
	return lines
}

// runsOtherwise reports whether an object is reached from one that is left to another
// function than before, which may give it up.
func runsOtherwise(old, newer *dealing, object string) bool {
	for _, side := range []*dealing{old, newer} {
		for from := range side.later {
			if old.later[from] != newer.later[from] && strings.Contains(object, from) {
				return true
			}
		}
	}
	return false
}

// split takes the name of a count apart.
func split(what string) (how kind, object string) {
	for how = takes; how <= frees; how++ {
		if rest, ok := strings.CutPrefix(what, how.String()); ok {
			return how, rest
		}
	}
	return 0, what
}

func times(n int) string {
	return [...]string{"never", "once", "twice on a path", "three times on a path"}[n]
}

// otherFrees compares by what objects are freed: a function that takes memory of one
// allocator alone may get that of another, of objects from before.
func otherFrees(old, newer *dealing) (evidence []string) {
	for _, object := range slices.Sorted(maps.Keys(newer.frees)) {
		was := old.frees[object]
		for _, name := range newer.frees[object] {
			same := func(other string) bool { return kfuncs.Memory(other) == kfuncs.Memory(name) }
			if len(was) > 0 && !slices.ContainsFunc(was, same) && !kfuncs.FreesAny(name) {
				evidence = append(evidence, fmt.Sprintf("%s: freed by %s before, by %s after; objects that exist may be of "+
					"memory that %s does not take", object, strings.Join(was, ", "), name, name))
			}
		}
	}
	return evidence
}
