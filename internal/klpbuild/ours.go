package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/internal/ownkernel"
)

// ours builds with klpforge.
type ours struct {
	program string
	cache   string // its own, empty at first
	tree    string // that the kernel was built in
	dir     string // for modules
}

// newOurs builds klpforge.
func newOurs(ctx context.Context, dir string, k ownkernel.Kernel) (*ours, error) {
	o := &ours{filepath.Join(dir, "klpforge"), filepath.Join(dir, "cache"), k.Build, dir}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", o.program, "github.com/klpforge/klpforge/cmd/klpforge")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build klpforge: %w\n%s", err, out)
	}
	return o, nil
}

// command is klpforge for the kernel.
func (o *ours) command(ctx context.Context, args ...string) (cmd *exec.Cmd, out, errs *bytes.Buffer) {
	out, errs = new(bytes.Buffer), new(bytes.Buffer)
	cmd = exec.CommandContext(ctx, o.program, append(args, "--build-tree", o.tree)...)
	cmd.Env = append(os.Environ(), "KLPFORGE_CACHE="+o.cache)
	cmd.Stdout, cmd.Stderr = out, errs
	return cmd, out, errs
}

// prepare makes the tree that all builds work from, and returns the time in seconds.
func (o *ours) prepare(ctx context.Context) (float64, error) {
	cmd, _, errs := o.command(ctx, "kernel", "prepare")
	code, seconds, err := timed(cmd)
	if err != nil || code != 0 {
		return 0, fmt.Errorf("klpforge kernel prepare: exit status %d, %w\n%s", code, err, errs)
	}
	return seconds, nil
}

func (o *ours) build(ctx context.Context, patch string) (side, error) {
	ko := filepath.Join(o.dir, "ours_"+strings.TrimSuffix(filepath.Base(patch), ".patch")+".ko")
	cmd, out, errs := o.command(ctx, "build", "--format", "json", "-o", ko, patch)
	code, seconds, err := timed(cmd)
	if err != nil {
		return side{}, fmt.Errorf("run klpforge: %w", err)
	}
	s, err := readOurs(out.Bytes())
	if err != nil {
		return s, fmt.Errorf("read what klpforge says: %w\n%s", err, errs)
	}
	if s.Seconds = seconds; code == 0 {
		s.Module = ko
	}
	return s, nil
}

// readOurs reads the document of klpforge build.
func readOurs(text []byte) (side, error) {
	var doc struct {
		Functions []struct{ Object, Name string }
		Error     string
		Problems  []struct{ ID, Severity, Symbol, Message string }
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return side{}, err
	}
	var s side
	for _, f := range doc.Functions {
		s.Functions = append(s.Functions, f.Object+" "+f.Name)
	}
	slices.Sort(s.Functions)
	if doc.Error != "" {
		s.Said, _, _ = strings.Cut(doc.Error, "\n")
	}
	for _, p := range doc.Problems {
		if p.Severity == "error" {
			s.Said = fmt.Sprintf("%s: %s: %s", p.ID, p.Symbol, p.Message)
			break
		}
	}
	return s, nil
}
