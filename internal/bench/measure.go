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
}

func median(s []sample) sample {
	slices.SortFunc(s, func(a, b sample) int { return cmp.Compare(a.total, b.total) })
	return s[len(s)/2]
}

// build runs klpforge build once.
func (b *bench) build(ctx context.Context) (sample, error) {
	cmd := exec.CommandContext(ctx, b.klpforge, "build", "-k", release, "--root", b.env.Cache.TargetRoot(release),
		"--cache", b.cache(), "--source", b.source, "--format", "json", "-o", filepath.Join(b.dir, "bench.ko"), b.patch)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return sample{}, err
	}
	stop, peak := make(chan struct{}), make(chan int64)
	go watchMemory(cmd.Process.Pid, stop, peak)
	err := cmd.Wait()
	s := sample{total: time.Since(begun)}
	close(stop)
	s.memory = <-peak
	if err != nil {
		return s, fmt.Errorf("klpforge build: %w: %s%s", err, out.String(), log.String())
	}
	var doc struct {
		Stages []pipeline.Stage `json:"stages"`
	}
	if err := json.Unmarshal(out.Bytes(), &doc); err != nil {
		return s, fmt.Errorf("read klpforge's report: %w", err)
	}
	s.stages = doc.Stages
	return s, nil
}

// watchMemory reads the high-water mark of a process until stop is closed. It
// cannot be had afterwards: what wait4(2) says includes the compilers.
func watchMemory(pid int, stop <-chan struct{}, peak chan<- int64) {
	var most int64
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		if n, err := highWater(pid); err == nil {
			most = max(most, n)
		}
		select {
		case <-stop:
			tick.Stop()
			peak <- most
			return
		case <-tick.C:
		}
	}
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
	k, err := kernel.Open(kernel.Options{Release: release, Root: b.env.Cache.TargetRoot(release), Cache: cachedir.Dir(b.cache()), Source: b.source})
	if err != nil {
		return 0, err
	}
	defer k.Close()
	tree, err := pipeline.Prepare(ctx, k, kbuild.PrepareOptions{})
	if err != nil {
		return 0, err
	}
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

// command runs a program in dir; its output is part of the error.
func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}
