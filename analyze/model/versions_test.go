package model_test

import (
	"slices"
	"testing"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/internal/asmtest"
)

// TestVersionsOfExports models an object of v5.10 whose exports have no versions yet: the
// table refers to symbols that nothing defines, in words too short for an address.
func TestVersionsOfExports(t *testing.T) {
	m := asmtest.Model(t, `
	.section "___kcrctab+shown", "a"
	.weak __crc_shown
	.long __crc_shown
	.text
	.globl shown
	.type shown, @function
shown:	ret
	.size shown, . - shown
`)
	if !slices.ContainsFunc(m.Funcs, func(f model.Func) bool { return f.Name == "shown" }) {
		t.Error("the model has no function shown")
	}
}
