package e2e

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/buildtree"
	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/module/note"
	"github.com/klpforge/klpforge/pipeline"
	"github.com/klpforge/klpforge/report"
)

// A corpus is a real stable update, taken apart: one patch for each .c file
// that changed and that the target's configuration builds.

// Outcome is what became of one patch of the corpus.
type Outcome string

// Outcomes.
const (
	Built    Outcome = "built"
	Refused  Outcome = "refused"            // with a finding
	NotAlone Outcome = "not self-contained" // needs a header or a sibling of the same update
	NoChange Outcome = "no change"          // compiles to the same code
	Broken   Outcome = "failed"             // klpforge or its environment failed
)

// Case is one patch of the corpus.
type Case struct {
	File    string   `json:"file"`
	Outcome Outcome  `json:"outcome"`
	IDs     []string `json:"ids,omitempty"`
	Detail  string   `json:"detail,omitempty"`
	Objects []string `json:"objects,omitempty"` // patched objects
	Funcs   int      `json:"functions,omitempty"`
	Seconds float64  `json:"seconds"`
	// Findings are all that the checks say, notes and verdicts included.
	Findings []report.Finding `json:"findings,omitempty"`
	Module   string           `json:"module,omitempty"`
	Loads    *bool            `json:"loads,omitempty"` // in the VM; nil when not tried
	LoadLog  string           `json:"loadLog,omitempty"`
}

// CorpusOptions choose a corpus.
type CorpusOptions struct {
	Release    string // the older kernel, in the cache or fetched by the machine's own package sources
	BuildTree  string // instead: the directory that the older kernel was built in
	NewVersion string // source package version of the newer one
	Newer      string // instead: directory of the newer source, unpacked
	// TakenBack is the directory of an older source. The patches are then the changes from it
	// to Newer, both of another line, taken back where the kernel's source has them.
	TakenBack string
	Files     []string // only these; nil for all
	Max       int      // at most that many, spread evenly over the names; 0 for all
	Parallel  int      // builds at a time; default 2
	Boot      bool     // load what was built in a VM
	Lint      bool     // make no modules, only findings
	Objects   string   // directory to keep the pairs of objects in; "" for none
	Known     []Case   // outcomes of an earlier run, not to be made again
	// Each is called for each case when its build is over, and when it was loaded, one at
	// a time.
	Each func(Case) error
}

// CorpusFiles lists the files of an update that the older kernel builds: the
// corpus, in order of their names.
func (e *Env) CorpusFiles(ctx context.Context, o CorpusOptions) ([]string, error) {
	_, u, err := e.corpusUpdate(ctx, &o)
	if err != nil {
		return nil, err
	}
	files, err := u.files()
	return spread(files, o.Max), err
}

// corpusUpdate brings the older kernel's prepared tree and the newer source.
func (e *Env) corpusUpdate(ctx context.Context, o *CorpusOptions) (kernel.Options, *update, error) {
	k, err := o.kernel(e.Cache)
	if err != nil {
		return k, nil, err
	}
	if o.BuildTree == "" {
		if err := e.Fetch(ctx, o.Release); err != nil {
			return k, nil, err
		}
	}
	u := &update{ctx: ctx, newer: o.Newer, takenBack: o.TakenBack, scratch: e.Dir}
	if u.tree, err = prepare(ctx, k); err != nil {
		return k, nil, err
	}
	if u.newer == "" {
		u.newer, err = e.UnpackSource(ctx, "", sourcePackage(o.Release), o.NewVersion)
	}
	return k, u, err
}

// kernel is where the older kernel is.
func (o *CorpusOptions) kernel(cache cachedir.Dir) (kernel.Options, error) {
	if o.BuildTree == "" {
		return kernel.Options{Release: o.Release, Root: cache.TargetRoot(o.Release), Cache: cache}, nil
	}
	tree, err := buildtree.Open(o.BuildTree)
	return kernel.Options{Finder: tree, Cache: cache}, err
}

// Corpus builds the patches of an update and, if asked, loads them.
func (e *Env) Corpus(ctx context.Context, o CorpusOptions) ([]Case, error) {
	k, u, err := e.corpusUpdate(ctx, &o)
	if err != nil {
		return nil, err
	}
	files := o.Files
	if files == nil {
		if files, err = u.files(); err != nil {
			return nil, err
		}
		files = spread(files, o.Max)
	}
	known := map[string]Case{}
	for _, c := range o.Known {
		known[c.File] = c
	}
	cases := make([]Case, len(files))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(cmp.Or(o.Parallel, 2))
	var mu sync.Mutex
	done := 0
	for i, f := range files {
		if c, ok := known[f]; ok {
			cases[i] = c
			mu.Lock()
			done++
			mu.Unlock()
			continue
		}
		g.Go(func() error {
			c, err := e.corpusCase(gctx, &o, k, u, f)
			if err != nil {
				return err
			}
			cases[i] = c
			mu.Lock()
			defer mu.Unlock()
			done++
			fmt.Fprintf(e.Log, "%4d/%d %-18s %s %s\n", done, len(files), c.Outcome, f, strings.Join(c.IDs, ","))
			if o.Each != nil {
				return o.Each(c)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if o.Boot && !o.Lint {
		opt, err := e.VM(ctx, o.Release)
		if err != nil {
			return cases, err
		}
		return cases, e.LoadCases(ctx, opt, cases, o.Each)
	}
	return cases, nil
}

// UnpackSource unpacks the C files of a source package version into the cache. suite is the
// one of the archive that has it, "" for this machine's package sources.
func (e *Env) UnpackSource(ctx context.Context, suite, pkg, version string) (string, error) {
	dir := filepath.Join(string(e.Cache), "corpus", pkg+"_"+version)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	deb, err := e.suiteDeb(ctx, suite, pkg, version)
	if err != nil {
		return "", err
	}
	if suite != "" { // a directory for this package alone
		defer os.RemoveAll(filepath.Dir(deb))
	}
	tmp := dir + fmt.Sprintf(".%d.tmp", os.Getpid())
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	script := fmt.Sprintf("dpkg --fsys-tarfile %q | tar -xO ./usr/src/%s.tar.xz | tar -xJ --strip-components=1 -C %q --wildcards '*.c' '*.h'", deb, pkg, tmp)
	if out, err := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", script).CombinedOutput(); err != nil {
		return "", fmt.Errorf("unpack %s %s: %w: %s", pkg, version, err, bytes.TrimSpace(out))
	}
	return dir, os.Rename(tmp, dir)
}

func (e *Env) corpusCase(ctx context.Context, o *CorpusOptions, k kernel.Options, u *update, file string) (Case, error) {
	c := Case{File: file}
	name := strings.NewReplacer("/", "_", ".", "_", "-", "_").Replace(strings.TrimSuffix(file, ".c"))
	if len(name) > 50 {
		name = name[len(name)-50:]
	}
	dir := filepath.Join(e.Dir, "corpus")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return c, err
	}
	diff, err := u.patch(file)
	if err != nil {
		return c, err
	}
	patch := filepath.Join(dir, name+".patch")
	if err := os.WriteFile(patch, diff, 0o644); err != nil {
		return c, err
	}
	ko := filepath.Join(dir, "c_"+name+".ko")
	start := time.Now()
	res, err := pipeline.Run(ctx, pipeline.Options{Kernel: k, Patches: []string{patch}, Output: ko, Jobs: 1,
		DiffOnly: o.Lint, KeepObjects: o.Objects})
	c.Seconds = time.Since(start).Seconds()
	if ctx.Err() != nil {
		return c, ctx.Err()
	}
	for _, ob := range res.Plan.Objects {
		c.Objects = append(c.Objects, ob.Name)
		c.Funcs += len(ob.Funcs)
	}
	c.Findings = report.Findings(res.Findings)
	var refusal *pipeline.Refusal
	var compile *kbuild.CompileError
	var fault *pipeline.PatchError
	switch {
	case err == nil && o.Lint:
		c.Outcome = Built
	case err == nil:
		c.Outcome, c.Module = Built, ko
	case errors.As(err, &refusal):
		c.Outcome = Refused
		var lines []string
		for _, p := range refusal.Problems {
			c.IDs = append(c.IDs, string(p.ID))
			lines = append(lines, p.Symbol+": "+p.Message)
			if p.ID == finding.IDPrerequisite {
				c.Outcome = NotAlone
			}
		}
		slices.Sort(c.IDs)
		c.IDs = slices.Compact(c.IDs)
		c.Detail = strings.Join(lines, "\n")
	case errors.Is(err, pipeline.ErrNothing):
		c.Outcome = NoChange
	case errors.As(err, &fault) && errors.As(err, &compile):
		c.Outcome, c.Detail = NotAlone, err.Error()
	default:
		c.Outcome, c.Detail = Broken, err.Error()
	}
	return c, nil
}

// LoadModules loads and unloads every module that an earlier run kept in dir.
func (e *Env) LoadModules(ctx context.Context, release, dir string) ([]Case, error) {
	files, err := filepath.Glob(filepath.Join(dir, "corpus", "c_*.ko"))
	if err != nil {
		return nil, err
	}
	var cases []Case
	for _, f := range files {
		obj, err := elfobj.ReadFile(f)
		if err != nil {
			return nil, err
		}
		m, err := note.Read(obj)
		if err != nil {
			return nil, fmt.Errorf("read the note of %s: %w", f, err)
		}
		c := Case{File: filepath.Base(f), Outcome: Built, Module: f}
		for _, o := range m.Objects {
			c.Objects = append(c.Objects, o.Name)
			c.Funcs += len(o.Funcs)
		}
		cases = append(cases, c)
	}
	opt, err := e.VM(ctx, release)
	if err != nil {
		return nil, err
	}
	return cases, e.LoadCases(ctx, opt, cases, nil)
}

// LoadCases loads and unloads every module that was built and not tried yet, in batches.
// opt says what to boot. each, when not nil, is called for each case when its outcome is
// known.
func (e *Env) LoadCases(ctx context.Context, opt vm.Options, cases []Case, each func(Case) error) error {
	opt.Log = nil
	var lps []vm.Livepatch
	index := map[string]int{}
	for i, c := range cases {
		if c.Outcome != Built || c.Loads != nil {
			continue
		}
		lp := vm.Livepatch{Label: c.File, Path: c.Module}
		for _, o := range c.Objects {
			if o != "vmlinux" {
				lp.Before = append(lp.Before, o)
			}
		}
		index[c.File] = i
		lps = append(lps, lp)
	}
	// Outcomes count as they come: a run that is stopped keeps what it has seen.
	tried := 0
	var keep error
	r, err := vm.Batch(ctx, opt, lps, vm.BatchOptions{Load: 2, Wait: 3 * time.Minute, Progress: func(it vm.BatchItem) {
		c := &cases[index[it.Livepatch.Label]]
		ok := it.OK
		c.Loads = &ok
		tried++
		verdict := "loads"
		if !ok {
			verdict = "does not load"
			c.LoadLog = fmt.Sprintf("%+v", it.Result)
			if it.Death != nil {
				c.LoadLog = it.Death.Why
			}
		}
		fmt.Fprintf(e.Log, "%4d/%d %s %s %s\n", tried, len(lps), verdict, c.File, c.LoadLog)
		if it.Death != nil {
			fmt.Fprintln(e.Log, it.Death.Log)
		}
		if each != nil {
			keep = errors.Join(keep, each(*c))
		}
	}})
	if r != nil {
		for _, d := range r.Unexplained {
			fmt.Fprintf(e.Log, "the VM ended, and no livepatch did it alone: %s; %d were loaded before: %s\n%s\n", d.Why, len(d.Before), strings.Join(d.Before, " "), d.Log)
		}
	}
	return errors.Join(err, keep)
}

// Table renders the outcome of a corpus.
func Table(cases []Case) string {
	count := map[Outcome]int{}
	ids := map[string]int{}
	loads, tried := 0, 0
	for _, c := range cases {
		count[c.Outcome]++
		for _, id := range c.IDs {
			if c.Outcome == Refused {
				ids[id]++
			}
		}
		if c.Loads != nil {
			tried++
			if *c.Loads {
				loads++
			}
		}
	}
	var b strings.Builder
	alone := len(cases) - count[NotAlone] - count[NoChange]
	fmt.Fprintf(&b, "%-36s %5d\n", "changed files that the config builds", len(cases))
	fmt.Fprintf(&b, "%-36s %5d\n", "not self-contained", count[NotAlone])
	fmt.Fprintf(&b, "%-36s %5d\n", "no change in code", count[NoChange])
	fmt.Fprintf(&b, "%-36s %5d\n", "self-contained", alone)
	pct := func(n int) string {
		if alone == 0 {
			return "-"
		}
		return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(alone))
	}
	fmt.Fprintf(&b, "  %-34s %5d  %s\n", "built", count[Built], pct(count[Built]))
	fmt.Fprintf(&b, "  %-34s %5d  of %d tried\n", "load and unload in the VM", loads, tried)
	fmt.Fprintf(&b, "  %-34s %5d  %s\n", "refused with a finding", count[Refused], pct(count[Refused]))
	fmt.Fprintf(&b, "  %-34s %5d  %s\n", "failed", count[Broken], pct(count[Broken]))
	keys := make([]string, 0, len(ids))
	for id := range ids {
		keys = append(keys, id)
	}
	slices.Sort(keys)
	for _, id := range keys {
		fmt.Fprintf(&b, "    %s %d\n", id, ids[id])
	}
	return b.String()
}
