package releases

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/release"
	"github.com/klpforge/klpforge/release/manifest"
)

func testManifest() *manifest.Manifest {
	return &manifest.Manifest{Name: "it's a series", Version: "1.2", Targets: []manifest.Target{{Release: "6.1.0-55-cloud-amd64"}, {Release: "6.12.117+deb12-cloud-amd64"}}}
}

// TestMatrix: what is printed is YAML that names every target, and its scripts
// are shell.
func TestMatrix(t *testing.T) {
	for _, system := range Systems {
		var b bytes.Buffer
		if err := Matrix(&b, system, Job{Manifest: testManifest(), File: "it's here/livepatch.yaml", Image: "example/klpforge:1", Launcher: "ccache"}); err != nil {
			t.Fatal(err)
		}
		var doc map[string]any
		if err := yaml.Unmarshal(b.Bytes(), &doc); err != nil {
			t.Fatalf("%s: %v\n%s", system, err, b.String())
		}
		flat, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range testManifest().Targets {
			if !strings.Contains(string(flat), target.Release) {
				t.Errorf("%s does not name %s:\n%s", system, target.Release, b.String())
			}
		}
		for _, script := range scripts(doc) {
			script = strings.ReplaceAll(script, "${{ matrix.release }}", "$release") // GitHub replaces it before the shell sees it
			if out, err := exec.Command("bash", "-n", "-c", script).CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s\n%s", system, err, out, script)
			}
		}
		if n := len(scripts(doc)); n == 0 {
			t.Errorf("%s has no script", system)
		}
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
	note := release.Finding{ID: "KLP408", Severity: elfdiff.Warning, Message: "m"}
	sum := func(targets ...Target) Summary {
		return Summary{Schema: SummarySchema, Name: "it's a series", Version: "1.2", Findings: []release.Finding{note}, Targets: targets}
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

func TestMissingNames(t *testing.T) {
	text := "a.c:1:2: error: implicit declaration of function ‘help_me’; did you mean\na.c:2: error: ‘struct foo’ has no member named ‘newer’\na.c:3: error: ‘LIMIT’ undeclared (first use\na.c:1:10: fatal error: linux/new.h: No such file or directory"
	var got []string
	for _, m := range missingRE.FindAllStringSubmatch(text, -1) {
		got = append(got, m[1]+m[2]+m[3])
	}
	if strings.Join(got, " ") != "help_me newer LIMIT linux/new.h" {
		t.Errorf("%q", got)
	}
}
