package verdict

import (
	"testing"

	"github.com/klpforge/klpforge/analyze/equiv"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kernel/klpapi"
	"github.com/klpforge/klpforge/plan"
)

// What of a verdict gets into the plan, and into flags that the kernel acts on.
func TestRecord(t *testing.T) {
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
			p := &plan.Plan{Objects: []plan.Object{{Name: plan.Vmlinux, Funcs: []plan.Func{{Name: "f"}}}}}
			notes := Record(p, c.findings, c.api, c.asked)
			if p.Force != c.force || p.Force != (len(p.Proofs) == 1) || p.Immediate != c.imm || p.Objects[0].Funcs[0].Immediate != c.each || len(notes) != c.notes {
				t.Errorf("force %v, immediate %v, of the function %v, notes %q", p.Force, p.Immediate, p.Objects[0].Funcs[0].Immediate, notes)
			}
		})
	}

	// What was asked for function by function stays, and one that has no proof counts.
	p := &plan.Plan{Objects: []plan.Object{{Name: plan.Vmlinux, Funcs: []plan.Func{{Name: "f", Immediate: true}, {Name: "f"}}}}}
	if notes := Record(p, both, fn, false); p.Force || p.Immediate || len(notes) > 0 || !p.Objects[0].Funcs[0].Immediate || p.Objects[0].Funcs[1].Immediate {
		t.Errorf("%+v, %q", p, notes)
	}
}
