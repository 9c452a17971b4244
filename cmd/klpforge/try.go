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
	hold, wait, timeout             time.Duration
}

// defaultTrial is what try does without flags.
func defaultTrial() tryFlags {
	var t tryFlags
	t.flags(&cobra.Command{})
	return t
}

func (t *tryFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.reproducer, "reproducer", "", "`PROGRAM` or script that fails without the livepatch, passes with it, and fails again without it")
	f.StringVar(&t.old, "upgrade", "", "`OLD.ko` that is in force before the module, and that it has to replace")
	f.BoolVar(&t.downgrade, "downgrade", false, "replace the module by that of --upgrade again")
	f.StringArrayVar(&t.add, "add", nil, "put `FILE[:PLACE]` into the VM, with the shared libraries it needs; PLACE is its own path by default")
	f.StringVar(&t.rootFS, "rootfs", "", "raw ext4 `IMAGE` in which --reproducer and --stress run; it is not written to")
	f.StringVar(&t.stress, "stress", "", "shell `COMMAND` that runs while the livepatch is in force, beside the usual load")
	f.DurationVar(&t.hold, "for", 0, "keep the livepatch in force under load for this `TIME`, such as 1h")
	f.BoolVar(&t.noLoad, "no-load", false, "no load beside the reproducer: one thread each of system calls, files, fork and exec, pipes, sockets and loopback otherwise")
	f.StringArrayVar(&t.needs, "modprobe", nil, "load `MODULE` of the kernel before anything else")
	f.StringArrayVar(&t.allow, "allow-message", nil, "`REGEXP` of kernel messages that are no complaint")
	f.DurationVar(&t.wait, "transition", 0, "longest `TIME` that a transition may take (default 1m)")
	f.DurationVar(&t.timeout, "timeout", 0, "longest `TIME` of one boot (default: what the steps may take, and ten minutes)")
	f.StringVar(&t.accel, "accel", vm.AccelAuto, "auto, kvm or tcg; auto takes KVM if the kernel boots with it")
	f.IntVar(&t.cpus, "cpus", 2, "processors of the VM")
	f.IntVar(&t.memory, "memory", 1024, "memory of the VM in `MiB`")
	f.StringVar(&t.cmdline, "append", "", "`ARGS` for the kernel's command line")
	f.StringVar(&t.log, "console", "", "`FILE` for all that the console said")
}

func (a *app) tryCmd() *cobra.Command {
	var o kernel.Options
	var t tryFlags
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
			if !named(o) {
				return usageError("which kernel? give -k RELEASE, or --build-tree DIR for one of your own")
			}
			if format != "text" && format != "json" && format != "junit" {
				return usageError("unknown format %q: use text, json or junit", format)
			}
			k, err := kernel.Open(o)
			if err != nil {
				return err
			}
			defer k.Close()
			return a.try(cmd.Context(), k, args[0], t, format)
		},
	}
	targetFlags(cmd, &o)
	t.flags(cmd)
	cmd.Flags().StringVar(&format, "format", "text", "text, json or junit")
	return cmd
}

// try makes the trial of a module and prints what came of it.
func (a *app) try(ctx context.Context, k *kernel.Target, ko string, t tryFlags, format string) error {
	o, err := t.options(k, ko)
	if err != nil {
		return err
	}
	r, err := trial.Run(ctx, *o)
	if r != nil && t.log != "" {
		if werr := os.WriteFile(t.log, []byte(r.Console), 0o644); werr != nil {
			return errors.Join(err, fmt.Errorf("keep the console: %w", werr))
		}
	}
	if err != nil {
		return fmt.Errorf("try %s: %w", ko, err)
	}
	switch format {
	case "json":
		err = writeJSON(a, r)
	case "junit":
		err = r.PrintJUnit(a.out)
	default:
		err = r.Print(a.out)
	}
	if err == nil && !r.Passed {
		return &exitError{code: exitFindings, err: fmt.Errorf("%s failed its trial on %s", ko, k.Release()), quiet: true}
	}
	return err
}

// options finds what the trial needs on this machine, and refuses before anything boots.
func (t *tryFlags) options(k *kernel.Target, ko string) (*trial.Options, error) {
	if t.downgrade && t.old == "" {
		return nil, usageError("--downgrade goes back to the module of --upgrade: give that too")
	}
	info, err := module.Read(ko)
	if err != nil {
		return nil, err
	}
	o := &trial.Options{Module: ko, Old: t.old, Downgrade: t.downgrade, Reproducer: t.reproducer, RootFS: t.rootFS, Stress: t.stress,
		For: t.hold, Wait: t.wait, Allow: t.allow, Needs: t.needs, Predicted: predicted(k)}
	if t.noLoad {
		o.Loads = -1
	}
	patched := info.Objects
	if info.Manifest != nil {
		patched = nil
		for i := range info.Manifest.Objects {
			patched = append(patched, info.Manifest.Objects[i].Name)
		}
	}
	o.Objects = slices.DeleteFunc(patched, func(name string) bool { return name == "vmlinux" })

	// The kernel, and the program that the VM starts, which is this one.
	if err := t.machine(k, &o.VM); err != nil {
		return nil, err
	}

	// What the user brings.
	for _, arg := range t.add {
		f, err := trial.ParseFile(arg)
		if err != nil {
			return nil, usageError("--add: %v", err)
		}
		o.Files = append(o.Files, f)
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
		return o, f.Close()
	}
	if script {
		if o.Shell, err = trial.FindShell(); err != nil {
			return nil, err
		}
	}
	programs := o.Files
	if t.reproducer != "" {
		programs = append(programs, vm.File{Name: t.reproducer, Host: t.reproducer})
	}
	with, err := trial.WithLibraries(programs)
	if err != nil {
		return nil, err
	}
	o.Files = append(o.Files, with[len(programs):]...)
	return o, nil
}

func (t *tryFlags) machine(k *kernel.Target, o *vm.Options) error {
	image, err := k.ImagePath()
	if err != nil {
		return err
	}
	*o = vm.Options{Kernel: image, Release: k.Release(), Accel: t.accel, Probe: true, CPUs: t.cpus, Memory: t.memory, Append: t.cmdline, Timeout: t.timeout,
		QEMU: emulator}
	if o.Modules, err = k.ModulesPath(); err != nil {
		return err
	}
	if err := trial.FindEmulator(o.QEMU); err != nil {
		return err
	}
	if o.Init, err = os.Executable(); err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	static, err := trial.Static(o.Init)
	if err == nil && !static {
		err = errors.New("it is linked dynamically, and a VM has no libraries: build it with CGO_ENABLED=0, as make does")
	}
	if err != nil {
		return fmt.Errorf("take %s for the VM's first program: %w", o.Init, err)
	}
	return nil
}

// predicted tells why tasks stay on a function's frame, as klpforge inspect stacks does.
func predicted(k *kernel.Target) func(object, function string) string {
	return func(object, function string) string {
		if object != "vmlinux" {
			return ""
		}
		r, err := facts.Stacks(k, nil)
		if err != nil {
			return ""
		}
		ids, err := findFuncs(r.Model(), function)
		if err != nil {
			return ""
		}
		for _, id := range ids {
			if f := &r.Facts[id]; f.Stays() {
				return strings.Join(r.Path(id), " → ")
			}
		}
		return ""
	}
}
