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
	var opts inspectOptions
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
		RunE: func(*cobra.Command, []string) error { return a.inspectLocks(opts, function) },
	}
	opts.flags(cmd)
	cmd.Flags().StringVar(&function, "function", "", "print this function only: a `NAME`, or 0x and an address")
	return cmd
}

// inspectLocks prints the lock effects of one function, or of all that have one.
func (a *app) inspectLocks(opts inspectOptions, function string) error {
	known, err := opts.open()
	if err != nil {
		return err
	}
	defer known.Close()

	effects := known.Locks.All()
	if function != "" {
		ids, err := findFuncs(known.Model, function)
		if err != nil {
			return err
		}
		effects = nil
		for _, id := range ids {
			effects = append(effects, known.Locks.Effect(id))
		}
	}

	// Source lines, where debug information is at hand.
	var addrs []uint64
	for _, e := range effects {
		addrs = append(addrs, known.Model.Func(e.Func).Addr)
	}
	lines, err := known.Lines(addrs)
	if err != nil {
		return err
	}

	if opts.format == "json" {
		return writeJSON(a, locksReport(known, effects, lines))
	}
	a.printLocks(known, effects, lines)
	return nil
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

// outcomeJSON is one return path, of several.
type outcomeJSON struct {
	Returns  string   `json:"returns"`
	When     []string `json:"when,omitempty"` // what the arguments then are
	Acquires []string `json:"acquires"`
	Releases []string `json:"releases"`
	Context  []string `json:"context,omitempty"`
}

// locksReport lists each function under each of its names.
func locksReport(known *facts.Kernel, effects []*locks.Effect, lines map[uint64]string) locksJSON {
	doc := locksJSON{Schema: "klpforge.locks/v1", Functions: []lockJSON{}}
	for _, effect := range effects {
		fn := known.Model.Func(effect.Func)
		summary := known.Locks.Summary(effect, known.Types)
		lock := lockJSON{Name: fn.Name, Address: hexAddr(fn.Addr), Acquires: summary.Acquires,
			Releases: summary.Releases, Possible: summary.Possible, Drops: summary.Drops, Context: summary.Context,
			Conditional: summary.Conditional, Returns: summary.Returns, Unknown: summary.Unknown,
			Source: lines[fn.Addr]}
		if effect.Unknown != 0 {
			lock.Why = effect.Unknown.String()
		}
		if len(effect.Outcomes) > 1 {
			for i := range effect.Outcomes {
				x := known.Locks.OutcomeSummary(effect, i, known.Types)
				lock.Outcomes = append(lock.Outcomes, outcomeJSON{x.Returns, conditions(&effect.Outcomes[i]),
					x.Acquires, x.Releases, x.Context})
			}
		}
		doc.Functions = append(doc.Functions, lock)
		for _, alias := range fn.Aliases {
			lock.Name = alias
			doc.Functions = append(doc.Functions, lock)
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

func (a *app) printLocks(known *facts.Kernel, effects []*locks.Effect, lines map[uint64]string) {
	unknown := 0
	for _, effect := range effects {
		f := known.Model.Func(effect.Func)
		fmt.Fprintf(a.out, "%s %#x%s%s\n", f.Name, f.Addr, at(lines[f.Addr]), aka(f))
		if effect.Unknown != 0 {
			unknown++
			fmt.Fprintf(a.out, "    not fully known: %v\n", effect.Unknown)
		}
		if len(effect.Outcomes) == 0 {
			fmt.Fprintln(a.out, "    does not return")
		}
		var said []string
		for i := range effect.Outcomes {
			if l := outcomeWords(known, effect, i); !slices.Contains(said, l) {
				said = append(said, l)
				fmt.Fprintln(a.out, l)
			}
		}
	}
	if len(effects) > 1 {
		fmt.Fprintf(a.out, "%d functions change locks or the CPU's state; %d of them are not fully known\n",
			len(effects), unknown)
	}
}

// outcomeWords tells in a line or more what one return path does.
func outcomeWords(k *facts.Kernel, effect *locks.Effect, outcome int) string {
	summary := k.Locks.OutcomeSummary(effect, outcome, k.Types)
	path := ""
	if summary.Returns != "any" {
		path = "returning " + summary.Returns
	}
	if c := conditions(&effect.Outcomes[outcome]); len(c) > 0 && len(effect.Outcomes) > 1 {
		path += " with " + strings.Join(c, ", ")
	}
	if path = strings.TrimSpace(path); path != "" {
		path += ": "
	}
	b := "    " + path + lockWords(&summary)
	for _, p := range summary.Possible {
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

func aka(fn *model.Func) string {
	if len(fn.Aliases) == 0 {
		return ""
	}
	return " (also " + strings.Join(fn.Aliases, ", ") + ")"
}

// lockWords says in one line what an outcome does.
func lockWords(summary *locks.Summary) string {
	var parts []string
	both := func(n string) bool {
		return slices.Contains(summary.Acquires, n) && slices.Contains(summary.Releases, n)
	}
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

	// A lock that is both released and acquired is held again at return; what it protects may
	// change meanwhile.
	add("acquires", summary.Acquires, false)
	add("releases", summary.Releases, false)
	add("drops and retakes", summary.Releases, true)
	if len(summary.Context) > 0 {
		parts = append(parts, "context "+strings.Join(summary.Context, " "))
	}

	for _, n := range summary.Drops {
		if !slices.Contains(summary.Releases, n) {
			parts = append(parts, "lets a callee drop "+n+" for a while")
		}
	}

	if len(parts) == 0 && len(summary.Possible) > 0 {
		return "may change locks"
	}
	if len(parts) == 0 {
		return "leaves all as it was"
	}
	return strings.Join(parts, "; ")
}
