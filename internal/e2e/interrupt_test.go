package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestInterrupted kills runs at random moments, in a cache of its own, and then
// lets clean runs finish: they give the module that an undisturbed run gives.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	e := env(t)
	c := newCLI(t, e, CloudRelease)
	patch := c.patch(t, reproduceEdits...)
	ko := filepath.Join(t.TempDir(), "fix.ko")
	c.build(t, exitDone, nil, ko, patch)
	want := readFile(t, ko)

	own := *c
	own.cache = ownCache(t, e, t.TempDir())
	work := filepath.Join(string(own.cache), "work")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	moment := func(from, to time.Duration) time.Duration { return from + time.Duration(rng.Int64N(int64(to-from))) }

	// interrupt starts a build, sends a signal after a while, and returns how it
	// ended. The while begins when the tree has the given files.
	interrupt := func(t *testing.T, sig syscall.Signal, after time.Duration, files ...string) (state *os.ProcessState, outDir string) {
		t.Helper()
		outDir = t.TempDir()
		var stderr bytes.Buffer
		cmd := own.command(t.Context(), "build", "-k", c.release, "-o", filepath.Join(outDir, "fix.ko"), patch)
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			waitFor(t, filepath.Join(string(own.cache), "trees/*/linux", f))
		}
		start := time.Now()
		timer := time.AfterFunc(after, func() { cmd.Process.Signal(sig) })
		defer timer.Stop()
		cmd.Wait()
		took := time.Since(start)
		t.Logf("%v after %v: %v, ended after %v", sig, after.Round(time.Millisecond), cmd.ProcessState, took.Round(time.Millisecond))
		// Removing what an earlier run left is not cut short, and takes its time on a busy disk.
		if took > after+time.Minute {
			t.Errorf("the run went on for %v after %v", took-after, sig)
		}
		return cmd.ProcessState, outDir
	}
	whole := func(t *testing.T, dir string) {
		t.Helper()
		for _, f := range entries(t, dir) {
			if f != "fix.ko" || !bytes.Equal(readFile(t, filepath.Join(dir, f)), want) {
				t.Errorf("the run left %s in the output directory, and not as a whole", f)
			}
		}
	}
	terminate := func(t *testing.T, after time.Duration) {
		t.Helper()
		state, dir := interrupt(t, syscall.SIGTERM, after)
		if code := state.ExitCode(); code != exitEnv && code != exitDone {
			t.Errorf("exit code %d, want %d", code, exitEnv)
		}
		whole(t, dir)
		if left := entries(t, work); len(left) > 0 {
			t.Errorf("the run left %q", left)
		}
	}

	t.Run("SIGKILL while preparing", func(t *testing.T) {
		_, dir := interrupt(t, syscall.SIGKILL, moment(200*time.Millisecond, 8*time.Second))
		whole(t, dir)
		// Once more when make runs: what it started outlives it for a moment, and
		// the next run begins at once.
		_, dir = interrupt(t, syscall.SIGKILL, moment(time.Second, 8*time.Second), ".config")
		whole(t, dir)
	})
	t.Run("SIGTERM while preparing", func(t *testing.T) {
		terminate(t, moment(time.Second, 6*time.Second)) // not before it listens
	})
	t.Run("two runs that prepare", func(t *testing.T) {
		done := make(chan error)
		var modules []string
		for range 2 {
			ko := filepath.Join(t.TempDir(), "fix.ko")
			modules = append(modules, ko)
			go func() {
				out, err := own.command(t.Context(), "build", "-k", c.release, "-o", ko, patch).CombinedOutput()
				if err != nil {
					err = fmt.Errorf("%w: %s", err, out)
				}
				done <- err
			}()
		}
		for range modules {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		for _, ko := range modules {
			if !bytes.Equal(readFile(t, ko), want) {
				t.Errorf("%s differs from the module of the shared cache", ko)
			}
		}
		if left := entries(t, work); len(left) > 0 {
			t.Errorf("the runs left %q", left)
		}
		if trees, _ := filepath.Glob(filepath.Join(string(own.cache), "trees/*/linux")); len(trees) != 1 {
			t.Errorf("trees %q, want one", trees)
		}
		noTemporaries(t, string(own.cache))
	})
	t.Run("SIGKILL while building", func(t *testing.T) {
		for range 6 {
			_, dir := interrupt(t, syscall.SIGKILL, moment(0, 4*time.Second))
			for _, f := range entries(t, dir) {
				// The temporary file of a rename that never came.
				if !strings.HasPrefix(f, ".fix.ko.") {
					whole(t, dir)
				}
			}
		}
		time.Sleep(2 * time.Second) // for compilers of the killed run to end
		ko := filepath.Join(t.TempDir(), "fix.ko")
		own.build(t, exitDone, nil, ko, patch)
		if !bytes.Equal(readFile(t, ko), want) {
			t.Error("the module differs from the one of undisturbed runs")
		}
		if left := entries(t, work); len(left) > 0 {
			t.Errorf("a clean run leaves %q of killed ones", left)
		}
		noTemporaries(t, string(own.cache))
	})
	t.Run("SIGTERM while building", func(t *testing.T) {
		for range 4 {
			terminate(t, moment(time.Second, 4*time.Second))
		}
	})

	// Last, because it spoils the cache: a compiler that says it is the right
	// one and generates other code.
	t.Run("compiler that generates other code", func(t *testing.T) {
		other := own
		dir := filepath.Dir(wrapper(t, "gcc-12", `exec /usr/bin/gcc-12 "$@" -O1`))
		other.path = dir + ":" + os.Getenv("PATH")
		patch := c.patch(t, edit{"fs/proc/loadavg.c", "FIXED_1/200", "FIXED_1/100"})
		ko := filepath.Join(t.TempDir(), "x.ko")
		other.build(t, exitRefused, []string{"KLP108 error: loadavg_proc_show (fs/proc/loadavg.o)", "the code compiled before the patch is not what vmlinux of " + c.release + " holds", "remedy: build with the target's own compiler"}, ko, patch)
	})
}

// waitFor waits for a file that is newer than the call.
func waitFor(t *testing.T, pattern string) {
	t.Helper()
	began := time.Now()
	for time.Since(began) < 5*time.Minute {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if info, err := os.Stat(f); err == nil && info.ModTime().After(began) {
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("no %s after %v", pattern, time.Since(began))
}

// noTemporaries looks for files that should have been renamed or removed.
func noTemporaries(t *testing.T, cache string) {
	t.Helper()
	for _, dir := range []string{"", "trees", "trees/*", "objects/*"} {
		for _, pattern := range []string{".tmp-*", "*.tmp", ".env-*"} {
			left, err := filepath.Glob(filepath.Join(cache, dir, pattern))
			if err != nil {
				t.Fatal(err)
			}
			if len(left) > 0 {
				t.Errorf("left in the cache: %q", left)
			}
		}
	}
}
