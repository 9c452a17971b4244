package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/klpforge/klpforge/deploy"
)

// poll calls f until it is done or errs, or until d is over.
func poll(d time.Duration, what string, f func() (bool, error)) error {
	for end := time.Now().Add(d); ; {
		done, err := f()
		if done || err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: not after %v: %w", what, d, unix.ETIMEDOUT)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// goneWithin is how long the directory of a livepatch may outlast its attributes, which the kernel
// removes first.
const goneWithin = time.Second

// attr reads an attribute of a livepatch's directory; gone reports that the
// directory is no more. ENODEV is what an open attribute says once its removal has
// begun; the directory may be there a moment longer, also without the attribute.
func attr(dir, name string) (val string, gone bool, err error) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, unix.ENODEV) {
		return "", true, nil
	}
	if errors.Is(err, os.ErrNotExist) {
		for end := time.Now().Add(goneWithin); time.Now().Before(end); time.Sleep(goneWithin / 50) {
			if _, serr := os.Stat(dir); serr != nil {
				return "", true, nil
			}
		}
		return "", false, err
	}
	return strings.TrimSpace(string(b)), false, err
}

// waitTransition waits for the end of a transition. It also gives the tasks that held it
// up when they were last looked at.
func (in *interp) waitTransition(name string, d time.Duration) (holders []Holder, err error) {
	dir := filepath.Join(in.klp, name)
	look := time.Now().Add(time.Second)
	err = poll(d, "transition of "+name, func() (bool, error) {
		v, gone, err := attr(dir, "transition")
		if gone {
			return false, fmt.Errorf("livepatch %s is not loaded", name)
		}
		if v == "1" && time.Now().After(look) {
			if seen, err := readHolders(); err == nil && len(seen) > 0 {
				holders = seen
			}
			look = time.Now().Add(time.Second)
		}
		return v == "0", err
	})
	return holders, err
}

// readHolders lists the tasks that have not switched.
func readHolders() ([]Holder, error) {
	t, err := (&deploy.Machine{}).Transition()
	if err != nil || t == nil {
		return nil, err
	}
	var out []Holder
	for i := range t.Blocking {
		task := &t.Blocking[i]
		h := Holder{PID: task.PID, TID: task.TID, Name: task.Name, State: task.State, Kernel: task.Kernel, Patched: task.Patched()}
		for _, f := range task.Stack {
			h.Stack = append(h.Stack, f.Text)
		}
		if out = append(out, h); len(out) == MaxHolders {
			break
		}
	}
	return out, nil
}

// reverse disables a livepatch at once.
func (in *interp) reverse(name string, d time.Duration) (out string, err error) {
	v, gone, err := attr(filepath.Join(in.klp, name), "transition")
	if gone {
		return "", fmt.Errorf("livepatch %s is not loaded", name)
	}
	if err != nil {
		return "", err
	}
	out = "in force"
	if v == "1" {
		out = "in transition"
	}
	return out, in.disable(name, d)
}

func (in *interp) expectEnabled(name string) error {
	dir := filepath.Join(in.klp, name)
	for _, a := range []struct{ name, want string }{{"enabled", "1"}, {"transition", "0"}} {
		v, gone, err := attr(dir, a.name)
		if gone {
			return fmt.Errorf("livepatch %s is not loaded", name)
		}
		if err != nil {
			return err
		}
		if v != a.want {
			return fmt.Errorf("livepatch %s has %s=%s, want %s", name, a.name, v, a.want)
		}
	}
	return nil
}

// disable writes 0 to enabled, which during a transition reverses it, and
// waits. Since 5.1 the directory disappears when the livepatch is out of
// force; before, it stays until the module goes.
func (in *interp) disable(name string, d time.Duration) error {
	dir := filepath.Join(in.klp, name)
	if err := writeOnce(filepath.Join(dir, "enabled"), "0"); err != nil {
		return fmt.Errorf("disable livepatch: %w", err)
	}
	return poll(d, "disabling "+name, func() (bool, error) {
		tr, gone, err := attr(dir, "transition")
		if gone || err != nil {
			return gone, err
		}
		en, gone, err := attr(dir, "enabled")
		return gone || en == "0" && tr == "0", err
	})
}

// livepatches reads the whole tree below dir. What disappears meanwhile is left out.
func livepatches(dir string) ([]Livepatch, error) {
	names, err := subdirs(dir)
	if err != nil {
		return nil, fmt.Errorf("list livepatches: %w", err)
	}
	var out []Livepatch
	for _, n := range names {
		lp, ok, err := readLivepatch(filepath.Join(dir, n))
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, lp)
		}
	}
	return out, nil
}

func readLivepatch(dir string) (Livepatch, bool, error) {
	lp := Livepatch{Name: filepath.Base(dir)}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return lp, false, nil
	}
	if err != nil {
		return lp, false, fmt.Errorf("list livepatch: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			funcs, err := subdirs(path)
			if err != nil {
				return lp, false, fmt.Errorf("list functions: %w", err)
			}
			patched, _, err := attr(path, "patched")
			if errors.Is(err, os.ErrNotExist) { // before 6.1
				patched, err = "", nil
			}
			if err != nil {
				return lp, false, err
			}
			lp.Objects = append(lp.Objects, LPObject{Name: e.Name(), Patched: patched, Funcs: funcs})
			continue
		}
		v, _, err := attr(dir, e.Name())
		switch {
		case err != nil: // force and signal are write-only
		case e.Name() == "enabled":
			lp.Enabled = v == "1"
		case e.Name() == "transition":
			lp.Transition = v == "1"
		default:
			lp.Attrs = append(lp.Attrs, [2]string{e.Name(), v})
		}
	}
	return lp, true, nil
}

// subdirs returns the sorted names of the directories in dir.
func subdirs(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, e.Name())
		}
	}
	sort.Strings(out)
	return out, nil
}
