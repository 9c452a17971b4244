package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// action is action.yml, as far as it says what runs. Unknown keys are errors.
type action struct {
	Name, Description, Author string
	Branding                  map[string]string
	Inputs                    map[string]struct {
		Description string
		Required    bool
		Default     string
	}
	Outputs map[string]struct{ Description, Value string }
	Runs    struct {
		Using string
		Steps []actionStep
	}
}

type actionStep struct {
	Name, ID, If, Shell, Run, Uses string
	Env, With                      map[string]string
}

// expressionRE is an expression of GitHub that names one value.
var expressionRE = regexp.MustCompile(`\$\{\{ ([a-z.-]+) \}\}`)

// runAction runs what the action's steps run, as GitHub does on a machine that
// has klpforge: bash -eo pipefail, inputs in the environment. Steps after a
// failed one do not run. It returns the exit code and the outputs by
// step.output.
func (c *cli) runAction(t *testing.T, a *action, dir string, inputs map[string]string) (code int, outputs map[string]string, log string) {
	t.Helper()
	bin := t.TempDir()
	if err := os.Symlink(c.bin, filepath.Join(bin, "klpforge")); err != nil {
		t.Fatal(err)
	}
	// The kernel is in the cache: no lists of packages are needed.
	writeFile(t, filepath.Join(bin, "apt-get"), "#!/bin/sh\n[ \"$*\" = '-q update' ]\n")
	if err := os.Chmod(filepath.Join(bin, "apt-get"), 0o755); err != nil {
		t.Fatal(err)
	}
	outputs = map[string]string{}
	value := func(s string) string {
		return expressionRE.ReplaceAllStringFunc(s, func(m string) string {
			if out, ok := strings.CutPrefix(expressionRE.FindStringSubmatch(m)[1], "steps."); ok {
				return outputs[strings.Replace(out, ".outputs.", ".", 1)]
			}
			name, ok := strings.CutPrefix(expressionRE.FindStringSubmatch(m)[1], "inputs.")
			in, known := a.Inputs[name]
			if !ok || !known {
				t.Fatalf("%s is no input", m)
			}
			if v, given := inputs[name]; given {
				return v
			}
			return in.Default
		})
	}
	for _, s := range a.Runs.Steps {
		if s.Run == "" || s.If == "steps.find.outputs.found != 'true'" {
			continue
		}
		if input, ok := strings.CutSuffix(s.If, " == 'true'"); ok && value("${{ "+input+" }}") != "true" {
			continue
		}
		if expressionRE.MatchString(s.Run) {
			t.Errorf("step %s: an expression in the script: an input could be code", s.Name)
		}
		script, out := filepath.Join(bin, "script"), filepath.Join(bin, "output")
		writeFile(t, script, s.Run)
		writeFile(t, out, "")
		cmd := exec.CommandContext(t.Context(), "bash", "--noprofile", "--norc", "-eo", "pipefail", script)
		cmd.Dir = dir
		cmd.Env = append(c.command(t.Context()).Env, "PATH="+bin+":"+os.Getenv("PATH"), "GITHUB_OUTPUT="+out)
		for k, v := range s.Env {
			cmd.Env = append(cmd.Env, k+"="+value(v))
		}
		text, err := cmd.CombinedOutput()
		log += string(text)
		for line := range strings.Lines(string(readFile(t, out))) {
			k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
			outputs[s.ID+"."+k] = v
		}
		if exit := new(exec.ExitError); errors.As(err, &exit) {
			return exit.ExitCode(), outputs, log
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return 0, outputs, log
}

// TestAction: what the GitHub action runs reviews and builds a patch; of one
// that does not apply it fails with a report.
func TestAction(t *testing.T) {
	t.Parallel()
	e := env(t)
	c := newCLI(t, e, CloudRelease)
	var a action
	d := yaml.NewDecoder(bytes.NewReader(readFile(t, "../../action.yml")))
	d.KnownFields(true)
	if err := d.Decode(&a); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	patch := string(readFile(t, c.patch(t, cmdlineEdit)))
	writeFile(t, filepath.Join(dir, "patches/0001-fix it.patch"), patch)
	writeFile(t, filepath.Join(dir, "bad.patch"), strings.Replace(patch, " {", " { no such line", 1))
	inputs := map[string]string{"kernel": CloudRelease, "patches": "patches/*.patch", "output": "out put", "try": "true"}

	code, outputs, log := c.runAction(t, &a, dir, inputs)
	if code != exitDone || outputs["find.found"] != "true" || outputs["build.module"] != "out put/livepatch_0001_fix_it.ko" {
		t.Fatalf("exit code %d, outputs %v\n%s", code, outputs, log)
	}
	c.run(t, "verify", "-k", CloudRelease, filepath.Join(dir, outputs["build.module"])).want(t, exitDone)
	wantSARIF(t, filepath.Join(dir, outputs["lint.sarif"]), exitDone)
	if xml := string(readFile(t, filepath.Join(dir, "out put/klpforge-try.xml"))); !strings.Contains(xml, `failures="0"`) || !strings.Contains(xml, `name="transition again"`) {
		t.Errorf("the trial's report:\n%.600s", xml)
	}

	inputs["patches"] = "bad.patch"
	code, outputs, log = c.runAction(t, &a, dir, inputs)
	if code != exitRefused || outputs["build.module"] != "" {
		t.Errorf("a bad patch: exit code %d, outputs %v\n%s", code, outputs, log)
	}
	wantSARIF(t, filepath.Join(dir, outputs["lint.sarif"]), exitRefused)

	inputs["patches"] = "none/*.patch"
	if code, _, log = c.runAction(t, &a, dir, inputs); code != exitUsage {
		t.Errorf("no patch: exit code %d\n%s", code, log)
	}
}

func wantSARIF(t *testing.T, path string, code int) {
	t.Helper()
	var doc struct {
		Version string
		Runs    []struct{ Invocations []struct{ ExitCode int } }
	}
	if err := json.Unmarshal(readFile(t, path), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Version != "2.1.0" || len(doc.Runs) != 1 || len(doc.Runs[0].Invocations) != 1 || doc.Runs[0].Invocations[0].ExitCode != code {
		t.Errorf("%s: %+v, want exit code %d", path, doc, code)
	}
}
