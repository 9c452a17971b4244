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
	var o inspectOptions
	var function string
	cmd := &cobra.Command{
		Use:   "stacks {-k RELEASE | --vmlinux FILE} [--function NAME]",
		Short: "Print on which functions' frames tasks sleep without bound",
		Long: `Print every function of the kernel on whose stack frame tasks may sleep without
bound, with why: the way to the wait, for one function also the threads and system calls that
get there. A livepatch of such a function waits for these tasks, see KLP301 to
KLP303. With --function any function is judged; one that calls through pointers
of unknown type is marked, since it is not known what they lead to. Modules are
not searched.`,
		Example: `  klpforge inspect stacks -k 6.1.0-55-cloud-amd64 --function pipe_read
  klpforge inspect stacks -k 6.1.0-55-cloud-amd64 --format json | jq '.functions[].name'`,
		Args: exactArgs(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			if err := o.check(); err != nil {
				return err
			}
			t, err := kernel.Open(o.kernel)
			if err != nil {
				return err
			}
			defer t.Close()
			r, err := facts.Stacks(t, nil)
			if err != nil {
				return err
			}
			var ids []model.FuncID
			if function != "" {
				if ids, err = findFuncs(r.Model(), function); err != nil {
					return err
				}
			} else {
				for i := range r.Facts {
					if r.Facts[i].Stays() {
						ids = append(ids, model.FuncID(i))
					}
				}
			}
			doc := stacksJSON{Schema: "klpforge.stacks/v1", Functions: []stackJSON{}}
			for _, id := range ids {
				doc.Functions = append(doc.Functions, stackOf(r, id, function != ""))
			}
			if o.format == "json" {
				return writeJSON(a, doc)
			}
			a.printStacks(doc)
			return nil
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&function, "function", "", "print this function only: a `NAME`, or 0x and an address")
	return cmd
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

func stackOf(r *stacks.Result, id model.FuncID, roots bool) stackJSON {
	f := r.Model().Func(id)
	s := stackJSON{Name: f.Name, Address: hexAddr(f.Addr), Reason: r.Facts[id].Reason.String(), Detail: r.Facts[id].Detail, Path: []string{}, Sure: r.Facts[id].Sure, Unknown: r.Facts[id].Unknown}
	s.Path = append(s.Path, r.Path(id)...)
	if roots && len(s.Path) > 0 {
		s.Threads, s.Syscalls = r.Roots(id, 10)
	}
	return s
}

func (a *app) printStacks(doc stacksJSON) {
	for _, s := range doc.Functions {
		switch {
		case len(s.Path) > 0 && s.Reason == "":
			fmt.Fprintf(a.out, "%s leaves no frame behind: %s\n", s.Name, strings.Join(s.Path, " → "))
		case len(s.Path) > 0:
			fmt.Fprintln(a.out, strings.Join(s.Path, " → "))
		case s.Unknown:
			fmt.Fprintf(a.out, "%s is not known to wait; it calls through pointers of unknown type\n", s.Name)
		default:
			fmt.Fprintf(a.out, "%s waits nowhere without bound\n", s.Name)
		}
		for _, t := range s.Threads {
			fmt.Fprintf(a.out, "    thread %s\n", t)
		}
		for _, c := range s.Syscalls {
			fmt.Fprintf(a.out, "    system call %s\n", c)
		}
	}
}
