package vm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/klpforge/klpforge/internal/vm/guest"
)

// Run makes an initramfs for the script, boots it and waits for the end. The
// error is for what keeps the VM from running: a missing program or file, a
// script that cannot be resolved, a cancelled ctx. What happens inside, a
// failed step, a panic, a hang, is in the Result; see Result.Err.
//
// When the result has an error, the files of the boot stay where
// Result.Command says; otherwise they are removed, unless Options.Dir is set.
func Run(ctx context.Context, o Options, s Script) (_ *Result, err error) {
	if o.Stall == 0 {
		o.Stall = time.Minute + patience(s.Steps)
	}
	o = o.withDefaults()
	if o.Kernel == "" {
		return nil, ErrNoKernel
	}
	if _, err := os.Stat(o.Kernel); err != nil {
		return nil, fmt.Errorf("find kernel image: %w", err)
	}
	keep := o.Dir != ""
	if !keep {
		if o.Dir, err = os.MkdirTemp("", "klpvm-"); err != nil {
			return nil, fmt.Errorf("make VM directory: %w", err)
		}
		defer func() {
			if !keep {
				err = errors.Join(err, os.RemoveAll(o.Dir))
			}
		}()
	}
	if o.Initramfs == "" {
		if err := makeInitramfs(ctx, &o, s); err != nil {
			return nil, err
		}
	}
	if o.Accel, err = resolveAccel(ctx, o); err != nil {
		return nil, err
	}
	result, err := bootAgain(ctx, o)
	keep = keep || err == nil && result.Err() != nil
	return result, err
}

// bootAgain boots until the guest program runs. A kernel on emulated processors
// was seen to die of a double fault in its first second, before anything of the
// script is there, and to boot the next time; one that cannot boot dies every
// time. The log of the result has all boots.
func bootAgain(ctx context.Context, o Options) (*Result, error) {
	earlier := ""
	for attempt := 1; ; attempt++ {
		result, err := boot(ctx, o)
		if result != nil {
			result.Boots = attempt
			result.Log = earlier + result.Log
		}
		if err != nil || result.Kernel != "" || result.Panic == nil && result.TimedOut == "" || attempt >= o.Boots ||
			o.Accel != AccelTCG {
			return result, err
		}
		earlier = result.Log + fmt.Sprintf("--- boot %d did not come up: %v\n", attempt, result.Err())
	}
}

// patience returns how long the guest may be silent by what the steps say.
func patience(steps []guest.Step) time.Duration {
	longest := time.Minute // what reading, writing and loading may take on a busy machine
	for _, step := range steps {
		limit := time.Duration(step.Millis) * time.Millisecond
		if step.Op == guest.OpBatch {
			if limit == 0 {
				limit = guest.DefaultWait
			}
			limit *= 4 // a module that gets stuck: two transitions, then disabling and unloading for cleaning up
		}
		longest = max(longest, limit, patience(step.Steps))
	}
	return longest
}

// makeInitramfs writes the archive into o.Dir and gives the VM the memory for it.
func makeInitramfs(ctx context.Context, o *Options, s Script) error {
	_, files, err := resolve(s, sync.OnceValues(func() (*ModuleTree, error) {
		if o.Modules != "" {
			return openModules(o.Modules)
		}
		return OpenModuleTree(o.Root, o.Release)
	}))
	if err != nil {
		return err
	}
	if o.Init == "" {
		o.Init = filepath.Join(o.Dir, "vminit")
		if err := BuildInitFor(ctx, o.Init, o.Arch); err != nil {
			return err
		}
	}
	o.Initramfs = filepath.Join(o.Dir, "initramfs.cpio")
	file, err := os.Create(o.Initramfs)
	if err != nil {
		return fmt.Errorf("write initramfs: %w", err)
	}
	out := bufio.NewWriterSize(file, 1<<20)
	err = WriteInitramfs(out, o.Init, files)
	if err = errors.Join(err, out.Flush(), file.Close()); err != nil {
		return err
	}
	st, err := os.Stat(o.Initramfs)
	if err != nil {
		return fmt.Errorf("write initramfs: %w", err)
	}
	// The archive is in memory twice while it is unpacked.
	if need := 256 + 3*int(st.Size()>>20); o.Memory < need {
		o.Memory = need
	}
	return nil
}

// afterPanic is how long a VM may take to end itself after it panicked.
const afterPanic = 10 * time.Second

// boot starts QEMU and collects what it says. o has its defaults.
func boot(ctx context.Context, o Options) (*Result, error) {
	show := o
	show.Results = filepath.Join(o.Dir, "results")
	shown, err := CommandLine(show)
	if err != nil {
		return nil, err
	}
	o.Results = "/dev/fd/3"
	argv, err := CommandLine(o)
	if err != nil {
		return nil, err
	}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = 5 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	conR, conW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make console pipe: %w", err)
	}
	resR, resW, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make results pipe: %w", err), conR.Close(), conW.Close())
	}
	cmd.Stdout, cmd.Stderr = conW, conW
	cmd.ExtraFiles = []*os.File{resW}

	watching := watch{o: o, start: time.Now(), cancel: cancel}
	watching.stall = time.AfterFunc(o.Stall, func() { cancel(fmt.Errorf("%w for %v", errStall, o.Stall)) })
	defer watching.stall.Stop()
	limit := time.AfterFunc(o.Timeout, func() { cancel(fmt.Errorf("%w %v", errTimeout, o.Timeout)) })
	defer limit.Stop()

	var readers sync.WaitGroup
	readers.Go(func() { watching.read(conR) })
	readers.Go(func() { watching.read(resR) })
	err = startAndWait(cmd, func() { conW.Close(); resW.Close() })
	readers.Wait()
	conR.Close()
	resR.Close()

	res, badLine := watching.c.finish()
	res.Command = Quote(shown)
	res.Boot, res.Total = watching.booted, time.Since(watching.start)
	cause := context.Cause(ctx)
	var exit *exec.ExitError
	switch {
	case errors.Is(cause, errStall), errors.Is(cause, errTimeout):
		if res.Panic == nil {
			res.TimedOut = cause.Error()
		}
	case cause != nil && !errors.Is(cause, errPanicked):
		return res, fmt.Errorf("run VM: %w", cause)
	case err != nil && !errors.As(err, &exit) && !errors.Is(cause, errPanicked):
		return nil, fmt.Errorf("start VM: %w", err)
	case err != nil && res.Kernel == "" && res.Panic == nil:
		return res, fmt.Errorf("run VM: %w: %s", err, lastLines(res.Log, 5))
	}
	return res, badLine
}

var (
	errStall    = errors.New("the VM said nothing")
	errTimeout  = errors.New("the VM did not end within")
	errPanicked = errors.New("the VM did not end itself after a panic")
)

// startAndWait runs cmd and calls started when it was started or could not be.
// The thread stays locked: Pdeathsig is sent when the starting thread ends.
func startAndWait(cmd *exec.Cmd, started func()) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started()
		if err == nil {
			err = cmd.Wait()
		}
		done <- err
	}()
	return <-done
}

// watch reads both serial ports into one collector.
type watch struct {
	o      Options
	start  time.Time
	cancel context.CancelCauseFunc
	stall  *time.Timer

	mu       sync.Mutex
	c        collector
	booted   time.Duration
	panicked bool
}

func (w *watch) read(r io.Reader) {
	br := bufio.NewReaderSize(r, 1<<16)
	for {
		line, err := br.ReadString('\n')
		if line != "" {
			w.line(line)
		}
		if err != nil {
			return
		}
	}
}

func (w *watch) line(l string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.c.line(l)
	if w.o.Log != nil {
		_, _ = io.WriteString(w.o.Log, l) // a copy for people; the result has it all
	}
	if w.booted == 0 && w.c.res.Kernel != "" {
		w.booted = time.Since(w.start)
	}
	if w.c.res.Panic == nil {
		w.stall.Reset(w.o.Stall)
	} else if !w.panicked {
		w.panicked = true
		w.stall.Stop()
		time.AfterFunc(afterPanic, func() { w.cancel(errPanicked) })
	}
}

// minimal is a script that ends at once.
func minimal() Script { return Script{Steps: []guest.Step{guest.Poweroff()}} }
