package deploy

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/klpforge/klpforge/internal/regular"
)

// Default places. Modules for a kernel lie in ModulesDir/RELEASE.
const (
	ModulesDir = "/var/lib/klpforge/modules"
	StateDir   = "/var/lib/klpforge/state"
)

// Places are directories on the machine; Machine.Root is put before them.
type Places struct {
	Modules string // default ModulesDir
	State   string // default StateDir
}

func (p Places) withDefaults() Places {
	p.Modules = cmp.Or(p.Modules, ModulesDir)
	p.State = cmp.Or(p.State, StateDir)
	return p
}

// BootModule is a module file of the modules directory and what became of it.
type BootModule struct {
	File    string `json:"file"`
	Module  string `json:"module,omitempty"`
	Version string `json:"version,omitempty"`
	SHA256  string `json:"sha256"`
	// Result is loaded, in force, skipped, set aside or failed; in a status,
	// where nothing is loaded, installed takes the place of the first three.
	Result string `json:"result"`
	Reason string `json:"reason,omitempty"`
}

// Results of BootModule.
const (
	BootLoaded    = "loaded"
	BootInForce   = "in force"
	BootSkipped   = "skipped"
	BootSetAside  = "set aside"
	BootFailed    = "failed"
	BootInstalled = "installed"
)

// BootError means that a module of the modules directory did not load.
type BootError struct{ Failed []BootModule }

func (e *BootError) Error() string {
	var b strings.Builder
	for i, f := range e.Failed {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s: %s", f.File, f.Reason)
	}
	return b.String()
}

// Files lists the files, separated by commas.
func (e *BootError) Files() string {
	var out []string
	for _, f := range e.Failed {
		out = append(out, f.File)
	}
	return strings.Join(out, ", ")
}

// candidate is a module file at boot.
type candidate struct {
	BootModule
	mod *Module // nil when it cannot be read
}

// Boot loads what lies in the modules directory for the running kernel: of the
// releases of a cumulative series only the newest that works, and beside it
// everything else, in the order of file names. A second run finds everything
// in force and does nothing. Nothing but the machine itself keeps it from loading what
// it can: a record of failures that is damaged or cannot be written is said, and
// done without. The error is a *BootError when a module failed,
// and otherwise an error of the machine.
func (m *Machine) Boot(ctx context.Context, places Places, o Options) ([]BootModule, error) {
	o = o.withDefaults()
	unlock, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	places = places.withDefaults()
	release, err := m.Release()
	if err != nil {
		return nil, err
	}
	all, err := m.candidates(places, release)
	if err != nil || len(all) == 0 {
		return []BootModule{}, err
	}

	b := boot{m: m, o: o, bootID: m.bootID(o)}
	if b.rec, err = openRecords(m.path(places.State)); err != nil {
		b.asRecorded(b.rec.putAside(err))
	}
	for i := range all {
		f := b.rec.find(all[i].SHA256)
		if f == nil || !f.SetAside() || all[i].mod == nil {
			continue
		}
		if p, err := m.Plan(all[i].mod, o.Policy); err == nil && p.Refusal == nil && len(p.Actions) == 0 {
			continue // in force: loaded by hand
		}
		all[i].Result, all[i].Reason = BootSetAside, setAsideReason(f)
	}

	if err := b.cumulative(ctx, all); err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Result == "" {
			if err := b.try(ctx, &all[i]); err != nil {
				return nil, err
			}
		}
	}
	return report(all)
}

// bootID tells this boot from others. Without the kernel's word each run counts as one.
func (m *Machine) bootID(o Options) string {
	const most = 64
	id, err := os.ReadFile(m.path("proc/sys/kernel/random/boot_id"))
	if err == nil && len(bytes.TrimSpace(id)) > 0 && len(id) <= most {
		return strings.TrimSpace(string(id))
	}
	o.Say(fmt.Sprintf("this boot cannot be told from others (%v): each run counts as one", cmp.Or(err, errors.New("its id is empty"))))
	return "run at " + time.Now().UTC().Format(time.RFC3339Nano)
}

func setAsideReason(f *Failure) string {
	return fmt.Sprintf("it failed at %d boots, last: %s; load it by hand to try again", f.Failures, f.Error)
}

func report(all []candidate) ([]BootModule, error) {
	out := []BootModule{}
	failed := &BootError{}
	for _, c := range all {
		out = append(out, c.BootModule)
		if c.Result == BootFailed || c.Result == BootSetAside {
			failed.Failed = append(failed.Failed, c.BootModule)
		}
	}
	if len(failed.Failed) > 0 {
		return out, failed
	}
	return out, nil
}

var moduleFileRE = regexp.MustCompile(`\.ko(\.(xz|zst|gz))?$`)

// candidates reads the module files, in the order of their names.
func (m *Machine) candidates(places Places, release string) ([]candidate, error) {
	dir := m.path(places.Modules, release)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the livepatches for this kernel: %w", err)
	}
	var out []candidate
	for _, e := range entries {
		if !moduleFileRE.MatchString(e.Name()) {
			continue
		}
		c := candidate{}
		c.File = e.Name()
		path := filepath.Join(dir, e.Name())
		f, err := regular.Open(path)
		if err == nil {
			c.mod, c.SHA256, err = readModule(path, f)
		}
		if err != nil {
			c.Result, c.Reason = BootFailed, err.Error()
		} else {
			c.Module, c.Version = c.mod.Name, c.mod.Facts.Version
		}
		out = append(out, c)
	}
	return out, nil
}

// boot is the state of Boot.
type boot struct {
	m      *Machine
	o      Options
	rec    *records
	bootID string
	// unrecorded says that the record could not be written, and that this was said.
	unrecorded bool
}

// cumulative loads the newest of the releases that replace all others. Only
// one can be in force, so there must be one series of them, in which versions
// tell which is the newest.
func (b *boot) cumulative(ctx context.Context, all []candidate) error {
	var list []*candidate
	for i := range all {
		c := &all[i]
		if c.Result == "" && c.mod.Facts.Replace != nil && *c.mod.Facts.Replace {
			list = append(list, c)
		}
	}
	for _, c := range list[:max(0, len(list)-1)] {
		last := list[len(list)-1]
		if order, ok := newer(c.mod.Facts, last.mod.Facts); !ok || order == 0 {
			for _, x := range list {
				x.Result = BootFailed
				x.Reason = fmt.Sprintf("%s and %s both replace all other livepatches, and which one is the newer release cannot be told; remove one", c.File, last.File)
			}
			return nil
		}
	}
	slices.SortStableFunc(list, func(x, y *candidate) int {
		order, _ := newer(y.mod.Facts, x.mod.Facts)
		return order
	})
	var got *candidate
	for _, c := range list {
		if got != nil {
			c.Result, c.Reason = BootSkipped, got.File+" is newer"
			continue
		}
		if ahead, err := b.newerInForce(c.mod); err != nil {
			c.Result, c.Reason = BootFailed, err.Error()
			continue
		} else if ahead != "" {
			c.Result, c.Reason = BootSkipped, ahead
			got = c
			continue
		}
		if err := b.try(ctx, c); err != nil {
			return err
		}
		if c.Result != BootFailed {
			got = c
		}
	}
	return nil
}

// newerInForce says which newer release of a series is in force, "" for none.
func (b *boot) newerInForce(mod *Module) (string, error) {
	sys, err := b.m.System()
	if err != nil {
		return "", err
	}
	for i := range sys.Livepatches {
		l := &sys.Livepatches[i]
		if l.Phase != Enabled && l.Phase != Enabling {
			continue
		}
		if c, ok := newer(l.Facts, mod.Facts); ok && c > 0 {
			return fmt.Sprintf("the newer version %s (%s) is in force", l.Version, l.Name), nil
		}
	}
	return "", nil
}

// try loads one module and writes its result into it. The error means that the
// run was interrupted.
func (b *boot) try(ctx context.Context, c *candidate) error {
	p, err := b.m.Plan(c.mod, b.o.Policy)
	if err == nil && p.Refusal == nil && len(p.Actions) == 0 {
		c.Result = BootInForce
		b.asRecorded(b.rec.succeed(c.SHA256))
		return nil
	}
	if f := b.rec.find(c.SHA256); f != nil && f.BootID == b.bootID {
		c.Result, c.Reason = BootFailed, f.Error+"; it is not tried again before the next boot"
		return nil
	}
	var before *Failure
	if f := b.rec.find(c.SHA256); f != nil {
		copied := *f
		before = &copied
	}
	b.asRecorded(b.rec.begin(c.File, c.SHA256, b.bootID))
	out, err := b.m.load(ctx, c.mod, b.o)
	switch {
	case err == nil:
		c.Result = BootLoaded
		c.Reason = strings.Join(out.Notes, "; ")
		b.asRecorded(b.rec.succeed(c.SHA256))
		return nil
	case errors.Is(err, errInterrupted): // the machine goes down: not the module's fault
		return errors.Join(err, b.rec.restore(c.SHA256, before))
	}
	c.Result, c.Reason = BootFailed, err.Error()
	b.asRecorded(b.rec.fail(c.SHA256, err))
	return nil
}

// asRecorded says, once, that what happens at this boot cannot be written down.
// That costs protection at later boots, not the livepatches of this one.
func (b *boot) asRecorded(err error) {
	if err == nil || b.unrecorded {
		return
	}
	var aside *putAsideError
	b.unrecorded = !errors.As(err, &aside)
	b.o.Say(err.Error())
}

// Forget takes a module back that was set aside: it loaded after all.
func (m *Machine) Forget(places Places, mod *Module) error {
	rec, err := openRecords(m.path(places.withDefaults().State))
	if err != nil {
		return err
	}
	return rec.succeed(mod.SHA256)
}

// installed describes the modules directory without loading anything. problem
// says why it is not known what failed at boot.
func (m *Machine) installed(places Places, release string) (out []BootModule, problem string, err error) {
	places = places.withDefaults()
	all, err := m.candidates(places, release)
	if err != nil {
		return nil, "", err
	}
	rec, err := openRecords(m.path(places.State))
	if err != nil {
		problem = err.Error()
	}
	out = []BootModule{}
	for _, c := range all {
		switch f := rec.find(c.SHA256); {
		case c.Result != "":
		case f == nil:
			c.Result = BootInstalled
		case f.SetAside():
			c.Result, c.Reason = BootSetAside, setAsideReason(f)
		default:
			c.Result, c.Reason = BootFailed, f.Error
		}
		out = append(out, c.BootModule)
	}
	return out, problem, nil
}
