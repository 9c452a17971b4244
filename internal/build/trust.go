package build

import (
	"fmt"
	"path"
	"slices"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/patchset"
)

// trusts reports whether makefiles, scripts and host programs of the patches may be
// run. A review never does.
func (r *run) trusts() bool { return r.opt.TrustPatch && !r.opt.DiffOnly }

// withholder is a tree that tells which files builds would run.
type withholder interface {
	Withheld(rel string, texts ...[]byte) (kbuild.Withholding, error)
}

// withhold finds the changed files that builds would run, or act on. Unless the
// patches are trusted, they do not come into a tree in which anything is built.
func (r *run) withhold(tree withholder, overlay *patchset.Overlay) error {
	r.withheld = map[string]kbuild.Withholding{}
	for _, p := range overlay.Paths() {
		f := overlay.Files[p]
		held, err := tree.Withheld(p, f.Old, f.New)
		if err != nil {
			return fmt.Errorf("judge %s: %w", p, err)
		}
		if held.Why != "" {
			r.withheld[p] = held
		}
	}
	return nil
}

// rules are the withheld files with their texts.
func (r *run) rules(overlay *patchset.Overlay) map[string]kbuild.RuleChange {
	out := map[string]kbuild.RuleChange{}
	for p := range r.withheld {
		out[p] = kbuild.RuleChange{Old: overlay.Files[p].Old, New: overlay.Files[p].New}
	}
	return out
}

const trustRemedy = "read what the patch changes there; klpforge build --trust-patch runs it"

// ruleProblem says that something would have to be made by changed build rules.
func (r *run) ruleProblem(place string, problems []*kbuild.RuleProblem) {
	var why []string
	for _, p := range problems {
		why = append(why, p.String())
	}
	r.problem(nil, finding.Finding{ID: finding.IDBuildRules, Severity: finding.Error,
		Message: "the patch changes build rules, which are not run, and without them it is not known how this is compiled: " + shortList(why, 3),
		Remedy:  trustRemedy}.InFile(finding.Position{File: place}))
}

// readsOutside refuses patches that plainly name files of the build machine, before
// anything is compiled.
func (r *run) readsOutside(overlay *patchset.Overlay) error {
	for _, p := range overlay.Paths() {
		f := overlay.Files[p]
		if !slices.Contains([]string{".c", ".h", ".S", ".inc", ".def", ".lds"}, path.Ext(p)) {
			continue
		}
		for _, o := range kbuild.ReadsOutside(p, f.Old, f.New) {
			r.outside(finding.Position{File: p, Line: o.Line}, fmt.Sprintf("%s names %s", o.Construct, o.Path))
		}
	}
	if errs := r.errorsOnly(); len(errs) > 0 && slices.ContainsFunc(errs, func(p finding.Finding) bool { return p.ID == finding.IDOutsideFile }) {
		return &Refusal{errs}
	}
	return nil
}

func (r *run) outside(at finding.Position, what string) {
	r.problem(nil, finding.Finding{ID: finding.IDOutsideFile, Severity: finding.Error,
		Message: what + ", which is outside of the kernel's tree: it would carry a file of this machine into the module",
		Remedy:  "put what it needs into the tree, by the patch"}.InFile(at))
}

// externalRules names withheld files of a module's source that could alter how it is
// compiled.
func (r *run) externalRules() {
	for _, p := range keysOf(r.withheld) {
		if r.withheld[p].MakefileMay {
			r.res.Notes = append(r.res.Notes, p+": "+r.withheld[p].Why+"; left out, as the patch is not trusted")
			continue
		}
		r.problem(nil, r.withheld[p].Finding(p))
	}
}

func keysOf(m map[string]kbuild.Withholding) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
