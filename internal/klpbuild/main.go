// Command klpbuild builds the same livepatches with klpforge and with the kernel's own tool,
// scripts/livepatch/klp-build (since v6.19), from the same source, configuration and
// compiler, loads both in a VM that boots the kernel, and prints which functions each
// patches, what becomes of them, and what it takes:
//
//	go run ./internal/klpbuild [-write] [CASE...]
//
// The kernel is 7.2-gcc of internal/ownkernel. klp-build works in a tree of its own, which
// it builds whole at first: klp-build/tree of the cache. klpforge begins with an empty cache.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/klpforge/klpforge/internal/e2e"
	"github.com/klpforge/klpforge/internal/ownkernel"
	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/kernel/cachedir"
)

// kernelName is the kernel of one's own that both build for.
const kernelName = "7.2-gcc"

const pagePath = "docs/measured/klp-build.md"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	write := flag.Bool("write", false, "write the table to "+pagePath)
	out := flag.String("json", "", "write all results to this file")
	flag.Parse()
	err := run(ctx, flag.Args(), *write, *out, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "klpbuild:", err)
		os.Exit(1)
	}
}

// side is what became of a patch with one of the tools.
type side struct {
	Module    string   `json:"module,omitempty"`    // path, "" where none was made
	Functions []string `json:"functions,omitempty"` // that are replaced, "object function", sorted
	Said      string   `json:"said,omitempty"`      // why there is no module
	Seconds   float64  `json:"seconds"`
	Loads     bool     `json:"loads"` // went into force, did what it should, and left nothing behind
	LoadLog   string   `json:"loadLog,omitempty"`
}

// result is what became of a case.
type result struct {
	Case   string `json:"case"`
	What   string `json:"what"`
	Ours   side   `json:"klpforge"`
	Theirs side   `json:"klpBuild"`
}

// results are those of one run.
type results struct {
	Release  string   `json:"release"`
	Compiler string   `json:"compiler"`
	Jobs     int      `json:"jobs"`
	Prepare  float64  `json:"prepare"`  // seconds of klpforge until the first build can begin
	Original float64  `json:"original"` // seconds in which klp-build builds the whole kernel
	Cases    []result `json:"cases"`
}

func run(ctx context.Context, names []string, write bool, jsonPath string, out, log io.Writer) error {
	chosen, err := choose(names)
	if err != nil {
		return err
	}
	cache, err := cachedir.Default()
	if err != nil {
		return err
	}
	dir := filepath.Join(string(cache), "klp-build")
	work := filepath.Join(dir, "work")
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	if err := os.MkdirAll(work, 0o755); err != nil {
		return err
	}
	e := &e2e.Env{Cache: cache, Dir: work, Log: log}
	spec, err := ownkernel.Find(kernelName)
	if err != nil {
		return err
	}
	k, err := spec.Make(ctx, string(cache), func(line string) (string, error) { return e.SourceTarball(ctx, line) }, log)
	if err != nil {
		return err
	}
	init := filepath.Join(work, "vminit")
	if err := vm.BuildInit(ctx, init); err != nil {
		return err
	}
	ours, err := newOurs(ctx, work, k)
	if err != nil {
		return err
	}
	theirs, err := newTheirs(ctx, dir, k, log)
	if err != nil {
		return err
	}
	r := results{Release: k.Release, Compiler: compilerOf(k), Jobs: runtime.NumCPU()}
	if r.Prepare, err = ours.prepare(ctx); err != nil {
		return err
	}
	for _, c := range chosen {
		patch := filepath.Join(work, c.name+".patch")
		if err := e2e.WriteEdits(ctx, k.Source, patch, c.edits); err != nil {
			return err
		}
		one := result{Case: c.name, What: c.what}
		if one.Ours, err = ours.build(ctx, patch); err != nil {
			return err
		}
		if one.Theirs, err = theirs.build(ctx, patch); err != nil {
			return err
		}
		for _, s := range []*side{&one.Ours, &one.Theirs} {
			if s.Module == "" {
				continue
			}
			s.Loads, s.LoadLog, err = load(ctx, vm.Options{Kernel: k.Image(), Init: init}, c, k.Build, s.Module)
			if err != nil {
				return err
			}
		}
		fmt.Fprintf(log, "%s: klpforge %s, %.1f s; klp-build %s, %.1f s\n", c.name, one.Ours.outcome(),
			one.Ours.Seconds, one.Theirs.outcome(), one.Theirs.Seconds)
		r.Cases = append(r.Cases, one)
	}
	r.Original = theirs.original
	return r.print(write && len(names) == 0, jsonPath, out)
}

// print writes the results where they are wanted.
func (r results) print(write bool, jsonPath string, out io.Writer) error {
	if jsonPath != "" {
		text, err := json.MarshalIndent(r, "", "\t")
		if err != nil {
			return err
		}
		if err := os.WriteFile(jsonPath, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	text := page(r)
	if _, err := io.WriteString(out, text); err != nil {
		return err
	}
	if write {
		return os.WriteFile(pagePath, []byte(text), 0o644)
	}
	return nil
}

// choose returns the cases of these names, all without one.
func choose(names []string) ([]testCase, error) {
	if len(names) == 0 {
		return cases, nil
	}
	var out []testCase
	for _, name := range names {
		i := slices.IndexFunc(cases, func(c testCase) bool { return c.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no case is called %s", name)
		}
		out = append(out, cases[i])
	}
	return out, nil
}

// timed runs a command and returns what it said, with its exit status and the time it took.
func timed(cmd *exec.Cmd) (code int, seconds float64, err error) {
	begun := time.Now()
	err = cmd.Run()
	seconds = time.Since(begun).Seconds()
	if exit, ok := err.(*exec.ExitError); ok {
		return exit.ExitCode(), seconds, nil
	}
	return 0, seconds, err
}
