package selection

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/patchset"
)

// Fate is what becomes of a slice.
type Fate string

// The fates.
const (
	Live      Fate = "live"
	Present   Fate = "already there"     // the target's source has it
	Elsewhere Fate = "not compiled here" // the target's configuration makes no object of what it changes
	LeftOut   Fate = "left out"
	// NoCode is a slice that is among what is live and that no function is replaced for: it
	// changes comments, or what this configuration does not use, or another takes it back.
	NoCode Fate = "changes no code here"
)

// Kernel is what a selection has to know of the target's build.
type Kernel interface {
	// Compiled lists those of the files that something of the target is made of, or that the
	// target's build does not know yet.
	Compiled(ctx context.Context, files []string) (map[string]bool, error)
}

// reason is why a slice is left out.
type reason struct {
	fault *Fault // nil where another slice is the reason
	needs []int  // slices that it needs and that are left out
	text  string // in one line
	tried bool   // text is what came of trying the slice once more
}

// engine is one selection.
type engine struct {
	source   source
	slices   []*Slice
	reviewer Reviewer
	say      func(format string, args ...any)

	keep    []bool
	fate    []Fate
	why     map[int]*reason
	state   state
	reviews int
	seconds float64
	compile float64
}

func newEngine(src source, reviewer Reviewer, say func(string, ...any)) *engine {
	selecting := &engine{source: src, slices: src.slices(), reviewer: reviewer, say: say, why: map[int]*reason{},
		state: state{reads: map[string]Object{}}}
	selecting.keep, selecting.fate = make([]bool, len(selecting.slices)), make([]Fate, len(selecting.slices))
	for i := range selecting.keep {
		selecting.keep[i], selecting.fate[i] = true, Live
	}
	return selecting
}

// sort takes out what the target has already, and what it compiles nothing of.
func (e *engine) sort(ctx context.Context, kernel Kernel, present map[int]bool) error {
	var all []string
	for _, slice := range e.slices {
		all = append(all, slice.Files...)
	}
	slices.Sort(all)
	compiled, err := kernel.Compiled(ctx, slices.Compact(all))
	if err != nil {
		return err
	}
	for i, slice := range e.slices {
		switch {
		case present[i]:
			e.keep[i], e.fate[i] = false, Present
		case !slices.ContainsFunc(slice.Files, func(name string) bool { return compiled[name] }):
			e.keep[i], e.fate[i] = false, Elsewhere
		}
	}
	return nil
}

// drop takes a slice out.
func (e *engine) drop(i int, why *reason) {
	e.keep[i], e.fate[i], e.why[i] = false, LeftOut, why
	e.say("left out: %s: %s", e.slices[i].Name, why.text)
}

// settle puts the kept slices together and takes out those that cannot be there without
// one that is left out, over and over. It returns the slices that it took out.
func (e *engine) settle() ([]int, error) {
	var out []int
	for {
		texts, failed, err := e.source.texts(e.keep)
		if err != nil {
			return out, err
		}
		for _, i := range slices.Sorted(maps.Keys(failed)) {
			why := failed[i]
			text := "does not apply: " + why.why
			if len(why.needs) > 0 {
				text = fmt.Sprintf("needs %s, which is left out: it does not apply without", e.names(why.needs))
			}
			e.drop(i, &reason{needs: why.needs, text: text, tried: true})
			out = append(out, i)
		}

		// A mistake is not live without its correction.
		uncorrected := 0
		for i, slice := range e.slices {
			if e.fate[i] != LeftOut {
				continue
			}
			for _, mistake := range slice.corrects {
				if e.keep[mistake] {
					e.drop(mistake, &reason{needs: []int{i}, tried: true,
						text: fmt.Sprintf("needs %s, which corrects it and is left out", slice.Name)})
					out = append(out, mistake)
					uncorrected++
				}
			}
		}
		if len(failed)+uncorrected == 0 {
			e.state.texts = texts
			return out, nil
		}
	}
}

func (e *engine) names(list []int) string {
	var out []string
	for _, i := range list {
		out = append(out, e.slices[i].Name)
	}
	return strings.Join(out, ", ")
}

// changes are the texts as a patch has them.
func changes(texts map[string]*text) []patchset.TextChange {
	var out []patchset.TextChange
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		file := texts[name]
		if now := file.bytes(); !bytes.Equal(now, file.old) || file.exists != (file.old != nil) {
			out = append(out, patchset.TextChange{Path: name, Old: file.old, New: now})
		}
	}
	return out
}

// scope is what a review looks at.
type scope struct {
	only map[string]bool // object files; nil for all
	// everything: all of the update is in the source. Else, with some objects, only what they
	// are known to read: a work tree with a thousand changed files takes seconds to make. What
	// an object is made of by other ways than by reading it, as the image of the vDSO, is not known.
	everything bool
}

// part leaves the changes that objects are known to read; all where one is not known.
func (e *engine) part(list []patchset.TextChange, within scope) []patchset.TextChange {
	if within.only == nil || within.everything {
		return list
	}
	reads := map[string]bool{}
	for object := range within.only {
		made, known := e.state.reads[object]
		if !known {
			return list
		}
		reads[made.Source] = true
		for _, name := range made.Reads {
			reads[name] = true
		}
	}
	return slices.DeleteFunc(list, func(change patchset.TextChange) bool { return !reads[change.Path] })
}

// review reviews texts.
func (e *engine) review(ctx context.Context, texts map[string]*text, within scope) (*Review, error) {
	e.reviews++
	list := e.part(changes(texts), within)
	if len(list) == 0 {
		return &Review{}, nil
	}
	only := within.only
	reviewed, err := e.reviewer.Review(ctx, list, only)
	if err != nil {
		return nil, err
	}
	for _, object := range reviewed.Objects {
		e.state.reads[object.Name] = object
	}
	e.seconds += reviewed.Seconds
	e.compile += reviewed.Compile
	if only != nil {
		// What other objects bring is not there in such a review.
		reviewed.Faults = slices.DeleteFunc(reviewed.Faults,
			func(fault Fault) bool { return fault.ID() == finding.IDPrerequisite })
	}
	return reviewed, nil
}

// reduce takes slices out until no fault is left where there was one, and returns the last
// review. whole says that it was one of all that is kept.
func (e *engine) reduce(ctx context.Context) (last *Review, whole bool, err error) {
	var only map[string]bool
	for {
		if _, err := e.settle(); err != nil {
			return nil, false, err
		}

		// The first round looks at everything, the next ones at what had faults.
		reviewed, err := e.review(ctx, e.state.texts, scope{only: only})
		if err != nil {
			return nil, false, err
		}
		if len(reviewed.Faults) == 0 {
			return reviewed, only == nil, nil
		}
		e.say("%d fault(s) in %d object(s)", len(reviewed.Faults), len(reviewed.Objects))
		out, err := e.takeOut(ctx, reviewed.Faults)
		if err != nil {
			return nil, false, err
		}
		more, err := e.settle()
		if err != nil {
			return nil, false, err
		}

		// What had a fault must show that it has none now. The readers of a header may be thousands: all of
		// them are looked at in the end.
		only = e.objects(append(out, more...), 0)
		for _, fault := range reviewed.Faults {
			if fault.Object != "" {
				only[fault.Object] = true
			}
		}
		if len(only) == 0 {
			only = nil
		}
	}
}

// objects are the object files whose source the slices change, as far as known, and of each
// slice that changes no source at most so many that read what it changes.
func (e *engine) objects(list []int, readers int) map[string]bool {
	out := map[string]bool{}
	for _, i := range list {
		files := map[string]bool{}
		for _, name := range e.slices[i].Files {
			files[name] = true
		}
		var reading []string
		own := false
		for name, object := range e.state.reads {
			switch {
			case files[object.Source]:
				out[name], own = true, true
			case readers > 0 && slices.ContainsFunc(object.Reads, func(file string) bool { return files[file] }):
				reading = append(reading, name)
			}
		}
		if !own {
			slices.Sort(reading)
			for _, name := range reading[:min(len(reading), readers)] {
				out[name] = true
			}
		}
	}
	return out
}

// takeOut takes out the slices behind faults.
func (e *engine) takeOut(ctx context.Context, faults []Fault) ([]int, error) {
	var out []int
	var puzzling []*Fault
	for i := range faults {
		fault := &faults[i]
		by := slices.DeleteFunc(e.state.blame(fault),
			func(slice int) bool { return !e.keep[slice] && !slices.Contains(out, slice) })
		if slices.ContainsFunc(by, func(slice int) bool { return slices.Contains(out, slice) }) {
			continue // another fault of a slice that has gone
		}
		if len(by) == 0 {
			puzzling = append(puzzling, fault)
		}
		out = append(out, e.dropAll(by, fault)...)
	}
	if len(out) > 0 {
		return out, nil // the others may have gone with these: the next review tells
	}

	for _, fault := range puzzling {
		by, err := e.search(ctx, fault, len(out) > 0)
		if err != nil {
			return nil, err
		}
		out = append(out, e.dropAll(by, fault)...)
	}
	return out, nil
}

// dropAll takes slices out for a fault, and returns those that were not out.
func (e *engine) dropAll(list []int, fault *Fault) (out []int) {
	for _, slice := range list {
		if e.keep[slice] {
			e.drop(slice, e.because(fault, slice))
			out = append(out, slice)
		}
	}
	return out
}

// missing are the slices that are left out and bring a name that an object lacks, by the
// first error that tells of any: errors behind it follow from it, and name much.
func (e *engine) missing(f *Fault, slice int) []int {
	all := make([]bool, len(e.keep))
	for i := range all {
		all[i] = e.fate[i] == LeftOut && i != slice
	}
	var texts map[string]*text
	for i := range f.Errors {
		words := named(&f.Errors[i])
		if len(words) == 0 {
			continue
		}
		if texts == nil {
			var err error
			if texts, _, err = e.source.texts(all); err != nil {
				return nil
			}
		}
		if out := bringing(texts, words); len(out) > 0 {
			return out
		}
	}
	return nil
}

// bringing are the slices that define one of some names, or else mention one.
func bringing(texts map[string]*text, words map[string]bool) []int {
	var defining, mentioning []int
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		for word := range words {
			defining = append(defining, texts[name].of(word)...)
		}
		mentioning = append(mentioning, texts[name].mentioning(words)...)
	}
	if len(defining) == 0 {
		defining = mentioning
	}
	slices.Sort(defining)
	return slices.Compact(defining)
}

// because is why a slice goes for a fault.
func (e *engine) because(f *Fault, slice int) *reason {
	why := &reason{fault: f, needs: e.missing(f, slice), text: f.Text()}
	if len(why.needs) > 0 {
		why.text = fmt.Sprintf("needs %s, which is left out: %s", e.names(why.needs), f.Text())
	}
	return why
}

// UnexplainedError is a fault that no slice could be found for: it is there without all of
// them.
type UnexplainedError struct{ Fault Fault }

func (e *UnexplainedError) Error() string {
	return "no part of the update could be found that is behind this: " + e.Fault.Text()
}

// search finds the slices behind a fault by leaving out what could be. It finds none when
// the fault may have gone with others that were taken out since it was seen (others), and
// has.
func (e *engine) search(ctx context.Context, f *Fault, others bool) ([]int, error) {
	var scopes []scope
	if f.Object != "" {
		only := map[string]bool{f.Object: true}
		scopes = []scope{{only: only}, {only: only, everything: true}}
	}
	var within scope // all, when it takes other objects to have it
	there := false
	for _, try := range scopes {
		var err error
		if there, _, err = e.withoutSlices(ctx, f, nil, try); err != nil {
			return nil, err
		}
		if there {
			within = try
			break
		}
	}
	if !there && others {
		return nil, nil
	}
	f.everything = within.everything

	// First what the object is made of, then everything.
	var kept []int
	for i, keep := range e.keep {
		if keep {
			kept = append(kept, i)
		}
	}
	lists := [][]int{kept}
	if within.only != nil {
		near := slices.DeleteFunc(e.state.touching(f.Object), func(slice int) bool { return !e.keep[slice] })
		lists = [][]int{near, kept}
	}
	for _, list := range lists {
		if len(list) == 0 {
			continue
		}
		e.say("looking for what is behind %s, among %d slice(s)", f.Text(), len(list))
		if by, err := e.narrow(ctx, f, list, within); err != nil || len(by) > 0 {
			return by, err
		}
	}
	return nil, &UnexplainedError{Fault: *f}
}

// narrow finds a smallest set of slices without which a fault is gone, one where one is
// enough: it takes back halves, quarters and so on of the list as long as the fault stays away.
// It finds none when the fault is there without all of them.
func (e *engine) narrow(ctx context.Context, f *Fault, list []int, within scope) ([]int, error) {
	var failed error
	gone := func(without []int) bool {
		if failed != nil {
			return false
		}
		there, _, err := e.withoutSlices(ctx, f, without, within)
		failed = err
		return err == nil && !there
	}
	if !gone(list) {
		return nil, failed
	}
	list = slices.Clone(list)
	for size := len(list) / 2; size > 0; size /= 2 {
		for i := 0; i < len(list); {
			end := min(i+size, len(list))
			if rest := slices.Concat(list[:i], list[end:]); len(rest) > 0 && gone(rest) {
				list = rest
			} else {
				i = end
			}
		}
	}
	if failed != nil || len(list) > 1 {
		return list, failed
	}

	// One that others need takes them with it: the fault may be of one of those alone.
	_, with, err := e.withoutSlices(ctx, f, list, within)
	if err != nil {
		return nil, err
	}
	for _, slice := range with {
		if gone([]int{slice}) {
			return []int{slice}, nil
		}
	}
	return list, failed
}

// withoutSlices reports whether a fault is still there when slices are left out too, and
// what else cannot be there without them.
func (e *engine) withoutSlices(ctx context.Context, f *Fault, without []int, within scope) (there bool, with []int,
	err error) {
	keep := slices.Clone(e.keep)
	for _, slice := range without {
		keep[slice] = false
	}
	for {
		texts, failed, err := e.source.texts(keep)
		if err != nil {
			return false, nil, err
		}
		if len(failed) == 0 {
			reviewed, err := e.review(ctx, texts, within)
			if err != nil {
				return false, nil, err
			}
			there = slices.ContainsFunc(reviewed.Faults, func(other Fault) bool { return other.same(f) })
			return there, with, nil
		}
		for _, slice := range slices.Sorted(maps.Keys(failed)) {
			keep[slice] = false
			with = append(with, slice)
		}
	}
}

// restore tries each slice that was left out once more on top of what is kept, until no
// more comes back. What does not come back has its fault as the proof.
func (e *engine) restore(ctx context.Context) (back int, err error) {
	for again := true; again; {
		again = false
		for i := range e.slices {
			if e.fate[i] != LeftOut {
				continue
			}
			came, err := e.tryAgain(ctx, i)
			if err != nil {
				return back, err
			}
			if came {
				back++
				again = true
			}
		}
	}
	return back, nil
}

// maxReaders is how many objects that read a header are asked whether what changes it can come
// back; the review of all that follows asks the rest.
const maxReaders = 16

// tryAgain puts one slice back if it does no harm.
func (e *engine) tryAgain(ctx context.Context, i int) (bool, error) {
	why := e.why[i]
	for later, slice := range e.slices {
		if e.fate[later] == LeftOut && slices.Contains(slice.corrects, i) {
			why.text, why.tried = fmt.Sprintf("needs %s, which corrects it and is left out", slice.Name), true
			why.needs = []int{later}
			return false, nil
		}
	}
	keep := slices.Clone(e.keep)
	keep[i] = true
	texts, failed, err := e.source.texts(keep)
	if err != nil {
		return false, err
	}
	if gone, ok := failed[i]; ok || len(failed) > 0 {
		if ok && len(gone.needs) > 0 {
			why.needs, why.text = gone.needs, fmt.Sprintf("needs %s, which is left out: it does not apply without",
				e.names(gone.needs))
		}
		why.tried = true
		return false, nil
	}

	// The object that had the fault is asked first: mostly it has it still.
	var stages []scope
	if why.fault != nil && why.fault.Object != "" {
		stages = append(stages, scope{map[string]bool{why.fault.Object: true}, why.fault.everything})
	}
	all := e.objects([]int{i}, maxReaders)
	if len(all) == 0 {
		all = nil
	}
	stages = append(stages, scope{only: all})
	for _, within := range stages {
		reviewed, err := e.review(ctx, texts, within)
		if err != nil {
			return false, err
		}
		if len(reviewed.Faults) > 0 {
			fault := &reviewed.Faults[0]
			fault.everything = within.everything
			e.why[i] = e.because(fault, i)
			e.why[i].tried = true
			return false, nil
		}
	}
	e.keep[i], e.fate[i] = true, Live
	delete(e.why, i)
	e.state.texts = texts
	e.say("back again: %s", e.slices[i].Name)
	return true, nil
}

// run makes the selection. build makes the livepatch of what is kept, and tells what its
// last checks find.
func (e *engine) run(ctx context.Context, build func(context.Context) ([]Fault, error)) (*Review, error) {
	reviewed, whole, err := e.reduce(ctx)
	if err != nil {
		return nil, err
	}
	back, err := e.restore(ctx)
	if err != nil {
		return nil, err
	}
	for {
		// All of it together once more; what is taken out now stays out.
		for whole = whole && back == 0; !whole; {
			if reviewed, whole, err = e.reduce(ctx); err != nil {
				return nil, err
			}
		}
		if back = e.dropIdle(reviewed); back > 0 {
			continue
		}
		if build == nil || !slices.Contains(e.keep, true) {
			return reviewed, nil
		}
		faults, err := build(ctx)
		if err != nil || len(faults) == 0 {
			return reviewed, err
		}
		if _, err := e.takeOut(ctx, faults); err != nil {
			return reviewed, err
		}
		back = 1
	}
}

// dropIdle takes out slices of which the livepatch has nothing but what has run already:
// beside other changes a livepatch leaves that alone, but alone it is no fix.
func (e *engine) dropIdle(r *Review) int {
	functions := e.functions(r)
	count := 0
	for i := range r.Notes {
		fault := &Fault{Finding: &r.Notes[i], Object: r.Notes[i].Unit}
		if fault.ID() != finding.IDAlreadyRun {
			continue
		}
		for _, slice := range e.state.blame(fault) {
			if e.keep[slice] && len(functions[slice]) == 0 {
				e.drop(slice, &reason{fault: fault, text: fault.Text(), tried: true})
				count++
			}
		}
	}
	return count
}
