// Command annotbench measures lock effects against the kernel's own
// annotations: it extracts __acquires() and __releases() from the source that
// a target was built from, matches them with the functions of the target's
// image, and prints recall and precision, with every miss and its class.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/klpforge/klpforge/analyze/locks/annot"
	"github.com/klpforge/klpforge/internal/e2e"
	"github.com/klpforge/klpforge/internal/facts"
	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/kimage"
	"github.com/klpforge/klpforge/pipeline"
)

func main() {
	var b bench
	flag.StringVar(&b.kernel.Release, "k", e2e.CloudRelease, "release of the target; its source must be prepared (make kernels)")
	flag.StringVar(&b.kernel.Vmlinux, "vmlinux", "", "ELF vmlinux of the release, to look at instead of the shipped image")
	flag.StringVar(&b.debug, "debug", "", "vmlinux of the debug package, which says what file each local function is from; else the makefiles do, by file")
	flag.IntVar(&b.sample, "sample", 0, "also print `N` unannotated functions with an effect, drawn at random")
	flag.Uint64Var(&b.seed, "seed", 1, "of the draw")
	check := flag.Bool("check", false, "exit 1 when recall is below 95 %")
	flag.Parse()
	recall, err := b.run(context.Background(), os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "annotbench:", err)
		os.Exit(1)
	}
	if *check && recall < 0.95 {
		os.Exit(1)
	}
}

// bench is one measurement.
type bench struct {
	kernel kernel.Options
	debug  string
	sample int
	seed   uint64
}

func (b *bench) run(ctx context.Context, out io.Writer) (recall float64, err error) {
	k, err := facts.Open(b.kernel)
	if err != nil {
		return 0, err
	}
	defer k.Close()
	tree, err := pipeline.Prepare(ctx, k.Target, kbuild.PrepareOptions{})
	if err != nil {
		return 0, err
	}
	list, err := annot.ExtractTree(tree.Dir)
	if err != nil {
		return 0, err
	}
	files, done, err := b.files(tree)
	if err != nil {
		return 0, err
	}
	defer done()
	r := annot.Compare(k.Locks, list, files)
	fmt.Fprintf(out, "%s, source %s\n", k.Image.Path, tree.Version)
	if err := r.Write(out); err != nil {
		return 0, err
	}
	draw := rand.New(rand.NewPCG(b.seed, 0)).Perm(len(r.Called))
	for _, i := range draw[:min(b.sample, len(draw))] {
		e := k.Locks.Effect(r.Called[i])
		s := k.Locks.Summary(e, k.Types)
		fmt.Fprintf(out, "sample: %s acquires %v releases %v returns %s unknown %v\n", k.Model.Func(e.Func).Name, s.Acquires, s.Releases, s.Returns, s.Unknown)
	}
	return r.Recall(), nil
}

// files finds out which source file functions are from.
func (b *bench) files(tree *kbuild.Tree) (annot.Files, func(), error) {
	if b.debug != "" {
		im, err := kimage.Open(b.debug, "")
		if err != nil {
			return nil, nil, err
		}
		f, err := annot.ReadSymtab(im)
		if err != nil {
			im.Close()
			return nil, nil, err
		}
		return f, func() { im.Close() }, nil
	}
	included, err := includedSources(tree.Dir)
	if err != nil {
		return nil, nil, err
	}
	inVmlinux := func(file string) bool {
		o, err := tree.Owner(strings.TrimSuffix(file, ".c") + ".o")
		return err == nil && o.Kind == kbuild.KindVmlinux
	}
	return annot.Built(func(file string) bool {
		if inVmlinux(file) {
			return true
		}
		for _, by := range included[file] {
			if inVmlinux(by) {
				return true
			}
		}
		return false
	}), func() {}, nil
}

var includeSource = regexp.MustCompile(`(?m)^#\s*include\s+"([^"]+\.c)"`)

// includedSources finds the .c files that other .c files include, as
// kernel/sched/build_policy.c includes rt.c: who includes each.
func includedSources(dir string) (map[string][]string, error) {
	out := map[string][]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".c") {
			return err
		}
		text, err := os.ReadFile(p)
		if err != nil || !bytes.Contains(text, []byte(`.c"`)) {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		for _, m := range includeSource.FindAllSubmatch(text, -1) {
			file := path.Join(path.Dir(rel), string(m[1]))
			out[file] = append(out[file], rel)
		}
		return nil
	})
	return out, err
}
