package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/klpforge/klpforge/internal/e2e"
	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/patchset"
	"github.com/klpforge/klpforge/pipeline"
)

// sample is one run of klpforge.
type sample struct {
	total  time.Duration // wall time of the process
	stages []pipeline.Stage
	memory int64 // peak resident set of klpforge itself, bytes
	// started are the processes that the whole machine started in each stage, in the order of
	// stages, and all of them over the run.
	started []int64
	all     int64
}

func median(s []sample) sample {
	slices.SortFunc(s, func(a, b sample) int { return cmp.Compare(a.total, b.total) })
	return s[len(s)/2]
}

// build runs klpforge build once.
func (b *bench) build(ctx context.Context) (sample, error) {
	return b.klpforgeRun(ctx, "build", []string{b.patch}, "-o", filepath.Join(b.dir, "bench.ko"))
}

// arguments are those of a klpforge command that prints JSON, before the patches.
func (b *bench) arguments(verb string, more ...string) []string {
	return append([]string{verb, "-k", release, "--root", b.env.Cache.TargetRoot(release), "--cache", b.cache(),
		"--source", b.source, "--format", "json"}, more...)
}

// klpforgeRun runs klpforge on patches once.
func (b *bench) klpforgeRun(ctx context.Context, verb string, patches []string, more ...string) (sample, error) {
	cmd := exec.CommandContext(ctx, b.klpforge, append(b.arguments(verb, more...), patches...)...)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return sample{}, err
	}
	stop, seen := make(chan struct{}), make(chan watched)
	go watch(cmd.Process.Pid, begun, stop, seen)
	err := cmd.Wait()
	s := sample{total: time.Since(begun)}
	close(stop)
	saw := <-seen
	s.memory = saw.peak
	// What lint finds does not matter here.
	if exit := (*exec.ExitError)(nil); verb == "lint" && errors.As(err, &exit) && exit.ExitCode() == 1 {
		err = nil
	}
	if err != nil {
		return s, fmt.Errorf("klpforge %s: %w: %s%s", verb, err, out.String(), log.String())
	}
	var doc struct {
		Stages []pipeline.Stage `json:"stages"`
	}
	if err := json.Unmarshal(out.Bytes(), &doc); err != nil {
		return s, fmt.Errorf("read klpforge's report: %w", err)
	}
	s.stages = doc.Stages
	s.started, s.all = saw.perStage(s.stages)
	return s, nil
}

// watched is what was seen of a run.
type watched struct {
	peak   int64 // bytes
	counts []count
}

// count is how many processes the machine had ever started, at a time of the run.
type count struct {
	at      time.Duration
	started int64
}

// watch reads the high-water mark of a process, and how many processes the machine starts,
// until stop is closed. Neither can be had afterwards: what wait4(2) says of memory includes
// the compilers.
func watch(pid int, begun time.Time, stop <-chan struct{}, result chan<- watched) {
	var saw watched
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		if n, err := highWater(pid); err == nil {
			saw.peak = max(saw.peak, n)
		}
		if n, err := startedProcesses(); err == nil {
			saw.counts = append(saw.counts, count{time.Since(begun), n})
		}
		select {
		case <-stop:
			tick.Stop()
			result <- saw
			return
		case <-tick.C:
		}
	}
}

// perStage divides the processes by the stages, which follow each other without a gap but for what
// klpforge does before the first.
func (w *watched) perStage(stages []pipeline.Stage) (each []int64, all int64) {
	if len(w.counts) == 0 {
		return make([]int64, len(stages)), 0
	}
	until := func(at time.Duration) int64 {
		i, _ := slices.BinarySearchFunc(w.counts, at, func(c count, at time.Duration) int { return cmp.Compare(c.at, at) })
		return w.counts[min(i, len(w.counts)-1)].started
	}
	var end time.Duration
	for _, stage := range stages {
		begin := end
		end += time.Duration(stage.Seconds * float64(time.Second))
		each = append(each, until(end)-until(begin))
	}
	return each, w.counts[len(w.counts)-1].started - w.counts[0].started
}

// startedProcesses is the line "processes" of /proc/stat: forks since the machine booted.
func startedProcesses() (int64, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(line, "processes "); ok {
			return strconv.ParseInt(strings.TrimSpace(n), 10, 64)
		}
	}
	return 0, errors.New("no line of processes in /proc/stat")
}

// highWater is VmHWM of proc(5), in bytes.
func highWater(pid int) (int64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		if v, ok := strings.CutPrefix(sc.Text(), "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.Join(sc.Err(), errors.New("no VmHWM"))
}

// compilations times what cannot be saved: the compiler, and objtool, on the
// file before and after the patch. The median of b.runs counts.
func (b *bench) compilations(ctx context.Context) (time.Duration, error) {
	tree, done, err := b.prepared(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	work, err := tree.Work(ctx, kbuild.WorkOptions{})
	if err != nil {
		return 0, err
	}
	defer work.Close()
	object := strings.TrimSuffix(e2e.FixedFile, ".c") + ".o"
	before, err := work.Before(ctx, []string{object})
	if err != nil {
		return 0, err
	}
	series, err := patchset.Read([]string{b.patch}, patchset.ReadOptions{})
	if err != nil {
		return 0, err
	}
	overlay, err := series.ApplyDir(tree.Dir, patchset.ApplyOptions{})
	if err != nil {
		return 0, err
	}
	old, err := work.Read(e2e.FixedFile)
	if err != nil {
		return 0, err
	}
	// A build makes the work tree complete where the compiler needs it.
	if _, err := work.After(ctx, []string{object}); err != nil {
		return 0, err
	}
	var all []time.Duration
	for range b.runs {
		var sum time.Duration
		for _, text := range [][]byte{old, overlay.Files[e2e.FixedFile].New} {
			if err := work.Write(e2e.FixedFile, text); err != nil {
				return 0, err
			}
			begun := time.Now()
			if err := command(ctx, work.Dir, "sh", "-c", "set -e; "+before[0].Command); err != nil {
				return 0, err
			}
			sum += time.Since(begun)
		}
		all = append(all, sum)
	}
	slices.Sort(all)
	return all[len(all)/2], nil
}

// prepared returns the tree that the measured runs use, until done is called.
func (b *bench) prepared(ctx context.Context) (tree *kbuild.Tree, done func(), err error) {
	target, err := kernel.Open(kernel.Options{Release: release, Root: b.env.Cache.TargetRoot(release),
		Cache: cachedir.Dir(b.cache()), Source: b.source})
	if err != nil {
		return nil, nil, err
	}
	if tree, err = pipeline.Prepare(ctx, target, kbuild.PrepareOptions{}); err != nil {
		target.Close()
		return nil, nil, err
	}
	return tree, func() { target.Close() }, nil
}

// command runs a program in dir; its output is part of the error.
func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}
