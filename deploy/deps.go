package deploy

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// dependency is a module to be loaded before a livepatch.
type dependency struct {
	name string
	file string
}

// dependencies returns the modules that mod needs and that are not there, in
// the order in which to load them, from modules.dep of the running kernel.
func (m *Machine) dependencies(sys *System, mod *Module) ([]dependency, error) {
	if len(mod.Depends) == 0 {
		return nil, nil
	}
	dir := m.path("lib/modules", sys.Release)
	index, err := readDep(filepath.Join(dir, "modules.dep"))
	if err != nil {
		return nil, fmt.Errorf("find what %s depends on: %w", mod.File, err)
	}
	builtin, err := readLines(filepath.Join(dir, "modules.builtin"))
	if err != nil {
		return nil, fmt.Errorf("find what %s depends on: %w", mod.File, err)
	}

	there := map[string]bool{}
	for _, n := range sys.Modules {
		there[n] = true
	}
	for _, line := range builtin {
		there[depName(line)] = true
	}

	// Each file once, in the order in which readDep gives them: that of loading.
	var out []dependency
	add := func(file string) {
		if n := depName(file); !there[n] {
			there[n] = true
			out = append(out, dependency{name: n, file: filepath.Join(dir, file)})
		}
	}
	for _, needed := range mod.Depends {
		if there[depName(needed)] {
			continue
		}
		files, ok := index[depName(needed)]
		if !ok {
			return nil, &Refusal{Reason: fmt.Sprintf("%s needs the module %s, which is neither loaded nor in %s",
				mod.File, needed, dir),
				Remedy: "install the package of the kernel that has it"}
		}
		for _, f := range files {
			add(f)
		}
	}
	return out, nil
}

// readDep reads modules.dep: "file: files it needs", of which the last is to be
// loaded first. The lists are returned in the order of loading, the module
// itself at the end.
func readDep(file string) (map[string][]string, error) {
	lines, err := readLines(file)
	if err != nil {
		return nil, err
	}
	index := map[string][]string{}
	for _, line := range lines {
		mod, deps, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		list := strings.Fields(deps)
		slices.Reverse(list)
		index[depName(mod)] = append(list, mod)
	}
	return index, nil
}

func readLines(file string) ([]string, error) {
	lines, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer lines.Close()
	var out []string
	sc := bufio.NewScanner(lines)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		out = append(out, strings.TrimSpace(sc.Text()))
	}
	return out, sc.Err()
}

// depName is the kernel's name of a module file.
func depName(file string) string {
	base, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(base, "-", "_")
}
