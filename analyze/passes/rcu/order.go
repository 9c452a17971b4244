package rcu

import (
	"cmp"
	"fmt"
	"iter"
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

// Stores are ordered against grace periods and against what publishes an object. A
// store is known again in the other build by its place and its value; that it
// comes before something, or behind it, is a matter of the paths through the
// function. Only what is on one side alone before, and on the other side alone
// after, has moved: stores of loops and of several exits have not.

// order is on which sides of something a store may come.
type order struct {
	ahead, behind bool
	at            string // a place of the store
}

// crossed reports whether a store that was behind, or ahead, now is the reverse.
func (o order) crossed(now order) bool {
	return o.ahead != o.behind && now.ahead != now.behind && o.ahead != now.ahead
}

// seen is what one build of a function does, and where it asks for grace periods.
type seen struct {
	obj    *code.Object
	events *locks.Events
	stores []*locks.Event
	// publishing is the text by which functions that are called publish something; nil where
	// they are not looked at.
	publishing *source
}

func see(obj *code.Object, id model.FuncID) *seen {
	events := obj.Events(id)
	if events == nil {
		return nil
	}
	out := &seen{obj: obj, events: events}
	for i := range events.List {
		if ev := &events.List[i]; ev.Kind == locks.EventWrite && ev.Place.Known() && ev.Value.Known() {
			out.stores = append(out.stores, ev)
		}
	}
	return out
}

// around says on which sides of some events each store lies.
func (s *seen) around(marks []*locks.Event, counts func(store, mark *locks.Event) bool) map[string]order {
	out := map[string]order{}
	for _, store := range s.stores {
		key := store.Place.String() + " = " + store.Value.String()
		for _, mark := range marks {
			if !counts(store, mark) {
				continue
			}
			where := out[key]
			where.ahead = where.ahead || s.events.Before(store, mark)
			where.behind = where.behind || s.events.Before(mark, store)
			where.at = s.obj.Place(store.Site)
			out[key] = where
		}
	}
	return out
}

// moved reports stores that crossed a grace period or a publication.
func moved(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, before, after *code.Object, oldFn,
	newFn model.FuncID) {
	was, is := see(before, oldFn), see(after, newFn)
	if was == nil || is == nil || unit.Name(ch.Orig) != unit.Diff.Patched.Atoms[ch.Patched].Name {
		return
	}
	for _, kind := range []kfuncs.Grace{kfuncs.GraceRCU, kfuncs.GraceSRCU} {
		shared := func(store, _ *locks.Event) bool { return store.Place.Shared() }
		old, newer := was.around(was.graces(kind), shared), is.around(is.graces(kind), shared)
		acrossGrace(pass, unit, ch, old, newer)
	}
	old, newer := publications(pass, unit, ch, false), publications(pass, unit, ch, true)
	if len(old) > 0 && len(newer) > 0 {
		beside := !slices.Equal(old, newer) || movesLines(pass, unit)
		if beside {
			was.publishing, is.publishing = sourceOf(pass, unit, false), sourceOf(pass, unit, true)
		}
		acrossPublication(pass, unit, ch, was, is, beside)
	}
}

// graces are the calls that wait for a grace period, or leave something to one.
func (s *seen) graces(kind kfuncs.Grace) (list []*locks.Event) {
	for i := range s.events.List {
		ev := &s.events.List[i]
		if ev.Kind != locks.EventCall || ev.Callee == model.NoFunc {
			continue
		}
		if kind.Asks(s.obj.Model.Func(ev.Callee).Name) || len(among(reached(s.obj, ev.Callee), kind.Asks)) > 0 {
			list = append(list, ev)
		}
	}
	return list
}

func acrossGrace(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, old, newer map[string]order) {
	out := finding.Finding{ID: finding.IDRCU, Severity: finding.Warning,
		Message: "stores on the other side of a grace period than before: old readers meet what they were kept from",
		Who:     []string{"readers in the old universe"},
		Remedy:  "keep the order: take the object away, wait for readers, and only then change what they use"}
	for _, key := range slices.Sorted(maps.Keys(newer)) {
		had, has := old[key], newer[key]
		if !had.crossed(has) {
			continue
		}
		words := [2]string{"behind", "ahead of"}
		if had.ahead {
			slices.Reverse(words[:])
		}
		out.Evidence = append(out.Evidence, fmt.Sprintf("%s: %s the grace period before (%s), %s it after (%s)", key,
			words[0], had.at, words[1], has.at))
	}
	if len(out.Evidence) > 0 {
		pass.ReportChange(unit, ch, out)
	}
}

// acrossPublication reports stores to an object, or beside the pointer that publishes
// it, that come behind the store of that pointer where they came before it. Only where the
// text publishes in another order, or moves lines, beside counts: compilers order plain
// stores as they like.
func acrossPublication(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, was, is *seen, beside bool) {
	out := finding.Finding{ID: finding.IDRCU, Severity: finding.Warning,
		Message: "publishes an object before all of it has its values: readers that take no lock use what is not there yet",
		Who:     []string{"readers, old and new"},
		Remedy:  "give the object all its values before the pointer to it is stored"}
	published := is.pointers()
	for _, into := range slices.Sorted(maps.Keys(published)) {
		mine := func(store, mark *locks.Event) bool { return fills(store, mark) || beside && isBeside(store, mark) }
		old := was.around(was.pointers()[into], mine)
		newer := is.around(published[into], mine)
		for _, key := range slices.Sorted(maps.Keys(newer)) {
			if had, has := old[key], newer[key]; had.ahead && had.crossed(has) {
				out.Evidence = append(out.Evidence, fmt.Sprintf("%s: before %s (%s), after it now (%s)", key, into,
					had.at, has.at))
			}
		}
	}
	if len(out.Evidence) > 0 {
		pass.ReportChange(unit, ch, out)
	}
}

// pointers are the stores of pointers to where others find them, by place and value, and
// the calls of functions that do so, by name.
func (s *seen) pointers() map[string][]*locks.Event {
	out := map[string][]*locks.Event{}
	for _, store := range s.stores {
		if store.Size == 8 && store.Value.Op != locks.ExprConst && store.Place.Shared() {
			key := store.Place.String() + " = " + store.Value.String()
			out[key] = append(out[key], store)
		}
	}
	for i := range s.events.List {
		call := &s.events.List[i]
		if s.publishing == nil || call.Kind != locks.EventCall || call.Callee == model.NoFunc {
			continue
		}
		if name := code.Name(s.obj.Model.Func(call.Callee).Name); s.publishing.publishes(name, maxInlined) {
			out[name+"()"] = append(out[name+"()"], call)
		}
	}
	return out
}

// fills reports whether a store is to the object that another store publishes.
func fills(store, publishing *locks.Event) bool {
	if publishing.Kind == locks.EventCall {
		return false
	}
	to, _ := store.Place.Base()
	object, _ := publishing.Value.Base()
	if to.Op == locks.ExprCompute && to.Text == "add" { // an element of a table in it
		return slices.ContainsFunc(to.Args, func(part *locks.Expr) bool {
			base, _ := part.Base()
			return base.String() == object.String()
		})
	}
	return to.String() == object.String()
}

// isBeside reports whether a store is of a pointer to another member of where another
// store publishes something.
func isBeside(store, publishing *locks.Event) bool {
	to, at := store.Place.Base()
	if publishing.Kind == locks.EventCall {
		return store.Place.Shared() && slices.ContainsFunc(publishing.Args, func(arg *locks.Expr) bool {
			object, _ := arg.Base()
			return object.String() == to.String()
		})
	}
	into, where := publishing.Place.Base()
	return store.Size == 8 && store.Value.Op != locks.ExprConst && store.Place.Shared() &&
		to.String() == into.String() && at != where
}

// publications are the lines of a changed function's text that publish something, in
// order, without white space: by themselves, or by a function of the file that they call.
func publications(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, newSide bool) (lines []string) {
	source := sourceOf(pass, unit, newSide)
	if source == nil {
		return nil
	}
	for line := range source.lines(code.Name(ch.Name)) {
		if slices.ContainsFunc(line.words, func(word string) bool { return source.publishes(word, maxInlined) }) {
			lines = append(lines, strings.Join(line.words, ""))
		}
	}
	return lines
}

// movesLines reports whether the patch has a line at another place of the unit's file than
// before: of the changed function, or of one that is inlined into it.
func movesLines(pass *analyze.Pass, unit *analyze.Unit) bool {
	old, newer := sourceOf(pass, unit, false), sourceOf(pass, unit, true)
	if old == nil || newer == nil {
		return false
	}
	gone := map[string]bool{}
	for _, hunk := range old.file.Hunks {
		for text := range old.between(hunk.OldStart, hunk.OldStart+hunk.OldLines-1) {
			gone[strings.Join(text.words, "")] = len(text.words) > 1
		}
	}
	for _, hunk := range newer.file.Hunks {
		for text := range newer.between(hunk.NewStart, hunk.NewStart+hunk.NewLines-1) {
			if gone[strings.Join(text.words, "")] {
				return true
			}
		}
	}
	return false
}

// maxInlined is how many functions within each other are looked at for what publishes.
const maxInlined = 3

// source is one side of a unit's file.
type source struct {
	file    *analyze.File
	text    []byte
	newSide bool
	known   map[string]bool // what publishes
	tokens  []token         // of text, when first asked for
}

type token struct {
	word string
	line int
}

func sourceOf(pass *analyze.Pass, unit *analyze.Unit, newSide bool) *source {
	for i := range pass.Files {
		if file := &pass.Files[i]; file.Path == unit.Source {
			text := file.Old
			if newSide {
				text = file.New
			}
			return &source{file: file, text: text, newSide: newSide, known: map[string]bool{}}
		}
	}
	return nil
}

type line struct {
	number int
	words  []string
}

// lines yields the lines of a function of the file.
func (s *source) lines(name string) iter.Seq[line] {
	def, ok := s.file.Definition(name, s.newSide)
	if !ok || !def.Func {
		return func(func(line) bool) {}
	}
	return s.between(def.Line, def.End)
}

// between yields the lines that are not empty from one number to another.
func (s *source) between(from, to int) iter.Seq[line] {
	if s.tokens == nil {
		for word, number := range analyze.Tokens(s.text) {
			s.tokens = append(s.tokens, token{word, number})
		}
	}
	first, _ := slices.BinarySearchFunc(s.tokens, from, func(tok token, from int) int { return cmp.Compare(tok.line, from) })
	return func(yield func(line) bool) {
		var now line
		for _, tok := range s.tokens[first:] {
			if tok.line > to {
				break
			}
			if tok.line != now.number && now.words != nil {
				if !yield(now) {
					return
				}
				now.words = nil
			}
			now.number, now.words = tok.line, append(now.words, tok.word)
		}
		if now.words != nil {
			yield(now)
		}
	}
}

// publishes reports whether a word does, or is a function of the file that does.
func (s *source) publishes(word string, depth int) bool {
	if kfuncs.Publishes(word) {
		return true
	}
	if known, ok := s.known[word]; ok || depth == 0 {
		return known
	}
	s.known[word] = false // for recursion
	for line := range s.lines(word) {
		for i, inner := range line.words {
			if i+1 < len(line.words) && line.words[i+1] == "(" && s.publishes(inner, depth-1) {
				s.known[word] = true
				return true
			}
		}
	}
	return false
}
