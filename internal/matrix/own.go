package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/klpforge/klpforge/internal/ownkernel"
)

// own makes the row's kernel of one's own, or finds it in the cache.
func (r *runner) own(ctx context.Context) (ownkernel.Kernel, error) {
	s, err := ownkernel.Find(r.Row.Own)
	if err != nil {
		return ownkernel.Kernel{}, err
	}
	log := filepath.Join(string(r.cache), "kernels-own", s.Name+".log")
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		return ownkernel.Kernel{}, err
	}
	f, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return ownkernel.Kernel{}, err
	}
	defer f.Close()
	return s.Make(ctx, string(r.cache), func(line string) (string, error) { return r.env.SourceTarball(ctx, line) }, f)
}
