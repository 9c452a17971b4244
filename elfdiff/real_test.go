package elfdiff

import (
	"path/filepath"
	"testing"
)

// TestDiffReal shows what real patches change. A patch to one function must
// not seem to change more than a handful.
func TestDiffReal(t *testing.T) {
	for _, p := range realPairs(t) {
		t.Run(filepath.Base(p), func(t *testing.T) {
			r, err := Diff(readObject(t, p+".orig.o"), readObject(t, p+".patched.o"))
			if err != nil {
				t.Fatal(err)
			}
			got := describe(r)
			for _, g := range got {
				t.Log(g)
			}
			if len(got) > 20 || got[0] == "nothing" {
				t.Errorf("%d differences", len(got))
			}
		})
	}
}
