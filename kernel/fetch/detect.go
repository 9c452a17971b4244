package fetch

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/klpforge/klpforge/kernel/fetch/apt"
	"github.com/klpforge/klpforge/kernel/fetch/provider"
	"github.com/klpforge/klpforge/kernel/fetch/rpm"
)

// ErrNoProvider means that this machine has no package system that kernels could be
// fetched with.
var ErrNoProvider = errors.New("neither apt nor dnf is here; on another distribution name the parts of the kernel " +
	"with --source, --config, --symvers, --vmlinux and --headers, or unpack its packages and use --root")

// systems are the package systems, the first of which is used where a machine has several.
var systems = []struct {
	provider.Provider
	programs []string
}{
	{apt.Provider{}, apt.Programs},
	{rpm.Provider{}, rpm.Programs},
}

// Detect returns the package system of this machine.
func Detect() (provider.Provider, error) {
	for _, s := range systems {
		if missing(s.programs) == "" {
			return s.Provider, nil
		}
	}
	return nil, ErrNoProvider
}

// Names are those of all package systems.
func Names() []string {
	var out []string
	for _, s := range systems {
		out = append(out, s.Name())
	}
	return out
}

// Named returns the package system of a name.
func Named(name string) (provider.Provider, error) {
	for _, system := range systems {
		if system.Name() != name {
			continue
		}
		if m := missing(system.programs); m != "" {
			return nil, fmt.Errorf("%s is not installed, which fetching with %s needs", m, name)
		}
		return system.Provider, nil
	}
	return nil, fmt.Errorf("%q is no package system that kernels can be fetched with; there are %s",
		name, strings.Join(Names(), ", "))
}

// missing is the first of the programs that is not installed, "" when all are.
func missing(programs []string) string {
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			return p
		}
	}
	return ""
}

// exists reports whether something is at path.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
