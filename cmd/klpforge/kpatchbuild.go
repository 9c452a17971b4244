package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/kernel/buildtree"
	"github.com/klpforge/klpforge/module"
	"github.com/klpforge/klpforge/pipeline"
)

// kpatchBuild is the name of another tool, by which klpforge takes its flags.
// Facts: kpatch-build(1) and the tool's help, 0.9.9.
const kpatchBuild = "kpatch-build"

// kpatchFlags are that tool's flags.
type kpatchFlags struct {
	archVersion, sourceRPM, source, config, vmlinux string
	jobs                                            int
	targets                                         []string
	name, output                                    string
	debug                                           int
	ootModule, ootSource                            string
	nonReplace, skipCleanup, skipCheck, skipGCC     bool

	// Not of that tool.
	built   string // directory that the kernel was built in
	tools   kbuild.Toolchain
	sandbox kbuild.Sandbox
	trust   bool
}

func (a *app) kpatchCmd() *cobra.Command { return a.kpatchCmdFor(new(kpatchFlags)) }

func (a *app) kpatchCmdFor(k *kpatchFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   kpatchBuild + " [flags] PATCH...",
		Short: "Build a livepatch module by the command line of kpatch-build",
		Long: `Build a livepatch module by the command line of kpatch-build, for scripts made for
that tool. A link named kpatch-build to klpforge does the same.

The module is called livepatch-PATCH.ko, livepatch-patch.ko if there are several
patches, or as --name says. No kernel is built, and the source directory is only
read. Without -s, -v and -a the running kernel is meant; its parts are found as by
'klpforge build'.

Exit codes: 0 done, 1 anything else.`,
		Example: `  klpforge kpatch-build -a 6.1.0-55-cloud-amd64 fix.patch
  ln -s "$(command -v klpforge)" ~/bin/kpatch-build
  kpatch-build -s ~/linux -c ~/linux/.config -v ~/linux/vmlinux -t vmlinux -o out fix.patch`,
		RunE: func(cmd *cobra.Command, args []string) error {
			err := a.kpatchBuild(cmd, k, args)
			if err == nil {
				return nil
			}
			var refusal *pipeline.Refusal
			if !errors.As(err, &refusal) { // its problems have been printed
				fmt.Fprintf(a.err, "ERROR: %v\n", err)
			}
			return &exitError{code: exitFindings, err: err, quiet: true}
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{code: exitFindings, err: err} })
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&k.archVersion, "archversion", "a", "", "kernel `RELEASE`, as uname -r prints it (default: the running kernel's)")
	f.StringVarP(&k.sourceRPM, "sourcerpm", "r", "", "not supported: unpack `FILE` and give --sourcedir")
	f.StringVarP(&k.source, "sourcedir", "s", "", "kernel source `DIR`; it is only read. If the kernel was built in it, nothing else is needed")
	f.StringVarP(&k.config, "config", "c", "", "kernel config `FILE` (default with -s: .config there)")
	f.StringVarP(&k.vmlinux, "vmlinux", "v", "", "original vmlinux `FILE` (default with -s: vmlinux there); says the release")
	f.IntVarP(&k.jobs, "jobs", "j", 0, "parallel jobs (default: number of CPUs)")
	f.StringArrayVarP(&k.targets, "target", "t", nil, "patch only what this `GOAL` makes: vmlinux, modules, a directory/, an object.o or a module.ko; several add up")
	f.StringVarP(&k.name, "name", "n", "", "module `NAME`")
	f.StringVarP(&k.output, "output", "o", ".", "`DIR` for the module")
	f.CountVarP(&k.debug, "debug", "d", "keep the generated sources in $CACHEDIR/tmp (~/.kpatch/tmp)")
	f.StringVar(&k.ootModule, "oot-module", "", "patch a module built outside of the kernel's tree: `FILE.ko`, as it is loaded")
	f.StringVar(&k.ootSource, "oot-module-src", "", "`DIR` with the source of --oot-module")
	f.BoolVarP(&k.nonReplace, "non-replace", "R", false, "do not make the livepatch replace all earlier ones")
	f.BoolVar(&k.skipCleanup, "skip-cleanup", false, "keep the generated sources, as --debug")
	f.BoolVar(&k.skipCheck, "skip-compiler-check", false, "accept another compiler version; shipped code is compared all the same")
	f.BoolVar(&k.skipGCC, "skip-gcc-check", false, "the same")
	f.StringVar(&k.built, "build-tree", "", "`DIR` that the kernel was built in, where its parts lie (default: that of -s, or the one that -v or -c lies in)")
	toolchainFlags(cmd, &k.tools)
	sandboxFlag(cmd, &k.sandbox)
	trustFlag(cmd, &k.trust)
	return cmd
}

// notOfKpatch are flags that that tool does not have: a shortened name of one that it has
// must not become ambiguous by them.
var notOfKpatch = []string{"build-tree", "cc", "llvm", "ld", "kcflags", "sandbox", "trust-patch"}

// kpatchArgs gives the arguments of a program called kpatch-build the command's
// name, and completes shortened names of its long flags, as getopt does.
func kpatchArgs(cmd *cobra.Command, args []string) []string {
	if filepath.Base(args[0]) == kpatchBuild {
		args = append([]string{args[0], kpatchBuild}, args[1:]...)
	}
	if len(args) < 2 || args[1] != kpatchBuild {
		return args
	}
	for i, arg := range args {
		if arg == "--" {
			break
		}
		name, value, hasValue := strings.Cut(arg, "=")
		short, ok := strings.CutPrefix(name, "--")
		if !ok || short == "" || cmd.Flags().Lookup(short) != nil {
			continue
		}
		var fits []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if strings.HasPrefix(f.Name, short) && !slices.Contains(notOfKpatch, f.Name) {
				fits = append(fits, f.Name)
			}
		})
		if len(fits) == 1 {
			args[i] = "--" + fits[0]
			if hasValue {
				args[i] += "=" + value
			}
		}
	}
	return args
}

func (a *app) kpatchBuild(cmd *cobra.Command, k *kpatchFlags, patches []string) error {
	o, err := k.options(patches, cmd.Flags().Changed("jobs"))
	if err != nil {
		return err
	}
	if k.skipCheck || k.skipGCC {
		fmt.Fprintln(a.err, "WARNING: the compiler's version is not compared with the target's; shipped code is")
	}
	fmt.Fprintf(a.out, "Building patch module: %s\n", filepath.Base(o.Output))
	p := newProgress(a.err)
	o.Progress = p.update
	start := time.Now()
	res, err := pipeline.Run(cmd.Context(), o)
	p.done()
	a.summary(res, err, time.Since(start))
	if err != nil {
		return err
	}
	fmt.Fprintln(a.out, "SUCCESS")
	return nil
}

// options translates the flags. Every flag has an effect or is refused.
func (k *kpatchFlags) options(patches []string, jobsGiven bool) (pipeline.Options, error) {
	o := pipeline.Options{Patches: patches, Goals: k.targets, NoReplace: k.nonReplace, AllowCompilerMismatch: k.skipCheck || k.skipGCC,
		Toolchain: k.tools, Sandbox: k.sandbox, TrustPatch: k.trust}
	if len(patches) == 0 {
		return o, errors.New("no patch file given")
	}
	if k.sourceRPM != "" {
		return o, errors.New("--sourcerpm: source packages of RPM are not unpacked; do that (rpmbuild -bp), and give the result with --sourcedir")
	}
	for _, other := range []struct{ flag, value string }{{"--vmlinux", k.vmlinux}, {"--sourcedir", k.source}, {"--build-tree", k.built}} {
		if k.archVersion != "" && other.value != "" {
			return o, fmt.Errorf("--archversion and %s exclude each other: the release is that of vmlinux", other.flag)
		}
	}
	if jobsGiven && k.jobs <= 0 {
		return o, fmt.Errorf("--jobs %d: want a positive number", k.jobs)
	}
	if k.ootModule != "" && k.ootSource == "" || k.ootModule == "" && k.ootSource != "" {
		return o, errors.New("--oot-module and --oot-module-src need each other")
	}
	if k.ootModule != "" && len(k.targets) > 0 {
		return o, errors.New("--target says what of the kernel is patched; it does not go with --oot-module")
	}
	for _, t := range k.targets {
		if err := kbuild.CheckGoal(t); err != nil {
			return o, fmt.Errorf("--target: %w", err)
		}
	}
	type place struct {
		flag, path string
		dir        bool
	}
	places := []place{{"--build-tree", k.built, true}, {"--sourcedir", k.source, true}, {"--config", k.config, false}, {"--vmlinux", k.vmlinux, false},
		{"--output", k.output, true}, {"--oot-module", k.ootModule, false}, {"--oot-module-src", k.ootSource, true}}
	for _, p := range patches {
		places = append(places, place{"patch", p, false})
	}
	for _, p := range places {
		if p.path == "" {
			continue
		}
		info, err := os.Stat(p.path)
		switch {
		case err != nil:
			return o, fmt.Errorf("%s: %w", p.flag, err)
		case info.IsDir() && !p.dir:
			return o, fmt.Errorf("%s %s: want a file, not a directory", p.flag, p.path)
		case !info.IsDir() && p.dir:
			return o, fmt.Errorf("%s %s: want a directory", p.flag, p.path)
		}
	}
	o.Jobs = k.jobs
	if err := k.kernel(&o); err != nil {
		return o, err
	}
	from := k.name
	if from == "" {
		from = "livepatch-" + kpatchStem(patches)
	}
	name := kpatchName(from)
	if name != from {
		o.NameFrom = from
	}
	o.Name, o.Output = name, filepath.Join(k.output, name+".ko")
	if k.debug > 0 || k.skipCleanup {
		dir, err := kpatchScratch()
		if err != nil {
			return o, err
		}
		o.Emit = filepath.Join(dir, name)
	}
	return o, nil
}

// kernel says which kernel is meant and where its parts are.
func (k *kpatchFlags) kernel(o *pipeline.Options) error {
	t := &o.Kernel
	t.Release, t.Source, t.Config, t.Vmlinux = k.archVersion, k.source, k.config, k.vmlinux
	if k.ootModule != "" {
		info, err := module.Read(k.ootModule)
		if err != nil {
			return fmt.Errorf("--oot-module: %w", err)
		}
		release, _, _ := strings.Cut(info.Get("vermagic"), " ")
		if k.archVersion != "" && k.archVersion != release {
			return fmt.Errorf("--archversion %s: %s is for %s", k.archVersion, k.ootModule, release)
		}
		t.Release, t.ExtraModules, o.ExternalSource = release, []string{k.ootModule}, k.ootSource
	}
	tree, err := k.findTree()
	if err != nil {
		return err
	}
	switch {
	case tree != nil && (t.Release == "" || t.Release == tree.Release()):
		t.Finder = tree
	case k.source != "" && t.Vmlinux == "" && t.Release == "":
		return fmt.Errorf("no kernel was built in %s: give the directory that yours was built in with --build-tree, or its vmlinux with --vmlinux and its configuration with --config", k.source)
	case k.source != "" && t.Config == "":
		if t.Config = beside(k.source, ".config"); t.Config == "" {
			return fmt.Errorf("%s has no .config: give the kernel's with --config, or the directory that it was built in with --build-tree", k.source)
		}
	}
	if !named(*t) {
		b, err := os.ReadFile("/proc/sys/kernel/osrelease")
		if err != nil {
			return fmt.Errorf("find out the running kernel: %w; give its release with --archversion", err)
		}
		t.Release = strings.TrimSpace(string(b))
	}
	return nil
}

// findTree opens the directory that the kernel was built in: the one that was named, else
// the first in which something was built of vmlinux's, the source's and the
// configuration's. It is nil if there is none.
func (k *kpatchFlags) findTree() (*buildtree.Tree, error) {
	if k.built != "" {
		return buildtree.Open(k.built)
	}
	in := func(file string) string {
		if file == "" {
			return ""
		}
		return filepath.Dir(file)
	}
	for _, dir := range []string{in(k.vmlinux), k.source, in(k.config)} {
		if dir == "" || beside(dir, "vmlinux") == "" && beside(dir, ".config") == "" {
			continue
		}
		tree, err := buildtree.Open(dir)
		var not *buildtree.NotBuiltError
		if !errors.As(err, &not) {
			return tree, err
		}
	}
	return nil, nil
}

// beside is the path of a file in dir, "" if it is not there.
func beside(dir, name string) string {
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// kpatchStem is what the module is called after.
func kpatchStem(patches []string) string {
	if len(patches) > 1 {
		return "patch"
	}
	base := filepath.Base(patches[0])
	for _, ext := range []string{".patch", ".diff"} {
		if s, ok := strings.CutSuffix(base, ext); ok {
			return s
		}
	}
	return base
}

// kpatchName makes a module name as that tool does: letters, digits, '_' and
// '-', at most 48 bytes.
func kpatchName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, s)
	return s[:min(len(s), 48)]
}

// kpatchScratch is the directory for what is kept.
func kpatchScratch() (string, error) {
	dir := os.Getenv("CACHEDIR")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the directory for generated sources: %w; set CACHEDIR", err)
		}
		dir = filepath.Join(home, ".kpatch")
	}
	dir = filepath.Join(dir, "tmp")
	return dir, os.MkdirAll(dir, 0o777)
}
