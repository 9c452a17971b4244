package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/kernel"
)

func (a *app) inspectLayoutCmd() *cobra.Command {
	var opts inspectOptions
	var object, module string
	cmd := &cobra.Command{
		Use:   "layout {-k RELEASE | --vmlinux FILE | --object FILE} TYPE",
		Short: "Print how a structure or union lies in memory",
		Long: `Print the members of a structure or union with their offsets and sizes in bytes,
and the padding between them. The kernel's BTF tells, or with --module that of
one of its modules, or with --object the debug information of an object file
that was compiled with -g. One name can stand for several types.`,
		Example: `  klpforge inspect layout -k 6.1.0-55-cloud-amd64 'struct eventpoll'
  klpforge inspect layout --object fs/eventpoll.o epitem`,
		Args: exactArgs(1, "one type"),
		RunE: func(_ *cobra.Command, args []string) error { return a.inspectLayout(opts, object, module, args[0]) },
	}
	opts.flags(cmd)
	cmd.Flags().StringVar(&object, "object", "", "take the types of this object `FILE` instead of a kernel's")
	cmd.Flags().StringVar(&module, "module", "", "search the types of this module `NAME` too")
	return cmd
}

// inspectLayout prints the types of a name: of an object file, or of a kernel and a module of it.
func (a *app) inspectLayout(opts inspectOptions, object, module, name string) error {
	if object == "" {
		if err := opts.check(); err != nil {
			return err
		}
	} else if err := checkFormat(opts.format); err != nil {
		return err
	}

	list, err := layouts(opts.kernel, object, module, name)
	if errors.Is(err, types.ErrNoType) {
		return usageError("%v", err)
	}
	if err != nil {
		return err
	}

	if opts.format == "json" {
		return writeJSON(a, layoutJSON{Schema: "klpforge.layout/v1", Types: list})
	}
	for i := range list {
		fmt.Fprint(a.out, list[i].String())
	}
	return nil
}

type layoutJSON struct {
	Schema string         `json:"schema"`
	Types  []types.Layout `json:"types"`
}

func layouts(opts kernel.Options, object, module, name string) ([]types.Layout, error) {
	if object != "" {
		f, err := elfobj.ReadFile(object)
		if err != nil {
			return nil, err
		}
		info, err := types.Read(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", object, err)
		}
		return info.Named(name)
	}

	// Types of a module refer to those of the kernel, so the kernel's are read in any case.
	target, err := kernel.Open(opts)
	if err != nil {
		return nil, err
	}
	defer target.Close()
	raw, err := target.BTF()
	if err != nil {
		return nil, err
	}
	btf, err := types.LoadBTF(raw, nil)
	if err != nil {
		return nil, err
	}

	if module != "" {
		m, err := target.Module(module)
		if err != nil {
			return nil, err
		}
		for _, section := range m.File.Sections {
			if section.Name == ".BTF" {
				if btf, err = types.LoadBTF(section.Data, btf); err != nil {
					return nil, fmt.Errorf("module %s: %w", module, err)
				}
			}
		}
	}
	return btf.Layouts(name)
}
