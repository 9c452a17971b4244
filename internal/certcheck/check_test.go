package certcheck

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/analyze/equiv"
	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
)

const cases = "../../analyze/passes/verdict/testdata"

// pair reads the objects of a case.
func pair(t *testing.T, name string) (before, after *elfobj.File) {
	t.Helper()
	var f [2]*elfobj.File
	for i, side := range []string{"before.o", "after.o"} {
		var err error
		if f[i], err = elfobj.ReadFile(filepath.Join(cases, name, side)); err != nil {
			t.Fatal(err)
		}
	}
	return f[0], f[1]
}

// prove makes the certificates of all functions that differ, where there is no
// obstacle.
func prove(t *testing.T, before, after *elfobj.File) ([]*equiv.Certificate, Options) {
	t.Helper()
	certs, opt, why := certificates(t, before, after)
	for _, w := range why {
		t.Log(w)
	}
	return certs, opt
}

func proveQuietly(t *testing.T, before, after *elfobj.File) ([]*equiv.Certificate, Options) {
	certs, opt, _ := certificates(t, before, after)
	return certs, opt
}

func certificates(t *testing.T, before, after *elfobj.File) (out []*equiv.Certificate, opt Options, why []string) {
	t.Helper()
	d, err := elfdiff.Diff(before, after)
	if err != nil {
		return nil, opt, []string{err.Error()} // a mutant that is no object
	}
	protos, err := types.Protos(before)
	if err != nil {
		protos = nil
	}
	for _, ch := range d.Functions {
		if ch.Kind != elfdiff.Changed || ch.Init {
			continue
		}
		c, err := equiv.Prove(d, ch, equiv.Options{Proto: func(name string) (equiv.Proto, bool) {
			p, ok := protos[name]
			o := equiv.Proto{Ret: uint8(p.Ret), Variadic: p.Variadic}
			for _, n := range p.Args {
				o.Args = append(o.Args, uint8(n))
			}
			return o, ok
		}})
		if err != nil {
			why = append(why, ch.Name+": "+err.Error())
			continue
		}
		out = append(out, c)
	}
	return out, Options{Sizes: func(name string) (Sizes, bool) {
		p, ok := protos[name]
		s := Sizes{Ret: int(p.Ret), Variadic: p.Variadic}
		for _, n := range p.Args {
			s.Args = append(s.Args, int(n))
		}
		return s, ok
	}}, why
}

// TestVerdicts tries every certificate that the prover makes of the verdict's
// cases.
func TestVerdicts(t *testing.T) {
	dirs, err := os.ReadDir(cases)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, dir := range dirs {
		t.Run(dir.Name(), func(t *testing.T) {
			before, after := pair(t, dir.Name())
			certs, opt := prove(t, before, after)
			for _, c := range certs {
				n++
				b, err := json.Marshal(c)
				if err != nil {
					t.Fatal(err)
				}
				if err := Check(before, after, b, opt); err != nil {
					t.Errorf("%s: %v", c.Function, err)
				}
			}
		})
	}
	if n < 15 {
		t.Errorf("only %d certificates were tried", n)
	}
}

// TestTampered changes each field of certificates, one at a time, to something
// else. What is then said may still be true of the code, for a claim may be
// dropped, and some fields are for readers; but of each kind of field that
// carries a claim some change must be noticed, and of most of them most.
func TestTampered(t *testing.T) {
	tried, caught := map[string]int{}, map[string]int{}
	for _, name := range []string{"harmless-bounds", "harmless-null-dereferenced", "harmless-message-text",
		"harmless-clean-release"} {
		before, after := pair(t, name)
		certs, opt := prove(t, before, after)
		if len(certs) != 1 {
			t.Fatalf("%s: %d certificates", name, len(certs))
		}
		b, err := json.Marshal(certs[0])
		if err != nil {
			t.Fatal(err)
		}
		opt.Trials = 40
		var root any
		if err := json.Unmarshal(b, &root); err != nil {
			t.Fatal(err)
		}
		tamper(root, "", func(path string) {
			b, err := json.Marshal(root)
			if err != nil {
				t.Fatal(err)
			}
			tried[path]++
			if err := Check(before, after, b, opt); err != nil {
				caught[path]++
			}
		})
	}
	for _, path := range []string{".schema", ".function", ".guards.at", ".guards.exit", ".guards.value",
		".guards.because", ".guards.before", ".guards.old", ".guards.releases",
		".guards", ".messages.*", ".spots", ".spots.before", ".spots.after", ".spots.state.*",
		".spots.known.is", ".spots.known.term", ".spots.steps.kind", ".spots.steps.before",
		".spots.steps.after", ".spots.steps", ".terms.op", ".terms.k", ".terms.args"} {
		// Many operands stand for none, and some numbers are not used by their operation.
		least := tried[path] / 2
		if strings.HasPrefix(path, ".terms.") {
			least = tried[path] / 3
		}
		if caught[path] < least || tried[path] == 0 {
			t.Errorf("%s: %d of %d changes were noticed", path, caught[path], tried[path])
		}
	}
	if testing.Verbose() {
		for path, n := range tried {
			t.Logf("%s: %d of %d changes noticed", path, caught[path], n)
		}
	}
}

// tamper changes one leaf or drops one element of a list after the other, calls
// try, and puts it back.
func tamper(v any, path string, try func(path string)) {
	leaf := func(old any, set func(any)) {
		switch x := old.(type) {
		case string:
			for _, other := range []string{"+0x1", x + "x"} {
				set(other)
				try(path)
			}
		case float64:
			set(x + 1)
			try(path)
		case bool:
			set(!x)
			try(path)
		}
		set(old)
	}
	base := path
	switch x := v.(type) {
	case map[string]any:
		for k, old := range x {
			path = base + "." + k
			if base == ".spots.state" || base == ".messages" {
				path = base + ".*"
			}
			leaf(old, func(n any) { x[k] = n })
			if list, ok := old.([]any); ok && len(list) > 0 && (k == "guards" || k == "spots" || k == "steps") {
				x[k] = []any{}
				try(path)
				x[k] = old
			}
			tamper(old, path, try)
		}
	case []any:
		for i, old := range x {
			leaf(old, func(n any) { x[i] = n })
			tamper(old, base, try)
			if last := len(x) - 1; i < last && (base == ".guards" || base == ".spots" || base == ".spots.steps") {
				x[i] = x[last] // in place of it, another one
				try(base)
				x[i] = old
			}
		}
	}
}
