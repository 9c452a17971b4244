package docs

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

// gitlabJob is what the template uses of a job's keys; others are errors.
type gitlabJob struct {
	Extends, Image, Stage string
	Variables             map[string]string
	Cache                 struct {
		Key   string
		Paths []string
	}
	Needs        []string
	Rules        []struct{ If string }
	BeforeScript []string `yaml:"before_script"`
	Script       []string
	Artifacts    struct {
		When    string
		Paths   []string
		Reports map[string]string
	}
}

// TestGitLabTemplate runs the template's scripts with a program in klpforge's
// place that notes its arguments.
func TestGitLabTemplate(t *testing.T) {
	var doc struct {
		Variables map[string]string
		Base      gitlabJob `yaml:".klpforge"`
		Lint      gitlabJob `yaml:"klpforge-lint"`
		Build     gitlabJob `yaml:"klpforge-build"`
		Try       gitlabJob `yaml:"klpforge-try"`
	}
	d := yaml.NewDecoder(bytes.NewReader([]byte(read(t, "packaging/gitlab/klpforge.yml"))))
	d.KnownFields(true)
	if err := d.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("bin/klpforge", "#!/bin/sh\nprintf '%s|' \"$@\" >>calls\necho >>calls\necho result\n", 0o755)
	write("bin/apt-get", "#!/bin/sh\n", 0o755)
	write("bin/qemu-system-x86_64", "#!/bin/sh\n", 0o755)
	write("livepatch/livepatch_0001_a.ko", "", 0o666)
	write("patches/0001-a.patch", "", 0o666)
	write("patches/0002-b.patch", "", 0o666)
	for _, job := range []gitlabJob{doc.Lint, doc.Build, doc.Try} {
		if job.Extends != ".klpforge" {
			t.Errorf("a job extends %q", job.Extends)
		}
		cmd := exec.CommandContext(t.Context(), "bash", "-eo", "pipefail", "-c", strings.Join(append(doc.Base.BeforeScript, job.Script...), "\n"))
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "KLPFORGE_KERNEL=6.1.0", "KLPFORGE_PATCHES=patches/*.patch")
		for k, v := range doc.Variables {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", job.Script, err, out)
		}
		for _, p := range job.Artifacts.Paths {
			if _, err := os.Stat(filepath.Join(dir, p)); err != nil {
				t.Errorf("no artifact: %v", err)
			}
		}
	}
	got, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	const want = `kernel|fetch|--|6.1.0|
lint|-k|6.1.0|--fail-on|error|--format|sarif|--|patches/0001-a.patch|patches/0002-b.patch|
kernel|fetch|--|6.1.0|
build|-k|6.1.0|--provenance|-o|livepatch/livepatch_0001_a.ko|--|patches/0001-a.patch|patches/0002-b.patch|
kernel|fetch|--|6.1.0|
try|-k|6.1.0|--format|junit|--|livepatch/livepatch_0001_a.ko|
`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// TestActionInstalls: what the GitHub action installs is what the package
// klpforge-build depends on.
func TestActionInstalls(t *testing.T) {
	text := read(t, "action.yml")
	for _, d := range readPackage(t, "packaging/klpforge-build.yaml").Depends {
		if d = strings.Fields(d)[0]; d != "klpforge" && !strings.Contains(text, " "+d+" ") {
			t.Errorf("action.yml does not install %s", d)
		}
	}
}
