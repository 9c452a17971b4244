package trial

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/internal/vm"
)

// FindEmulator looks for QEMU.
func FindEmulator(name string) error {
	if _, err := exec.LookPath(name); err != nil {
		return fmt.Errorf("%s is not installed: apt-get install qemu-system-x86 (Debian, Ubuntu), dnf install "+
			"qemu-system-x86-core (Fedora)", name)
	}
	return nil
}

// FindShell looks for a busybox that needs no libraries, for scripts in a guest without a
// root file system.
func FindShell() (string, error) {
	for _, name := range []string{"busybox", "busybox-static", "busybox.static"} {
		p, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if static, err := Static(p); err == nil && static {
			return p, nil
		}
	}
	return "", errors.New("a script needs a shell in the VM: install a static busybox (apt-get install " +
		"busybox-static), or give an image with --rootfs")
}

// IsScript reports whether a file begins as a script does.
func IsScript(name string) (bool, error) {
	file, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer file.Close()
	b := make([]byte, 2)
	n, err := file.Read(b)
	return n == 2 && string(b) == "#!", err
}

// Static reports whether a program needs no libraries, so that it can be the first program
// of a guest.
func Static(name string) (bool, error) {
	_, dynamic, err := libraries(name)
	return !dynamic, err
}

// ParseFile reads HOST or HOST:GUEST; GUEST is HOST's absolute path by itself.
func ParseFile(arg string) (vm.File, error) {
	host, name, ok := strings.Cut(arg, ":")
	info, err := os.Stat(host)
	if err != nil {
		return vm.File{}, err
	}
	if !info.Mode().IsRegular() {
		return vm.File{}, fmt.Errorf("%s is no regular file", host)
	}
	if !ok {
		if name, err = filepath.Abs(host); err != nil {
			return vm.File{}, err
		}
	}
	if !path.IsAbs(name) {
		return vm.File{}, fmt.Errorf("%s: the place in the VM has to begin with /", arg)
	}
	return vm.File{Name: path.Clean(name), Host: host, Mode: uint32(info.Mode().Perm())}, nil
}

// WithLibraries adds the loader and the shared libraries that programs among the files
// need, at the places that they have on the host.
func WithLibraries(files []vm.File) ([]vm.File, error) {
	out := slices.Clone(files)
	have := map[string]bool{}
	for _, f := range files {
		have[f.Name] = true
	}
	var missing []string
	for i := 0; i < len(out); i++ {
		needed, _, err := libraries(out[i].Host)
		if err != nil {
			continue // no program
		}
		for _, lib := range needed {
			host := lib
			if !path.IsAbs(lib) {
				if host = findLibrary(lib); host == "" {
					missing = append(missing, fmt.Sprintf("%s of %s", lib, out[i].Host))
					continue
				}
			}
			if !have[host] {
				have[host] = true
				out = append(out, vm.File{Name: host, Host: host, Mode: 0o755})
			}
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("shared libraries are not found on this machine: %s; add them with --add",
			strings.Join(missing, ", "))
	}
	return out, nil
}

// libraries lists the loader and the libraries that an executable or a library names.
func libraries(name string) (needed []string, dynamic bool, err error) {
	elfFile, err := elf.Open(name)
	if err != nil {
		return nil, false, err
	}
	defer elfFile.Close()
	for _, p := range elfFile.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		b := make([]byte, min(p.Filesz, 4096))
		if _, err := p.ReadAt(b, 0); err != nil {
			return nil, false, err
		}
		needed, dynamic = append(needed, strings.TrimRight(string(b), "\x00")), true
	}
	libs, err := elfFile.ImportedLibraries()
	if err != nil {
		return nil, false, err
	}
	return append(needed, libs...), dynamic || len(libs) > 0, nil
}

// libraryDirs are where loaders of Debian's and Fedora's kind look without a cache.
var libraryDirs = []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib",
	"/usr/lib"}

func findLibrary(name string) string {
	for _, dir := range libraryDirs {
		p := path.Join(dir, name)
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() {
			return p
		}
	}
	return ""
}
