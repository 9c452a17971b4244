package checktest

import (
	"bytes"
	"os"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
)

// TestSameObject: the types of an object may lie in another order, nothing else may differ.
func TestSameObject(t *testing.T) {
	object, err := os.ReadFile("../../analyze/passes/context/testdata/ops-xmit/kernel.o")
	if err != nil {
		t.Fatal(err)
	}
	f, err := elfobj.Read(object)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for i := range f.Sections {
		s := &f.Sections[i]
		if s.Name != ".BTF" && s.Name != ".text.my_xmit" {
			continue
		}
		seen++
		other := bytes.Clone(object)
		other[bytes.Index(object, s.Data)+len(s.Data)-1] ^= 1
		if got, want := sameObject(object, other), s.Name == ".BTF"; got != want {
			t.Errorf("a byte of %s differs: %v, want %v", s.Name, got, want)
		}
	}
	if seen != 2 {
		t.Errorf("%d of two sections", seen)
	}
	if !sameObject(object, object) || sameObject(object, object[:len(object)-1]) {
		t.Error("an object is not itself, or is a part of itself")
	}
}
