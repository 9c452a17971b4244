package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// errStop ends a script at OpPoweroff.
var errStop = errors.New("power off")

// interp runs the steps of one script. It is not safe for concurrent use.
type interp struct {
	out     *emitter
	klp     string // /sys/kernel/livepatch
	log     *kernelLog
	checked int    // position in log up to which CheckDmesg has looked
	taint0  uint64 // taint when the script began
	loaded  map[string]bool
	bg      *background
	tainted func() (uint64, error)
}

func newInterp(out *emitter) (*interp, error) {
	log, err := openKernelLog()
	if err != nil {
		return nil, err
	}
	in := &interp{out: out, klp: "/sys/kernel/livepatch", log: log, loaded: map[string]bool{}, tainted: readTaint}
	if in.taint0, err = in.tainted(); err != nil {
		return nil, err
	}
	return in, nil
}

// runScript reports whether every step succeeded, or was allowed not to.
func (in *interp) runScript(s Script) bool {
	defer func() { in.bg.stop() }() // the set that runs then
	ok, _ := in.runSteps("", s.Steps)
	return ok
}

// runSteps runs steps until one fails for good. stop is true at OpPoweroff.
func (in *interp) runSteps(prefix string, steps []Step) (ok, stop bool) {
	for i, s := range steps {
		ok, stop := in.runStep(prefix+strconv.Itoa(i), s)
		if !ok || stop {
			return ok, stop
		}
	}
	return true, false
}

func (in *interp) runStep(id string, s Step) (ok, stop bool) {
	in.out.emit(Event{Kind: EvBegin, ID: id, Op: s.Op, Label: s.Label})
	r := StepResult{ID: id, Op: s.Op, Label: s.Label}
	pos := in.log.pump()
	start := time.Now()
	err := in.do(id, s, &r)
	r.Millis = time.Since(start).Milliseconds()
	if errors.Is(err, errStop) {
		err, stop = nil, true
	}
	r.Errno = errnoName(err)
	if s.WantErrno != "" {
		err = wantErrno(err, r.Errno, s.WantErrno)
	}
	r.OK = err == nil
	if err != nil {
		r.Err = err.Error()
		// What contains other steps has nothing to add to their logs.
		if r.Log == nil && s.Op != OpBatch && s.Op != OpRepeat {
			r.Log = clip(in.log.since(pos))
		}
	}
	in.out.emit(Event{Kind: EvEnd, ID: id, Step: &r})
	return r.OK || s.MayFail, stop
}

func wantErrno(err error, got, want string) error {
	switch {
	case err == nil:
		return fmt.Errorf("succeeded, want %s", want)
	case got != want:
		return fmt.Errorf("failed in another way than %s: %w", want, err)
	}
	return nil
}

// errnoName returns the name of the system error inside err, or "".
func errnoName(err error) string {
	var e unix.Errno
	if !errors.As(err, &e) {
		return ""
	}
	if n := unix.ErrnoName(e); n != "" {
		return n
	}
	return strconv.Itoa(int(e))
}

// do performs one step; what it saw goes into r.
func (in *interp) do(id string, s Step, r *StepResult) error {
	switch s.Op {
	case OpInsmod:
		return insmod(s.Path, s.Data)
	case OpRmmod:
		patience := 10 * time.Second
		if s.WantErrno != "" {
			patience = 0
		}
		err := rmmod(s.Module, patience)
		if err == nil {
			delete(in.loaded, s.Module)
		}
		return err
	case OpModprobe:
		return in.modprobe(s.Files)
	case OpLoopAttach:
		return loopAttach(s.Path, s.To)
	case OpLoopDetach:
		return loopDetach(s.Path)
	case OpMount:
		return mount(s.Path, s.To, s.FS, s.Data)
	case OpUmount:
		return retry(5*time.Second, func() error { return unix.Unmount(s.Path, 0) })
	case OpRemove:
		return os.Remove(s.Path)
	case OpCopy:
		return copySparse(s.Path, s.To)
	case OpWriteFile:
		return writePattern(s.Path, s.Size, s.Seed)
	case OpVerifyFile:
		return verifyPattern(s.Path, s.Size, s.Seed)
	case OpWrite:
		return writeOnce(s.Path, s.Data)
	case OpRead:
		b, err := readFile(s.Path)
		r.Out = b
		return err
	case OpExpect:
		return until(s, func() error {
			b, err := readFile(s.Path)
			r.Out = b
			if err != nil {
				return err
			}
			return match(s.Path, b, s.Match, s.Want)
		})
	case OpExpectLog:
		return until(s, func() error {
			return match("kernel log", strings.Join(in.log.since(0), "\n"), s.Match, s.Want)
		})
	case OpSync:
		unix.Sync()
		return nil
	case OpDropCaches:
		return dropCaches()
	case OpWaitTransition:
		holders, err := in.waitTransition(s.Module, wait(s.Millis))
		r.Holders = holders
		return err
	case OpExpectEnabled:
		return in.expectEnabled(s.Module)
	case OpDisable:
		return in.disable(s.Module, wait(s.Millis))
	case OpLivepatches:
		lps, err := livepatches(in.klp)
		r.Livepatches = lps
		return err
	case OpCheckDmesg:
		return in.checkDmesg(s, r)
	case OpCheckTaint:
		t, err := in.tainted()
		if err != nil {
			return err
		}
		r.Out = strconv.FormatUint(t, 10)
		return CheckTaintBits(t, s.Mask|in.taint0)
	case OpProbe:
		out, err := probe(s.Module, s.Args)
		r.Out = out
		if err != nil || s.Match == "" {
			return err
		}
		return match("probe "+s.Module, out, s.Match, s.Want)
	case OpExec:
		out, err := run(s)
		r.Out = trimOut(out)
		return err
	case OpReverse:
		out, err := in.reverse(s.Module, wait(s.Millis))
		r.Out = out
		return err
	case OpSleep:
		time.Sleep(time.Duration(s.Millis) * time.Millisecond)
		return nil
	case OpRepeat:
		return in.repeat(id, s)
	case OpBackground:
		if in.bg != nil {
			return errors.New("background tasks already run")
		}
		bg, err := startBackground(s.Count, s.Args)
		in.bg = bg
		return err
	case OpStopBackground:
		in.bg.stop()
		in.bg = nil
		return nil
	case OpBatch:
		return in.batch(s)
	case OpPoweroff:
		return errStop
	}
	return fmt.Errorf("unknown operation %q", s.Op)
}

// run runs a program to its end, or to the end of its time.
func run(s Step) (out string, err error) {
	ctx := context.Background()
	if s.Millis > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, wait(s.Millis))
		defer cancel()
	}
	c := exec.CommandContext(ctx, s.Path, s.Args...)
	c.WaitDelay = 5 * time.Second // of children that keep the output open
	c.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "TERM=dumb"}
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Chroot: s.To, Setpgid: true}
	c.Cancel = func() error { return unix.Kill(-c.Process.Pid, unix.SIGKILL) }
	b, err := c.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return string(b), fmt.Errorf("run %s: not at its end after %v: %w", s.Path, wait(s.Millis), unix.ETIMEDOUT)
	case err != nil:
		return string(b), fmt.Errorf("run %s: %w", s.Path, err)
	}
	return string(b), nil
}

func (in *interp) repeat(id string, s Step) error {
	for n := range s.Count {
		ok, stop := in.runSteps(fmt.Sprintf("%s.%d.", id, n), s.Steps)
		if !ok {
			return fmt.Errorf("repetition %d of %d failed", n+1, s.Count)
		}
		if stop {
			return errStop
		}
	}
	return nil
}

func (in *interp) checkDmesg(s Step, r *StepResult) error {
	msgs := in.log.since(in.checked)
	in.checked += len(msgs)
	bad, err := Complaints(msgs, s.Allow)
	if err != nil {
		return err
	}
	if len(bad) > 0 {
		r.Log = clip(msgs)
		return fmt.Errorf("kernel complained: %s", bad[0])
	}
	return nil
}

// modprobe loads files in order, those that are not loaded yet.
func (in *interp) modprobe(files []ModFile) error {
	for _, f := range files {
		if err := in.load(f); err != nil && !f.Optional {
			return err
		}
	}
	return nil
}

func (in *interp) load(f ModFile) error {
	if in.loaded[f.Name] {
		return nil
	}
	err := insmod(f.Path, "")
	if err == nil || errors.Is(err, unix.EEXIST) {
		in.loaded[f.Name] = true
		return nil
	}
	return err
}

func wait(ms int64) time.Duration {
	if ms == 0 {
		return DefaultWait
	}
	return time.Duration(ms) * time.Millisecond
}

// until tries f for as long as the step says, and at least once.
func until(s Step, f func() error) error {
	var last error
	err := poll(time.Duration(s.Millis)*time.Millisecond, "", func() (bool, error) {
		last = f()
		return last == nil, nil
	})
	if err != nil {
		return last
	}
	return nil
}

// match compares got with want in the way m says.
func match(what, got string, m Match, want string) error {
	ok := false
	switch m {
	case MatchExact, "":
		ok = strings.TrimSpace(got) == strings.TrimSpace(want)
	case MatchContains:
		ok = strings.Contains(got, want)
	case MatchAbsent:
		ok = !strings.Contains(got, want)
	case MatchRegexp:
		re, err := regexp.Compile(want)
		if err != nil {
			return fmt.Errorf("compile wanted content: %w", err)
		}
		ok = re.MatchString(got)
	default:
		return fmt.Errorf("unknown match %q", m)
	}
	if !ok {
		if len(got) > 400 {
			got = got[:400] + "…"
		}
		return fmt.Errorf("%s has %q, want %s %q", what, got, m, want)
	}
	return nil
}

func readTaint() (uint64, error) {
	b, err := os.ReadFile("/proc/sys/kernel/tainted")
	if err != nil {
		return 0, fmt.Errorf("read taint: %w", err)
	}
	t, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("parse taint: %w", err)
	}
	return t, nil
}
