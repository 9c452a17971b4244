package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/internal/facts"
	"github.com/klpforge/klpforge/internal/regular"
	"github.com/klpforge/klpforge/internal/trial"
	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/module"
)

// emulator is the program that VMs run in.
const emulator = "qemu-system-x86_64"

// tryFlags are the flags of try.
type tryFlags struct {
	reproducer, old, rootFS, stress string
	downgrade, noLoad               bool
	add, allow, needs               []string
	accel, cmdline, log             string
	cpus, memory                    int
	hold, wait, timeout, limit      time.Duration
}

// defaultTrial is what try does without flags.
func defaultTrial() tryFlags {
	var t tryFlags
	t.flags(&cobra.Command{})
	return t
}

func (t *tryFlags) flags(cmd *cobra.Command) {
	set := cmd.Flags()
	set.StringVar(&t.reproducer, "reproducer", "",
		"`PROGRAM` or script that fails without the livepatch, passes with it, and fails again without it")
	set.DurationVar(&t.limit, "reproducer-time", 0,
		"longest `TIME` of one run of the reproducer (default 1m); a longer one counts as failed")
	set.StringVar(&t.old, "upgrade", "", "`OLD.ko` that is in force before the module, and that it has to replace")
	set.BoolVar(&t.downgrade, "downgrade", false, "replace the module by that of --upgrade again")
	set.StringArrayVar(&t.add, "add", nil,
		"put `FILE[:PLACE]` into the VM, with the shared libraries it needs; PLACE is its own path by default")
	set.StringVar(&t.rootFS, "rootfs", "",
		"raw ext4 `IMAGE` in which --reproducer and --stress run; it is not written to")
	set.StringVar(&t.stress, "stress", "",
		"shell `COMMAND` that runs while the livepatch is in force, beside the usual load")
	set.DurationVar(&t.hold, "for", 0, "keep the livepatch in force under load for this `TIME`, such as 1h")
	set.BoolVar(&t.noLoad, "no-load", false,
		"no load beside the reproducer: one thread each of system calls, files, fork and exec, pipes, sockets and "+
			"loopback otherwise")
	set.StringArrayVar(&t.needs, "modprobe", nil, "load `MODULE` of the kernel before anything else")
	set.StringArrayVar(&t.allow, "allow-message", nil, "`REGEXP` of kernel messages that are no complaint")
	set.DurationVar(&t.wait, "transition", 0, "longest `TIME` that a transition may take (default 1m)")
	set.DurationVar(&t.timeout, "timeout", 0,
		"longest `TIME` of one boot (default: what the steps may take, and ten minutes)")
	set.StringVar(&t.accel, "accel", vm.AccelAuto, "auto, kvm or tcg; auto takes KVM if the kernel boots with it")
	set.IntVar(&t.cpus, "cpus", 2, "processors of the VM")
	set.IntVar(&t.memory, "memory", 1024, "memory of the VM in `MiB`")
	set.StringVar(&t.cmdline, "append", "", "`ARGS` for the kernel's command line")
	set.StringVar(&t.log, "console", "", "`FILE` for all that the console said")
}

func (a *app) tryCmd() *cobra.Command {
	var opts kernel.Options
	var flags tryFlags
	var format string
	cmd := &cobra.Command{
		Use:   "try -k RELEASE [flags] MODULE.ko",
		Short: "Load a livepatch into its kernel in a VM, and see what happens",
		Long: `Load a livepatch into its kernel in a VM, and see what happens.

The kernel boots in QEMU, from the files that the build used. Under load the livepatch is
loaded, its transition waited for, the modules that it patches loaded after it and,
in a second round, before it; it is disabled, also in the middle of its transition, and
unloaded. Each step has to succeed, and the kernel must not complain.

--reproducer runs a program first on the kernel without the livepatch, where it
has to fail (or to end the kernel), then with it, where it has to pass, and once more
when it is unloaded. A script needs a static busybox on this machine, or --rootfs.

Exit codes: 1 when something did not go as it should, 2 usage, 3 when the trial could not
be made: no QEMU, a kernel that does not boot.`,
		Example: `  klpforge try -k 6.1.0-55-cloud-amd64 livepatch_fix.ko
  klpforge try -k 6.1.0-55-cloud-amd64 --reproducer crash.sh --add disk.img:/disk.img fix.ko
  klpforge try -k 6.1.0-55-cloud-amd64 --upgrade old.ko --downgrade fix.ko
  klpforge try -k 6.1.0-55-cloud-amd64 --for 1h --format junit fix.ko > try.xml`,
		Args: exactArgs(1, "one module"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !named(opts) {
				return usageError("which kernel? give -k RELEASE, or --build-tree DIR for one of your own")
			}
			if format != "text" && format != "json" && format != "junit" {
				return usageError("unknown format %q: use text, json or junit", format)
			}
			k, err := kernel.Open(opts)
			if err != nil {
				return err
			}
			defer k.Close()
			return a.try(cmd.Context(), k, args[0], flags, format)
		},
	}
	targetFlags(cmd, &opts)
	flags.flags(cmd)
	cmd.Flags().StringVar(&format, "format", "text", "text, json or junit")
	return cmd
}

// try makes the trial of a module and prints what came of it.
func (a *app) try(ctx context.Context, target *kernel.Target, ko string, flags tryFlags, format string) error {
	o, err := flags.options(target, ko)
	if err != nil {
		return err
	}
	report, err := trial.Run(ctx, *o)
	if report != nil && flags.log != "" {
		if werr := os.WriteFile(flags.log, []byte(report.Console), 0o644); werr != nil {
			return errors.Join(err, fmt.Errorf("keep the console: %w", werr))
		}
	}
	if err != nil {
		return fmt.Errorf("try %s: %w", ko, err)
	}
	switch format {
	case "json":
		err = writeJSON(a, report)
	case "junit":
		err = report.PrintJUnit(a.out)
	default:
		err = report.Print(a.out)
	}
	if err == nil && !report.Passed {
		return &exitError{code: exitFindings, err: fmt.Errorf("%s failed its trial on %s", ko, target.Release()),
			quiet: true}
	}
	return err
}

// options finds what the trial needs on this machine, and refuses before anything boots.
func (t *tryFlags) options(target *kernel.Target, ko string) (*trial.Options, error) {
	if t.downgrade && t.old == "" {
		return nil, usageError("--downgrade goes back to the module of --upgrade: give that too")
	}
	info, err := module.Read(ko)
	if err != nil {
		return nil, err
	}
	opts := &trial.Options{Module: ko, Old: t.old, Downgrade: t.downgrade, Reproducer: t.reproducer, RootFS: t.rootFS,
		Stress: t.stress,
		For:    t.hold, Wait: t.wait, Limit: t.limit, Allow: t.allow, Needs: t.needs, Predicted: predicted(target)}
	if t.noLoad {
		opts.Loads = -1
	}
	patched := info.Objects
	if info.Note != nil {
		patched = nil
		for i := range info.Note.Objects {
			patched = append(patched, info.Note.Objects[i].Name)
		}
	}
	opts.Objects = slices.DeleteFunc(patched, func(name string) bool { return name == "vmlinux" })

	// The kernel, and the program that the VM starts, which is this one.
	if err := t.machine(target, &opts.VM); err != nil {
		return nil, err
	}

	// What the user brings.
	for _, arg := range t.add {
		f, err := trial.ParseFile(arg)
		if err != nil {
			return nil, usageError("--add: %v", err)
		}
		opts.Files = append(opts.Files, f)
	}
	script := t.stress != ""
	if t.reproducer != "" {
		is, err := trial.IsScript(t.reproducer)
		if err != nil {
			return nil, usageError("--reproducer: %v", err)
		}
		script = script || is
	}
	if t.rootFS != "" {
		f, err := regular.Open(t.rootFS)
		if err != nil {
			return nil, usageError("--rootfs: %v", err)
		}
		return opts, f.Close()
	}
	if script {
		if opts.Shell, err = trial.FindShell(); err != nil {
			return nil, err
		}
	}
	programs := opts.Files
	if t.reproducer != "" {
		programs = append(programs, vm.File{Name: t.reproducer, Host: t.reproducer})
	}
	with, err := trial.WithLibraries(programs)
	if err != nil {
		return nil, err
	}
	opts.Files = append(opts.Files, with[len(programs):]...)
	return opts, nil
}

func (t *tryFlags) machine(target *kernel.Target, opts *vm.Options) error {
	image, err := target.ImagePath()
	if err != nil {
		return err
	}
	if err := ownArchitecture(target); err != nil {
		return err
	}
	*opts = vm.Options{Kernel: image, Release: target.Release(), Accel: t.accel, Probe: true, CPUs: t.cpus,
		Memory: t.memory, Append: t.cmdline, Timeout: t.timeout,
		QEMU: emulator}
	if opts.Modules, err = target.ModulesPath(); err != nil {
		return err
	}
	if err := trial.FindEmulator(opts.QEMU); err != nil {
		return err
	}
	if opts.Init, err = os.Executable(); err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	static, err := trial.Static(opts.Init)
	if err == nil && !static {
		err = errors.New("it is linked dynamically, and a VM has no libraries: build it with CGO_ENABLED=0, as make does")
	}
	if err != nil {
		return fmt.Errorf("take %s for the VM's first program: %w", opts.Init, err)
	}
	return nil
}

// ownArchitecture refuses kernels that the first program of the VM, which is this one, does not run on.
func ownArchitecture(target *kernel.Target) error {
	im, err := target.Image()
	if err != nil {
		return err
	}
	if im.Arch.CrossPrefix() != "" {
		return fmt.Errorf("the kernel is for %s: trials run on this machine's architecture alone, as this program "+
			"is the first of the VM", im.Arch.Name)
	}
	return nil
}

// predicted tells why tasks stay on a function's frame, as klpforge inspect stacks does.
func predicted(k *kernel.Target) func(object, function string) string {
	return func(object, function string) string {
		if object != "vmlinux" {
			return ""
		}
		result, err := facts.Stacks(k, nil)
		if err != nil {
			return ""
		}
		ids, err := findFuncs(result.Model(), function)
		if err != nil {
			return ""
		}
		for _, id := range ids {
			if f := &result.Facts[id]; f.Stays() {
				return strings.Join(result.Path(id), " → ")
			}
		}
		return ""
	}
}
