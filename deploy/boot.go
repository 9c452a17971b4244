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
	var out strings.Builder
	for i, booted := range e.Failed {
		if i > 0 {
			out.WriteString("; ")
		}
		fmt.Fprintf(&out, "%s: %s", booted.File, booted.Reason)
	}
	return out.String()
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
func (m *Machine) Boot(ctx context.Context, places Places, opt Options) ([]BootModule, error) {
	opt = opt.withDefaults()
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

	booting := boot{m: m, o: opt, bootID: m.bootID(opt)}
	if booting.rec, err = openRecords(m.path(places.State)); err != nil {
		booting.asRecorded(booting.rec.putAside(err))
	}
	for i := range all {
		failure := booting.rec.find(all[i].SHA256)
		if failure == nil || !failure.SetAside() || all[i].mod == nil {
			continue
		}
		if p, err := m.Plan(all[i].mod, opt.Policy); err == nil && p.Refusal == nil && len(p.Actions) == 0 {
			continue // in force: loaded by hand
		}
		all[i].Result, all[i].Reason = BootSetAside, setAsideReason(failure)
	}

	if err := booting.cumulative(ctx, all); err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Result == "" {
			if err := booting.try(ctx, &all[i]); err != nil {
				return nil, err
			}
		}
	}
	return report(all)
}

// bootID tells this boot from others. Without the kernel's word each run counts as one.
func (m *Machine) bootID(opt Options) string {
	const most = 64
	id, err := os.ReadFile(m.path("proc/sys/kernel/random/boot_id"))
	if err == nil && len(bytes.TrimSpace(id)) > 0 && len(id) <= most {
		return strings.TrimSpace(string(id))
	}
	opt.Say(fmt.Sprintf("this boot cannot be told from others (%v): each run counts as one",
		cmp.Or(err, errors.New("its id is empty"))))
	return "run at " + time.Now().UTC().Format(time.RFC3339Nano)
}

func setAsideReason(f *Failure) string {
	return fmt.Sprintf("it failed at %d boots, last: %s; load it by hand to try again", f.Failures, f.Error)
}

func report(all []candidate) ([]BootModule, error) {
	out := []BootModule{}
	failed := &BootError{}
	for _, cand := range all {
		out = append(out, cand.BootModule)
		if cand.Result == BootFailed || cand.Result == BootSetAside {
			failed.Failed = append(failed.Failed, cand.BootModule)
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

	// A file that cannot be read is listed with the reason: at boot nobody would see an error.
	var out []candidate
	for _, entry := range entries {
		if !moduleFileRE.MatchString(entry.Name()) {
			continue
		}
		found := candidate{}
		found.File = entry.Name()
		path := filepath.Join(dir, entry.Name())
		file, err := regular.Open(path)
		if err == nil {
			found.mod, found.SHA256, err = readModule(path, file)
		}
		if err != nil {
			found.Result, found.Reason = BootFailed, err.Error()
		} else {
			found.Module, found.Version = found.mod.Name, found.mod.Facts.Version
		}
		out = append(out, found)
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
		chosen := &all[i]
		if chosen.Result == "" && chosen.mod.Facts.Replace != nil && *chosen.mod.Facts.Replace {
			list = append(list, chosen)
		}
	}

	// Their order must be plain before any is loaded: a wrong guess would bring an old release
	// into force.
	for _, older := range list[:max(0, len(list)-1)] {
		last := list[len(list)-1]
		if order, ok := newer(older.mod.Facts, last.mod.Facts); !ok || order == 0 {
			for _, cand := range list {
				cand.Result = BootFailed
				cand.Reason = fmt.Sprintf("%s and %s both replace all other livepatches, and which one is the newer "+
					"release cannot be told; remove one", older.File, last.File)
			}
			return nil
		}
	}

	// Newest first; once one is in force or ahead, the older ones have nothing to add.
	slices.SortStableFunc(list, func(x, y *candidate) int {
		order, _ := newer(y.mod.Facts, x.mod.Facts)
		return order
	})
	var got *candidate
	for _, chosen := range list {
		if got != nil {
			chosen.Result, chosen.Reason = BootSkipped, got.File+" is newer"
			continue
		}
		if ahead, err := b.newerInForce(chosen.mod); err != nil {
			chosen.Result, chosen.Reason = BootFailed, err.Error()
			continue
		} else if ahead != "" {
			chosen.Result, chosen.Reason = BootSkipped, ahead
			got = chosen
			continue
		}
		if err := b.try(ctx, chosen); err != nil {
			return err
		}
		if chosen.Result != BootFailed {
			got = chosen
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
		loaded := &sys.Livepatches[i]
		if loaded.Phase != Enabled && loaded.Phase != Enabling {
			continue
		}
		if c, ok := newer(loaded.Facts, mod.Facts); ok && c > 0 {
			return fmt.Sprintf("the newer version %s (%s) is in force", loaded.Version, loaded.Name), nil
		}
	}
	return "", nil
}

// try loads one module and writes its result into it. The error means that the
// run was interrupted.
func (b *boot) try(ctx context.Context, cand *candidate) error {
	p, err := b.m.Plan(cand.mod, b.o.Policy)
	if err == nil && p.Refusal == nil && len(p.Actions) == 0 {
		cand.Result = BootInForce
		b.asRecorded(b.rec.succeed(cand.SHA256))
		return nil
	}
	if f := b.rec.find(cand.SHA256); f != nil && f.BootID == b.bootID {
		cand.Result, cand.Reason = BootFailed, f.Error+"; it is not tried again before the next boot"
		return nil
	}
	var before *Failure
	if f := b.rec.find(cand.SHA256); f != nil {
		copied := *f
		before = &copied
	}
	b.asRecorded(b.rec.begin(cand.File, cand.SHA256, b.bootID))
	out, err := b.m.load(ctx, cand.mod, b.o)
	switch {
	case err == nil:
		cand.Result = BootLoaded
		cand.Reason = strings.Join(out.Notes, "; ")
		b.asRecorded(b.rec.succeed(cand.SHA256))
		return nil
	case errors.Is(err, errInterrupted): // the machine goes down: not the module's fault
		return errors.Join(err, b.rec.restore(cand.SHA256, before))
	}
	cand.Result, cand.Reason = BootFailed, err.Error()
	b.asRecorded(b.rec.fail(cand.SHA256, err))
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
	for _, cand := range all {
		switch failure := rec.find(cand.SHA256); {
		case cand.Result != "":
		case failure == nil:
			cand.Result = BootInstalled
		case failure.SetAside():
			cand.Result, cand.Reason = BootSetAside, setAsideReason(failure)
		default:
			cand.Result, cand.Reason = BootFailed, failure.Error
		}
		out = append(out, cand.BootModule)
	}
	return out, problem, nil
}
