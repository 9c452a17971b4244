// Command run makes the userland of a suite of Debian, and runs a command in it:
//
//	go run ./internal/userland/run SUITE... [-- COMMAND ARG...]
//
// The cache and the current directory are there at the same places as outside.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"

	"github.com/klpforge/klpforge/internal/userland"
	"github.com/klpforge/klpforge/kernel/cachedir"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "userland:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	suites, command := args, []string(nil)
	if i := slices.Index(args, "--"); i >= 0 {
		suites, command = args[:i], args[i+1:]
	}
	if len(suites) == 0 {
		return fmt.Errorf("which suite? %q are known to work", userland.Suites)
	}
	cache, err := cachedir.Default()
	if err != nil {
		return err
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	for _, suite := range suites {
		u, err := userland.Ensure(ctx, suite, userland.Options{Cache: cache, Log: os.Stderr})
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, suite, "is at", u.Root)
		if len(command) == 0 {
			continue
		}
		binds := []userland.Bind{{From: string(cache), At: string(cache)}, {From: here, At: here}}
		inHere := append([]string{"sh", "-c", `cd "$0" && exec "$@"`, here}, command...)
		cmd := u.Command(ctx, binds, inHere...)
		cmd.Env = append(cmd.Env, "KLPFORGE_CACHE="+string(cache))
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return err
		}
	}
	return nil
}
