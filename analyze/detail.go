package analyze

import (
	"github.com/klpforge/klpforge/analyze/equiv"
	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/finding"
)

// Layouts returns the types that a finding is about, before and after the patch; nil
// when it is about none.
func Layouts(f *finding.Finding) []types.Change {
	changes, _ := f.Detail.([]types.Change)
	return changes
}

// Proofs returns the certificates of a verdict that is given, one for each function;
// nil for other findings.
func Proofs(f *finding.Finding) []*equiv.Certificate {
	certificates, _ := f.Detail.([]*equiv.Certificate)
	return certificates
}
