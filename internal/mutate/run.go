package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// test is one test function: what it takes and which faults it reaches.
type test struct {
	bin   *binary
	name  string
	took  time.Duration
	reach map[int]bool
}

// maxMemory bounds a test program's address space, in KiB: a fault may make a
// loop append without end.
const maxMemory = 8 << 20

// nobody is who runs tests when root runs this.
const nobody = 65534

// runner runs test programs.
type runner struct {
	scratch string
	n       int
	mu      sync.Mutex
}

// newScratch makes a directory for one run of a program.
func (r *runner) newScratch() (string, error) {
	r.mu.Lock()
	r.n++
	dir := filepath.Join(r.scratch, strconv.Itoa(r.n))
	r.mu.Unlock()
	if err := os.Mkdir(dir, 0o777); err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o777)
}

// errTimeout: a program ran on after its time.
var errTimeout = errors.New("time is over")

// run runs a test program with arguments. An error means that tests failed, or
// errTimeout.
func (r *runner) run(ctx context.Context, b *binary, limit time.Duration, env []string, args ...string) (string, error) {
	dir, err := r.newScratch()
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	shell := fmt.Sprintf(`ulimit -v %d; exec "$@"`, maxMemory)
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", shell, "sh", b.path}, args...)...)
	cmd.Dir = b.dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir}, env...)
	attr := &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 {
		attr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	cmd.SysProcAttr = attr
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if ctx.Err() == context.DeadlineExceeded {
		err = errTimeout
	}
	return out.String(), err
}

var testName = regexp.MustCompile(`(?m)^(?:Test|Fuzz|Example)\w*$`)

// survey runs every test once, by itself, and learns which faults it reaches.
func (r *runner) survey(ctx context.Context, p *program, jobs int) ([]*test, error) {
	var all []*test
	for i := range p.binaries {
		b := &p.binaries[i]
		list, err := r.run(ctx, b, time.Minute, nil, "-test.list", ".*")
		if err != nil {
			return nil, fmt.Errorf("list the tests of %s: %w\n%s", b.pkg, err, list)
		}
		for _, name := range testName.FindAllString(list, -1) {
			if strings.HasSuffix(name, "Fresh") {
				continue // compares fixtures with their sources, which no fault touches
			}
			all = append(all, &test{bin: b, name: name, reach: map[int]bool{}})
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	for i, t := range all {
		g.Go(func() error { return r.look(gctx, t, filepath.Join(r.scratch, fmt.Sprintf("reached-%d", i))) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(t *test) bool { return len(t.reach) == 0 })
	slices.SortStableFunc(all, func(a, b *test) int { return cmp.Compare(a.took, b.took) })
	return all, nil
}

// look runs one test, which writes what it reaches into record.
func (r *runner) look(ctx context.Context, t *test, record string) error {
	began := time.Now()
	text, err := r.run(ctx, t.bin, 10*time.Minute, []string{"KLPFORGE_MUTANT_RECORD=" + record}, "-test.run", "^"+t.name+"$")
	if err != nil {
		return fmt.Errorf("%s %s fails without a fault: %w\n%s", t.bin.pkg, t.name, err, text)
	}
	t.took = time.Since(began)
	ids, err := os.ReadFile(record)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, f := range strings.Fields(string(ids)) {
		id, err := strconv.Atoi(f)
		if err != nil {
			return fmt.Errorf("record of %s: %w", t.name, err)
		}
		t.reach[id] = true
	}
	return nil
}

// Outcomes of a mutant.
const (
	killed    = "killed"
	survived  = "survived"
	uncovered = "uncovered"
)

// quick is what a test may take to be run before the others.
const quick = 250 * time.Millisecond

// try runs the tests that reach a mutant: the quick ones of each program in one
// go, then the others, until one fails.
func (r *runner) try(ctx context.Context, m *mutant, tests []*test) (outcome string, err error) {
	type group struct {
		bin   *binary
		names []string
		took  time.Duration
	}
	var groups []*group
	for _, t := range tests {
		if !t.reach[m.id] {
			continue
		}
		i := slices.IndexFunc(groups, func(g *group) bool { return g.bin == t.bin && t.took < quick })
		if i < 0 {
			groups, i = append(groups, &group{bin: t.bin}), len(groups)
		}
		groups[i].names = append(groups[i].names, t.name)
		groups[i].took += t.took
	}
	if len(groups) == 0 {
		return uncovered, nil
	}
	for _, g := range groups {
		limit := 4*g.took + 4*time.Second
		_, err := r.run(ctx, g.bin, limit, []string{"KLPFORGE_MUTANT=" + strconv.Itoa(m.id)}, "-test.failfast", "-test.run", "^("+strings.Join(g.names, "|")+")$")
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		var exit *exec.ExitError
		switch {
		case err == nil:
		case errors.Is(err, errTimeout), errors.As(err, &exit):
			return killed, nil
		default:
			return "", err
		}
	}
	return survived, nil
}
