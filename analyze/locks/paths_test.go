package locks

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/elfobj"
)

var wantAsm = regexp.MustCompile(`(?m)^# want (\w+): (.*)$`)

// assembled is the model of a file of testdata in assembly.
func assembled(t testing.TB, name string) *model.Model {
	t.Helper()
	object := filepath.Join(t.TempDir(), "fixture.o")
	if out, err := exec.Command("gcc", "-c", "-x", "assembler", "-o", object, filepath.Join("testdata", name)).CombinedOutput(); err != nil {
		t.Fatalf("assemble %s: %v\n%s", name, err, out)
	}
	f, err := elfobj.ReadFile(object)
	if err != nil {
		t.Fatal(err)
	}
	p, err := model.FromObject(f, model.ObjectOptions{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return model.Build(p)
}

// What paths, loops and calls add up to.
func TestPaths(t *testing.T) {
	text, err := os.ReadFile("testdata/paths.S")
	if err != nil {
		t.Fatal(err)
	}
	res := Analyze(assembled(t, "paths.S"), Options{})
	for _, m := range wantAsm.FindAllStringSubmatch(string(text), -1) {
		ids := res.Model.Lookup(m[1])
		if len(ids) != 1 {
			t.Fatalf("%d functions %s", len(ids), m[1])
		}
		e := res.Effect(ids[0])
		got := words(res.Summary(e, nil), e)
		if e.Assumed {
			got += " assumed"
		}
		if d := cmp.Diff(m[2], got); d != "" {
			t.Errorf("%s (-want +got)\n%s\n%s", m[1], d, Describe(res.Model, e))
		}
	}
}
