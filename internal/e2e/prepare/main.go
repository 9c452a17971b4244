// Command prepare brings into the cache what the tests on real kernels need:
// packages, prepared trees and compiled pairs of objects.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/klpforge/klpforge/internal/e2e"
	"github.com/klpforge/klpforge/kernel/cachedir"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "prepare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	cache, err := cachedir.Default()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "klpforge-prepare-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	e := &e2e.Env{Cache: cache, Dir: dir, Log: os.Stderr}
	return e.Warm(ctx)
}
