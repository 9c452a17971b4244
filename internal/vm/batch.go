package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"time"

	"github.com/klpforge/klpforge/internal/vm/guest"
)

// A Livepatch is one module for Batch to try.
type Livepatch struct {
	Label  string   // unique; default Path
	Path   string   // .ko on the host
	Params string   // module parameters
	Before []string // modules of the target kernel to load first, such as the ones it patches
	After  []string // modules to load once it is in force, to be patched while they load
}

// BatchOptions are the policy of Batch. Zero values are useful.
type BatchOptions struct {
	PerBoot int           // livepatches tried in one boot; default 64
	Wait    time.Duration // for each transition; default guest.DefaultWait
	Allow   []string      // regular expressions of kernel messages that are no complaint
	Load    int           // background threads making system calls meanwhile; 0 for none
	// Progress is called for each outcome; nil for no calls.
	Progress func(BatchItem)
}

// BatchItem is the outcome of one livepatch.
type BatchItem struct {
	Livepatch Livepatch
	OK        bool
	// Result is what the guest reported; its Stage is empty when the VM died
	// or hung meanwhile.
	Result guest.ModuleResult
	// Death says how the VM ended while this livepatch was tried; nil when it did not.
	Death *Death
}

// Death is the end of a VM in the middle of a batch.
type Death struct {
	Why     string   // one line
	Panic   *Panic   // nil for a hang
	Log     string   // of the whole boot
	Command string   // reproduces the boot; its files are kept
	Before  []string // labels of what passed or failed earlier in this boot
	// Alone is true when the livepatch was the first of its boot, so that
	// nothing else can have caused the end.
	Alone bool
}

// BatchResult is the outcome of Batch.
type BatchResult struct {
	Items []BatchItem // in the order of the input
	// Unexplained are ends of a VM whose current livepatch then passed in a
	// boot of its own: one of Death.Before, or several together, did it.
	Unexplained []Death
	Boots       int
	// FalseStarts counts boots that ended before the guest program ran. Nothing
	// of a livepatch was in the kernel then, so they are just repeated.
	FalseStarts int
}

// OK reports whether every livepatch passed and no end of a VM is unexplained.
func (r *BatchResult) OK() bool {
	for _, it := range r.Items {
		if !it.OK {
			return false
		}
	}
	return len(r.Unexplained) == 0
}

// Batch tries many livepatches: load, transition, record, disable, unload,
// many in one boot. When a boot dies, the livepatch under way is tried once
// more at the head of a new boot; if that dies too, it is the one, and the
// rest goes on without it. When one cannot be unloaded, the rest goes on in a
// new boot as well.
//
// The error is for what keeps VMs from running, not for livepatches that fail.
// Items that were not reached then have OK false and no outcome.
func Batch(ctx context.Context, o Options, lps []Livepatch, bo BatchOptions) (*BatchResult, error) {
	if o.Init == "" {
		dir, err := os.MkdirTemp("", "klpvm-init-")
		if err != nil {
			return nil, fmt.Errorf("make VM directory: %w", err)
		}
		defer os.RemoveAll(dir)
		o.Init = filepath.Join(dir, "vminit")
		if err := BuildInitFor(ctx, o.Init, o.Arch); err != nil {
			return nil, err
		}
	}
	return batch(ctx, o, lps, bo, Run)
}

// maxFalseStarts is how many boots of one Batch may end before the guest runs.
const maxFalseStarts = 2

// runFunc is Run, or its double in tests.
type runFunc func(context.Context, Options, Script) (*Result, error)

func batch(ctx context.Context, o Options, lps []Livepatch, bo BatchOptions, run runFunc) (*BatchResult, error) {
	batch := batcher{o: o, bo: bo, run: run, res: &BatchResult{Items: make([]BatchItem, len(lps))},
		at: map[string]int{}, names: make([]string, len(lps))}
	if batch.bo.PerBoot <= 0 {
		batch.bo.PerBoot = 64
	}
	for nth, lp := range lps {
		if lp.Label == "" {
			lp.Label = lp.Path
		}
		if _, ok := batch.at[lp.Label]; ok {
			return nil, fmt.Errorf("batch: two livepatches are labelled %s", lp.Label)
		}
		batch.at[lp.Label] = nth
		batch.res.Items[nth].Livepatch = lp
		name, err := ModuleName(lp.Path)
		if err != nil { // not even a module: its own failure, not that of the batch
			batch.finish(nth, BatchItem{Result: guest.ModuleResult{Label: lp.Label, Stage: guest.StageLoad,
				Err: err.Error()}})
			continue
		}
		batch.names[nth] = name
		batch.todo = append(batch.todo, nth)
	}
	for len(batch.todo) > 0 {
		if err := batch.boot(ctx); err != nil {
			return batch.res, fmt.Errorf("batch: boot %d: %w", batch.res.Boots, err)
		}
	}
	return batch.res, nil
}

// batcher is the state of a Batch.
type batcher struct {
	o       Options
	bo      BatchOptions
	run     runFunc
	res     *BatchResult
	at      map[string]int // label -> index in res.Items
	names   []string       // module names, parallel to res.Items
	todo    []int          // indices in the order in which they are to be tried
	suspect *Death         // the first of todo was under way when a VM died like this
}

// boot tries the next livepatches and takes what has an outcome off todo. It
// takes off at least one, or makes the first a suspect, or counts a false start,
// or errs.
func (b *batcher) boot(ctx context.Context) (err error) {
	died := false
	count := min(len(b.todo), b.bo.PerBoot)
	script := b.script(b.todo[:count])
	b.res.Boots++
	opt := b.o
	if opt.Dir == "" {
		if opt.Dir, err = os.MkdirTemp("", "klpvm-batch-"); err != nil {
			return fmt.Errorf("make VM directory: %w", err)
		}
		defer func() { // Death.Command needs the files, a failed livepatch does not
			if !died {
				err = errors.Join(err, os.RemoveAll(opt.Dir))
			}
		}()
	} else {
		opt.Dir = filepath.Join(opt.Dir, fmt.Sprintf("boot%d", b.res.Boots))
		if err := os.MkdirAll(opt.Dir, 0o755); err != nil {
			return fmt.Errorf("make VM directory: %w", err)
		}
	}
	if opt.Timeout == 0 {
		opt.Timeout = 2*time.Minute + time.Duration(count)*time.Minute
	}
	result, err := b.run(ctx, opt, script)
	if err != nil {
		return err
	}
	died = !result.Done || result.Panic != nil
	var before []string
	for _, module := range result.Modules {
		i, ok := b.at[module.Label]
		if !ok || len(b.todo) == 0 || b.todo[0] != i {
			return fmt.Errorf("the guest reports %s, which is not its turn", module.Label)
		}
		b.done(BatchItem{OK: module.OK, Result: module})
		before = append(before, module.Label)
	}
	if !died {
		if len(before) == 0 {
			return fmt.Errorf("nothing was tried: %w", cause(result))
		}
		return nil // what is left was not tried because one got stuck, or was not in this boot
	}
	if result.OpenModule == "" {
		if result.Kernel == "" && b.res.FalseStarts < maxFalseStarts {
			b.res.FalseStarts++
			died = false // its files are of no use
			return nil
		}
		if len(before) == 0 {
			return fmt.Errorf("the VM ended before the first livepatch: %w", cause(result))
		}
		b.res.Unexplained = append(b.res.Unexplained, death(result, before))
		return nil
	}
	how := death(result, before)
	if how.Alone {
		b.suspect = nil // explained
		b.done(BatchItem{Death: &how, Result: guest.ModuleResult{Label: result.OpenModule}})
		return nil
	}
	b.suspect = &how
	return nil
}

// cause is what went wrong in a boot.
func cause(r *Result) error {
	if err := r.Err(); err != nil {
		return err
	}
	return errors.New("the guest says all is well")
}

func death(r *Result, before []string) Death {
	why := ""
	var fe *FailedError
	if err := r.Err(); errors.As(err, &fe) {
		why = fe.Why
	}
	return Death{Why: why, Panic: r.Panic, Log: r.Log, Command: r.Command, Before: before, Alone: len(before) == 0}
}

// done records the outcome of the first of todo.
func (b *batcher) done(it BatchItem) {
	nth := b.todo[0]
	b.todo = b.todo[1:]
	if b.suspect != nil { // it lived through a boot of which it was the first
		b.res.Unexplained = append(b.res.Unexplained, *b.suspect)
		b.suspect = nil
	}
	b.finish(nth, it)
}

// finish records the outcome of livepatch i.
func (b *batcher) finish(i int, it BatchItem) {
	it.Livepatch = b.res.Items[i].Livepatch
	b.res.Items[i] = it
	if b.bo.Progress != nil {
		b.bo.Progress(it)
	}
}

// script makes the script of one boot.
func (b *batcher) script(todo []int) Script {
	var script Script
	step := guest.Batch(b.bo.Wait, b.bo.Allow)
	for _, nth := range todo {
		lp := b.res.Items[nth].Livepatch
		// Two livepatches may have the same file name.
		file := File{Name: path.Join("/ko", strconv.Itoa(nth), b.names[nth]+".ko"), Host: lp.Path}
		script.Files = append(script.Files, file)
		step.Batch = append(step.Batch, guest.BatchModule{
			Label: lp.Label, Name: b.names[nth], Path: file.Name, Params: lp.Params,
			Before: wanted(lp.Before), After: wanted(lp.After),
		})
	}
	if b.bo.Load > 0 {
		script = script.Add(guest.Background(b.bo.Load))
	}
	return script.Add(step)
}

// wanted are modules that resolve is still to find.
func wanted(names []string) []guest.ModFile {
	var out []guest.ModFile
	for _, name := range names {
		out = append(out, guest.ModFile{Name: name})
	}
	return out
}
