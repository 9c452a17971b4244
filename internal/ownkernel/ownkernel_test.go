package ownkernel

import "testing"

// TestStamp: kernels that are made otherwise have other stamps.
func TestStamp(t *testing.T) {
	base := Spec{Name: "a", Line: "6.1"}
	seen := map[string]bool{base.stamp(): true}
	for _, other := range []Spec{
		{Name: "b", Line: "6.1"}, {Name: "a", Line: "6.12"}, {Name: "a", Line: "6.1", InPlace: true}, {Name: "a", Line: "6.1", Git: true},
		{Name: "a", Line: "6.1", Vars: []string{"CC=clang"}}, {Name: "a", Line: "6.1", Options: []string{"CONFIG_KASAN=y"}},
		{Name: "a", Line: "6.1", Needs: []string{"clang"}}, {Name: "a", Line: "6.1", RPM: true},
		{Name: "a", Line: "6.1", Arch: "arm64"}, {Name: "a", Line: "6.1", Cross: "aarch64-linux-gnu-"}, {Name: "a", Line: "6.1", Common: "CONFIG_SMP=y"},
	} {
		if seen[other.stamp()] {
			t.Errorf("%+v has the stamp of another", other)
		}
		seen[other.stamp()] = true
	}
}

// TestNames: each kernel is found by its name, which no other has.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range All() {
		found, err := Find(s.Name)
		if err != nil || found.stamp() != s.stamp() || seen[s.Name] {
			t.Errorf("%s: found %+v, %v", s.Name, found, err)
		}
		seen[s.Name] = true
	}
}
