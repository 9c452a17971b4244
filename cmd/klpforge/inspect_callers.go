package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/internal/facts"
)

func (a *app) inspectCallersCmd() *cobra.Command {
	var o inspectOptions
	cmd := &cobra.Command{
		Use:   "callers {-k RELEASE | --vmlinux FILE} NAME",
		Short: "Print who calls a function, and where its address is kept",
		Long: `Print the direct and tail calls of a function within the kernel, the places in
data that hold its address, with the table's symbol, and the instructions that
take its address. Calls through pointers are found as such places only: whoever
reads the table may call the function. Modules are not searched.`,
		Example: `  klpforge inspect callers -k 6.1.0-55-cloud-amd64 ext4_file_open`,
		Args:    exactArgs(1, "one function"),
		RunE: func(_ *cobra.Command, args []string) error {
			k, err := o.open()
			if err != nil {
				return err
			}
			defer k.Close()
			ids, err := findFuncs(k.Model, args[0])
			if err != nil {
				return err
			}
			doc := callersJSON{Schema: "klpforge.callers/v1", Functions: []calleeJSON{}}
			for _, id := range ids {
				doc.Functions = append(doc.Functions, callersOf(k.Model, id))
			}
			if err := addLines(k, doc.Functions, ids); err != nil {
				return err
			}
			if o.format == "json" {
				return writeJSON(a, doc)
			}
			a.printCallers(doc)
			return nil
		},
	}
	o.flags(cmd)
	return cmd
}

type callersJSON struct {
	Schema    string       `json:"schema"`
	Functions []calleeJSON `json:"functions"`
}

type calleeJSON struct {
	Name     string        `json:"name"`
	Address  string        `json:"address"`
	Source   string        `json:"source,omitempty"`
	Callers  []callerJSON  `json:"callers"`
	Pointers []pointerJSON `json:"pointers"`
	Taken    []takenJSON   `json:"taken"`
}

// callerJSON is one call site; kind is "direct", "tail", "static",
// "static-tail", "paravirt" or "alternative".
type callerJSON struct {
	Function string `json:"function"`
	Site     string `json:"site"`
	Address  string `json:"address"`
	Kind     string `json:"kind"`
	Source   string `json:"source,omitempty"`
}

// pointerJSON is a place in data that holds the function's address.
type pointerJSON struct {
	Symbol  string `json:"symbol"` // symbol+offset
	Address string `json:"address"`
	Section string `json:"section"`
}

// takenJSON is an instruction that takes the function's address. Callee and
// Argument say which call it is seen to be passed to.
type takenJSON struct {
	Function string `json:"function"`
	Address  string `json:"address"`
	Callee   string `json:"callee,omitempty"`
	Argument *int   `json:"argument,omitempty"`
}

func callersOf(m *model.Model, id model.FuncID) calleeJSON {
	f := m.Func(id)
	c := calleeJSON{Name: f.Name, Address: hexAddr(f.Addr), Callers: []callerJSON{}, Pointers: []pointerJSON{}, Taken: []takenJSON{}}
	for call := range m.Callers(id) {
		c.Callers = append(c.Callers, callerJSON{m.Func(call.Caller).Name, place(m, call.Site), hexAddr(call.Site), call.Kind.String(), ""})
	}
	for d := range m.DataRefsTo(id) {
		p := pointerJSON{Symbol: place(m, d.Addr), Address: hexAddr(d.Addr)}
		if s, ok := m.Prog.SegmentAt(d.Addr); ok {
			p.Section = s.Name
		}
		c.Pointers = append(c.Pointers, p)
	}
	for r := range m.CodeRefsTo(id) {
		t := takenJSON{Function: m.Func(r.In).Name, Address: hexAddr(r.Addr)}
		if r.Call != 0 {
			arg := int(r.Arg)
			t.Callee, t.Argument = calleeAt(m, r.In, r.Call), &arg
		}
		c.Taken = append(c.Taken, t)
	}
	return c
}

// addLines fills in source lines as far as DWARF knows them.
func addLines(k *facts.Kernel, list []calleeJSON, ids []model.FuncID) error {
	var addrs []uint64
	for _, id := range ids {
		addrs = append(addrs, k.Model.Func(id).Addr)
		for c := range k.Model.Callers(id) {
			addrs = append(addrs, c.Site)
		}
	}
	lines, err := k.Lines(addrs)
	if err != nil {
		return err
	}
	for i, id := range ids {
		list[i].Source = lines[k.Model.Func(id).Addr]
		n := 0
		for c := range k.Model.Callers(id) {
			list[i].Callers[n].Source = lines[c.Site]
			n++
		}
	}
	return nil
}

// calleeAt names what a call site of a function calls; "" for a call through
// a pointer.
func calleeAt(m *model.Model, in model.FuncID, site uint64) string {
	for _, c := range m.Calls(in) {
		if c.Site == site && c.Target != model.NoFunc {
			return m.Func(c.Target).Name
		}
	}
	return ""
}

func (a *app) printCallers(doc callersJSON) {
	for i, f := range doc.Functions {
		if i > 0 {
			fmt.Fprintln(a.out)
		}
		fmt.Fprintf(a.out, "%s %s%s\n", f.Name, f.Address, at(f.Source))
		for _, c := range f.Callers {
			fmt.Fprintf(a.out, "    %-11s %s at %s%s\n", c.Kind, c.Function, c.Site, at(c.Source))
		}
		for _, p := range f.Pointers {
			fmt.Fprintf(a.out, "    pointer     in %s (%s)\n", p.Symbol, p.Section)
		}
		for _, t := range f.Taken {
			switch {
			case t.Callee != "":
				fmt.Fprintf(a.out, "    address     taken by %s at %s, argument %d of %s\n", t.Function, t.Address, *t.Argument, t.Callee)
			case t.Argument != nil:
				fmt.Fprintf(a.out, "    address     taken by %s at %s, argument %d of a call through a pointer\n", t.Function, t.Address, *t.Argument)
			default:
				fmt.Fprintf(a.out, "    address     taken by %s at %s\n", t.Function, t.Address)
			}
		}
		if len(f.Callers)+len(f.Pointers)+len(f.Taken) == 0 {
			fmt.Fprintln(a.out, "    nothing in the kernel calls it or holds its address")
		}
	}
}
