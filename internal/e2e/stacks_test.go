package e2e

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/internal/facts"
	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
	"github.com/klpforge/klpforge/kernel"
)

// TestStacksPredicted compares the functions that stay on the stacks of all
// tasks of a booted kernel, among them processes that sleep in 29 system calls,
// with those that the model predicts from the image alone.
func TestStacksPredicted(t *testing.T) {
	t.Parallel() // mostly waits for a VM
	e := env(t)
	ctx := t.Context()
	if err := e.Fetch(ctx, CloudRelease); err != nil {
		t.Fatal(err)
	}
	target, err := kernel.Open(kernel.Options{Release: CloudRelease, Root: string(e.Cache.TargetRoot(CloudRelease)), Cache: e.Cache})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	r, err := facts.Stacks(target, nil)
	if err != nil {
		t.Fatal(err)
	}
	sleepers := filepath.Join(e.Dir, "sleepers")
	if out, err := exec.CommandContext(ctx, "gcc", "-O1", "-w", "-static", "-o", sleepers, "testdata/sleepers/sleepers.c").CombinedOutput(); err != nil {
		t.Fatalf("compile the program for the VM: %v\n%s", err, out)
	}
	o, err := e.VM(ctx, CloudRelease)
	if err != nil {
		t.Fatal(err)
	}
	res, err := vm.Run(ctx, o, vm.Script{Files: []vm.File{{Name: "/bin/sleepers", Host: sleepers, Mode: 0o755}}, Steps: []guest.Step{
		guest.Exec("/bin/sleepers", "/tmp/stacks"),
		guest.Read("/tmp/stacks").Labelled("stacks"),
		guest.Poweroff(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Err(); err != nil {
		t.Fatal(err)
	}
	out := res.Step("stacks").Out
	if len(out) == guest.MaxOut {
		t.Fatal("the list of stacks is cut off")
	}
	tasks, seen := 0, map[string]string{}
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		tasks++
		for _, f := range words[1:] {
			if seen[f] == "" {
				seen[f] = words[0]
			}
		}
	}
	byReason, predicted := map[string]int{}, 0
	for i := range r.Facts {
		if r.Facts[i].Stays() {
			predicted++
		}
	}
	var missed []string
	for f, comm := range seen {
		ids := r.Lookup(f)
		i := slices.IndexFunc(ids, func(id model.FuncID) bool { return r.Facts[id].Stays() })
		switch {
		case i >= 0:
			byReason[r.Facts[ids[i]].Reason.String()]++
		case assembly[f]:
		default:
			missed = append(missed, f+" of "+comm)
		}
	}
	slices.Sort(missed)
	t.Logf("%d tasks, %d functions on their stacks, predicted as %v; of %d functions of the kernel %d are predicted", tasks, len(seen), byReason, len(r.Facts), predicted)
	if tasks < 60 || len(seen) < 60 {
		t.Errorf("only %d tasks and %d functions were seen", tasks, len(seen))
	}
	if len(missed) > 0 {
		t.Errorf("on the stack of a task, but not predicted: %s", strings.Join(missed, ", "))
	}
}

// assembly is on stacks, but can never be patched: it has no ftrace entry.
var assembly = map[string]bool{"ret_from_fork": true, "ret_from_fork_asm": true, "entry_SYSCALL_64_after_hwframe": true}
