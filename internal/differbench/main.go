// Command differbench compares the differ with its peer, kpatch's
// create-diff-object, on the same pairs of objects in one run: all pairs of a
// directory, and pairs linked of them, up to the size of a whole kernel. Both
// read two objects, compare them, cut out what a livepatch needs and write it.
//
// Each measurement is a process of its own. Processor time and peak memory are
// what the kernel accounts for it, so that other work on the machine counts
// little; the best of several runs is taken.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"
)

func main() {
	var b bench
	flag.StringVar(&b.pairs, "pairs", "", "directory of `*.orig.o` and *.patched.o (internal/corpus -objects makes them)")
	flag.StringVar(&b.peer, "peer", "", "create-diff-object of the peer; without it only klpforge is measured")
	flag.StringVar(&b.sizes, "sizes", "ALT=14,BUG=12,EX=12,JUMP=16,ORC=6,STATIC_CALL=8,PRINTK_INDEX=8", "sizes of table entries that the peer takes from debug information; the default is for 6.12 on x86-64")
	flag.IntVar(&b.runs, "runs", 3, "runs of each measurement of a pair of the directory; the best counts. Linked pairs are large and run once")
	flag.DurationVar(&b.limit, "limit", 10*time.Minute, "end a process after so much processor time")
	flag.Int64Var(&b.size, "size", 100, "MiB of one side of the largest linked pair")
	worker := flag.String("worker", "", "what this process does for another one: diff or link")
	out := flag.String("o", "", "for -worker: output")
	profile := flag.String("cpuprofile", "", "for -worker: write a profile to this file")
	flag.BoolVar(&b.verbose, "v", false, "show what a differ says of pairs that it does not finish")
	flag.Parse()
	var err error
	if *worker != "" {
		if *profile != "" {
			f, perr := os.Create(*profile)
			if perr == nil {
				perr = pprof.StartCPUProfile(f)
			}
			if perr != nil {
				fmt.Fprintln(os.Stderr, "differbench:", perr)
				os.Exit(1)
			}
			defer pprof.StopCPUProfile()
		}
		err = work(*worker, *out, flag.Args())
	} else {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = b.run(ctx, os.Stdout)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "differbench:", err)
		os.Exit(1)
	}
}

type bench struct {
	pairs, peer, sizes string
	runs               int
	limit              time.Duration
	size               int64 // MiB
	verbose            bool

	self string
	dir  string
}

// parts are the fractions of the largest linked pair that are measured.
var parts = []int{64, 32, 16, 8, 4, 2, 1}

func (b *bench) run(ctx context.Context, out *os.File) error {
	list, err := filepath.Glob(filepath.Join(b.pairs, "*.patched.o"))
	if err != nil || len(list) == 0 {
		return fmt.Errorf("no *.patched.o in %q (%v)", b.pairs, err)
	}
	var pairs []pair
	for _, p := range list {
		name := strings.TrimSuffix(p, ".patched.o")
		pairs = append(pairs, pair{name + ".orig.o", p})
	}
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "differbench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	fmt.Fprintf(out, "%d CPUs, load %s, %d pairs, %s, best of %d runs\n\n", runtime.NumCPU(), load(), len(pairs), mib(sizeOf(pairs...)), b.runs)
	if err := b.eachPair(ctx, out, pairs); err != nil {
		return err
	}
	return b.linkedPairs(ctx, out, pairs)
}

// pair is one object before and after.
type pair struct{ orig, patched string }

func sizeOf(pairs ...pair) int64 {
	var n int64
	for _, p := range pairs {
		for _, f := range []string{p.orig, p.patched} {
			if st, err := os.Stat(f); err == nil {
				n += st.Size()
			}
		}
	}
	return n
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// load is the machine's load of the last minute, as a warning to the reader.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Fields(string(b))[0]
}
