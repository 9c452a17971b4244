package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/internal/facts"
)

func (a *app) inspectLocksCmd() *cobra.Command {
	var o inspectOptions
	var function string
	cmd := &cobra.Command{
		Use:   "locks {-k RELEASE | --vmlinux FILE} [--function NAME]",
		Short: "Print which locks functions leave held or released",
		Long: `Print every function that leaves locks, or the CPU's interrupt, bottom-half,
preemption or RCU state, other than it found them, with the returned values for
which it does. Functions that could not be followed are marked unknown. All
other functions are neutral. How this is found, and how far it can be trusted,
is in docs/locks.md.`,
		Example: `  klpforge inspect locks -k 6.1.0-55-cloud-amd64 --function lock_task_sighand
  klpforge inspect locks --vmlinux vmlinux --format json | jq '.functions[].name'`,
		Args: exactArgs(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			k, err := o.open()
			if err != nil {
				return err
			}
			defer k.Close()
			effects := k.Locks.All()
			if function != "" {
				ids, err := findFuncs(k.Model, function)
				if err != nil {
					return err
				}
				effects = nil
				for _, id := range ids {
					effects = append(effects, k.Locks.Effect(id))
				}
			}
			var addrs []uint64
			for _, e := range effects {
				addrs = append(addrs, k.Model.Func(e.Func).Addr)
			}
			lines, err := k.Lines(addrs)
			if err != nil {
				return err
			}
			if o.format == "json" {
				return writeJSON(a, locksReport(k, effects, lines))
			}
			a.printLocks(k, effects, lines)
			return nil
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&function, "function", "", "print this function only: a `NAME`, or 0x and an address")
	return cmd
}

type locksJSON struct {
	Schema    string     `json:"schema"`
	Functions []lockJSON `json:"functions"`
}

type lockJSON struct {
	Name        string        `json:"name"`
	Address     string        `json:"address"`
	Acquires    []string      `json:"acquires"`
	Releases    []string      `json:"releases"`
	Conditional bool          `json:"conditional"`
	Returns     string        `json:"returns"`
	Unknown     bool          `json:"unknown"`
	Source      string        `json:"source,omitempty"`
	Why         string        `json:"why,omitempty"` // it is unknown
	Possible    []string      `json:"possible,omitempty"`
	Drops       []string      `json:"drops,omitempty"`
	Context     []string      `json:"context,omitempty"`
	Outcomes    []outcomeJSON `json:"outcomes,omitempty"`
}

// outcomeJSON is one way of returning, of several.
type outcomeJSON struct {
	Returns  string   `json:"returns"`
	When     []string `json:"when,omitempty"` // what the arguments then are
	Acquires []string `json:"acquires"`
	Releases []string `json:"releases"`
	Context  []string `json:"context,omitempty"`
}

// locksReport lists each function under each of its names.
func locksReport(k *facts.Kernel, effects []*locks.Effect, lines map[uint64]string) locksJSON {
	doc := locksJSON{Schema: "klpforge.locks/v1", Functions: []lockJSON{}}
	for _, e := range effects {
		f := k.Model.Func(e.Func)
		s := k.Locks.Summary(e, k.Types)
		j := lockJSON{Name: f.Name, Address: hexAddr(f.Addr), Acquires: s.Acquires, Releases: s.Releases, Possible: s.Possible, Drops: s.Drops, Context: s.Context,
			Conditional: s.Conditional, Returns: s.Returns, Unknown: s.Unknown, Source: lines[f.Addr]}
		if e.Unknown != 0 {
			j.Why = e.Unknown.String()
		}
		if len(e.Outcomes) > 1 {
			for i := range e.Outcomes {
				x := k.Locks.OutcomeSummary(e, i, k.Types)
				j.Outcomes = append(j.Outcomes, outcomeJSON{x.Returns, conditions(&e.Outcomes[i]), x.Acquires, x.Releases, x.Context})
			}
		}
		doc.Functions = append(doc.Functions, j)
		for _, alias := range f.Aliases {
			j.Name = alias
			doc.Functions = append(doc.Functions, j)
		}
	}
	return doc
}

// conditions are the requirements of an outcome on arguments.
func conditions(o *locks.Outcome) []string {
	var l []string
	for _, c := range o.When {
		l = append(l, fmt.Sprintf("arg%d %v", c.Arg, c.In))
	}
	return l
}

func (a *app) printLocks(k *facts.Kernel, effects []*locks.Effect, lines map[uint64]string) {
	unknown := 0
	for _, e := range effects {
		f := k.Model.Func(e.Func)
		fmt.Fprintf(a.out, "%s %#x%s%s\n", f.Name, f.Addr, at(lines[f.Addr]), aka(f))
		if e.Unknown != 0 {
			unknown++
			fmt.Fprintf(a.out, "    not fully known: %v\n", e.Unknown)
		}
		if len(e.Outcomes) == 0 {
			fmt.Fprintln(a.out, "    does not return")
		}
		var said []string
		for i := range e.Outcomes {
			if l := outcomeWords(k, e, i); !slices.Contains(said, l) {
				said = append(said, l)
				fmt.Fprintln(a.out, l)
			}
		}
	}
	if len(effects) > 1 {
		fmt.Fprintf(a.out, "%d functions change locks or the CPU's state; %d of them are not fully known\n", len(effects), unknown)
	}
}

// outcomeWords tells in a line or more what one way of returning does.
func outcomeWords(k *facts.Kernel, e *locks.Effect, i int) string {
	s := k.Locks.OutcomeSummary(e, i, k.Types)
	way := ""
	if s.Returns != "any" {
		way = "returning " + s.Returns
	}
	if c := conditions(&e.Outcomes[i]); len(c) > 0 && len(e.Outcomes) > 1 {
		way += " with " + strings.Join(c, ", ")
	}
	if way = strings.TrimSpace(way); way != "" {
		way += ": "
	}
	b := "    " + way + lockWords(&s)
	for _, p := range s.Possible {
		b += "\n        possible, not certain: " + p
	}
	return b
}

// at is a source line to append to a name.
func at(line string) string {
	if line == "" {
		return ""
	}
	return " " + line
}

func aka(f *model.Func) string {
	if len(f.Aliases) == 0 {
		return ""
	}
	return " (also " + strings.Join(f.Aliases, ", ") + ")"
}

// lockWords says in one line what an outcome does.
func lockWords(s *locks.Summary) string {
	var parts []string
	both := func(n string) bool { return slices.Contains(s.Acquires, n) && slices.Contains(s.Releases, n) }
	add := func(verb string, l []string, want bool) {
		var names []string
		for _, n := range l {
			if both(n) == want {
				names = append(names, n)
			}
		}
		if len(names) > 0 {
			parts = append(parts, verb+" "+strings.Join(names, ", "))
		}
	}
	add("acquires", s.Acquires, false)
	add("releases", s.Releases, false)
	add("drops and retakes", s.Releases, true)
	if len(s.Context) > 0 {
		parts = append(parts, "context "+strings.Join(s.Context, " "))
	}
	for _, n := range s.Drops {
		if !slices.Contains(s.Releases, n) {
			parts = append(parts, "lets a callee drop "+n+" for a while")
		}
	}
	if len(parts) == 0 && len(s.Possible) > 0 {
		return "may change locks"
	}
	if len(parts) == 0 {
		return "leaves all as it was"
	}
	return strings.Join(parts, "; ")
}
