package docs

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/klpforge/klpforge/deploy"
)

// nfpmConfig is what these tests look at of a package's description.
type nfpmConfig struct {
	Name     string
	Depends  []string
	Contents []struct{ Src, Dst, Type, Packager string }
	Scripts  map[string]string
}

func readPackage(t *testing.T, name string) nfpmConfig {
	t.Helper()
	var c nfpmConfig
	if err := yaml.NewDecoder(bytes.NewReader([]byte(read(t, name)))).Decode(&c); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return c
}

// TestPackages: what the packages hold is there or made by scripts/packages, is
// where the systemd unit and the program look for it, and what builds need is
// what scripts/install-deps installs.
func TestPackages(t *testing.T) {
	script := read(t, "scripts/packages")
	program, build := readPackage(t, "packaging/klpforge.yaml"), readPackage(t, "packaging/klpforge-build.yaml")
	for _, c := range []nfpmConfig{program, build} {
		if len(c.Contents) == 0 || !strings.Contains(script, c.Name+":deb") {
			t.Errorf("scripts/packages does not make %s, or it is empty", c.Name)
		}
		sources := []string{}
		for _, f := range c.Contents {
			sources = append(sources, f.Src)
		}
		for _, f := range c.Scripts {
			sources = append(sources, f)
		}
		for _, src := range sources {
			if name, ok := strings.CutPrefix(src, "dist/stage/"); ok {
				name, _, _ = strings.Cut(name, "/")
				// The two changelogs are made in a loop.
				if stem, _, _ := strings.Cut(name, "-"); !strings.Contains(script, "$stage/"+name) && stem != "changelog" && name != "changelog.gz" {
					t.Errorf("%s holds %s, which scripts/packages does not make", c.Name, src)
				}
			} else if _, err := os.Stat(filepath.Join(root, src)); src != "" && err != nil {
				t.Errorf("%s: %v", c.Name, err)
			}
		}
	}
	dst := map[string]bool{}
	for _, f := range program.Contents {
		dst[f.Dst] = true
	}
	unit := read(t, "packaging/systemd/klpforge.service")
	exec := ""
	for line := range strings.Lines(unit) {
		if command, ok := strings.CutPrefix(line, "ExecStart="); ok {
			exec = strings.Fields(command)[0]
		}
	}
	for _, want := range []string{exec, deploy.ModulesDir, "/usr/lib/systemd/system/klpforge.service"} {
		if !dst[want] {
			t.Errorf("the package has no %q", want)
		}
	}
	if len(program.Depends) != 0 {
		t.Errorf("klpforge depends on %v: machines that only load need nothing else", program.Depends)
	}
	deps := read(t, "scripts/install-deps")
	for _, d := range build.Depends {
		if d = strings.Fields(d)[0]; d != "klpforge" && !strings.Contains(deps, ":"+d+"\n") {
			t.Errorf("klpforge-build depends on %s, which scripts/install-deps does not know", d)
		}
	}
}

// TestContainerfile: the image is made from what scripts/packages makes.
func TestContainerfile(t *testing.T) {
	text := read(t, "packaging/Containerfile")
	for _, want := range []string{"\nFROM debian:12\n", "\nCOPY dist/*.deb "} {
		if !strings.Contains(text, want) {
			t.Errorf("packaging/Containerfile has no %q", strings.TrimSpace(want))
		}
	}
}
