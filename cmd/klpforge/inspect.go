package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/internal/facts"
	"github.com/klpforge/klpforge/kernel"
)

func (a *app) inspectCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "inspect", Short: "Print what is known of a kernel: locks, callers, sleeping, stacks, layouts",
		Long: `Print what the analysis knows of the functions of a whole kernel, from its
compiled code. The shipped image suffices; no debug package is needed. The
first look at a kernel takes some seconds, later ones use the cache.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("unknown command %q for klpforge inspect", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.inspectLocksCmd(), a.inspectCallersCmd(), a.inspectSleepsCmd(), a.inspectStacksCmd(),
		a.inspectLayoutCmd())
	return cmd
}

// inspectOptions are what all inspect commands share.
type inspectOptions struct {
	kernel kernel.Options
	format string
}

// flags adds the shared flags to a command.
func (o *inspectOptions) flags(cmd *cobra.Command) {
	targetFlags(cmd, &o.kernel)
	cmd.Flags().StringVar(&o.format, "format", "text", "text or json")
}

// check checks the shared flags.
func (o *inspectOptions) check() error {
	if err := checkFormat(o.format); err != nil {
		return err
	}
	if !named(o.kernel) {
		return usageError("which kernel? give -k RELEASE, --build-tree DIR or --vmlinux FILE")
	}
	return nil
}

// open checks the shared flags and finds the kernel's facts.
func (o *inspectOptions) open() (*facts.Kernel, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return facts.Open(o.kernel)
}

// findFuncs finds the functions that a user means: by name, or by an address
// of their code in hexadecimal.
func findFuncs(kernelModel *model.Model, name string) ([]model.FuncID, error) {
	if hex, ok := strings.CutPrefix(name, "0x"); ok {
		addr, err := strconv.ParseUint(hex, 16, 64)
		if err != nil {
			return nil, usageError("%q is not an address", name)
		}
		if id := kernelModel.At(addr); id != model.NoFunc {
			return []model.FuncID{id}, nil
		}
		return nil, usageError("no function of %s holds the address %s", kernelModel.Prog.Name, name)
	}
	ids := slices.Clone(kernelModel.Lookup(name))
	if len(ids) == 0 {
		for i := range kernelModel.Funcs { // clones stand for a function that is gone
			if base, _, ok := strings.Cut(kernelModel.Funcs[i].Name, "."); ok && base == name {
				ids = append(ids, model.FuncID(i))
			}
		}
	}
	if len(ids) == 0 {
		return nil, usageError("%s has no function called %q; it may be inlined everywhere, or belong to a module",
			kernelModel.Prog.Name, name)
	}
	return ids, nil
}

// place is symbol+offset for an address, or the number when nothing names it.
func place(m *model.Model, addr uint64) string {
	sym, off, ok := m.Prog.SymbolAt(addr)
	switch {
	case !ok:
		return hexAddr(addr)
	case off == 0:
		return sym.Name
	}
	return sym.Name + "+" + hexAddr(off)
}

func hexAddr(a uint64) string { return "0x" + strconv.FormatUint(a, 16) }
