package deploy

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/klpforge/klpforge/plan"
)

// Phase is where a livepatch is in its life.
type Phase string

// The phases. A disabled livepatch changes nothing: only its module is still
// there. Since Linux 5.1 it cannot be enabled again.
const (
	Enabled   Phase = "enabled"
	Enabling  Phase = "enabling"  // transition to the new code
	Disabling Phase = "disabling" // transition back
	Disabled  Phase = "disabled"
)

// Livepatch is a loaded livepatch module.
type Livepatch struct {
	Name    string `json:"name"`
	Phase   Phase  `json:"state"`
	Problem string `json:"problem,omitempty"` // what could not be read of it
	Facts
	// StackOrder is the position in which functions are looked up, 1 first
	// loaded; 0 where the kernel does not tell (before 6.14).
	StackOrder int `json:"stack_order,omitempty"`
	// Users counts references that keep the module loaded; a livepatch in
	// force holds one of its own. -1 when unknown.
	Users int `json:"users"`
}

func (l *Livepatch) inTransition() bool { return l.Phase == Enabling || l.Phase == Disabling }

// System is the state of livepatching in a kernel.
type System struct {
	Release string
	// Livepatches are in the order in which they were loaded.
	Livepatches []Livepatch
	// Modules are the names of all loaded modules.
	Modules []string
}

func (s *System) find(name string) *Livepatch {
	if i := slices.IndexFunc(s.Livepatches, func(l Livepatch) bool { return l.Name == name }); i >= 0 {
		return &s.Livepatches[i]
	}
	return nil
}

// transition returns the livepatch whose transition is under way, or nil; the
// kernel does one at a time.
func (s *System) transition() *Livepatch {
	if i := slices.IndexFunc(s.Livepatches, func(l Livepatch) bool { return l.inTransition() }); i >= 0 {
		return &s.Livepatches[i]
	}
	return nil
}

// System reads the state. It needs no privileges.
func (m *Machine) System() (*System, error) {
	sys := &System{}
	var err error
	if sys.Release, err = m.Release(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(m.klp()); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, ErrNoLivepatch
		}
		return nil, err
	}

	// A livepatch that was disabled is still a module, without a directory there: both lists are
	// needed.
	patches, err := subdirs(m.klp())
	if err != nil {
		return nil, fmt.Errorf("list livepatches: %w", err)
	}
	if sys.Modules, err = m.modules(); err != nil {
		return nil, err
	}

	for _, name := range slices.Concat(sys.Modules, patches) {
		if sys.find(name) != nil {
			continue
		}
		loaded, ok, err := m.livepatch(name)
		if err != nil {
			return nil, fmt.Errorf("read the state of livepatch %s: %w", name, err)
		}
		if ok {
			sys.Livepatches = append(sys.Livepatches, loaded)
		}
	}
	return sys, nil
}

// modules returns the names of the loaded modules, oldest first. /proc/modules
// has them newest first (kernel/module/procfs.c, v6.1).
func (m *Machine) modules() ([]string, error) {
	file, err := os.Open(m.path("proc/modules"))
	if errors.Is(err, fs.ErrNotExist) { // a kernel without modules
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list modules: %w", err)
	}
	defer file.Close()
	var out []string
	sc := bufio.NewScanner(file)
	for sc.Scan() {
		if name, _, ok := strings.Cut(sc.Text(), " "); ok {
			out = append(out, name)
		}
	}
	slices.Reverse(out)
	return out, sc.Err()
}

// livepatch reads one livepatch; ok is false when the module is none.
func (m *Machine) livepatch(name string) (loaded Livepatch, ok bool, err error) {
	loaded = Livepatch{Name: name, Users: -1}
	enabled, there, err := attr(m.klp(name, "enabled"))
	if err != nil {
		return loaded, false, err
	}
	if !there {
		// A livepatch that was disabled or replaced: only the taint tells
		// (flag K, Documentation/admin-guide/tainted-kernels.rst).
		taint, _, err := attr(m.path("sys/module", name, "taint"))
		if err != nil || !strings.Contains(taint, "K") {
			return loaded, false, err
		}
	}
	loaded.Phase = Disabled
	moving, _, err := attr(m.klp(name, "transition"))
	if err != nil {
		return loaded, false, err
	}
	switch on := enabled == "1"; {
	case on && moving == "1":
		loaded.Phase = Enabling
	case on:
		loaded.Phase = Enabled
	case moving == "1":
		loaded.Phase = Disabling
	}
	loaded.Facts, loaded.Problem = m.loadedFacts(name)
	if v, ok, err := attr(m.klp(name, "replace")); ok && err == nil && loaded.Replace == nil { // since 6.12
		on := v == "1"
		loaded.Replace = &on
	}
	if v, ok, err := attr(m.klp(name, "stack_order")); ok && err == nil {
		if n, err := parseInt(v); err == nil {
			loaded.StackOrder = int(n)
		}
	}
	if v, ok, err := attr(m.path("sys/module", name, "refcnt")); ok && err == nil {
		if n, err := parseInt(v); err == nil {
			loaded.Users = int(n)
		}
	}
	if there {
		if err := m.objects(&loaded); err != nil {
			return loaded, false, err
		}
	}
	return loaded, true, nil
}

// objects takes objects and functions from sysfs, which decides, and keeps the
// names of replacements from the note.
func (m *Machine) objects(loaded *Livepatch) error {
	said := loaded.Objects
	loaded.Objects = []Object{}
	names, err := subdirs(m.klp(loaded.Name))
	if err != nil {
		return err
	}
	if i := slices.Index(names, plan.Vmlinux); i >= 0 { // first, as in a plan
		names = slices.Insert(slices.Delete(names, i, i+1), 0, plan.Vmlinux)
	}
	for _, name := range names {
		object := Object{Name: name, Functions: []Func{}}
		if v, ok, err := attr(m.klp(loaded.Name, name, "patched")); ok && err == nil {
			on := v == "1"
			object.Patched = &on
		}
		funcs, err := subdirs(m.klp(loaded.Name, name))
		if err != nil {
			return err
		}
		for _, f := range funcs {
			fn := Func{Name: f}
			if i := strings.LastIndexByte(f, ','); i >= 0 {
				if n, err := parseInt(f[i+1:]); err == nil {
					fn = Func{Name: f[:i], Sympos: int(n)}
				}
			}
			fn.New = newName(said, name, fn)
			object.Functions = append(object.Functions, fn)
		}
		loaded.Objects = append(loaded.Objects, object)
	}
	return nil
}

func newName(objects []Object, object string, fn Func) string {
	for _, o := range objects {
		for _, g := range o.Functions {
			if o.Name == object && g.Name == fn.Name && g.Sympos == fn.Sympos {
				return g.New
			}
		}
	}
	return ""
}

// rawAttr reads a binary attribute; ok is false when it is not there.
func rawAttr(path string) (data []byte, ok bool, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil, false, nil
	}
	return b, err == nil, err
}
