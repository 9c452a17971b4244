// Command make compiles kernels of one's own into the cache (make kernels-own), or those
// that are named.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/klpforge/klpforge/internal/e2e"
	"github.com/klpforge/klpforge/internal/ownkernel"
	"github.com/klpforge/klpforge/kernel/cachedir"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "own kernels:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, names []string) error {
	cache, err := cachedir.Default()
	if err != nil {
		return err
	}
	e := &e2e.Env{Cache: cache, Log: os.Stderr}
	if len(names) == 0 {
		for _, s := range ownkernel.Specs() {
			names = append(names, s.Name)
		}
	}
	for _, name := range names {
		s, err := ownkernel.Find(name)
		if err != nil {
			return err
		}
		start := time.Now()
		log := filepath.Join(string(cache), "kernels-own", name+".log")
		if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
			return err
		}
		f, err := os.Create(log)
		if err != nil {
			return err
		}
		k, err := s.Make(ctx, string(cache), func(line string) (string, error) { return e.SourceTarball(ctx, line) }, f)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return fmt.Errorf("%w (output: %s)", err, log)
		}
		fmt.Printf("%s: %s in %s, %v\n", name, k.Release, k.Build, time.Since(start).Round(time.Second))
	}
	return nil
}
