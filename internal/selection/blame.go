package selection

import (
	"maps"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/patchset"
)

// state is the update with some slices in it, and what its objects read.
type state struct {
	texts map[string]*text
	reads map[string]Object // by object file
}

// blame guesses which slices are behind a fault: the most certain guess that gives any.
// It is empty where nothing in the fault leads to one.
func (s *state) blame(f *Fault) []int {
	if f.Finding == nil {
		return s.blameErrors(f)
	}
	at := f.Finding
	if at.AboutFile() {
		file := s.texts[at.New.File]
		switch {
		case file == nil:
			// It is an object, or a file that the update leaves as it is: the message tells more.
			if by := s.inMessage(at.Message); len(by) > 0 {
				return by
			}
		case at.New.Line > 0:
			if by := file.by(at.New.Line, at.New.Line+1); len(by) > 0 {
				return by
			}
			fallthrough
		default:
			return sorted(file.touched)
		}
	}

	// A type whose layout changes: what defines it, or what it is made of.
	files := s.near(at)
	if layouts := analyze.Layouts(at); len(layouts) > 0 {
		return s.defining(files, layouts)
	}

	// By the name: what defines it and changes, what it uses and changes, who mentions it.
	name := base(at.Symbol)
	for _, file := range files {
		if by := file.of(name); name != "" && len(by) > 0 {
			return by
		}
	}
	if by := s.through(files, name); len(by) > 0 {
		return by
	}
	if by := s.joinedFor(at); len(by) > 0 {
		return by
	}
	if file := s.texts[at.New.File]; file != nil && at.New.Line > 0 && name != "" {
		if by := file.by(at.New.Line, at.New.Line); len(by) > 0 {
			return by
		}
	}
	for _, file := range files {
		if by := file.mentioning(map[string]bool{name: true}); name != "" && len(by) > 0 {
			return by
		}
	}
	return nil
}

// defining lists the slices that change the definition of a type whose layout changes, or
// what it is made of.
func (s *state) defining(files []*text, layouts []types.Change) []int {
	seen := map[int]bool{}
	for i := range layouts {
		name := base(layouts[i].Before.Name)
		for _, file := range files {
			for _, slice := range file.of(name) {
				seen[slice] = true
			}
		}
		if len(seen) == 0 {
			for _, slice := range s.through(files, name) {
				seen[slice] = true
			}
		}
	}
	return sorted(seen)
}

// joinedFor lists the slices that change what a function calls which is replaced for that
// alone, as the finding says: that may be in any object.
func (s *state) joinedFor(f *finding.Finding) []int {
	switch f.ID {
	case finding.IDNotTraceable, finding.IDShippedCode, finding.IDSymbol:
	default:
		return nil
	}
	var files []*text
	for _, name := range slices.Sorted(maps.Keys(s.texts)) {
		files = append(files, s.texts[name])
	}
	for _, callee := range f.Who {
		seen := map[int]bool{}
		for _, file := range files {
			for _, slice := range file.of(base(callee)) {
				seen[slice] = true
			}
		}
		if len(seen) > 0 {
			return sorted(seen)
		}
		if by := s.through(files, base(callee)); len(by) > 0 {
			return by
		}
	}
	return nil
}

// inMessage lists the slices that change the first file of the update which a message names.
func (s *state) inMessage(message string) []int {
	for _, word := range strings.FieldsFunc(message, func(char rune) bool { return strings.ContainsRune(" :;,()\n", char) }) {
		if file := s.texts[word]; file != nil {
			return sorted(file.touched)
		}
	}
	return nil
}

// base is a symbol as the source names it: without what the compiler appends, and of a
// type without its kind.
func base(symbol string) string {
	symbol = symbol[strings.LastIndexByte(symbol, ' ')+1:]
	symbol, _, _ = strings.Cut(symbol, ".")
	for _, prefix := range []string{"__do_sys_", "__se_sys_", "__x64_sys_", "__pfx_"} {
		symbol = strings.TrimPrefix(symbol, prefix)
	}
	return symbol
}

// near lists the changed files that the object of a finding is made of, its source first;
// all of them where that is not known.
func (s *state) near(f *finding.Finding) []*text {
	object, known := s.reads[f.Unit]
	var out []*text
	if file := s.texts[object.Source]; known && file != nil {
		out = append(out, file)
	}
	for _, name := range slices.Sorted(maps.Keys(s.texts)) {
		if file := s.texts[name]; (!known || slices.Contains(object.Reads, name)) && name != object.Source {
			out = append(out, file)
		}
	}
	return out
}

// through finds the changed items that a function uses, itself unchanged: inline
// functions, macros and types, over at most three steps.
func (s *state) through(files []*text, name string) []int {
	if name == "" {
		return nil
	}
	words := map[string]bool{name: true}
	for range 3 {
		// One step: the words of what was reached so far.
		next := map[string]bool{}
		for _, file := range files {
			for _, item := range file.parsed() {
				if words[item.Name] {
					for word := range names(file.lineText(item)) {
						next[word] = true
					}
				}
			}
		}

		// The nearest change is the likeliest: no further step is taken once there is one.
		seen := map[int]bool{}
		for _, file := range files {
			for _, item := range file.parsed() {
				if next[item.Name] && item.Kind != patchset.ItemOther {
					for _, by := range file.by(item.Start, item.End) {
						seen[by] = true
					}
				}
			}
		}
		if len(seen) > 0 {
			return sorted(seen)
		}
		words = next
	}
	return nil
}

// inlined finds the slices that change what a compiler can have put into a function: the
// static functions and the macros that it uses, over and over, but those that are
// functions of their own in the object.
func (s *state) inlined(files []*text, name string, own map[string]bool) []int {
	seen, visited := map[int]bool{}, map[string]bool{name: true}
	for todo := []string{name}; len(todo) > 0; todo = todo[1:] {
		words := map[string]bool{}
		for _, file := range files {
			for _, item := range file.parsed() {
				if item.Name == todo[0] {
					for word := range names(file.lineText(item)) {
						words[word] = true
					}
				}
			}
		}
		for _, file := range files {
			for _, item := range file.parsed() {
				function := item.Kind == patchset.ItemFunction && item.Static || item.Kind == patchset.ItemMacro
				if !function || !words[item.Name] || own[item.Name] || visited[item.Name] {
					continue
				}
				visited[item.Name] = true
				todo = append(todo, item.Name)
				for _, by := range file.by(item.Start, item.End) {
					seen[by] = true
				}
			}
		}
	}
	return sorted(seen)
}

// blameErrors finds the slices that do not compile: those with a line that the compiler
// names, else those with a name that it does.
func (s *state) blameErrors(f *Fault) []int {
	seen := map[int]bool{}
	for _, diagnostic := range f.Errors {
		words := named(&diagnostic)
		if file := s.texts[diagnostic.File]; file != nil {
			if by := file.numbered(diagnostic.Line, words); len(by) > 0 {
				for _, slice := range by {
					seen[slice] = true
				}
				continue
			}
		}
		for _, name := range slices.Sorted(maps.Keys(s.texts)) {
			if object, known := s.reads[f.Object]; known && !slices.Contains(object.Reads, name) &&
				name != diagnostic.File {
				continue
			}
			for _, slice := range s.texts[name].mentioning(words) {
				seen[slice] = true
			}
		}
	}
	return sorted(seen)
}

// touching lists the slices that change a file which an object is made of.
func (s *state) touching(object string) []int {
	seen := map[int]bool{}
	made := s.reads[object]
	for name, file := range s.texts {
		if name == made.Source || slices.Contains(made.Reads, name) || name == strings.TrimSuffix(object, ".o")+".c" {
			maps.Copy(seen, file.touched)
		}
	}
	return sorted(seen)
}
