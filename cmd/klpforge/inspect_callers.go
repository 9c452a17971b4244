package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/internal/facts"
)

func (a *app) inspectCallersCmd() *cobra.Command {
	var opts inspectOptions
	cmd := &cobra.Command{
		Use:   "callers {-k RELEASE | --vmlinux FILE} NAME",
		Short: "Print who calls a function, and where its address is kept",
		Long: `Print the direct and tail calls of a function within the kernel, the places in
data that hold its address, with the table's symbol, and the instructions that
take its address. Calls through pointers are found as such places only: whoever
reads the table may call the function. Modules are not searched.`,
		Example: `  klpforge inspect callers -k 6.1.0-55-cloud-amd64 ext4_file_open`,
		Args:    exactArgs(1, "one function"),
		RunE:    func(_ *cobra.Command, args []string) error { return a.inspectCallers(opts, args[0]) },
	}
	opts.flags(cmd)
	return cmd
}

// inspectCallers prints who calls the functions of a name, and what holds their addresses.
func (a *app) inspectCallers(opts inspectOptions, name string) error {
	known, err := opts.open()
	if err != nil {
		return err
	}
	defer known.Close()
	ids, err := findFuncs(known.Model, name)
	if err != nil {
		return err
	}

	doc := callersJSON{Schema: "klpforge.callers/v1", Functions: []calleeJSON{}}
	for _, id := range ids {
		doc.Functions = append(doc.Functions, callersOf(known.Model, id))
	}
	if err := addLines(known, doc.Functions, ids); err != nil {
		return err
	}

	if opts.format == "json" {
		return writeJSON(a, doc)
	}
	a.printCallers(doc)
	return nil
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

func callersOf(program *model.Model, id model.FuncID) calleeJSON {
	f := program.Func(id)
	callee := calleeJSON{Name: f.Name, Address: hexAddr(f.Addr), Callers: []callerJSON{}, Pointers: []pointerJSON{},
		Taken: []takenJSON{}}
	for call := range program.Callers(id) {
		callee.Callers = append(callee.Callers, callerJSON{program.Func(call.Caller).Name, place(program, call.Site),
			hexAddr(call.Site), call.Kind.String(), ""})
	}
	for d := range program.DataRefsTo(id) {
		pointer := pointerJSON{Symbol: place(program, d.Addr), Address: hexAddr(d.Addr)}
		if s, ok := program.Prog.SegmentAt(d.Addr); ok {
			pointer.Section = s.Name
		}
		callee.Pointers = append(callee.Pointers, pointer)
	}
	for ref := range program.CodeRefsTo(id) {
		taken := takenJSON{Function: program.Func(ref.In).Name, Address: hexAddr(ref.Addr)}
		if ref.Call != 0 {
			arg := int(ref.Arg)
			taken.Callee, taken.Argument = calleeAt(program, ref.In, ref.Call), &arg
		}
		callee.Taken = append(callee.Taken, taken)
	}
	return callee
}

// addLines fills in source lines as far as DWARF knows them.
func addLines(known *facts.Kernel, list []calleeJSON, ids []model.FuncID) error {
	var addrs []uint64
	for _, id := range ids {
		addrs = append(addrs, known.Model.Func(id).Addr)
		for c := range known.Model.Callers(id) {
			addrs = append(addrs, c.Site)
		}
	}
	lines, err := known.Lines(addrs)
	if err != nil {
		return err
	}
	for i, id := range ids {
		list[i].Source = lines[known.Model.Func(id).Addr]
		n := 0
		for c := range known.Model.Callers(id) {
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
	for i, callee := range doc.Functions {
		if i > 0 {
			fmt.Fprintln(a.out)
		}
		fmt.Fprintf(a.out, "%s %s%s\n", callee.Name, callee.Address, at(callee.Source))
		for _, c := range callee.Callers {
			fmt.Fprintf(a.out, "    %-11s %s at %s%s\n", c.Kind, c.Function, c.Site, at(c.Source))
		}
		for _, p := range callee.Pointers {
			fmt.Fprintf(a.out, "    pointer     in %s (%s)\n", p.Symbol, p.Section)
		}
		for _, taken := range callee.Taken {
			switch {
			case taken.Callee != "":
				fmt.Fprintf(a.out, "    address     taken by %s at %s, argument %d of %s\n", taken.Function,
					taken.Address, *taken.Argument, taken.Callee)
			case taken.Argument != nil:
				fmt.Fprintf(a.out, "    address     taken by %s at %s, argument %d of a call through a pointer\n",
					taken.Function, taken.Address, *taken.Argument)
			default:
				fmt.Fprintf(a.out, "    address     taken by %s at %s\n", taken.Function, taken.Address)
			}
		}
		if len(callee.Callers)+len(callee.Pointers)+len(callee.Taken) == 0 {
			fmt.Fprintln(a.out, "    nothing in the kernel calls it or holds its address")
		}
	}
}
