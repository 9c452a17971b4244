// Command corpus takes a stable update apart into one patch per changed file,
// builds a livepatch of each against the older kernel, loads what was built in
// a VM, and prints a table.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/klpforge/klpforge/internal/e2e"
	"github.com/klpforge/klpforge/kernel"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var o e2e.CorpusOptions
	flag.StringVar(&o.Release, "release", "6.1.0-53-cloud-amd64", "the older kernel")
	flag.StringVar(&o.NewVersion, "to", "6.1.190-1", "source package version of the newer kernel")
	flag.IntVar(&o.Parallel, "parallel", 2, "builds at a time")
	flag.BoolVar(&o.Boot, "boot", true, "load what was built in a VM")
	flag.BoolVar(&o.Lint, "lint", false, "make no modules, only say what the checks find")
	load := flag.Bool("load", false, "only load the modules that an earlier run kept in -dir")
	out := flag.String("json", "", "write all cases to this file")
	dir := flag.String("dir", "", "keep patches and modules in this directory")
	flag.Parse()
	for _, f := range flag.Args() {
		o.Files = append(o.Files, strings.TrimPrefix(f, "./"))
	}
	if err := run(ctx, o, *out, *dir, *load); err != nil {
		fmt.Fprintln(os.Stderr, "corpus:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o e2e.CorpusOptions, out, dir string, load bool) error {
	cache, err := kernel.DefaultCache()
	if err != nil {
		return err
	}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "klpforge-corpus-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	e := &e2e.Env{Cache: cache, Dir: dir, Log: os.Stderr}
	var cases []e2e.Case
	if load {
		cases, err = e.LoadModules(ctx, o.Release, dir)
	} else {
		cases, err = e.Corpus(ctx, o)
	}
	if out != "" && cases != nil {
		b, jerr := json.MarshalIndent(cases, "", " ")
		if jerr != nil {
			return jerr
		}
		if werr := os.WriteFile(out, b, 0o644); werr != nil {
			return werr
		}
	}
	if err != nil {
		return err
	}
	fmt.Print(e2e.Table(cases))
	fmt.Print(e2e.FindingTable(cases))
	return nil
}
