//go:build hazards

// Its races need processors that do nothing else: beside other tests it failed once.

package e2e

import (
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/pipeline"
)

// shownHazard is a hazard of the kernel itself: a patch with a finding, a patch of the same
// function that is safe, and what a program sees of each.
type shownHazard struct {
	name        string
	patch, safe string
	id          finding.ID
	severity    finding.Severity
	says        string       // in the finding
	begin       []guest.Step // before the livepatch is loaded
	look        guest.Step   // once it is in force
	right       string       // the program's line where nothing is wrong
	wrong       string       // and with the hazard; "" where the kernel itself says it
}

const (
	showProgram = "/bin/show"
	shownLimit  = 2 * time.Minute
)

// shownHazards are in the order in which a VM shows them: after the last one it is of no use.
var shownHazards = []shownHazard{{
	// As meaning-futex-hash of testdata/truth, but for keys that name files alone: with all of
	// them, the Go runtime of what runs the script would lose its own threads.
	name: "hash", patch: "testdata/shown/hash.patch", safe: "testdata/shown/hash-safe.patch",
	id: "KLP209", severity: finding.Warning, says: "computes",
	begin: []guest.Step{guest.Exec(showProgram, "wait", "/show-futex")},
	look:  guest.Exec(showProgram, "wake", "/show-futex"),
	right: "woken 1", wrong: "woken 0",
}, {
	name: "unlocked", patch: "../../testdata/truth/lockdata-eventfd-after-unlock.patch",
	safe: "../../testdata/truth/lockdata-eventfd-wake-order.patch",
	id:   "KLP202", severity: finding.Warning, says: "lock",
	look:  guest.Exec(showProgram, "event"),
	right: "the reader got the event", wrong: "the reader sleeps, the event is there",
}, {
	// As 206-xmit-vrf-allocates, which sleeps only when memory is short.
	name: "sleep", patch: "testdata/shown/sleep.patch", safe: "testdata/shown/sleep-safe.patch",
	id: "KLP206", severity: finding.Error, says: "sleep",
	look:  guest.Exec(showProgram, "send").Optional(),
	right: "received",
}}

// TestHazardsShown loads livepatches of the kernel whose findings were accepted: a waiter that
// a changed hash loses, an event that is lost because a write left its lock, a sleep on the
// transmit path. The same functions are patched safely first, without a finding of that kind.
func TestHazardsShown(t *testing.T) {
	e := env(t)
	ctx := t.Context()
	if err := e.Fetch(ctx, CloudRelease); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(e.Dir, "show")
	compile := exec.CommandContext(ctx, "gcc", "-O1", "-Wall", "-static", "-o", program, "testdata/shown/show.c")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("compile the program for the VM: %v\n%s", err, out)
	}
	safe := vm.ModuleFile(shownSafe(t, e))
	files := []vm.File{{Name: showProgram, Host: program, Mode: 0o755}, safe}
	steps := shownRounds(safe)
	for _, h := range shownHazards {
		bad := vm.ModuleFile(h.build(t, e))
		files = append(files, bad)
		steps = append(steps, h.steps(bad)...)
	}
	o, err := e.VM(ctx, CloudRelease)
	if err != nil {
		t.Fatal(err)
	}
	// The kernel is built with PREEMPT_DYNAMIC: so that who is woken runs in the unlock.
	o.Append = "preempt=full"
	r, err := vm.Run(ctx, o, vm.Script{Files: files}.Add(steps...))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range shownHazards {
		h.judge(t, r)
	}
}

// build says that the patch has its finding, and makes the livepatch with that accepted.
func (h *shownHazard) build(t *testing.T, e *Env) string {
	t.Helper()
	ko := filepath.Join(e.Dir, "shown_"+h.name+".ko")
	o := pipeline.Options{Kernel: kernel.Options{Release: CloudRelease, Root: string(e.Cache.TargetRoot(CloudRelease)),
		Cache: e.Cache}, Patches: []string{h.patch}, Output: ko}
	res, err := pipeline.Run(t.Context(), o)
	var refusal *pipeline.Refusal
	if refused := errors.As(err, &refusal); refused != (h.severity == finding.Error) || err != nil && !refused {
		t.Fatalf("%s: %v", h.name, err)
	}
	says := func(f finding.Finding) bool {
		return f.ID == h.id && f.Severity == h.severity && strings.Contains(f.Message, h.says)
	}
	if !slices.ContainsFunc(res.Findings, says) {
		t.Errorf("%s: no %s %s that says %q: %v", h.name, h.id, h.severity, h.says, res.Findings)
	}
	if refusal != nil {
		o.Allow = map[finding.ID]string{h.id: "to show what happens"}
		if _, err := pipeline.Run(t.Context(), o); err != nil {
			t.Fatalf("%s: %v", h.name, err)
		}
	}
	return ko
}

// shownSafe makes one livepatch of all that is safe, and says that nothing is found.
func shownSafe(t *testing.T, e *Env) string {
	t.Helper()
	var patches []string
	for _, h := range shownHazards {
		patches = append(patches, h.safe)
	}
	ko := filepath.Join(e.Dir, "shown_safe.ko")
	res, err := e.Build(t.Context(), CloudRelease, ko, patches...)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range res.Findings {
		if f.Severity >= finding.Warning {
			t.Errorf("safe: %v", f)
		}
	}
	return ko
}

// shownRounds tries all that the hazards disturb, without a livepatch and with the safe one.
func shownRounds(safe vm.File) []guest.Step {
	var begin, original, with []guest.Step
	for _, h := range shownHazards {
		begin = append(begin, h.begin...)
		original = append(original, h.look.Labelled("original "+h.name))
		with = append(with, h.look.Labelled("safe "+h.name))
	}
	return slices.Concat(begin, original, begin, loadShown(safe, "shown_safe"), with, unloadShown("shown_safe"))
}

// steps load the livepatch with the hazard and look at what becomes of what began before.
func (h *shownHazard) steps(bad vm.File) []guest.Step {
	name := "shown_" + h.name
	steps := slices.Concat(h.begin, loadShown(bad, name), []guest.Step{h.look.Labelled("hazard " + h.name)})
	if h.wrong == "" { // the kernel is not itself afterwards
		return append(steps, guest.ExpectLog(atomicShow, shownLimit), guest.ExpectLog("loopback_xmit", shownLimit))
	}
	// What began in old code goes on when the livepatch is gone: it was there all the time.
	return slices.Concat(steps, unloadShown(name), []guest.Step{h.look.Labelled("after " + h.name)})
}

// atomicShow is what the kernel says when the program sleeps where that is forbidden.
const atomicShow = "BUG: scheduling while atomic: show/"

func loadShown(livepatch vm.File, name string) []guest.Step {
	return []guest.Step{guest.Insmod(livepatch.Name, ""), guest.WaitTransition(name, shownLimit),
		guest.ExpectEnabled(name)}
}

// unloadShown takes a livepatch away, of which the kernel must not have complained.
func unloadShown(name string) []guest.Step {
	return []guest.Step{guest.Disable(name, shownLimit), guest.Rmmod(name), guest.CheckDmesg()}
}

// judge compares what the program saw.
func (h *shownHazard) judge(t *testing.T, r *vm.Result) {
	t.Helper()
	expect := map[string]string{"original": h.right, "safe": h.right, "hazard": h.wrong, "after": h.right}
	if h.wrong == "" {
		delete(expect, "hazard")
		delete(expect, "after")
		if !strings.Contains(r.Log, atomicShow) || !strings.Contains(r.Log, "loopback_xmit") {
			t.Errorf("%s: the kernel does not complain: %v", h.name, r.Err())
		}
	}
	for when, line := range expect {
		step := r.Step(when + " " + h.name)
		if step == nil || strings.TrimSpace(step.Out) != line {
			t.Errorf("%s: %s: want %q, is %+v; %v", h.name, when, line, step, r.Err())
		}
	}
}
