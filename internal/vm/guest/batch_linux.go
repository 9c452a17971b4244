package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// batch tries the modules of s one after another. A module that cannot be
// unloaded ends the batch: what follows would not be tried on a clean kernel.
func (in *interp) batch(s Step) error {
	if _, err := Complaints(nil, s.Allow); err != nil {
		return err
	}
	failed := 0
	for i, m := range s.Batch {
		in.out.emit(Event{Kind: EvModuleBegin, Label: m.Label})
		r := in.tryModule(m, wait(s.Millis), s.Allow)
		in.out.emit(Event{Kind: EvModule, Label: m.Label, Module: &r})
		if !r.OK {
			failed++
		}
		if r.Stuck {
			return fmt.Errorf("%s cannot be unloaded; %d modules not tried", m.Label, len(s.Batch)-i-1)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d modules failed", failed, len(s.Batch))
	}
	return nil
}

// tryModule takes one livepatch through its life and cleans up after it.
func (in *interp) tryModule(m BatchModule, d time.Duration, allow []string) ModuleResult {
	r := ModuleResult{Label: m.Label, Name: m.Name}
	for _, f := range m.Before {
		if err := in.load(f); err != nil && !f.Optional {
			r.DepErrs = append(r.DepErrs, err.Error())
		}
	}
	// What loading those modules makes the kernel say is not the livepatch's doing.
	pos := in.log.pump()
	taint, err := in.tainted()
	if err == nil {
		err = in.life(m, d, &r)
	}
	r.Errno = errnoName(err)
	if err != nil {
		r.Err = err.Error()
		r.Stuck = !in.cleanUp(m.Name, d)
	}
	in.judge(pos, taint, allow, &r)
	r.OK = r.Err == ""
	if r.OK {
		r.Stage = StageDone
	}
	return r
}

// life is what a healthy livepatch goes through. r.Stage names the step under way.
func (in *interp) life(m BatchModule, d time.Duration, r *ModuleResult) error {
	timed := func(ms *int64, f func() error) error {
		start := time.Now()
		err := f()
		*ms = time.Since(start).Milliseconds()
		return err
	}
	r.Stage = StageLoad
	if err := timed(&r.LoadMs, func() error { return insmod(m.Path, m.Params) }); err != nil {
		return err
	}
	r.Stage = StageTransition
	if err := timed(&r.TransitionMs, func() (err error) {
		r.Holders, err = in.waitTransition(m.Name, d)
		return err
	}); err != nil {
		return err
	}
	r.Stage = StageEnabled
	if err := in.expectEnabled(m.Name); err != nil {
		return err
	}
	r.Stage = StageAfter
	for _, f := range m.After {
		if err := in.load(f); err != nil && !f.Optional {
			r.DepErrs = append(r.DepErrs, err.Error())
		}
	}
	lp, ok, err := readLivepatch(filepath.Join(in.klp, m.Name))
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("livepatch disappeared while enabled")
	}
	r.Livepatch = &lp
	r.Stage = StageDisable
	if err := timed(&r.DisableMs, func() error { return in.disable(m.Name, d) }); err != nil {
		return err
	}
	r.Stage = StageUnload
	return rmmod(m.Name, d)
}

// cleanUp brings the kernel back to where it was before a failed module, and
// reports whether it did.
func (in *interp) cleanUp(name string, d time.Duration) bool {
	if _, err := os.Stat(filepath.Join(in.klp, name)); err == nil {
		_ = in.disable(name, d) // whether it helped is seen below
	}
	if _, err := os.Stat(filepath.Join("/sys/module", name)); err != nil {
		return true
	}
	return rmmod(name, d) == nil
}

// judge looks at what the kernel said and at the taint since the module was loaded.
func (in *interp) judge(pos int, taint uint64, allow []string, r *ModuleResult) {
	in.checked = in.log.pump() // judged here, for this module
	msgs := in.log.since(pos)
	var err error
	r.Complaints, err = Complaints(msgs, allow)
	if err == nil && len(r.Complaints) > 0 {
		err = fmt.Errorf("kernel complained: %s", r.Complaints[0])
	}
	if err == nil {
		var now uint64
		if now, err = in.tainted(); err == nil {
			err = CheckTaintBits(now, taint|TaintAllowed)
		}
	}
	if err != nil && r.Err == "" {
		r.Stage, r.Err = StageLog, err.Error()
	}
	if r.Err != "" {
		r.Log = clip(msgs)
	}
}
