// Command corpus takes a stable update apart into one patch per changed file,
// builds a livepatch of each against the older kernel, loads what was built in
// a VM, and prints a table.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/internal/e2e"
	"github.com/klpforge/klpforge/kernel/cachedir"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var o e2e.CorpusOptions
	flag.StringVar(&o.Release, "release", "6.1.0-53-cloud-amd64", "the older kernel")
	flag.StringVar(&o.BuildTree, "build-tree", "", "instead of -release: the directory that the older kernel was built in")
	flag.StringVar(&o.NewVersion, "to", "6.1.190-1", "source package version of the newer kernel")
	flag.StringVar(&o.Newer, "newer", "", "instead of -to: directory of the newer source")
	flag.StringVar(&o.TakenBack, "taken-back", "", "directory of an older source: take the changes from it to -newer back")
	flag.IntVar(&o.Max, "max", 0, "at most that many files, spread evenly; 0 for all")
	flag.IntVar(&o.Parallel, "parallel", 2, "builds at a time")
	flag.BoolVar(&o.Boot, "boot", true, "load what was built in a VM")
	flag.BoolVar(&o.Lint, "lint", false, "make no modules, only say what the checks find")
	flag.StringVar(&o.Objects, "objects", "", "keep the objects before and after each patch in this directory")
	list := flag.Bool("list", false, "only print the files of the corpus")
	resume := flag.Bool("resume", false, "go on where an earlier run with the same -json and -dir was stopped")
	load := flag.Bool("load", false, "only load the modules that an earlier run kept in -dir")
	out := flag.String("json", "", "write all cases to this file")
	dir := flag.String("dir", "", "keep patches and modules in this directory")
	flag.Parse()
	if o.TakenBack != "" && o.Newer == "" {
		fmt.Fprintln(os.Stderr, "corpus: -taken-back needs -newer")
		os.Exit(2)
	}
	for _, f := range flag.Args() {
		o.Files = append(o.Files, strings.TrimPrefix(f, "./"))
	}
	if err := run(ctx, o, *out, *dir, *list, *resume, *load); err != nil {
		fmt.Fprintln(os.Stderr, "corpus:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o e2e.CorpusOptions, out, dir string, list, resume, load bool) error {
	cache, err := cachedir.Default()
	if err != nil {
		return err
	}
	if resume {
		if out == "" || dir == "" {
			return errors.New("-resume needs the -json and the -dir of the run to go on with")
		}
		if o.Known, err = readCases(out); err != nil {
			return err
		}
	}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "klpforge-corpus-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	for _, d := range []string{dir, o.Objects} {
		if d == "" {
			continue
		}
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	e := &e2e.Env{Cache: cache, Dir: dir, Log: os.Stderr}
	if list {
		files, err := e.CorpusFiles(ctx, o)
		for _, f := range files {
			fmt.Println(f)
		}
		return err
	}
	if o.BuildTree != "" && o.Boot {
		return errors.New("-build-tree says nothing of what to boot: give -boot=false")
	}
	if out != "" {
		sofar := slices.Clone(o.Known)
		o.Each = func(c e2e.Case) error {
			sofar = append(elsewhere(sofar, []e2e.Case{c}), c)
			return writeCases(out, sofar)
		}
	}
	var cases []e2e.Case
	if load {
		cases, err = e.LoadModules(ctx, o.Release, dir)
	} else {
		cases, err = e.Corpus(ctx, o)
	}
	if out != "" && cases != nil {
		if werr := writeCases(out, append(slices.Clone(cases), elsewhere(o.Known, cases)...)); werr != nil {
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

// elsewhere returns the cases of known whose files are not in cases.
func elsewhere(known, cases []e2e.Case) []e2e.Case {
	has := map[string]bool{}
	for _, c := range cases {
		has[c.File] = true
	}
	return slices.DeleteFunc(slices.Clone(known), func(c e2e.Case) bool { return has[c.File] })
}

// readCases reads what writeCases wrote; a file that is not there has none.
func readCases(path string) ([]e2e.Case, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var cases []e2e.Case
	if err := json.Unmarshal(b, &cases); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return cases, nil
}

// writeCases replaces the file at once: a run that is stopped leaves the last
// state.
func writeCases(path string, cases []e2e.Case) error {
	b, err := json.MarshalIndent(cases, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".tmp", b, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
