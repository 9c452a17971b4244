package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klpforge/klpforge/internal/ownkernel"
)

// theirs builds with klp-build, in a tree of its own: it works in the directory that it is
// called in, and changes the source there while it runs.
type theirs struct {
	tree     string
	dir      string
	log      io.Writer
	original float64 // seconds of the whole kernel; 0 when that is not built yet
}

// newTheirs makes the tree, or takes that of an earlier run which ended in order.
func newTheirs(ctx context.Context, dir string, k ownkernel.Kernel, log io.Writer) (*theirs, error) {
	t := &theirs{tree: filepath.Join(dir, "tree"), dir: dir, log: log}
	text, err := os.ReadFile(t.stamp())
	if err == nil {
		if _, err := fmt.Sscan(string(text), &t.original); err != nil {
			return nil, fmt.Errorf("read %s: %w", t.stamp(), err)
		}
		return t, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := os.RemoveAll(t.tree); err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, "cp", "-a", k.Source, t.tree).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("copy the source: %w\n%s", err, out)
	}
	config, err := os.ReadFile(filepath.Join(k.Build, ".config"))
	if err != nil {
		return nil, err
	}
	return t, os.WriteFile(filepath.Join(t.tree, ".config"), config, 0o644)
}

// stamp holds the time of the whole kernel, while the tree is as klp-build leaves it.
func (t *theirs) stamp() string { return filepath.Join(t.dir, "original") }

// build runs klp-build. The time of the whole kernel, which the first patch waits for and
// the others do not, is no part of the result.
func (t *theirs) build(ctx context.Context, patch string) (side, error) {
	name := strings.TrimSuffix(filepath.Base(patch), ".patch")
	ko := filepath.Join(t.dir, "work", "theirs_"+name+".ko")
	args := []string{"-T", "-o", ko}
	if t.original > 0 {
		args = append(args, "-S", "2")
	}
	// Until it has ended, patched files may lie in the tree.
	if err := os.Remove(t.stamp()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return side{}, err
	}
	cmd := exec.CommandContext(ctx, "scripts/livepatch/klp-build", append(args, patch)...)
	cmd.Dir = t.tree
	var errs bytes.Buffer
	cmd.Stderr = &errs
	said, err := cmd.StdoutPipe()
	if err != nil {
		return side{}, err
	}
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return side{}, fmt.Errorf("run klp-build: %w", err)
	}
	for lines := bufio.NewScanner(said); lines.Scan(); {
		fmt.Fprintf(t.log, "klp-build %s: %6.1f s %s\n", name, time.Since(begun).Seconds(), lines.Text())
		// What comes after the whole kernel.
		if lines.Text() == "Fixing patch(es)" && t.original == 0 {
			t.original = time.Since(begun).Seconds()
			begun = time.Now()
		}
	}
	err = cmd.Wait()
	s := side{Seconds: time.Since(begun).Seconds()}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return s, fmt.Errorf("run klp-build: %w", err)
	}
	if ctx.Err() != nil {
		return s, ctx.Err()
	}
	if t.original == 0 {
		// The patch was refused before anything was built; the next one builds the kernel.
		return side{Seconds: s.Seconds, Said: complaint(errs.String())}, nil
	}
	if err := os.WriteFile(t.stamp(), []byte(strconv.FormatFloat(t.original, 'f', 1, 64)+"\n"), 0o644); err != nil {
		return s, err
	}
	if err != nil {
		s.Said = complaint(errs.String())
		return s, nil
	}
	diff, err := os.ReadFile(filepath.Join(t.tree, "klp-tmp/4-diff/diff.log"))
	if err != nil {
		return s, err
	}
	s.Module, s.Functions = ko, readDiff(string(diff))
	return s, nil
}

// readDiff reads the log of objtool klp diff: "vmlinux.o: changed function: NAME". Functions
// that are new are replaced by nothing.
func readDiff(log string) []string {
	var out []string
	for line := range strings.Lines(log) {
		object, name, ok := strings.Cut(strings.TrimSpace(line), ": changed function: ")
		if !ok {
			continue
		}
		object = strings.TrimSuffix(filepath.Base(object), ".o")
		out = append(out, strings.ReplaceAll(object, "-", "_")+" "+name)
	}
	slices.Sort(out)
	return out
}

// complaint is what klp-build or a program of it said last and says is an error.
func complaint(errs string) string {
	lines := strings.Split(strings.TrimSpace(errs), "\n")
	for _, line := range lines {
		// klp-build's own errors follow from those of what it runs.
		if strings.Contains(line, "error:") || strings.Contains(line, "ERROR:") {
			return strings.TrimSpace(line)
		}
	}
	return strings.TrimSpace(lines[len(lines)-1])
}
