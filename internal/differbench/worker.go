package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// work is what one measured process does.
func work(what, out string, args []string) error {
	if len(args)%2 != 0 {
		return errors.New("want pairs of objects")
	}
	switch what {
	case "diff":
		g := new(errgroup.Group)
		g.SetLimit(runtime.GOMAXPROCS(0))
		for i := 0; i < len(args); i += 2 {
			g.Go(func() error { return differ(args[i], args[i+1], fmt.Sprintf("%s.%d", out, i/2)) })
		}
		return g.Wait()
	case "link":
		return link(out, args)
	}
	return fmt.Errorf("no such work: %q", what)
}

// differ does for one pair what klpforge build does between the compiler and
// the linker.
func differ(orig, patched, out string) error {
	var o, p *elfobj.File
	g := new(errgroup.Group)
	g.Go(func() (err error) { o, err = elfobj.ReadFile(orig); return err })
	g.Go(func() (err error) { p, err = elfobj.ReadFile(patched); return err })
	if err := g.Wait(); err != nil {
		return err
	}
	r, err := elfdiff.Diff(o, p)
	if err != nil {
		return err
	}
	opt := elfdiff.ExtractOptions{Unit: "bench.o", Object: "vmlinux", Resolve: func(e elfdiff.External) (string, error) {
		return ".klp.sym.vmlinux." + e.Name + ",0", nil
	}}
	for _, ch := range r.Functions {
		if ch.Kind == elfdiff.Changed && !ch.Init {
			opt.Functions = append(opt.Functions, ch.Patched)
		}
	}
	if len(opt.Functions) == 0 {
		return nil
	}
	x, err := r.Extract(opt)
	var refusal *finding.Finding
	if errors.As(err, &refusal) {
		fmt.Println(refusal)
		return nil
	}
	if err != nil {
		return err
	}
	data, err := x.File.Write()
	if err != nil {
		return err
	}
	return os.WriteFile(out, data, 0o600)
}
