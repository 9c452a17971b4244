package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/fetch/provider"
	"github.com/klpforge/klpforge/patchset"
	"github.com/klpforge/klpforge/pipeline"
)

// Kernels that tests of other packages work on, beside those of the ext4 case.
const (
	IBTRelease    = "6.12.117+deb12-cloud-amd64" // CONFIG_X86_KERNEL_IBT: other prologues, objtool on linked modules
	CorpusRelease = "6.1.0-53-cloud-amd64"       // the older side of the corpus, source 6.1.187-1
	CorpusSource  = "6.1.190-1"                  // the newer side
)

// Kernels of other suites and flavours, for the matrix. Those of a suite have its
// compiler: gcc 10, 14, 16.
const (
	BullseyeRelease = "5.10.0-43-cloud-amd64"      // source 5.10.251-5
	TrixieRelease   = "6.12.117+deb13-cloud-amd64" // source 6.12.117-1
	SidRelease      = "7.2.13+deb14-cloud-amd64"   // source 7.2.13-1
	RTRelease       = "6.1.0-50-rt-amd64"          // PREEMPT_RT, of patched source, which the archive keeps for point releases
)

// Warm brings into the cache what the tests on real kernels work on: packages,
// prepared trees, and pairs of objects compiled before and after a real patch.
// While one kernel is prepared, the next is downloaded.
//
// A release that the archive no longer has is told loudly and left out; the
// tests that need it fail then. The error names all of them.
func (e *Env) Warm(ctx context.Context) error {
	begun := time.Now()
	var gone error
	ready := make(chan string, 8)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(ready)
		for _, release := range []string{CloudRelease, CorpusRelease, ModuleRelease, IBTRelease} {
			err := e.Fetch(gctx, release)
			var missing *provider.NotInArchiveError
			if errors.As(err, &missing) {
				fmt.Fprintf(e.Log, "\n*** %s IS NOT IN THE ARCHIVE ANY MORE: %v\n\n", release, err)
				gone = errors.Join(gone, err)
				continue
			}
			if err != nil {
				return err
			}
			ready <- release
		}
		for _, version := range []string{BrokenSource, FixedSource, CorpusSource} {
			if _, err := e.deb(gctx, sourcePackage(CloudRelease), version); err != nil {
				return err
			}
		}
		return nil
	})
	g.Go(func() error {
		for release := range ready {
			if _, err := e.prepared(gctx, release); err != nil {
				return err
			}
			fmt.Fprintf(e.Log, "%v: %s is prepared\n", time.Since(begun).Round(time.Second), release)
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return err
	}
	if err := e.Pairs(ctx); err != nil {
		return err
	}
	fmt.Fprintf(e.Log, "%v: all in %s\n", time.Since(begun).Round(time.Second), e.Cache)
	return gone
}

// prepared returns the prepared tree of a release in the cache.
func (e *Env) prepared(ctx context.Context, release string) (*kbuild.Tree, error) {
	return prepare(ctx, kernel.Options{Release: release, Root: e.Cache.TargetRoot(release), Cache: e.Cache})
}

// prepare returns the prepared tree of a kernel.
func prepare(ctx context.Context, o kernel.Options) (*kbuild.Tree, error) {
	k, err := kernel.Open(o)
	if err != nil {
		return nil, err
	}
	defer k.Close()
	return pipeline.Prepare(ctx, k, kbuild.PrepareOptions{})
}

// pairFiles are files of the corpus whose objects, before and after, the tests
// of elfobj and elfdiff read.
var pairFiles = []string{
	"arch/x86/events/intel/core.c",
	"block/blk-mq.c",
	"drivers/acpi/scan.c",
	"drivers/md/md.c",
	"drivers/net/bonding/bond_main.c",
	"drivers/net/tun.c",
}

// Pairs compiles files of the corpus before and after into pairs/ of the
// cache: <name>.orig.o and <name>.patched.o.
func (e *Env) Pairs(ctx context.Context) error {
	dir := filepath.Join(string(e.Cache), "pairs")
	have, err := filepath.Glob(filepath.Join(dir, "*.patched.o"))
	if err != nil || len(have) >= len(pairFiles) {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tree, err := e.prepared(ctx, CorpusRelease)
	if err != nil {
		return err
	}
	newer, err := e.UnpackSource(ctx, "", sourcePackage(CorpusRelease), CorpusSource)
	if err != nil {
		return err
	}
	work, err := tree.Work(ctx, kbuild.WorkOptions{})
	if err != nil {
		return err
	}
	defer work.Close()
	var objects []string
	for _, f := range pairFiles {
		patched, err := stableText(ctx, e.Dir, tree.Dir, newer, f)
		if err != nil {
			return err
		}
		if err := work.Write(f, patched); err != nil {
			return err
		}
		objects = append(objects, strings.TrimSuffix(f, ".c")+".o")
	}
	before, err := work.Before(ctx, objects)
	if err != nil {
		return fmt.Errorf("compile pairs before the update: %w", err)
	}
	after, err := work.After(ctx, objects)
	if err != nil {
		return fmt.Errorf("compile pairs after the update: %w", err)
	}
	for i, obj := range objects {
		name := filepath.Join(dir, strings.ReplaceAll(strings.TrimSuffix(obj, ".o"), "/", "_"))
		// The patched object comes last: it is what is looked for.
		for _, c := range []struct{ from, to string }{{before[i].Path, name + ".orig.o"}, {after[i].Path, name + ".patched.o"}} {
			b, err := os.ReadFile(c.from)
			if err != nil {
				return err
			}
			if err := os.WriteFile(c.to, b, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// stableText is a file of the newer source as klpforge would compile it: the
// difference applied as a patch, with line numbers kept.
func stableText(ctx context.Context, scratch, older, newer, file string) ([]byte, error) {
	dir, err := os.MkdirTemp(scratch, "pair-")
	if err != nil {
		return nil, err
	}
	for side, from := range map[string]string{"a": older, "b": newer} {
		if err := os.Symlink(from, filepath.Join(dir, side)); err != nil {
			return nil, err
		}
	}
	out := filepath.Join(dir, "patch")
	if err := diffDirs(ctx, dir, file, out); err != nil {
		return nil, err
	}
	series, err := patchset.Read([]string{out}, patchset.ReadOptions{})
	if err != nil {
		return nil, err
	}
	overlay, err := series.ApplyDir(older, patchset.ApplyOptions{})
	if err != nil {
		return nil, err
	}
	f := overlay.Files[file]
	if f.Stable != nil {
		return f.Stable, nil
	}
	return f.New, nil
}
