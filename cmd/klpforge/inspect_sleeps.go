package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/sleeps"
)

func (a *app) inspectSleepsCmd() *cobra.Command {
	var o inspectOptions
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
		RunE: func(*cobra.Command, []string) error {
			k, err := o.open()
			if err != nil {
				return err
			}
			defer k.Close()
			r := k.Sleeps()
			var ids []model.FuncID
			if function != "" {
				if ids, err = findFuncs(k.Model, function); err != nil {
					return err
				}
			} else {
				for i := range k.Model.Funcs {
					if id := model.FuncID(i); r.Fact(id).Answer != sleeps.Never {
						ids = append(ids, id)
					}
				}
			}
			doc := sleepsReport(k.Model, r, ids)
			if o.format == "json" {
				return writeJSON(a, doc)
			}
			a.printSleeps(doc, len(k.Model.Funcs))
			return nil
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&function, "function", "", "print this function only: a `NAME`, or 0x and an address")
	return cmd
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

func sleepsReport(m *model.Model, r *sleeps.Result, ids []model.FuncID) sleepsJSON {
	doc := sleepsJSON{Schema: "klpforge.sleeps/v1", Functions: []sleepJSON{}}
	for _, id := range ids {
		f, x := m.Func(id), r.Fact(id)
		j := sleepJSON{Name: f.Name, Address: hexAddr(f.Addr), Sleeps: x.Answer.String(), Always: x.Always, Why: x.Why}
		for i := range 6 {
			if x.Args&(1<<i) != 0 {
				j.Arguments = append(j.Arguments, i)
			}
			if x.Calls&(1<<i) != 0 {
				j.Functions = append(j.Functions, i)
			}
		}
		if x.At != 0 {
			j.Site, j.Chain = place(m, x.At), r.Chain(id)
		}
		doc.Functions = append(doc.Functions, j)
	}
	return doc
}

func (a *app) printSleeps(doc sleepsJSON, all int) {
	count := map[string]int{}
	for _, f := range doc.Functions {
		count[f.Sleeps]++
		word := f.Sleeps
		if f.Always {
			word = "always"
		}
		fmt.Fprintf(a.out, "%s %s: %s", f.Name, f.Address, word)
		if len(f.Chain) > 0 {
			fmt.Fprintf(a.out, ", by %s", strings.Join(f.Chain, " -> "))
		}
		if f.Why != "" {
			fmt.Fprintf(a.out, " (%s)", f.Why)
		}
		fmt.Fprintln(a.out)
	}
	if len(doc.Functions) > 1 {
		fmt.Fprintf(a.out, "of %d functions %d may sleep, %d if flags allow, %d if a function does that they are given, and of %d it is unknown; the others never do\n",
			all, count["may"], count["if flags allow"], count["if an argument does"], count["unknown"])
	}
}
