package fetch

import (
	"errors"
	"os"
	"os/exec"

	"github.com/klpforge/klpforge/kernel/fetch/apt"
	"github.com/klpforge/klpforge/kernel/fetch/provider"
)

// ErrNoProvider means that this machine has no package system that kernels could be
// fetched with.
var ErrNoProvider = errors.New("there is no apt here; on another distribution name the parts of the kernel " +
	"with --source, --config, --symvers, --vmlinux and --headers, or unpack its packages and use --root")

// Detect returns the package system of this machine.
func Detect() (provider.Provider, error) {
	if installed(apt.Programs) {
		return apt.Provider{}, nil
	}
	return nil, ErrNoProvider
}

func installed(programs []string) bool {
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			return false
		}
	}
	return true
}

// exists reports whether something is at path.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
