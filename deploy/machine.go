package deploy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/klpforge/klpforge/module"
)

// Calls are the system calls that change the kernel. Paths are those of the
// machine, Machine.Root included.
type Calls interface {
	// Privileged returns an error when the process may not load modules.
	Privileged() error
	// Finit loads an open, uncompressed module file.
	Finit(f *os.File, params string) error
	// Init loads a module from memory.
	Init(image []byte, params string) error
	// Delete unloads a module and does not wait for its users.
	Delete(name string) error
	// Write writes an attribute in one call.
	Write(path, data string) error
	// LogMark returns the present end of the kernel's log, LogSince what was
	// logged after it, as far as it can be read.
	LogMark() int64
	LogSince(mark int64) []string
}

// Machine is where livepatches are loaded. Root is put before every path below
// /sys, /proc, /lib/modules, /run and /var; "" is "/".
type Machine struct {
	Root  string
	Calls Calls

	keys *module.Keyring // once a signature had to be checked
}

func (m *Machine) path(elem ...string) string {
	root := m.Root
	if root == "" {
		root = "/"
	}
	return filepath.Join(append([]string{root}, elem...)...)
}

func (m *Machine) klp(elem ...string) string {
	return m.path(append([]string{"sys/kernel/livepatch"}, elem...)...)
}

// ErrNoLivepatch means that the running kernel cannot be livepatched.
var ErrNoLivepatch = errors.New("the running kernel has no livepatching: /sys/kernel/livepatch is missing " +
	"(CONFIG_LIVEPATCH)")

// Release returns the release of the running kernel.
func (m *Machine) Release() (string, error) {
	b, err := os.ReadFile(m.path("proc/sys/kernel/osrelease"))
	if err != nil {
		return "", fmt.Errorf("read the release of the running kernel: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// attr reads an attribute of sysfs; there is false when it is not there, or is
// removed while it is read.
func attr(path string) (value string, there bool, err error) {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV):
		return "", false, nil
	case err != nil:
		return "", false, err
	}
	return strings.TrimSpace(string(text)), true, nil
}

// subdirs returns the names of the directories in dir, in order; none when
// there is no such directory.
func subdirs(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	var out []string
	for _, entry := range entries {
		if entry.IsDir() {
			out = append(out, entry.Name())
		}
	}
	return out, nil
}
