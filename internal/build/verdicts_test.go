package build

import (
	"testing"

	"github.com/klpforge/klpforge/analyze/equiv"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kernel/klpapi"
	"github.com/klpforge/klpforge/plan"
)

func TestVerdicts(t *testing.T) {
	proofs := []*equiv.Certificate{{Function: "f"}}
	both := []finding.Finding{{ID: "KLP401", Given: true, Detail: proofs}, {ID: "KLP402", Given: true, Detail: proofs}}
	bare := []finding.Finding{{ID: "KLP401", Given: true}, {ID: "KLP402", Given: true}}
	of := []*equiv.Certificate{{Function: "g"}}
	other := []finding.Finding{{ID: "KLP401", Given: true, Detail: of}, {ID: "KLP402", Given: true, Detail: of}}
	denied := []finding.Finding{{ID: "KLP401"}, {ID: "KLP402"}}
	patch, fn := klpapi.API{PatchImmediate: true, FuncImmediate: true}, klpapi.API{FuncImmediate: true}
	for _, c := range []struct {
		name             string
		findings         []finding.Finding
		asked            bool
		api              klpapi.API
		force, imm, each bool
		notes            int
	}{
		{"given", both, false, patch, true, true, false, 0},
		{"given, flag of functions only", both, false, fn, true, false, true, 0},
		{"given, no flag", both, false, klpapi.API{}, true, false, false, 0},
		{"given without a proof", bare, false, patch, false, false, false, 0},
		{"given with the proof of another function", other, false, patch, false, false, false, 0},
		{"given, and a later warning", append([]finding.Finding{{ID: "KLP119", Severity: finding.Warning}}, both...), false, patch, false, false, false, 0},
		{"not given", denied, false, patch, false, false, false, 0},
		{"asked for, not given", denied, true, patch, false, true, false, 1},
		{"asked for, not given, no flag", denied, true, klpapi.API{}, false, false, false, 2},
		{"asked for and given", both, true, patch, true, true, false, 0},
		{"no verdict", nil, false, patch, false, false, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &run{opt: Options{Immediate: c.asked}, res: &Result{Findings: c.findings}}
			p := &r.res.Plan
			p.Objects = []plan.Object{{Name: plan.Vmlinux, Funcs: []plan.Func{{Name: "f"}}}}
			r.verdicts(c.api)
			if p.Force != c.force || p.Force != (len(p.Proofs) == 1) || p.Immediate != c.imm || p.Objects[0].Funcs[0].Immediate != c.each || len(r.res.Notes) != c.notes {
				t.Errorf("force %v, immediate %v, of the function %v, notes %q", p.Force, p.Immediate, p.Objects[0].Funcs[0].Immediate, r.res.Notes)
			}
		})
	}
}
