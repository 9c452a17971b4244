package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sample is one process.
type sample struct {
	cpu, wall time.Duration
	memory    int64 // peak resident set, bytes; for small ones that of this program
	outcome   string
}

// best runs f several times; the run with the least processor time counts.
func (b *bench) best(ctx context.Context, f func(context.Context) (sample, error)) (sample, error) {
	var least sample
	for i := range b.runs {
		s, err := f(ctx)
		if err != nil {
			return s, err
		}
		if i == 0 || s.cpu < least.cpu {
			least = s
		}
		if s.outcome == timedOut {
			break
		}
	}
	return least, nil
}

// Outcomes of a differ.
const (
	done     = "done"
	refused  = "refused"
	crashed  = "crashed"
	timedOut = "not done in time"
)

// process runs a command and reports what it used. Exit status 0 means done,
// quiet means that the object is left out because nothing changed in it.
func (b *bench) process(ctx context.Context, cmd *exec.Cmd, quiet int) (sample, error) {
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return sample{}, err
	}
	// Processor time, so that a busy machine ends nothing early.
	if err := unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_CPU, &unix.Rlimit{Cur: uint64(b.limit.Seconds()), Max: uint64(b.limit.Seconds())}, nil); err != nil && !errors.Is(err, unix.ESRCH) {
		return sample{}, fmt.Errorf("limit the processor time: %w", err)
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return sample{}, err
	}
	if ctx.Err() != nil {
		return sample{}, ctx.Err()
	}
	s := sample{wall: time.Since(begun), outcome: done}
	u := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	s.cpu = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	s.memory = u.Maxrss << 10
	st := cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case st.Signaled() && s.cpu >= b.limit*9/10:
		s.outcome = timedOut
	case st.Signaled():
		s.outcome = crashed
	case st.ExitStatus() != 0 && st.ExitStatus() != quiet:
		s.outcome = refused
	}
	if b.verbose && s.outcome != done {
		fmt.Fprintf(os.Stderr, "%v: %s\n%s", cmd.Args, s.outcome, log.Bytes())
	}
	return s, nil
}

// ours measures klpforge on pairs, all in one process.
func (b *bench) ours(ctx context.Context, cpus int, pairs ...pair) (sample, error) {
	return b.best(ctx, func(ctx context.Context) (sample, error) {
		args := []string{"-worker", "diff", "-o", filepath.Join(b.dir, "ours")}
		for _, p := range pairs {
			args = append(args, p.orig, p.patched)
		}
		cmd := exec.CommandContext(ctx, b.self, args...)
		cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", cpus))
		return b.process(ctx, cmd, 0)
	})
}

// theirs measures the peer on one pair.
func (b *bench) theirs(ctx context.Context, p pair) (sample, error) {
	tab, versions := filepath.Join(b.dir, "symtab"), filepath.Join(b.dir, "symvers")
	if err := writeSymtab(ctx, tab, p.orig); err != nil {
		return sample{}, err
	}
	if err := os.WriteFile(versions, nil, 0o600); err != nil {
		return sample{}, err
	}
	return b.best(ctx, func(ctx context.Context) (sample, error) {
		cmd := exec.CommandContext(ctx, b.peer, p.orig, p.patched, "vmlinux", tab, versions, "bench", filepath.Join(b.dir, "theirs"))
		cmd.Env = b.environment()
		return b.process(ctx, cmd, exitUnchanged)
	})
}
