package main

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/klpforge/klpforge/internal/ownkernel"
)

// own makes the row's kernel of one's own, or finds it in the cache.
func (r *runner) own(ctx context.Context) (ownkernel.Kernel, error) {
	var k ownkernel.Kernel
	err := r.logged(func(s ownkernel.Spec, log io.Writer) (err error) {
		k, err = s.Make(ctx, string(r.cache), func(line string) (string, error) { return r.env.SourceTarball(ctx, line) }, log)
		return err
	})
	return k, err
}

// packRHEL makes RPM packages of it, and returns the directory of their repository.
func (r *runner) packRHEL(ctx context.Context, k ownkernel.Kernel) (string, error) {
	dir := ""
	err := r.logged(func(s ownkernel.Spec, log io.Writer) (err error) {
		dir, err = s.PackRHEL(ctx, string(r.cache), k, log)
		return err
	})
	return dir, err
}

// logged does something with the row's kernel of one's own, whose log it appends to.
func (r *runner) logged(do func(s ownkernel.Spec, log io.Writer) error) error {
	s, err := ownkernel.Find(r.Row.Own)
	if err != nil {
		return err
	}
	path := filepath.Join(string(r.cache), "kernels-own", s.Name+".log")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	return do(s, f)
}
