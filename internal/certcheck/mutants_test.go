package certcheck

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
)

var all = flag.Bool("mutants", false, "take the mutants of all cases, not of every fifth")

// TestMutants changes single bits of the old code and asks the prover about
// the result. Most mutants do something else; of those that the prover takes for
// the same, the checker must think so too. Neither is told what changed.
func TestMutants(t *testing.T) {
	dirs, err := os.ReadDir(cases)
	if err != nil {
		t.Fatal(err)
	}
	mutants, proven := 0, 0
	for n, dir := range dirs {
		if !*all && n%5 != 0 {
			continue
		}
		before, _ := pair(t, dir.Name())
		for i := range before.Sections {
			name := before.Sections[i].Name
			if !strings.HasPrefix(name, ".text.") {
				continue
			}
			for at := 5; at < len(before.Sections[i].Data); at++ { // behind the call of __fentry__
				for _, bit := range []byte{1, 1 << 3, 1 << 6} {
					_, after := pair(t, dir.Name())
					after = clone(before, after)
					after.Sections[i].Data[at] ^= bit
					mutants++
					proven += judge(t, dir.Name(), at, bit, before, after)
				}
			}
		}
	}
	if mutants < 100 || proven == 0 {
		t.Errorf("%d mutants, %d proven: the test shows nothing", mutants, proven)
	}
	t.Logf("%d mutants, %d proven to be the same", mutants, proven)
}

// clone copies what a mutant changes.
func clone(f, _ *elfobj.File) *elfobj.File {
	c := *f
	c.Sections = append([]elfobj.Section(nil), f.Sections...)
	for i := range c.Sections {
		c.Sections[i].Data = append([]byte(nil), f.Sections[i].Data...)
	}
	return &c
}

func judge(t *testing.T, name string, at int, bit byte, before, after *elfobj.File) int {
	t.Helper()
	certs, opt := proveQuietly(t, before, after)
	opt.Trials = 100
	for _, c := range certs {
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := Check(before, after, b, opt); err != nil {
			t.Errorf("%s, byte %#x ^ %#x: %v", name, at, bit, err)
		}
	}
	return len(certs)
}
