package releases

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/pipeline"
	"github.com/klpforge/klpforge/release/manifest"
)

func testManifest() *manifest.Manifest {
	return &manifest.Manifest{Name: "it's a series", Version: "1.2", Targets: []manifest.Target{{Release: "6.1.0-55-cloud-amd64"}, {Release: "6.12.117+deb12-cloud-amd64"}}}
}

// TestMatrix: what is printed is YAML that names every target, and its scripts
// are shell.
func TestMatrix(t *testing.T) {
	for _, system := range Systems {
		for _, parts := range []int{0, 3} {
			var b bytes.Buffer
			if err := Matrix(&b, system, Job{Manifest: testManifest(), File: "it's here/livepatch.yaml", Image: "example/klpforge:1", Launcher: "ccache", Parts: parts}); err != nil {
				t.Fatal(err)
			}
			docs := documents(t, b.Bytes())
			flat, err := json.Marshal(docs)
			if err != nil {
				t.Fatal(err)
			}
			for _, target := range testManifest().Targets {
				if !strings.Contains(string(flat), target.Release) {
					t.Errorf("%s does not name %s:\n%s", system, target.Release, b.String())
				}
			}
			all := scripts(docs)
			for _, script := range all {
				for _, name := range []string{"release", "part"} { // GitHub replaces them before the shell sees them
					script = strings.ReplaceAll(script, "${{ matrix."+name+" }}", "$"+name)
				}
				if out, err := exec.Command("bash", "-n", "-c", script).CombinedOutput(); err != nil {
					t.Errorf("%s: %v: %s\n%s", system, err, out, script)
				}
			}
			if n := strings.Count(strings.Join(all, "\n"), "--part "); len(all) == 0 || (n > 0) != (parts > 0) {
				t.Errorf("%s, %d parts: %d scripts, %d of them with --part", system, parts, len(all), n)
			}
		}
	}
}

func documents(t *testing.T, text []byte) []any {
	t.Helper()
	var out []any
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var doc map[string]any
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		out = append(out, doc)
	}
}

// TestKubernetesIndexes runs the scripts of the Jobs, once for each index, with a
// program in klpforge's place: every part of every target is compiled once, and
// every target built with the objects of its parts.
func TestKubernetesIndexes(t *testing.T) {
	var b bytes.Buffer
	if err := Matrix(&b, "kubernetes", Job{Manifest: testManifest(), File: "livepatch.yaml", Image: "x", Parts: 3}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		// A part leaves an object named after itself; a build lists what it finds.
		"klpforge": "#!/bin/bash\n[ \"$1\" = kernel ] && exit\nmkdir -p \"$KLPFORGE_CACHE/objects/ab\"\necho \"$@: $(ls \"$KLPFORGE_CACHE/objects/ab\" | tr '\\n' ' ')\" >>calls\n" +
			"[ \"$5\" = --part ] && touch \"$KLPFORGE_CACHE/objects/ab/${@: -1}-${6/\\//of}\"\nexit 0\n",
		"apt-get": "#!/bin/sh\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for n, doc := range documents(t, b.Bytes()) {
		spec := doc.(map[string]any)["spec"].(map[string]any)
		for i := range spec["completions"].(int) {
			cmd := exec.CommandContext(t.Context(), "bash", "-euc", scripts(doc)[0])
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), fmt.Sprint("JOB_COMPLETION_INDEX=", i), fmt.Sprintf("KLPFORGE_CACHE=%s/cache-%d-%d", dir, n, i))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("job %d, index %d: %v\n%s", n, i, err, out)
			}
		}
	}
	got, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	const call = "release build -f livepatch.yaml "
	const first, second = "6.1.0-55-cloud-amd64", "6.12.117+deb12-cloud-amd64"
	var want strings.Builder
	for _, rel := range []string{first, second} {
		for part := range 3 {
			fmt.Fprintf(&want, call+"--part %d/3 --format json -- %s: \n", part+1, rel)
		}
	}
	for _, rel := range []string{first, second} {
		fmt.Fprintf(&want, call+"-o out --format json -- %s: %[1]s-1of3 %[1]s-2of3 %[1]s-3of3 \n", rel)
	}
	if string(got) != want.String() {
		t.Errorf("got\n%swant\n%s", got, want.String())
	}
}

// scripts collects the texts that a document hands to a shell.
func scripts(v any) []string {
	var out []string
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if s, ok := x.(string); ok && k == "run" {
				out = append(out, s)
			}
			if list, ok := x.([]any); ok && (k == "script" || k == "command") {
				for _, s := range list {
					if s := s.(string); strings.Contains(s, "klpforge") {
						out = append(out, s)
					}
				}
				continue
			}
			out = append(out, scripts(x)...)
		}
	case []any:
		for _, x := range v {
			out = append(out, scripts(x)...)
		}
	}
	return out
}

func TestCollect(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, s Summary) string {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, 0o666); err != nil {
			t.Fatal(err)
		}
		return p
	}
	note := finding.Finding{ID: "KLP408", Severity: finding.Warning, Message: "m"}
	sum := func(targets ...Target) Summary {
		return Summary{Schema: SummarySchema, Name: "it's a series", Version: "1.2", Findings: []finding.Finding{note}, Targets: targets}
	}
	a := put("a.json", sum(Target{Release: "6.1.0-55-cloud-amd64", Module: "x.ko"}))
	b := put("b.json", sum(Target{Release: "6.12.117+deb12-cloud-amd64", Error: "conflict", Refused: true}))

	s, err := Collect([]string{b, a}, testManifest())
	if err != nil {
		t.Fatal(err)
	}
	if failed, machine := s.Failed(); len(s.Targets) != 2 || len(s.Findings) != 1 || s.Targets[0].Module != "x.ko" || !failed || machine {
		t.Errorf("%+v", s)
	}
	if s, err = Collect([]string{a}, nil); err != nil {
		t.Fatal(err)
	}
	if failed, _ := s.Failed(); failed {
		t.Errorf("%+v", s)
	}
	if s, err = Collect([]string{a}, testManifest()); err != nil {
		t.Fatal(err)
	}
	if failed, machine := s.Failed(); !failed || !machine || len(s.Targets) != 2 {
		t.Errorf("a target without a result: %+v", s)
	}
	if _, err := Collect([]string{a, a}, nil); err == nil {
		t.Error("a target that two results have is accepted")
	}
	part := func(n, of int, compiled ...string) Target {
		return Target{Release: "6.1.0-55-cloud-amd64", Part: &pipeline.Part{Number: n, Of: of}, Compiled: compiled}
	}
	p1, p3 := put("p1.json", sum(part(1, 3, "a.o", "b.o"))), put("p3.json", sum(part(3, 3, "c.o")))
	if s, err = Collect([]string{p3, a, p1}, nil); err != nil {
		t.Fatal(err)
	}
	notes := strings.Join(s.Targets[0].Notes, "; ")
	if failed, _ := s.Failed(); failed || len(s.Targets) != 1 || s.Targets[0].Module != "x.ko" || notes != "3 objects were compiled in 2 parts; no job reported part 2 of 3" {
		t.Errorf("a target in parts: %+v", s)
	}
	if s, err = Collect([]string{p1, p3}, nil); err != nil {
		t.Fatal(err)
	}
	if _, machine := s.Failed(); !machine || len(s.Targets) != 1 {
		t.Errorf("parts without a module: %+v", s)
	}
	for what, p := range map[string]string{"the same part": p1, "another division": put("p24.json", sum(part(2, 4)))} {
		if _, err := Collect([]string{a, p1, p}, nil); err == nil {
			t.Errorf("%s is accepted beside part 1 of 3", what)
		}
	}
	other := sum()
	other.Version = "2"
	if _, err := Collect([]string{a, put("c.json", other)}, nil); err == nil {
		t.Error("results of two versions are merged")
	}
}

func TestModuleName(t *testing.T) {
	m := testManifest()
	if got := ModuleName(m, "6.1.0"); got != "livepatch_it_s_a_series_1_2" {
		t.Error(got)
	}
	m.Module = "{name}-{release}"
	if got := ModuleName(m, "6.1.0"); got != "it_s_a_series_6_1_0" {
		t.Error(got)
	}
}
