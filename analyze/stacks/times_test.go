package stacks

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/elfobj"
)

var wantTimes = regexp.MustCompile(`(?m)^# want (\w+): (.*)$`)

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

// How long functions wait.
func TestTimes(t *testing.T) {
	text, err := os.ReadFile("testdata/times.S")
	if err != nil {
		t.Fatal(err)
	}
	m := assembled(t, "times.S")
	r := Analyze(m, Options{HZ: 100})
	for _, w := range wantTimes.FindAllStringSubmatch(string(text), -1) {
		ids := m.Lookup(w[1])
		if len(ids) != 1 {
			t.Fatalf("%d functions %s", len(ids), w[1])
		}
		f := r.Facts[ids[0]]
		got := "bounded"
		switch {
		case f.Stays() && f.Sure:
			got = "for ever"
		case f.Stays():
			got = "perhaps"
		}
		if got != w[2] {
			t.Errorf("%s waits %s, want %s: %+v", w[1], got, w[2], f)
		}
	}
}
