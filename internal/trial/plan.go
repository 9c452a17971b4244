package trial

import (
	"path"
	"path/filepath"
	"time"

	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
)

// Options say what is tried and how. VM.Kernel and Module must be set.
type Options struct {
	VM     vm.Options
	Module string // livepatch to be tried
	// Old is a livepatch that is in force before it, which it has to replace. Downgrade
	// then replaces it by Old again.
	Old       string
	Downgrade bool
	// Objects are the modules of the kernel that it patches; Needs are loaded before
	// everything else.
	Objects, Needs []string

	Reproducer string // program or script on the host; "" for none
	Shell      string // static busybox on the host, which becomes /bin; "" for none
	Files      []vm.File
	RootFS     string // image with a root file system, in which Reproducer and Stress run

	Stress string        // command that runs while the livepatch is in force, in addition to the load
	For    time.Duration // how long the livepatch stays in force under load
	Wait   time.Duration // for a transition; 0 is guest.DefaultWait
	Limit  time.Duration // for one run of the reproducer; 0 is a minute
	Loads  int           // threads of the background load; negative for none, 0 for one a kind

	// Predicted tells why tasks are expected to stay on a function's frame, "" if they are
	// not. It may be nil.
	Predicted func(object, function string) string
	// Allow are regular expressions of kernel messages that are no complaint.
	Allow []string
}

// Places in the guest.
const (
	rootDir    = "/root"
	reproducer = "/klpforge-reproducer"
	again      = " again"
)

// Labels of steps, by which results are found.
const (
	stepPrepare    = "prepare"
	stepWithout    = "reproducer without"
	stepWith       = "reproducer with"
	stepAfter      = "reproducer after"
	stepOld        = "older livepatch"
	stepOldGone    = "older livepatch unloaded"
	stepLoad       = "load"
	stepTransition = "transition"
	stepModule     = "module "
	stepSeen       = "livepatches"
	stepStress     = "stress"
	stepLog        = "log"
	stepTaint      = "taint"
	stepDisable    = "disable"
	stepUnload     = "unload"
	stepReverse    = "reverse"
	stepDowngrade  = "downgrade"
	stepNewGone    = "newer livepatch unloaded"
)

func (o *Options) wait() time.Duration {
	if o.Wait > 0 {
		return o.Wait
	}
	return guest.DefaultWait
}

func (o *Options) limit() time.Duration {
	if o.Limit > 0 {
		return o.Limit
	}
	return time.Minute
}

// files are those of every boot.
func (o *Options) files() []vm.File {
	files := append([]vm.File(nil), o.Files...)
	if o.Reproducer != "" {
		files = append(files, vm.File{Name: reproducer, Host: o.Reproducer, Mode: 0o755})
	}
	if o.Shell != "" {
		files = append(files, vm.File{Name: "/bin/busybox", Host: o.Shell, Mode: 0o755})
	}
	return files
}

// prepare makes the guest ready to run programs.
func (o *Options) prepare() []guest.Step {
	var steps []guest.Step
	add := func(s ...guest.Step) {
		for _, s := range s {
			steps = append(steps, s.Labelled(stepPrepare))
		}
	}
	if o.Shell != "" {
		add(guest.Exec("/bin/busybox", "--install", "-s", "/bin"))
	}
	for _, name := range o.Needs {
		add(guest.Modprobe(name))
	}
	if o.RootFS == "" {
		return steps
	}
	add(guest.Modprobe("virtio_pci"), guest.Modprobe("virtio_blk"), guest.Modprobe("ext4"))
	add(guest.Mount("/dev/vda", rootDir, "ext4", ""))
	for _, dir := range []string{"/proc", "/sys", "/dev"} {
		add(guest.Mount(dir, rootDir+dir, "bind", ""))
	}
	for _, f := range o.files() {
		add(guest.Copy(f.Name, rootDir+f.Name))
	}
	return steps
}

// program runs a program where the user's programs run.
func (o *Options) program(d time.Duration, name string, args ...string) guest.Step {
	root := ""
	if o.RootFS != "" {
		root = rootDir
	}
	return guest.ExecIn(root, d, name, args...)
}

func (o *Options) reproduce(label string) guest.Step {
	return o.program(o.limit(), reproducer).Labelled(label).Optional()
}

// without is the boot that shows the fault.
func (o *Options) without() vm.Script {
	steps := append(o.prepare(), o.reproduce(stepWithout), guest.CheckDmesg(o.Allow...).Labelled(stepLog).Optional())
	return vm.Script{Files: o.files(), Steps: steps}
}

// names are what modules are called in the guest.
type names struct{ module, old string }

// with is the boot with the livepatch. Its last steps are those that may end the kernel.
func (o *Options) with(modules names) vm.Script {
	file := moduleFile(o.Module, "new")
	script := vm.Script{Files: append(o.files(), file), Steps: o.prepare()}
	add := func(steps ...guest.Step) { script.Steps = append(script.Steps, steps...) }
	loads := guest.AllLoads()
	if o.Loads >= 0 {
		add(guest.Background(max(o.Loads, len(loads)), loads...).Labelled(stepPrepare))
	}

	// The older livepatch first.
	var old vm.File
	if o.Old != "" {
		old = moduleFile(o.Old, "old")
		script.Files = append(script.Files, old)
		add(guest.Insmod(old.Name, "").Labelled(stepOld), guest.WaitTransition(modules.old, o.wait()).Labelled(stepOld),
			guest.ExpectEnabled(modules.old).Labelled(stepOld))
	}

	// In force, under load, with the modules that come after it.
	add(guest.Insmod(file.Name, "").Labelled(stepLoad),
		guest.WaitTransition(modules.module, o.wait()).Labelled(stepTransition),
		guest.ExpectEnabled(modules.module).Labelled(stepTransition))
	if o.Old != "" {
		add(guest.Rmmod(modules.old).Labelled(stepOldGone))
	}
	for _, name := range o.Objects {
		add(guest.Modprobe(name).Labelled(stepModule + name).Optional())
	}
	add(guest.Livepatches().Labelled(stepSeen))
	if o.Stress != "" {
		add(o.program(max(o.For, o.limit()), "/bin/sh", "-c", o.Stress).Labelled(stepStress).Optional())
	} else if o.For > 0 {
		add(guest.Sleep(o.For).Labelled(stepStress))
	}
	if o.Reproducer != "" {
		add(o.reproduce(stepWith))
	}
	add(guest.CheckDmesg(o.Allow...).Labelled(stepLog))

	// Out of force again: by the older one, or by itself.
	if o.Downgrade {
		add(guest.Insmod(old.Name, "").Labelled(stepDowngrade),
			guest.WaitTransition(modules.old, o.wait()).Labelled(stepDowngrade),
			guest.ExpectEnabled(modules.old).Labelled(stepDowngrade), guest.Rmmod(modules.module).Labelled(stepNewGone),
			guest.Disable(modules.old, o.wait()).Labelled(stepDowngrade),
			guest.Rmmod(modules.old).Labelled(stepDowngrade))
	} else {
		add(guest.Disable(modules.module, o.wait()).Labelled(stepDisable),
			guest.Rmmod(modules.module).Labelled(stepUnload))
	}

	// Once more, with the modules there before it; and once disabled at once.
	add(guest.Insmod(file.Name, "").Labelled(stepReverse),
		guest.Reverse(modules.module, o.wait()).Labelled(stepReverse),
		guest.Rmmod(modules.module).Labelled(stepReverse))
	add(guest.Insmod(file.Name, "").Labelled(stepLoad+again),
		guest.WaitTransition(modules.module, o.wait()).Labelled(stepTransition+again),
		guest.ExpectEnabled(modules.module).Labelled(stepTransition+again),
		guest.Livepatches().Labelled(stepSeen+again),
		guest.Disable(modules.module, o.wait()).Labelled(stepDisable+again),
		guest.Rmmod(modules.module).Labelled(stepUnload+again))
	if o.Loads >= 0 {
		add(guest.StopBackground())
	}
	add(guest.CheckDmesg(o.Allow...).Labelled(stepLog+again), guest.CheckTaint(guest.TaintAllowed).Labelled(stepTaint))
	if o.Reproducer != "" {
		add(o.reproduce(stepAfter), guest.CheckDmesg(o.Allow...).Labelled(stepAfter).Optional())
	}
	return script
}

// moduleFile is a module's place in the guest. Both livepatches may have one file name.
func moduleFile(host, dir string) vm.File {
	f := vm.ModuleFile(host)
	f.Name = path.Join("/ko", dir, filepath.Base(f.Name))
	return f
}
