package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/pipeline"
)

// External is a module built outside of the kernel's tree, as an administrator
// loads it.
type External struct {
	Release string
	Source  string // directory with its makefile
	Module  string // the .ko
}

// External builds the module in source, a directory with a makefile, for a release of
// the cache. The directory is copied first.
func (e *Env) External(ctx context.Context, release, source string) (*External, error) {
	tree, err := e.prepared(ctx, release)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(e.Dir, "external-")
	if err != nil {
		return nil, err
	}
	if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
		return nil, err
	}
	if err := kbuild.BuildModule(ctx, kbuild.ModuleOptions{Tree: tree, Dir: dir}); err != nil {
		return nil, err
	}
	kos, err := filepath.Glob(filepath.Join(dir, "*.ko"))
	if err != nil || len(kos) != 1 {
		return nil, fmt.Errorf("module in %s: %d .ko files", source, len(kos))
	}
	return &External{Release: release, Source: source, Module: kos[0]}, nil
}

// Livepatch makes a livepatch of a module that is not part of the kernel. o may set
// what the module and the target do not.
func (e *Env) Livepatch(ctx context.Context, x *External, o pipeline.Options) (*pipeline.Result, error) {
	o.Kernel = kernel.Options{Release: x.Release, Root: string(e.Cache.TargetRoot(x.Release)), Cache: e.Cache, ExtraModules: []string{x.Module}}
	o.ExternalSource = x.Source
	return pipeline.Run(ctx, o)
}
