package trial

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
)

// console plays a boot: lines of the kernel, and what became of each step of a script by
// its label.
func console(t *testing.T, s vm.Script, change func(*guest.StepResult), until string, kernel ...string) *vm.Result {
	t.Helper()
	var b strings.Builder
	say := func(ev guest.Event) {
		text, err := json.Marshal(ev)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(guest.Prefix + string(text) + "\n")
	}
	say(guest.Event{Kind: guest.EvStart, Kernel: "6.1"})
	ok := true
	for i, step := range s.Steps {
		say(guest.Event{Kind: guest.EvBegin, ID: strconv.Itoa(i), Op: step.Op, Label: step.Label})
		if step.Label == until && until != "" {
			for _, l := range kernel {
				b.WriteString(l + "\n")
			}
			ok = false
			break
		}
		r := guest.StepResult{ID: strconv.Itoa(i), Op: step.Op, Label: step.Label, OK: true, Millis: 10}
		change(&r)
		say(guest.Event{Kind: guest.EvEnd, ID: strconv.Itoa(i), Step: &r})
		if !r.OK && !step.MayFail {
			ok = false
			say(guest.Event{Kind: guest.EvDone})
			break
		}
	}
	if ok {
		say(guest.Event{Kind: guest.EvDone, OK: true})
	}
	res, err := vm.ParseLog(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return res
}

var oops = []string{
	"BUG: kernel NULL pointer dereference, address: 0000000000000008",
	"RIP: 0010:broken+0x17/0x80 [fix]",
	"Kernel panic - not syncing: Fatal exception",
}

func outcomes(r *Report) map[string]Outcome {
	out := map[string]Outcome{}
	for i := range r.Checks {
		out[r.Checks[i].Name] = r.Checks[i].Outcome
	}
	return out
}

// TestWith: what each kind of failure makes of the report.
func TestWith(t *testing.T) {
	o := Options{Module: "fix.ko", Objects: []string{"ext4", "e1000"}, Reproducer: "crash"}
	fails := func(label, errno, text string) func(*guest.StepResult) {
		return func(r *guest.StepResult) {
			if r.Label == label {
				r.OK, r.Errno, r.Err = false, errno, text
			}
			if r.Label == stepAfter && r.Op == guest.OpExec {
				r.OK, r.Err = false, "exit status 1"
			}
			if r.Op == guest.OpReverse {
				r.Out = "in transition"
			}
		}
	}
	for name, c := range map[string]struct {
		change func(*guest.StepResult)
		until  string
		failed []string // names of the checks that fail
		says   string   // in the text of the last check
	}{
		"all well":        {change: fails("none", "", ""), says: "fails again: exit status 1"},
		"no device":       {change: fails(stepModule+"e1000", "ENODEV", "no such device"), says: "fails again"},
		"module fails":    {change: fails(stepModule+"ext4", "ENOEXEC", "exec format error"), failed: []string{stepModule + "ext4"}, says: "fails again"},
		"does not load":   {change: fails(stepLoad, "EINVAL", "load: invalid argument"), failed: []string{stepLoad}, says: "invalid argument"},
		"does not end":    {change: fails(stepTransition, "ETIMEDOUT", "timed out"), failed: []string{stepTransition}, says: "did not end within 1m0s"},
		"complaint":       {change: fails(stepLog, "", "kernel complained: WARNING"), failed: []string{stepLog}, says: "WARNING"},
		"second round":    {change: fails(stepTransition+again, "ETIMEDOUT", "x"), failed: []string{stepTransition + again}, says: "did not end"},
		"dies on load":    {change: fails("none", "", ""), until: stepLoad, failed: []string{stepLoad}, says: "the kernel died: BUG: kernel NULL pointer dereference, address: 0000000000000008 in broken [fix]"},
		"dies afterwards": {change: fails("none", "", ""), until: stepAfter, says: "fails again: the kernel died"},
		"dies reversing":  {change: fails("none", "", ""), until: stepReverse, failed: []string{stepReverse}, says: "the kernel died"},
		"with fails":      {change: fails(stepWith, "", "exit status 1"), failed: []string{stepWith}, says: "fails again"},
		"passes after":    {change: func(*guest.StepResult) {}, failed: []string{stepAfter}, says: "passes after the livepatch is gone"},
	} {
		r := &Report{}
		r.with(&o, console(t, o.with(names{module: "fix"}), c.change, c.until, oops...))
		var failed []string
		for i := range r.Checks {
			if r.Checks[i].Outcome == Failed {
				failed = append(failed, r.Checks[i].Name)
			}
		}
		if d := cmp.Diff(c.failed, failed); d != "" {
			t.Errorf("%s: failed checks (-want +got)\n%s", name, d)
		}
		if last := r.Checks[len(r.Checks)-1]; !strings.Contains(last.Text, c.says) {
			t.Errorf("%s: the last check says %q, want %q", name, last.Text, c.says)
		}
		if name == "no device" && outcomes(r)[stepModule+"e1000"] != Unknown {
			t.Errorf("a module without its device is %s", outcomes(r)[stepModule+"e1000"])
		}
	}
}

// TestWithout: the fault has to show, in whatever way.
func TestWithout(t *testing.T) {
	o := Options{Module: "fix.ko", Reproducer: "crash"}
	for name, c := range map[string]struct {
		change func(*guest.StepResult)
		until  string
		want   Outcome
		says   string
	}{
		"passes": {func(*guest.StepResult) {}, "", Failed, "does not show"},
		"status": {func(r *guest.StepResult) { r.OK, r.Err = r.Label != stepWithout, "exit status 1" }, "", Passed, "exit status 1"},
		"warns":  {func(r *guest.StepResult) { r.OK, r.Err = r.Label != stepLog, "kernel complained: BUG" }, "", Passed, "kernel complained"},
		"dies":   {func(*guest.StepResult) {}, stepWithout, Passed, "in broken [fix]"},
	} {
		r := &Report{}
		r.without(console(t, o.without(), c.change, c.until, oops...))
		if got := r.Checks[0]; got.Outcome != c.want || !strings.Contains(got.Text, c.says) {
			t.Errorf("%s: %s, %q", name, got.Outcome, got.Text)
		}
	}
}

// TestTransitionHolders: who held a transition up, and whether that was to be expected.
func TestTransitionHolders(t *testing.T) {
	o := &Options{Predicted: func(_, fn string) string {
		if fn == "worker_thread" {
			return "worker_thread waits"
		}
		return ""
	}}
	c := transition(o, []guest.StepResult{{Label: stepTransition, OK: true, Holders: []guest.Holder{
		{Name: "kworker", TID: 7, State: "I (idle)", Kernel: true, Patched: []string{"vmlinux:worker_thread"}},
		{Name: "cat", TID: 8, State: "S (sleeping)", Patched: []string{"vmlinux:pipe_read"}},
		{Name: "sh", TID: 9, State: "R (running)", Stack: []string{"a", "b", "c", "d"}},
	}}})
	want := []string{
		"waited for kworker (7, a kernel thread), I (idle)", "  it is in worker_thread, as predicted: worker_thread waits",
		"waited for cat (8), S (sleeping)", "  it is in pipe_read, which was not predicted",
		"waited for sh (9), R (running)", "  it is in a < b < c",
	}
	if d := cmp.Diff(want, c.Detail); d != "" || c.Outcome != Passed {
		t.Errorf("%s (-want +got)\n%s", c.Outcome, d)
	}
}

// TestSeen: a module that is there and is not patched is a failure, before and after.
func TestSeen(t *testing.T) {
	for _, before := range []bool{false, true} {
		r := &Report{Checks: []Check{{Name: stepModule + "ext4", Outcome: Passed}, {Name: stepModule + "e1000", Outcome: Unknown}}}
		r.seen(&guest.StepResult{OK: true, Livepatches: []guest.Livepatch{{Objects: []guest.LPObject{
			{Name: "vmlinux", Patched: "1"}, {Name: "ext4", Patched: "0"}, {Name: "e1000", Patched: "0"}, {Name: "old", Patched: ""},
		}}}}, before)
		if n := len(r.Checks); n != 3 || r.Checks[2].Name != "patched ext4" || r.Checks[2].Outcome != Failed {
			t.Errorf("%+v", r.Checks)
		}
	}
}

// TestPrint: text and JUnit have the same counts.
func TestPrint(t *testing.T) {
	r := &Report{Module: "fix.ko", Release: "6.1", Console: "a <b>", Checks: []Check{
		{Name: "load", Outcome: Passed, Millis: 1500},
		{Name: "log", Outcome: Failed, Text: "kernel complained", Detail: slices.Repeat([]string{"line"}, most+3)},
		{Name: "module x", Outcome: Unknown, Text: "no device"},
	}}
	var b bytes.Buffer
	if err := r.Print(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"fix.ko on 6.1\n", "  passed  load", "1.5 s", "  failed  log", "... 3 more lines", "  unknown module x", "it failed\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	b.Reset()
	if err := r.PrintJUnit(&b); err != nil {
		t.Fatal(err)
	}
	var s junitSuite
	if err := xml.Unmarshal(b.Bytes(), &s); err != nil {
		t.Fatal(err)
	}
	if s.Tests != 3 || s.Failures != 1 || s.Skipped != 1 || s.Cases[1].Failure.Message != "kernel complained" || s.Console.Text != "a <b>" {
		t.Errorf("%+v", s)
	}
}

// TestFiles: programs bring what they need.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"), 0o750); err != nil {
		t.Fatal(err)
	}
	if is, err := IsScript(name); !is || err != nil {
		t.Errorf("script: %v %v", is, err)
	}
	f, err := ParseFile(name + ":/x/../b")
	if err != nil || f.Name != "/b" || f.Mode != 0o750 {
		t.Errorf("%+v %v", f, err)
	}
	if f, err := ParseFile(name); err != nil || f.Name != name {
		t.Errorf("%+v %v", f, err)
	}
	for _, bad := range []string{name + ":b", dir, filepath.Join(dir, "none")} {
		if _, err := ParseFile(bad); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
	// This test may be linked either way; a shell of the host is dynamic on Debian.
	shell := "/bin/bash"
	if _, err := elf.Open(shell); err != nil {
		t.Fatalf("open %s: %v", shell, err)
	}
	files, err := WithLibraries([]vm.File{{Name: "/bin/bash", Host: shell}, {Name: "/a", Host: name}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, filepath.Base(f.Name))
	}
	for _, want := range []string{"bash", "a", "libc.so.6", "ld-linux-x86-64.so.2"} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s in %v", want, got)
		}
	}
}
