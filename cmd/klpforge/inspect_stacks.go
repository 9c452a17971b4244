package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/stacks"
	"github.com/klpforge/klpforge/internal/facts"
	"github.com/klpforge/klpforge/kernel"
)

func (a *app) inspectStacksCmd() *cobra.Command {
	var opts inspectOptions
	var function string
	cmd := &cobra.Command{
		Use:   "stacks {-k RELEASE | --vmlinux FILE} [--function NAME]",
		Short: "Print on which functions' frames tasks sleep without bound",
		Long: `Print every function of the kernel on whose stack frame tasks may sleep without
bound, with why: the path to the wait, for one function also the threads and system calls that
get there. A livepatch of such a function waits for these tasks, see KLP301 to
KLP303. With --function any function is judged; one that calls through pointers
of unknown type is marked, since it is not known what they lead to. Modules are
not searched.`,
		Example: `  klpforge inspect stacks -k 6.1.0-55-cloud-amd64 --function pipe_read
  klpforge inspect stacks -k 6.1.0-55-cloud-amd64 --format json | jq '.functions[].name'`,
		Args: exactArgs(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error { return a.inspectStacks(opts, function) },
	}
	opts.flags(cmd)
	cmd.Flags().StringVar(&function, "function", "", "print this function only: a `NAME`, or 0x and an address")
	return cmd
}

// inspectStacks prints why tasks stay on the frame of a function, or all functions on whose they do.
func (a *app) inspectStacks(opts inspectOptions, function string) error {
	if err := opts.check(); err != nil {
		return err
	}
	target, err := kernel.Open(opts.kernel)
	if err != nil {
		return err
	}
	defer target.Close()
	result, err := facts.Stacks(target, nil)
	if err != nil {
		return err
	}

	// A function that is named is judged whatever it does; the list has those that hold tasks up.
	var ids []model.FuncID
	if function != "" {
		if ids, err = findFuncs(result.Model(), function); err != nil {
			return err
		}
	} else {
		for i := range result.Facts {
			if result.Facts[i].Stays() {
				ids = append(ids, model.FuncID(i))
			}
		}
	}

	doc := stacksJSON{Schema: "klpforge.stacks/v1", Functions: []stackJSON{}}
	for _, id := range ids {
		doc.Functions = append(doc.Functions, stackOf(result, id, function != ""))
	}
	if opts.format == "json" {
		return writeJSON(a, doc)
	}
	a.printStacks(doc)
	return nil
}

type stacksJSON struct {
	Schema    string      `json:"schema"`
	Functions []stackJSON `json:"functions"`
}

// stackJSON is one function; reason is "waits", "loops", "calls", "pointer",
// "scheduler", "idle", or empty when no task stays on its frame. Sure says that
// direct calls lead to a wait that surely has no bound. Threads and syscalls are
// listed for one function only.
type stackJSON struct {
	Name     string   `json:"name"`
	Address  string   `json:"address"`
	Reason   string   `json:"reason"`
	Detail   string   `json:"detail,omitempty"`
	Path     []string `json:"path"`
	Sure     bool     `json:"sure"`
	Unknown  bool     `json:"unknown"`
	Threads  []string `json:"threads,omitempty"`
	Syscalls []string `json:"syscalls,omitempty"`
}

func stackOf(result *stacks.Result, id model.FuncID, roots bool) stackJSON {
	f := result.Model().Func(id)
	stack := stackJSON{Name: f.Name, Address: hexAddr(f.Addr), Reason: result.Facts[id].Reason.String(),
		Detail: result.Facts[id].Detail, Path: []string{}, Sure: result.Facts[id].Sure,
		Unknown: result.Facts[id].Unknown}
	stack.Path = append(stack.Path, result.Path(id)...)
	if roots && len(stack.Path) > 0 {
		stack.Threads, stack.Syscalls = result.Roots(id, 10)
	}
	return stack
}

func (a *app) printStacks(doc stacksJSON) {
	for _, stack := range doc.Functions {
		switch {
		case len(stack.Path) > 0 && stack.Reason == "":
			fmt.Fprintf(a.out, "%s leaves no frame behind: %s\n", stack.Name, strings.Join(stack.Path, " → "))
		case len(stack.Path) > 0:
			fmt.Fprintln(a.out, strings.Join(stack.Path, " → "))
		case stack.Unknown:
			fmt.Fprintf(a.out, "%s is not known to wait; it calls through pointers of unknown type\n", stack.Name)
		default:
			fmt.Fprintf(a.out, "%s waits nowhere without bound\n", stack.Name)
		}
		for _, t := range stack.Threads {
			fmt.Fprintf(a.out, "    thread %s\n", t)
		}
		for _, c := range stack.Syscalls {
			fmt.Fprintf(a.out, "    system call %s\n", c)
		}
	}
}
