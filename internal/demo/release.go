package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/klpforge/klpforge/internal/e2e"
	"github.com/klpforge/klpforge/internal/vm/guest"
	"github.com/klpforge/klpforge/kernel/fetch/provider"
)

// release shows a series of cumulative releases, from manifests to a machine
// that goes up and down between them.
func (d *demo) release(ctx context.Context) error {
	dir := filepath.Join(d.out, "release")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	out := filepath.Join(dir, "out")

	d.title("The kernels")
	var gone *provider.NotInArchiveError
	targets := []string{}
	for _, r := range e2e.StoryKernels {
		switch _, err := d.fetch(ctx, r); {
		case err == nil:
			targets = append(targets, r)
		case errors.As(err, &gone) && r != e2e.CloudRelease:
			d.say("*** %v", err)
			d.say("*** so release 2 is not built for %s here", r)
		default:
			return err
		}
	}

	d.title("Three releases of one series")
	callbacks, err := d.output(ctx, false, e2e.StoryState...)
	if err != nil {
		return err
	}
	d.say("  %d lines of C: callbacks that save, change and restore", strings.Count(callbacks, "\n"))
	if err := d.env.Story(ctx, dir, callbacks); err != nil {
		return err
	}
	d.say("")
	d.say(`Release 1 is the ext4 fix, without which this kernel panics (make demo). Release 2
adds two fixes that came with the stable update 6.12.117 and that 6.1.192, Debian's
newest 6.1, lacks, and changes a variable in place, which callbacks do under a state.
Release 3 is made by somebody who forgot that state. This is the manifest of release 2:`)
	d.say("")
	if err := d.showPatch(e2e.StoryManifest(dir, 2), 40); err != nil {
		return err
	}
	d.say("")
	d.say("One of the fixes, with its description:")
	d.say("")
	if err := d.showPatch(filepath.Join(dir, "patches", "copy-range.patch"), 40); err != nil {
		return err
	}

	d.title("Release 1")
	if _, err := d.output(ctx, true, "release", "build", "-f", e2e.StoryManifest(dir, 1), "-o", out); err != nil {
		return err
	}

	d.title("Release 2, for three kernels at once")
	d.say("%s: no mistake in ext4 yet; %s: the mistake; %s: its source has the fix.", e2e.StoryKernels[0], e2e.StoryKernels[1], e2e.StoryKernels[2])
	d.say("The first run for a kernel prepares its source tree.")
	built, err := d.output(ctx, true, append([]string{"release", "build", "-f", e2e.StoryManifest(dir, 2), "-o", out, "--parallel", "3"}, targets...)...)
	if err != nil {
		return err
	}
	if err := skipped(built, targets); err != nil {
		return err
	}

	d.title("Release 3")
	if _, err := d.output(ctx, true, "release", "build", "-f", e2e.StoryManifest(dir, 3), "-o", out); err != nil {
		return err
	}

	module := func(n int) string { return e2e.StoryModule(out, e2e.CloudRelease, n) }
	d.title("What a release note needs")
	if err := d.command(ctx, "release", "diff", module(1), module(2)); err != nil {
		return err
	}
	d.say("")
	d.say("And the release with the mistake:")
	if err := d.command(ctx, "release", "diff", module(2), module(3)); err != nil {
		return err
	}

	d.title("The machine")
	d.say("A VM with %s; # is klpforge in it, the same program.", e2e.CloudRelease)
	env := d.env
	env.Log = d.beats(e2e.StoryTold())
	r, err := env.StoryMachine(ctx, d.klpforge, out)
	if err != nil {
		return fmt.Errorf("the VM did not do what it should: %w", err)
	}
	d.summary(
		"kernel    "+e2e.CloudRelease+", as Debian ships it, never rebooted",
		"went      1 at boot, up to 2, down to 1, up to 2; 3 refused; unloaded",
		"checked   ext4 writes with each release in force, values before and after, a clean kernel log",
		fmt.Sprintf("machine   %v of it in the VM", r.Total.Round(1e9)),
		"modules   "+out,
	)
	return nil
}

// output runs klpforge, shows its command line and, if asked, what it prints,
// and returns that. What it tells of its progress is shown only when it fails.
func (d *demo) output(ctx context.Context, show bool, args ...string) (string, error) {
	d.say("$ klpforge %s", quoted(args))
	cmd := exec.CommandContext(ctx, d.klpforge, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if show {
		cmd.Stdout = io.MultiWriter(&out, d.indented())
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("klpforge %s: %w\n%s", args[0], err, errs.String())
	}
	return out.String(), nil
}

// skipped checks that release build left the ext4 fix out, and told so, for the
// one kernel whose source has it.
func skipped(summary string, targets []string) error {
	const note = "= ext4.patch (ext4: fix NULL folio dereference in mballoc): skipped, the target's source has it already"
	target := ""
	var with []string
	for line := range strings.Lines(summary) {
		if name, _, ok := strings.Cut(line, ": "); ok && slices.Contains(targets, name) {
			target = name
		}
		if strings.TrimSpace(line) == note {
			with = append(with, target)
		}
	}
	want := slices.DeleteFunc(slices.Clone(targets), func(t string) bool { return t != e2e.StoryKernels[2] })
	if !slices.Equal(with, want) {
		return fmt.Errorf("the ext4 fix was skipped for %v, want %v", with, want)
	}
	return nil
}

// quoted writes a command line as a person would type it.
func quoted(args []string) string {
	words := make([]string, len(args))
	for i, a := range args {
		if words[i] = a; strings.ContainsAny(a, " ") {
			words[i] = `"` + a + `"`
		}
	}
	return strings.Join(words, " ")
}

// beats returns a writer for the console of the story's VM, which tells each
// beat as it ends.
func (t *teller) beats(told map[string]e2e.Beat) io.Writer {
	return &lineWriter{line: func(l string) {
		_, text, ok := strings.Cut(l, guest.Prefix)
		if !ok {
			return
		}
		var ev guest.Event
		if json.Unmarshal([]byte(text), &ev) != nil || ev.Kind != guest.EvEnd || ev.Step == nil {
			return
		}
		b, ok := told[ev.Step.Label]
		if !ok {
			return
		}
		t.say("")
		if len(b.Args) == 0 {
			t.say("%s", strings.TrimRight(b.Say+": "+outcome(ev.Step), ": "))
			return
		}
		t.say("%s", b.Say)
		t.say("# klpforge %s", quoted(b.Args))
		for line := range strings.Lines(ev.Step.Out) {
			t.quote(strings.TrimRight(line, "\n"))
		}
		if b.Code != 0 {
			t.quote(fmt.Sprintf("[exit code %d]", b.Code))
		}
	}}
}

// outcome is what a person wants to see of a step that is not klpforge.
func outcome(st *guest.StepResult) string {
	switch {
	case !st.OK:
		return "FAILED: " + st.Err
	case st.Errno != "":
		return st.Errno
	case st.Op == guest.OpExpect || st.Op == guest.OpProbe:
		return strings.TrimSpace(st.Out)
	}
	return "ok"
}
