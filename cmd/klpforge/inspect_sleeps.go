package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/sleeps"
)

func (a *app) inspectSleepsCmd() *cobra.Command {
	var opts inspectOptions
	var function string
	cmd := &cobra.Command{
		Use:   "sleeps {-k RELEASE | --vmlinux FILE} [--function NAME]",
		Short: "Print which functions may sleep, and by which calls",
		Long: `Print for every function whether it may sleep: "may" when some path does, with
the calls on the way ("always" when every path does), "if flags allow" when GFP
flags decide that it is given or that are not seen, "if an argument does" when a
function decides that it is given, "unknown" when it makes calls through pointers
that may lead anywhere and nothing else in it sleeps for certain. Functions that
never sleep are left out, unless --function names one. Modules are not searched.`,
		Example: `  klpforge inspect sleeps -k 6.1.0-55-cloud-amd64 --function alloc_pages
  klpforge inspect sleeps --vmlinux vmlinux --format json | jq '.functions[] | select(.sleeps == "may") | .name'`,
		Args: exactArgs(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error { return a.inspectSleeps(opts, function) },
	}
	opts.flags(cmd)
	cmd.Flags().StringVar(&function, "function", "", "print this function only: a `NAME`, or 0x and an address")
	return cmd
}

// inspectSleeps prints how a function may sleep, or all functions that may.
func (a *app) inspectSleeps(opts inspectOptions, function string) error {
	known, err := opts.open()
	if err != nil {
		return err
	}
	defer known.Close()

	result := known.Sleeps()
	var ids []model.FuncID
	if function != "" {
		if ids, err = findFuncs(known.Model, function); err != nil {
			return err
		}
	} else {
		for i := range known.Model.Funcs {
			if id := model.FuncID(i); result.Fact(id).Answer != sleeps.Never {
				ids = append(ids, id)
			}
		}
	}

	doc := sleepsReport(known.Model, result, ids)
	if opts.format == "json" {
		return writeJSON(a, doc)
	}
	a.printSleeps(doc, len(known.Model.Funcs))
	return nil
}

type sleepsJSON struct {
	Schema    string      `json:"schema"`
	Functions []sleepJSON `json:"functions"`
}

// sleepJSON: sleeps is "never", "if an argument does", "unknown", "if flags allow"
// or "may".
type sleepJSON struct {
	Name      string   `json:"name"`
	Address   string   `json:"address"`
	Sleeps    string   `json:"sleeps"`
	Always    bool     `json:"always"`
	Arguments []int    `json:"arguments,omitempty"` // whose GFP flags decide, from 0
	Functions []int    `json:"functions,omitempty"` // arguments that it calls, likewise
	Why       string   `json:"why,omitempty"`
	Site      string   `json:"site,omitempty"`
	Chain     []string `json:"chain,omitempty"`
}

func sleepsReport(program *model.Model, result *sleeps.Result, ids []model.FuncID) sleepsJSON {
	doc := sleepsJSON{Schema: "klpforge.sleeps/v1", Functions: []sleepJSON{}}
	for _, id := range ids {
		fn, fact := program.Func(id), result.Fact(id)
		sleep := sleepJSON{Name: fn.Name, Address: hexAddr(fn.Addr), Sleeps: fact.Answer.String(), Always: fact.Always,
			Why: fact.Why}
		for i := range 6 {
			if fact.Args&(1<<i) != 0 {
				sleep.Arguments = append(sleep.Arguments, i)
			}
			if fact.Calls&(1<<i) != 0 {
				sleep.Functions = append(sleep.Functions, i)
			}
		}
		if fact.At != 0 {
			sleep.Site, sleep.Chain = place(program, fact.At), result.Chain(id)
		}
		doc.Functions = append(doc.Functions, sleep)
	}
	return doc
}

func (a *app) printSleeps(doc sleepsJSON, all int) {
	count := map[string]int{}
	for _, fn := range doc.Functions {
		count[fn.Sleeps]++
		word := fn.Sleeps
		if fn.Always {
			word = "always"
		}
		fmt.Fprintf(a.out, "%s %s: %s", fn.Name, fn.Address, word)
		if len(fn.Chain) > 0 {
			fmt.Fprintf(a.out, ", by %s", strings.Join(fn.Chain, " -> "))
		}
		if fn.Why != "" {
			fmt.Fprintf(a.out, " (%s)", fn.Why)
		}
		fmt.Fprintln(a.out)
	}
	if len(doc.Functions) > 1 {
		fmt.Fprintf(a.out,
			"of %d functions %d may sleep, %d if flags allow, %d if a function does that they are given, and of %d "+
				"it is unknown; the others never do\n",
			all, count["may"], count["if flags allow"], count["if an argument does"], count["unknown"])
	}
}
