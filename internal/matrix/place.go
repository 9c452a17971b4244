package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/klpforge/klpforge/internal/userland"
	"github.com/klpforge/klpforge/kernel/cachedir"
)

// place is where programs of a row run: this machine, or a userland of it.
type place struct {
	user  *userland.Userland // nil for this machine
	cache cachedir.Dir
	dirs  []string // directories beside the cache that are there at the same places
	wrap  []string // command that the program's is appended to; only on this machine
}

// run runs a program. Its exit status is no error.
func (p *place) run(ctx context.Context, program string, args ...string) (out, errs string, code int, err error) {
	argv := append(append([]string{}, p.wrap...), append([]string{program}, args...)...)
	var cmd *exec.Cmd
	if p.user == nil {
		cmd = exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Env = os.Environ()
	} else {
		binds := []userland.Bind{{From: string(p.cache), At: string(p.cache)}}
		for _, d := range p.dirs {
			binds = append(binds, userland.Bind{From: d, At: d})
		}
		cmd = p.user.Command(ctx, binds, argv...)
	}
	cmd.Env = append(cmd.Env, "KLPFORGE_CACHE="+string(p.cache))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if exit := new(exec.ExitError); errors.As(err, &exit) && ctx.Err() == nil {
		return stdout.String(), stderr.String(), exit.ExitCode(), nil
	}
	return stdout.String(), stderr.String(), 0, err
}

// name is what the place calls itself.
func (p *place) name() (string, error) {
	root := "/"
	if p.user != nil {
		root = p.user.Root
	}
	text, err := os.ReadFile(filepath.Join(root, "etc/os-release"))
	if err != nil {
		return "", fmt.Errorf("find out what the host is: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Trim(v, `"`), nil
		}
	}
	return "", errors.New("find out what the host is: its os-release has no name")
}
