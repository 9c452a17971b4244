// Command truth lints patches of which it is known whether they are dangerous as a
// livepatch, and prints how many of them the checks see:
//
//	go run ./internal/truth [-run REGEXP] [-json FILE] [-write] [-v]
//	go run ./internal/truth -contracts
//
// The patches are those of testdata/truth, for Debian's 6.1.0-55-cloud-amd64, whose source
// is 6.1.192. All are reviewed in one process, with the objects before the patch from the
// cache. The exit status is 1 when a hazard gets a verdict, when something harmless is a
// warning or an error, or when a patch is no case at all.
//
// With -contracts alone, and with -write, what is found of a kernel's functions is held
// against the flags of BPF's functions and __must_check in its source.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"github.com/klpforge/klpforge/internal/e2e"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/pipeline"
)

const (
	casesDir = "testdata/truth"
	pagePath = "docs/measured/truth.md"
)

// options say which patches are reviewed and what is done with the outcome.
type options struct {
	names   *regexp.Regexp // nil: all
	json    string         // file for all outcomes; "" for none
	write   bool           // replace pagePath
	verbose bool           // print the findings of each patch
	// contracts asks for what the source says of functions, and for no patches.
	contracts bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var opt options
	names := flag.String("run", "", "only patches whose name or check matches this `regexp`")
	flag.StringVar(&opt.json, "json", "", "write all outcomes to this `file`")
	flag.BoolVar(&opt.write, "write", false, "write the tables to "+pagePath)
	flag.BoolVar(&opt.contracts, "contracts", false, "only hold what is found of functions against their flags in the source")
	flag.BoolVar(&opt.verbose, "v", false, "print what is said of each patch, with the evidence")
	flag.Parse()
	wrong, err := 0, error(nil)
	if opt.names, err = regexp.Compile(*names); err == nil {
		wrong, err = run(ctx, opt, os.Stdout, os.Stderr)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "truth:", err)
		os.Exit(3)
	}
	if wrong > 0 {
		fmt.Fprintf(os.Stderr, "truth: %d outcome(s) that must not be, marked with !\n", wrong)
		os.Exit(1)
	}
}

// run reviews the patches that opt chooses, and returns how many outcomes are
// wrong.
func run(ctx context.Context, opt options, out, log io.Writer) (wrong int, err error) {
	all, err := readCases(casesDir)
	if err != nil {
		return 0, err
	}
	cache, err := cachedir.Default()
	if err != nil {
		return 0, err
	}
	if opt.contracts {
		return 0, allContracts(out, cache)
	}
	var list []outcome
	for _, one := range all {
		if !opt.names.MatchString(one.Name) && !opt.names.MatchString(string(one.Check)) {
			continue
		}
		result := review(ctx, cache, one)
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		list = append(list, result)
		if result.wrong() {
			wrong++
		}
		fmt.Fprintf(log, "%4d/%d %s %-8s %5.1f s  %s\n", len(list), len(all), one.Check, result.Answer, result.Seconds,
			one.Name)
		if opt.verbose {
			tell(log, &result)
		}
	}
	if len(list) == 0 {
		return 0, fmt.Errorf("no patch of %s matches %s", casesDir, opt.names)
	}
	var text bytes.Buffer
	tables(&text, list)
	if _, err := out.Write(text.Bytes()); err != nil {
		return 0, err
	}
	if opt.json != "" {
		doc, err := json.MarshalIndent(list, "", " ")
		if err != nil {
			return 0, err
		}
		if err := os.WriteFile(opt.json, append(doc, '\n'), 0o644); err != nil {
			return 0, err
		}
	}
	if opt.write {
		if len(list) != len(all) {
			return 0, fmt.Errorf("%s is about all patches, these are %d of %d", pagePath, len(list), len(all))
		}
		var flags bytes.Buffer
		if err := allContracts(&flags, cache); err != nil {
			return 0, err
		}
		err = os.WriteFile(pagePath, page(text.Bytes(), flags.Bytes(), time.Now()), 0o644)
	}
	return wrong, err
}

// contractReleases are the kernels whose functions are held against their source: few have
// flags in 6.1.
var contractReleases = []string{e2e.CloudRelease, "6.12.117+deb13-cloud-amd64"}

func allContracts(out io.Writer, cache cachedir.Dir) error {
	for _, release := range contractReleases {
		if err := against(out, cache, release); err != nil {
			return err
		}
	}
	return nil
}

// review lints one patch.
func review(ctx context.Context, cache cachedir.Dir, one truth) outcome {
	start := time.Now()
	res, err := pipeline.Run(ctx, pipeline.Options{
		Kernel:  kernel.Options{Release: e2e.CloudRelease, Root: cache.TargetRoot(e2e.CloudRelease), Cache: cache},
		Patches: []string{one.Path}, DiffOnly: true})
	out := judge(one, res, err)
	out.Seconds = time.Since(start).Seconds()
	return out
}

// tell prints what is said of a patch.
func tell(log io.Writer, o *outcome) {
	if o.Fault != "" {
		fmt.Fprintf(log, "       %s\n", o.Fault)
	}
	for i := range o.Says {
		f := &o.Says[i]
		fmt.Fprintf(log, "       %s\n", f.Line())
		for _, line := range f.Evidence {
			fmt.Fprintf(log, "           %s\n", line)
		}
	}
}
