package deploy

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/klpforge/klpforge/plan"
)

// Task is a task that holds up a transition.
type Task struct {
	PID   int    `json:"pid"` // of the process
	TID   int    `json:"tid"`
	Name  string `json:"name"`
	State string `json:"state"` // as in /proc/PID/status, such as "S (sleeping)"
	// Kernel says that it is a kernel thread, which no signal moves.
	Kernel bool `json:"kernel_thread"`
	// Stack is what the task is in, innermost first. It is empty for a task
	// that runs, and where the kernel does not show stacks.
	Stack []Frame `json:"stack"`
}

// Frame is one entry of a stack.
type Frame struct {
	Text     string `json:"text"`     // as the kernel prints it
	Function string `json:"function"` // without offset
	Module   string `json:"module,omitempty"`
	// Patched is "object:function" when the entry is code that has to be left
	// before the task can switch.
	Patched string `json:"patched,omitempty"`
}

// Patched lists the patched functions on the stack, innermost first.
func (t *Task) Patched() []string {
	var out []string
	for _, frame := range t.Stack {
		if frame.Patched != "" && !slices.Contains(out, frame.Patched) {
			out = append(out, frame.Patched)
		}
	}
	return out
}

// census is a count of tasks in a transition.
type census struct {
	total, left int
	blocking    []Task // filled on request
	// hidden is true when the states of tasks cannot be read.
	hidden bool
}

// Values of /proc/PID/patch_state (include/linux/livepatch.h, v6.1:
// KLP_UNDEFINED -1, KLP_UNPATCHED 0, KLP_PATCHED 1).
const (
	stateOld = "0"
	stateNew = "1"
)

// census counts the tasks that have not switched, and describes them when
// stacks is true. Idle tasks of CPUs are in no file: they are in no count.
func (m *Machine) census(sys *System, loaded *Livepatch, stacks bool) (census, error) {
	waitingIn := stateOld
	if loaded.Phase == Disabling {
		waitingIn = stateNew
	}
	var counted census
	var marks func(*Frame)
	if stacks {
		marks = marker(sys, loaded)
	}
	processes, err := subdirs(m.path("proc"))
	if err != nil {
		return counted, err
	}
	for _, process := range processes {
		pid, err := parseInt(process)
		if err != nil {
			continue
		}
		threads, err := subdirs(m.path("proc", process, "task"))
		if err != nil && !gone(err) {
			return counted, err
		}
		for _, thread := range threads {
			dir := m.path("proc", process, "task", thread)
			state, err := taskFile(dir, "patch_state")
			switch {
			case errors.Is(err, fs.ErrPermission):
				counted.hidden = true
				continue
			case err != nil && gone(err):
				continue
			case err != nil:
				return counted, err
			}
			counted.total++
			if state != waitingIn {
				continue
			}
			counted.left++
			if stacks {
				tid, _ := parseInt(thread) // a directory of tasks has numbers only
				counted.blocking = append(counted.blocking, describe(dir, int(pid), int(tid), marks))
			}
		}
	}
	return counted, nil
}

// gone reports that a task ended while it was read.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH)
}

func taskFile(dir, name string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	return strings.TrimSpace(string(b)), err
}

// describe reads what can be read; a task that ends meanwhile leaves gaps.
func describe(dir string, pid, tid int, mark func(*Frame)) Task {
	task := Task{PID: pid, TID: tid, Name: "?", State: "?", Stack: []Frame{}}
	if s, err := taskFile(dir, "comm"); err == nil {
		task.Name = s
	}
	status, err := taskFile(dir, "status")
	user := false
	for line := range strings.Lines(status) {
		switch key, value, _ := strings.Cut(line, ":"); key {
		case "State":
			task.State = strings.Join(strings.Fields(value), " ")
		case "VmSize":
			user = true // kernel threads have no memory of their own
		}
	}
	task.Kernel = err == nil && !user
	if text, err := taskFile(dir, "stack"); err == nil {
		for line := range strings.Lines(text) {
			if frame, ok := parseFrame(line); ok {
				mark(&frame)
				task.Stack = append(task.Stack, frame)
			}
		}
	}
	return task
}

// frameRE is a line of /proc/PID/stack: "[<0>] name+0x5c/0x240 [module]".
var frameRE = regexp.MustCompile(`^\[<[0-9a-f]+>\]\s+((\S+?)\+0x[0-9a-f]+/0x[0-9a-f]+(?: \[([^ \]]+)[^\]]*\])?)\s*$`)

func parseFrame(line string) (Frame, bool) {
	g := frameRE.FindStringSubmatch(line)
	if g == nil {
		return Frame{}, false
	}
	return Frame{Text: g[1], Function: g[2], Module: g[3]}, true
}

// marker returns a function that fills Frame.Patched, following
// klp_check_stack_func (kernel/livepatch/transition.c, v6.1): while a livepatch
// comes into force, the previous code of each function counts, which is the
// original or that of an earlier livepatch; while it goes, its own. One that
// replaces others also ends their functions.
func marker(sys *System, loaded *Livepatch) func(*Frame) {
	type code struct{ object, name string }
	is := map[code]string{}
	own := map[code]bool{}

	// In a stack trace, code of a livepatch goes by the name of what it replaces or by one of its
	// own.
	put := func(patch *Livepatch, object string, fn Func, where string) {
		key := object + ":" + fn.Name
		is[code{where, fn.Name}] = key
		if fn.New != "" && where == patch.Name {
			is[code{where, fn.New}] = key
		}
	}

	// What blocks depends on the direction: enabling waits for the old functions to be left,
	// disabling for the new ones.
	for _, object := range loaded.Objects {
		for _, fn := range object.Functions {
			own[code{object.Name, fn.Name}] = true
			if loaded.Phase == Disabling {
				put(loaded, object.Name, fn, loaded.Name)
			} else {
				put(loaded, object.Name, fn, object.Name)
			}
		}
	}

	// Functions of livepatches below, or of replaced ones, are old code to this one.
	if loaded.Phase == Enabling {
		for i := range sys.Livepatches {
			patch := &sys.Livepatches[i]
			if patch.Name == loaded.Name || patch.Phase != Enabled {
				continue
			}
			replaced := loaded.Replace != nil && *loaded.Replace
			for _, object := range patch.Objects {
				for _, fn := range object.Functions {
					if replaced || own[code{object.Name, fn.Name}] {
						put(patch, object.Name, fn, patch.Name)
					}
				}
			}
		}
	}
	return func(frame *Frame) {
		object := frame.Module
		if object == "" {
			object = plan.Vmlinux
		}
		frame.Patched = is[code{object, frame.Function}]
	}
}
