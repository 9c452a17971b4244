package elfdiff

import (
	"strings"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// Construct is something that a livepatch cannot have, and that the object can be
// compiled without.
type Construct uint8

// The constructs. NoConstruct is for what cannot be avoided.
const (
	NoConstruct     Construct = iota
	StaticKey                 // a static branch whose key lies in a module, which may load later
	RuntimeConstant           // a constant that boot code writes into the instructions of the kernel
)

// Avoidable tells which construct stopped an extraction.
func Avoidable(stopped *finding.Finding) Construct {
	switch {
	case stopped.ID == finding.IDModuleKey:
		return StaticKey
	case stopped.ID == finding.IDLoadTime && strings.HasPrefix(stopped.Section, "runtime_"):
		return RuntimeConstant
	}
	return NoConstruct
}

// Avoided is what a person should know once a construct was avoided that had stopped
// the extraction.
func Avoided(stopped *finding.Finding) finding.Finding {
	note := finding.Finding{ID: stopped.ID, Severity: finding.Note}
	if Avoidable(stopped) == RuntimeConstant {
		note.Message = "constants that boot code writes into instructions are read from their variables in the " +
			"patched functions (" +
			stopped.Symbol + ", section " + stopped.Section + ")"
		return note
	}
	what := stopped.Message
	if stopped.Symbol != "" {
		what = stopped.Symbol + ": " + what
	}
	note.Message = "static keys of a module are tested as ordinary variables in the patched functions (" + what + ")"
	return note
}

// ExtractFrom extracts what opt says from another build of the patched object, in which
// constructs are avoided. What is replaced and kept stays as r has it: opt.Functions are
// the patched atoms of r that are paired with the original ones of replaced, in that
// order, and opt.Keep those that travel besides.
//
// The result is about other, the comparison of the original with that build, whose
// atoms the functions are. other is nil when that build lacks a function or an atom to
// keep, or has several of a name. The error is a *finding.Finding when extraction is
// stopped again.
func (r *Result) ExtractFrom(rebuilt *elfobj.File, replaced []AtomID, opt ExtractOptions) (other *Result,
	functions []AtomID, minimal *Extracted, err error) {
	other, err = Diff(r.Orig.File, rebuilt)
	if err != nil {
		return nil, nil, nil, err
	}
	functions, missing := other.Named(replaced)
	if len(missing) > 0 {
		return nil, nil, nil, nil
	}
	var keep []AtomID
	for _, atom := range opt.Keep {
		kept, ok := other.Patched.named(r.Patched.Atoms[atom].Name)
		if !ok {
			return nil, nil, nil, nil
		}
		keep = append(keep, kept)
	}
	other.CarryLike(r)
	opt.Functions, opt.Keep = functions, keep
	minimal, err = other.Extract(opt)
	return other, functions, minimal, err
}

// named finds the one atom of a name.
func (o *Object) named(name string) (AtomID, bool) {
	found := AtomID(-1)
	for i := range o.Atoms {
		if o.Atoms[i].Name != name {
			continue
		}
		if found >= 0 {
			return -1, false
		}
		found = AtomID(i)
	}
	return found, found >= 0
}
