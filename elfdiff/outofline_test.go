package elfdiff

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/klpforge/klpforge/finding"
)

// TestOutOfLineReal: in real objects each part of a shared section of out-of-line code has
// its function, and is cut out with it.
func TestOutOfLineReal(t *testing.T) {
	for _, p := range realPairs(t) {
		t.Run(filepath.Base(p), func(t *testing.T) {
			t.Parallel()
			r, err := Diff(readObject(t, p+".orig.o"), readObject(t, p+".patched.o"))
			if err != nil {
				t.Fatal(err)
			}
			for i := range r.Patched.Atoms {
				a := AtomID(i)
				if !outOfLine(r.Patched.Section(a)) || r.Patched.Atoms[a].Name != "" {
					continue
				}
				root := r.Patched.Root(a)
				if root == a {
					t.Errorf("%s+%#x belongs to no function", r.Patched.Section(a), r.Patched.Atoms[a].Start)
					continue
				}
				listed := slices.ContainsFunc(r.Functions, func(ch Change) bool { return ch.Patched == root })
				if orig := r.pairs.toO[root]; orig >= 0 && !listed && !r.Patched.InitOnly(root) {
					r.Functions = append(r.Functions, Change{Name: r.Patched.Atoms[root].Name, Kind: Changed, Section: r.Patched.Section(root), Orig: orig, Patched: root})
				}
			}
			x, err := extractAll(r)
			var refused *finding.Finding
			if errors.As(err, &refused) {
				t.Logf("refused: %v", err) // some function cannot be cut, for a reason of its own
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkExtracted(t, r, x)
		})
	}
}

// TestOutOfLineOwners cuts .fixup at functions: several fixups of one stay together.
func TestOutOfLineOwners(t *testing.T) {
	for _, f := range []fixture{{"fixup-added", compilers[0]}, {"fixup-added", compilers[1]}} {
		o, err := Load(f.read(t, "after"))
		if err != nil {
			t.Fatal(err)
		}
		owners := []string{}
		for i := range o.Atoms {
			if a := AtomID(i); o.Section(a) == fixupSection {
				owners = append(owners, o.Atoms[o.Root(a)].Name)
			}
		}
		if !slices.Equal(owners, []string{"f", "g"}) {
			t.Errorf("%s: parts of .fixup belong to %q, want one each of f and g", f, owners)
		}
	}
}
