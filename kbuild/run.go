package kbuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/klpforge/klpforge/internal/sealed"
)

// command is one process to run.
type command struct {
	name string // short name for the log and for errors
	dir  string
	env  []string
	argv []string
	logs string // directory that keeps the full output if the command fails
	// box confines the command; nil does not.
	box   *box
	stdin []byte
}

// run starts the command in a process group of its own and returns its standard
// output. Output of both streams is kept in memory and written to a log file only
// on failure. When ctx ends, or when this process dies, the command is killed.
func (c command) run(ctx context.Context) ([]byte, error) {
	stdout, _, err := c.runBoth(ctx)
	return stdout, err
}

// runBoth is run, and returns both streams merged as well.
func (c command) runBoth(ctx context.Context) (stdout, all []byte, err error) {
	stdout, all, err = c.exec(ctx)
	if err != nil {
		err = c.failed(ctx, all, err)
	}
	return stdout, all, err
}

// failed is the error to return for the command, which printed all before err.
func (c command) failed(ctx context.Context, all []byte, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("run %s: %w", c.name, context.Cause(ctx))
	}
	if ce := (*confineError)(nil); errors.As(err, &ce) {
		return err
	}
	return &RunError{
		Command: c.name,
		Dir:     c.dir,
		Tail:    summarize(all),
		Log:     keepLog(c.logs, c.name, c.argv, all),
		Err:     err,
	}
}

// exec returns standard output alone, and both streams merged.
func (c command) exec(ctx context.Context) (stdout, all []byte, err error) {
	argv := c.argv
	if c.box != nil && c.box.by == byBwrap {
		argv = c.box.bwrap(c.dir, argv)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = c.dir
	cmd.Env = c.env
	if tmp := c.box.tmp(); tmp != "" {
		if err := os.MkdirAll(tmp, 0o755); err != nil {
			return nil, nil, &confineError{c.name, err}
		}
		cmd.Env = append(slices.Clone(c.env), "TMPDIR="+tmp)
		if os.Getenv("CCACHE_TEMPDIR") == "" { // else below /run/user, which is not writable here
			cmd.Env = append(cmd.Env, "CCACHE_TEMPDIR="+tmp)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var merged, out bytes.Buffer
	lock := make(chan struct{}, 1)
	cmd.Stdout = &tee{lock: lock, dst: []*bytes.Buffer{&out, &merged}}
	cmd.Stderr = &tee{lock: lock, dst: []*bytes.Buffer{&merged}}
	if c.stdin != nil {
		cmd.Stdin = bytes.NewReader(c.stdin)
	}

	// Pdeathsig fires when the *thread* that forked ends, so stay on one.
	onThread(func() {
		if c.box != nil && c.box.by == byLandlock {
			if err = c.box.enter(); err != nil {
				err = &confineError{c.name, err}
				return
			}
		}
		err = cmd.Run()
	})
	return out.Bytes(), merged.Bytes(), err
}

// tee appends to several buffers under a lock shared by both streams.
type tee struct {
	lock chan struct{}
	dst  []*bytes.Buffer
}

func (t *tee) Write(data []byte) (int, error) {
	t.lock <- struct{}{}
	defer func() { <-t.lock }()
	for _, b := range t.dst {
		b.Write(data)
	}
	return len(data), nil
}

// keepLog writes the full output of a failed command and returns its path, or ""
// when it could not be written: a full disk must not hide the first error.
func keepLog(dir, name string, argv []string, out []byte) string {
	if dir == "" || sealed.MakeDir(filepath.Dir(dir), dir) != nil {
		return ""
	}
	clean := strings.Map(func(r rune) rune {
		if r == '-' || r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
	file, err := os.CreateTemp(dir, clean[:min(len(clean), 60)]+"-*.log")
	if err != nil {
		return ""
	}
	defer file.Close()
	fmt.Fprintf(file, "$ %s\n", strings.Join(argv, " "))
	if _, err := file.Write(out); err != nil {
		return ""
	}
	return file.Name()
}

// pruneLogs removes logs older than two weeks.
func pruneLogs(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > 14*24*time.Hour {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

var errorLine = regexp.MustCompile(`(?i)\b(error|undefined reference|no rule to make|not found|no such file|cannot|killed|out of memory|no space left)\b`)

// summarize picks the lines a person would look for: those that mention an error,
// else the last ones.
func summarize(out []byte) string {
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	var picked []string
	for _, l := range lines {
		if errorLine.MatchString(l) && !strings.HasPrefix(l, "make[") {
			picked = append(picked, l)
		}
		if len(picked) == 12 {
			break
		}
	}
	if len(picked) == 0 {
		picked = lines[max(0, len(lines)-12):]
	}
	return strings.Join(picked, "\n")
}

// baseEnv is the environment of everything that is run: what the caller's
// environment has to contribute, and constants in place of everything that would
// make output depend on the time, the user or the machine.
func baseEnv() []string {
	env := []string{
		"LC_ALL=C",
		"SOURCE_DATE_EPOCH=0",
		"KBUILD_BUILD_TIMESTAMP=Thu Jan  1 00:00:00 UTC 1970",
		"KBUILD_BUILD_USER=klpforge",
		"KBUILD_BUILD_HOST=klpforge",
		"KBUILD_BUILD_VERSION=1",
	}
	return append(env, callerEnv()...)
}

// callerEnv is the part of the caller's environment that is passed on.
func callerEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		switch {
		case name == "PATH", name == "HOME", name == "TMPDIR", strings.HasPrefix(name, "CCACHE_"):
			env = append(env, kv)
		}
	}
	slices.Sort(env)
	return env
}
