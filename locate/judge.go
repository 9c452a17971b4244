package locate

import (
	"debug/elf"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kernel/kimage"
)

// Judge says by the shipped kernel which changed functions a livepatch can redirect.
type Judge struct {
	Release string // of the target, for messages
	// Traceable reports whether ftrace can hook a placed function of vmlinux or a
	// module.
	Traceable func(object string, p Place) kimage.Tri
	// Untraced says why Traceable does not know.
	Untraced string
	// Callers lists the traceable functions of vmlinux that call a function of it, by
	// name.
	Callers func(p Place) []string
}

// Replaceable picks the functions that the livepatch has to replace, of all those that
// changed in a placed object, and judges each. Code that has run and is gone is left
// to the differ, which has told of it.
func (j *Judge) Replaceable(diff *elfdiff.Result, placed *Placement) (replace []elfdiff.Change,
	found []finding.Finding) {
	for _, ch := range diff.Functions {
		if ch.Kind != elfdiff.Changed || ch.Init {
			continue
		}
		if overridden(diff.Orig, placed, ch) {
			found = append(found, finding.Finding{ID: finding.IDSymbol, Severity: finding.Note, Symbol: ch.Name,
				Message: "weak function: the target uses another definition, so this change has no effect there and " +
					"is left out"})
			continue
		}
		replace = append(replace, ch)
		found = append(found, j.Function(diff, placed, ch)...)
	}
	return replace, found
}

// overridden reports whether the target links another definition in place of a weak
// function. Where the linked one is weak too, it is this one, of another build.
func overridden(orig *elfdiff.Object, p *Placement, ch elfdiff.Change) bool {
	if _, placed := p.Funcs[ch.Orig]; placed {
		return false
	}
	list := p.View.Lookup(ch.Name)
	return orig.File.Symbols[orig.Atoms[ch.Orig].Sym].Bind == elf.STB_WEAK && len(list) == 1 && list[0].Global &&
		!list[0].Weak
}

// Function judges one function that is to be replaced: whether the shipped code is
// what was compiled, whether the kernel will find it, and whether it can be
// redirected. It finds nothing when all is well.
func (j *Judge) Function(diff *elfdiff.Result, placed *Placement, ch elfdiff.Change) []finding.Finding {
	place, ok := placed.Funcs[ch.Orig]
	if !ok {
		return []finding.Finding{j.missing(placed, ch)}
	}
	var found []finding.Finding
	object := placed.View.Object()
	if !place.Stable {
		found = append(found, finding.Finding{ID: finding.IDSymbol, Severity: finding.Error, Symbol: ch.Name,
			Message: fmt.Sprintf("the position of %s in %s depends on whether the module is still loading", ch.Name,
				object)})
	}
	if ch.Carried {
		return found // ftrace need not know it
	}
	switch j.Traceable(object, place) {
	case kimage.No:
		if !toldUntraceable(diff, ch.Name) {
			found = append(found, finding.Finding{ID: finding.IDNotTraceable, Severity: finding.Error, Symbol: ch.Name,
				Message: "the target has no ftrace entry for the function: it cannot be redirected",
				Remedy:  j.callersRemedy(object, place)})
		}
	case kimage.Unknown:
		found = append(found, finding.Finding{ID: finding.IDNotTraceable, Severity: finding.Warning, Symbol: ch.Name,
			Message: "it cannot be told whether the target has an ftrace entry for the function: " + j.Untraced})
	}
	return found
}

// missing says why a function was not placed: another build, or no single function of
// its name.
func (j *Judge) missing(placed *Placement, ch elfdiff.Change) finding.Finding {
	miss := finding.Finding{ID: finding.IDShippedCode, Severity: finding.Error, Symbol: ch.Name,
		Message: fmt.Sprintf("the code compiled before the patch is not what %s of %s holds: %s", placed.View.Object(),
			j.Release, placed.Miss[ch.Orig]),
		Remedy: "build with the target's own compiler, config and source version"}
	switch {
	case len(placed.View.Lookup(ch.Name)) == 0:
		miss.ID, miss.Remedy = finding.IDSymbol, "the function was inlined everywhere or named otherwise in the "+
			"shipped build; check compiler and config"
	case placed.Twins[ch.Orig] > 0:
		miss.ID, miss.Remedy = finding.IDSymbol, "several functions of this name exist; none can be chosen safely"
	}
	return miss
}

// toldUntraceable reports whether the differ has seen already that a function has no
// ftrace entry.
func toldUntraceable(d *elfdiff.Result, name string) bool {
	return slices.ContainsFunc(d.Problems, func(f finding.Finding) bool {
		return f.ID == finding.IDNotTraceable &&
			f.Symbol == name
	})
}

// callersRemedy names the functions that could be changed instead of one that ftrace
// does not know.
func (j *Judge) callersRemedy(object string, p Place) string {
	if object != "vmlinux" {
		return "change its traceable callers instead"
	}
	callers := j.Callers(p)
	if len(callers) == 0 {
		return "vmlinux has no traceable function that calls it directly; its users in modules, or what reaches it " +
			"by pointer, would have to change"
	}
	const most = 8
	if len(callers) > most {
		callers = append(slices.Clone(callers[:most]), "…")
	}
	return "change its traceable callers instead: " + strings.Join(callers, ", ")
}
