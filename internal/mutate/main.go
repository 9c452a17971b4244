package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

func main() {
	var o options
	flag.Float64Var(&o.share, "sample", 1, "`SHARE` of the faults to try, 0 to 1")
	flag.Uint64Var(&o.seed, "seed", 1, "`NUMBER` that chooses the sample")
	flag.Float64Var(&o.floor, "floor", 0, "fail below this `PERCENT` of killed faults")
	flag.StringVar(&o.json, "json", "", "write the result to `FILE`")
	flag.IntVar(&o.jobs, "jobs", runtime.NumCPU(), "faults to try at the same time")
	flag.Func("files", "take only faults in files whose names match `REGEXP`", func(text string) (err error) {
		o.files, err = regexp.Compile(text)
		return err
	})
	flag.BoolVar(&o.verbose, "v", false, "print the survivors")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := o.run(ctx, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
	}
	if !ok || err != nil {
		stop()
		os.Exit(1)
	}
}

type options struct {
	share, floor float64
	seed         uint64
	jobs         int
	json         string
	files        *regexp.Regexp // nil: all
	verbose      bool
}

// run tries the faults of the packages and reports whether the score is at
// least the floor.
func (o *options) run(ctx context.Context, names []string) (bool, error) {
	if o.share <= 0 || o.share > 1 {
		return false, fmt.Errorf("-sample %g: want a share above 0, at most 1", o.share)
	}
	list, unknown := subjects(names)
	if unknown != "" {
		return false, fmt.Errorf("%s is not in the table of internal/mutate/core.go", unknown)
	}
	r := &Report{Seed: o.seed, Sample: o.share}
	for _, s := range list {
		p, err := o.one(ctx, s)
		if err != nil {
			return false, err
		}
		r.Packages = append(r.Packages, p)
		fmt.Fprintf(os.Stderr, "%s: %d killed, %d survived, %d uncovered in %.0f s\n", p.Name, p.Killed, p.Survived, p.Uncovered, p.Seconds)
		if o.json != "" {
			if err := r.write(o.json); err != nil {
				return false, err
			}
		}
	}
	r.text(os.Stdout, o.verbose)
	if t := r.total(); t.Score() < o.floor {
		return false, fmt.Errorf("%.1f %% of the faults were noticed by tests, want %.1f %%: see the survivors above", t.Score(), o.floor)
	}
	return true, nil
}

// one tries the faults of one package.
func (o *options) one(ctx context.Context, s subject) (Package, error) {
	began := time.Now()
	out := Package{Name: s.pkg, Survivors: []Survivor{}}
	dir, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return out, err
	}
	defer os.RemoveAll(dir)
	scratch := filepath.Join(dir, "scratch")
	if err := os.Mkdir(scratch, 0o777); err != nil {
		return out, err
	}
	for d, mode := range map[string]os.FileMode{dir: 0o755, scratch: 0o777} {
		if err := os.Chmod(d, mode); err != nil {
			return out, err
		}
	}

	p, files, err := mutated(ctx, s, dir, o.seed, o.share, o.files)
	if err != nil {
		return out, err
	}
	out.Unsound = p.unsound
	if len(p.mutants) == 0 {
		return out, nil
	}
	if err := p.compile(ctx, files, dir); err != nil {
		return out, err
	}
	r := &runner{scratch: scratch}
	tests, err := r.survey(ctx, p, o.jobs)
	if err != nil {
		return out, err
	}

	outcomes := make([]string, len(p.mutants))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(o.jobs)
	for i, m := range p.mutants {
		g.Go(func() (err error) {
			outcomes[i], err = r.try(gctx, m, tests)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return out, err
	}
	for i, m := range p.mutants {
		switch outcomes[i] {
		case killed:
			out.Killed++
			continue
		case survived:
			out.Survived++
		default:
			out.Uncovered++
		}
		out.Survivors = append(out.Survivors, survivor(s.pkg, m, outcomes[i]))
	}
	out.Seconds = time.Since(began).Seconds()
	return out, nil
}
