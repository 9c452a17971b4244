// Command demo shows klpforge to a person: it takes a Debian kernel, a bug and
// its fix, makes a livepatch with the klpforge command line, and proves in a VM
// that the running kernel is repaired and that the repair can be undone.
//
// With the kernel 6.1.0-55-cloud-amd64 the bug is a real one that panics; when
// the archive no longer has that kernel, the newest 6.1 cloud kernel gets a
// livepatch whose effect is seen in /proc/cmdline. The case release shows
// three releases of a series on a machine that goes up and down between them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/klpforge/klpforge/internal/e2e"
	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/kernel/fetch"
	"github.com/klpforge/klpforge/kernel/fetch/provider"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	klpforge := flag.String("klpforge", "bin/klpforge", "the program to show")
	which := flag.String("case", "auto", "ext4, cmdline, release, or auto: ext4 where its kernel can be had")
	out := flag.String("out", "bin/demo", "`DIR` for patch, module and generated sources")
	limit := flag.Duration("limit", 30*time.Minute, "give up after this long")
	flag.Parse()
	ctx, cancel := context.WithTimeout(ctx, *limit)
	err := run(ctx, *klpforge, *which, *out)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(1)
	}
}

// demo is one showing.
type demo struct {
	*teller
	env      e2e.Env
	klpforge string // path of the program
	out      string // what the viewer may look at afterwards
	started  time.Time
}

func run(ctx context.Context, klpforge, which, out string) error {
	cache, err := cachedir.Default()
	if err != nil {
		return err
	}
	if klpforge, err = filepath.Abs(klpforge); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "klpforge-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	d := &demo{teller: &teller{w: os.Stdout}, klpforge: klpforge, out: out, started: time.Now()}
	d.env = e2e.Env{Cache: cache, Dir: scratch, Log: d.indented()}

	switch which {
	case "ext4":
		return d.ext4(ctx)
	case "cmdline":
		return d.cmdline(ctx)
	case "release":
		return d.release(ctx)
	case "auto":
	default:
		return fmt.Errorf("unknown case %q: ext4, cmdline, release or auto", which)
	}
	err = d.ext4(ctx)
	var gone *provider.NotInArchiveError
	if errors.As(err, &gone) {
		d.say("%v", err)
		d.say("")
		d.say("So the real emergency cannot be shown here; the newest kernel gets a visible change instead.")
		return d.cmdline(ctx)
	}
	return err
}

// command shows a klpforge command and runs it, as a user would.
func (d *demo) command(ctx context.Context, args ...string) error {
	d.say("$ klpforge %s", strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, d.klpforge, args...)
	w := d.indented()
	cmd.Stdout, cmd.Stderr = w, w
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("klpforge %s: %w", args[0], err)
	}
	return nil
}

// fetch brings the kernel. The typed error of a missing package matters, so
// klpforge's own package is asked, not the program.
func (d *demo) fetch(ctx context.Context, release string) (*fetch.Result, error) {
	d.say("$ klpforge kernel fetch %s", release)
	f, err := fetch.Kernel(ctx, release, fetch.Options{Cache: d.env.Cache, Progress: func(s string) { d.say("  %s", s) }})
	if err != nil {
		return nil, err
	}
	d.say("  image, headers and source are in %s; nothing was installed", d.env.Cache.Target(release))
	return f, nil
}

// build makes the livepatch. The first run prepares the source tree, too.
func (d *demo) build(ctx context.Context, release, patch, name string) (string, error) {
	ko := filepath.Join(d.out, name+".ko")
	sources := filepath.Join(d.out, "sources")
	if err := os.RemoveAll(sources); err != nil {
		return "", err
	}
	if err := d.command(ctx, "build", "-k", release, "-o", ko, "--emit", sources, patch); err != nil {
		return "", err
	}
	return ko, nil
}
