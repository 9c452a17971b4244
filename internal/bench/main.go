// Command bench measures what a livepatch of one file costs: from a source
// tree that is merely unpacked, from a prepared one whose objects were never
// compiled, and from one where the object before the patch is known. Each is
// given in seconds and as a multiple of the two compilations themselves, which
// are timed in the same run; so is klpforge lint. It also prints how many processes the
// machine started in each stage, and how much memory klpforge needed.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/klpforge/klpforge/internal/e2e"
	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/kernel/fetch"
)

// The project's targets, as multiples of the two compilations, which any machine can do.
const (
	coldLimit     = 6.0       // source unpacked, nothing prepared
	preparedLimit = 1.8       // no object compiled
	warmLimit     = 1.3       // the object before the patch is known; also for lint
	memoryLimit   = 500 << 20 // bytes, klpforge itself, without a debug package
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var b bench
	flag.StringVar(&b.klpforge, "klpforge", "bin/klpforge", "the program to measure")
	flag.IntVar(&b.runs, "runs", 3, "runs of each measurement but the first; the median counts")
	scale := flag.String("scale", "", "measure patch series instead: `numbers` of files, with commas")
	header := flag.Int("header", 500, "with -scale: also a header that about this many objects read; 0: none")
	check := flag.Bool("check", false, "exit 1 when a target is missed")
	flag.Parse()
	met, err := b.measure(ctx, *scale, *header)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	if *check && !met {
		os.Exit(1)
	}
}

// bench is one measurement.
type bench struct {
	klpforge string
	runs     int

	env    e2e.Env
	dir    string // holds everything that is made here; on the cache's file system
	source string // unpacked source tree
	patch  string
}

// measure is run, or scale if sizes are given.
func (b *bench) measure(ctx context.Context, sizes string, header int) (met bool, err error) {
	if sizes == "" {
		return b.run(ctx, os.Stdout)
	}
	var numbers []int
	for word := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return false, fmt.Errorf("read -scale: %q is no number of files", word)
		}
		numbers = append(numbers, n)
	}
	return b.scale(ctx, os.Stdout, numbers, header)
}

const release = e2e.CloudRelease

// cache is the private cache of the measured runs.
func (b *bench) cache() string { return filepath.Join(b.dir, "cache") }

func (b *bench) run(ctx context.Context, out io.Writer) (met bool, err error) {
	if err := b.setUp(ctx); err != nil {
		return false, err
	}
	defer os.RemoveAll(b.dir)
	fmt.Fprintf(out, "%s, %s, %d CPUs, load %s\n\n", release, e2e.FixedFile, runtime.NumCPU(), load())

	cold, err := b.build(ctx)
	if err != nil {
		return false, err
	}
	var fresh, warm, lint []sample
	for range b.runs {
		if err := os.RemoveAll(filepath.Join(b.cache(), "objects")); err != nil {
			return false, err
		}
		s, err := b.build(ctx)
		if err != nil {
			return false, err
		}
		fresh = append(fresh, s)
		if s, err = b.build(ctx); err != nil {
			return false, err
		}
		warm = append(warm, s)
		if s, err = b.klpforgeRun(ctx, "lint", []string{b.patch}); err != nil {
			return false, err
		}
		lint = append(lint, s)
	}
	pure, err := b.compilations(ctx)
	if err != nil {
		return false, err
	}
	r := report{pure: pure, cold: cold, fresh: median(fresh), warm: median(warm), lint: median(lint),
		runs: b.runs}
	for _, s := range slices.Concat([]sample{cold}, fresh, warm, lint) {
		r.memory = max(r.memory, s.memory)
	}
	return r.print(out), nil
}

// setUp brings the kernel and the patch, and unpacks the source.
func (b *bench) setUp(ctx context.Context) error {
	cache, err := cachedir.Default()
	if err != nil {
		return err
	}
	if b.klpforge, err = filepath.Abs(b.klpforge); err != nil {
		return err
	}
	if err := os.MkdirAll(string(cache), 0o755); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp(string(cache), "bench-"); err != nil {
		return err
	}
	b.env = e2e.Env{Cache: cache, Dir: b.dir, Log: os.Stderr}
	err = b.unpack(ctx)
	if err != nil {
		os.RemoveAll(b.dir)
	}
	return err
}

func (b *bench) unpack(ctx context.Context) error {
	fetched, err := fetch.Kernel(ctx, release, fetch.Options{Cache: b.env.Cache, Progress: func(s string) { fmt.Fprintln(os.Stderr, s) }})
	if err != nil {
		return err
	}
	if b.patch, err = b.env.Ext4Patch(ctx); err != nil {
		return err
	}
	b.source = filepath.Join(b.dir, "source")
	if err := os.Mkdir(b.source, 0o755); err != nil {
		return err
	}
	return command(ctx, b.dir, "tar", "-xf", fetched.Tarball, "--strip-components=1", "-C", b.source)
}

// load is the machine's load of the last minute, as a warning to the reader.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	var l string
	if _, serr := fmt.Sscan(string(b), &l); err != nil || serr != nil {
		return "unknown"
	}
	return l
}
