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

func (a *app) kpatchCmdFor(given *kpatchFlags) *cobra.Command {
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
			err := a.kpatchBuild(cmd, given, args)
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
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&given.archVersion, "archversion", "a", "",
		"kernel `RELEASE`, as uname -r prints it (default: the running kernel's)")
	flags.StringVarP(&given.sourceRPM, "sourcerpm", "r", "", "not supported: unpack `FILE` and give --sourcedir")
	flags.StringVarP(&given.source, "sourcedir", "s", "",
		"kernel source `DIR`; it is only read. If the kernel was built in it, nothing else is needed")
	flags.StringVarP(&given.config, "config", "c", "", "kernel config `FILE` (default with -s: .config there)")
	flags.StringVarP(&given.vmlinux, "vmlinux", "v", "",
		"original vmlinux `FILE` (default with -s: vmlinux there); says the release")
	flags.IntVarP(&given.jobs, "jobs", "j", 0, "parallel jobs (default: number of CPUs)")
	flags.StringArrayVarP(&given.targets, "target", "t", nil,
		"patch only what this `GOAL` makes: vmlinux, modules, a directory/, an object.o or a module.ko; several add up")
	flags.StringVarP(&given.name, "name", "n", "", "module `NAME`")
	flags.StringVarP(&given.output, "output", "o", ".", "`DIR` for the module")
	flags.CountVarP(&given.debug, "debug", "d", "keep the generated sources in $CACHEDIR/tmp (~/.kpatch/tmp)")
	flags.StringVar(&given.ootModule, "oot-module", "",
		"patch a module built outside of the kernel's tree: `FILE.ko`, as it is loaded")
	flags.StringVar(&given.ootSource, "oot-module-src", "", "`DIR` with the source of --oot-module")
	flags.BoolVarP(&given.nonReplace, "non-replace", "R", false, "do not make the livepatch replace all earlier ones")
	flags.BoolVar(&given.skipCleanup, "skip-cleanup", false, "keep the generated sources, as --debug")
	flags.BoolVar(&given.skipCheck, "skip-compiler-check", false,
		"accept another compiler version; shipped code is compared all the same")
	flags.BoolVar(&given.skipGCC, "skip-gcc-check", false, "the same")
	flags.StringVar(&given.built, "build-tree", "",
		"`DIR` that the kernel was built in, where its parts lie (default: that of -s, or the one "+
			"that -v or -c lies in)")
	toolchainFlags(cmd, &given.tools)
	sandboxFlag(cmd, &given.sandbox)
	trustFlag(cmd, &given.trust)
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

	// getopt_long, which kpatch-build uses, takes any prefix of an option that is unique.
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
		cmd.Flags().VisitAll(func(flag *pflag.Flag) {
			if strings.HasPrefix(flag.Name, short) && !slices.Contains(notOfKpatch, flag.Name) {
				fits = append(fits, flag.Name)
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

func (a *app) kpatchBuild(cmd *cobra.Command, given *kpatchFlags, patches []string) error {
	opts, err := given.options(patches, cmd.Flags().Changed("jobs"))
	if err != nil {
		return err
	}
	if given.skipCheck || given.skipGCC {
		fmt.Fprintln(a.err, "WARNING: the compiler's version is not compared with the target's; shipped code is")
	}
	fmt.Fprintf(a.out, "Building patch module: %s\n", filepath.Base(opts.Output))
	bars := newProgress(a.err)
	opts.Progress = bars.update
	start := time.Now()
	res, err := pipeline.Run(cmd.Context(), opts)
	bars.done()
	a.summary(res, err, time.Since(start))
	if err != nil {
		return err
	}
	fmt.Fprintln(a.out, "SUCCESS")
	return nil
}

// options translates the flags. Every flag has an effect or is refused.
func (k *kpatchFlags) options(patches []string, jobsGiven bool) (pipeline.Options, error) {
	opts := pipeline.Options{Patches: patches, Goals: k.targets, NoReplace: k.nonReplace,
		AllowCompilerMismatch: k.skipCheck || k.skipGCC,
		Toolchain:             k.tools, Sandbox: k.sandbox, TrustPatch: k.trust}

	// What does not go together is refused before anything is looked for.
	if len(patches) == 0 {
		return opts, errors.New("no patch file given")
	}
	if k.sourceRPM != "" {
		return opts, errors.New("--sourcerpm: source packages of RPM are not unpacked; do that (rpmbuild -bp), and " +
			"give the result with --sourcedir")
	}
	for _, other := range []struct{ flag, value string }{{"--vmlinux", k.vmlinux}, {"--sourcedir", k.source},
		{"--build-tree", k.built}} {
		if k.archVersion != "" && other.value != "" {
			return opts, fmt.Errorf("--archversion and %s exclude each other: the release is that of vmlinux",
				other.flag)
		}
	}
	if jobsGiven && k.jobs <= 0 {
		return opts, fmt.Errorf("--jobs %d: want a positive number", k.jobs)
	}
	if k.ootModule != "" && k.ootSource == "" || k.ootModule == "" && k.ootSource != "" {
		return opts, errors.New("--oot-module and --oot-module-src need each other")
	}
	if k.ootModule != "" && len(k.targets) > 0 {
		return opts, errors.New("--target says what of the kernel is patched; it does not go with --oot-module")
	}
	for _, t := range k.targets {
		if err := kbuild.CheckGoal(t); err != nil {
			return opts, fmt.Errorf("--target: %w", err)
		}
	}

	// What is named must be there before a build of minutes begins.
	type place struct {
		flag, path string
		dir        bool
	}
	places := []place{{"--build-tree", k.built, true}, {"--sourcedir", k.source, true}, {"--config", k.config, false},
		{"--vmlinux", k.vmlinux, false},
		{"--output", k.output, true}, {"--oot-module", k.ootModule, false}, {"--oot-module-src", k.ootSource, true}}
	for _, file := range patches {
		places = append(places, place{"patch", file, false})
	}
	for _, where := range places {
		if where.path == "" {
			continue
		}
		info, err := os.Stat(where.path)
		switch {
		case err != nil:
			return opts, fmt.Errorf("%s: %w", where.flag, err)
		case info.IsDir() && !where.dir:
			return opts, fmt.Errorf("%s %s: want a file, not a directory", where.flag, where.path)
		case !info.IsDir() && where.dir:
			return opts, fmt.Errorf("%s %s: want a directory", where.flag, where.path)
		}
	}

	opts.Jobs = k.jobs
	if err := k.kernel(&opts); err != nil {
		return opts, err
	}

	// A name that had to be changed is reported with the one that it came from.
	from := k.name
	if from == "" {
		from = "livepatch-" + kpatchStem(patches)
	}
	name := kpatchName(from)
	if name != from {
		opts.NameFrom = from
	}
	opts.Name, opts.Output = name, filepath.Join(k.output, name+".ko")

	if k.debug > 0 || k.skipCleanup {
		dir, err := kpatchScratch()
		if err != nil {
			return opts, err
		}
		opts.Emit = filepath.Join(dir, name)
	}
	return opts, nil
}

// kernel says which kernel is meant and where its parts are.
func (k *kpatchFlags) kernel(opts *pipeline.Options) error {
	target := &opts.Kernel
	target.Release, target.Source, target.Config, target.Vmlinux = k.archVersion, k.source, k.config, k.vmlinux
	if k.ootModule != "" {
		info, err := module.Read(k.ootModule)
		if err != nil {
			return fmt.Errorf("--oot-module: %w", err)
		}
		release, _, _ := strings.Cut(info.Get("vermagic"), " ")
		if k.archVersion != "" && k.archVersion != release {
			return fmt.Errorf("--archversion %s: %s is for %s", k.archVersion, k.ootModule, release)
		}
		target.Release, target.ExtraModules, opts.ExternalSource = release, []string{k.ootModule}, k.ootSource
	}

	tree, err := k.findTree()
	if err != nil {
		return err
	}
	switch {
	case tree != nil && (target.Release == "" || target.Release == tree.Release()):
		target.Finder = tree
	case k.source != "" && target.Vmlinux == "" && target.Release == "":
		return fmt.Errorf("no kernel was built in %s: give the directory that yours was built in with --build-tree, "+
			"or its vmlinux with --vmlinux and its configuration with --config", k.source)
	case k.source != "" && target.Config == "":
		if target.Config = beside(k.source, ".config"); target.Config == "" {
			return fmt.Errorf("%s has no .config: give the kernel's with --config, or the directory that it was "+
				"built in with --build-tree", k.source)
		}
	}

	// As kpatch-build does, the running kernel when nothing names another.
	if !named(*target) {
		b, err := os.ReadFile("/proc/sys/kernel/osrelease")
		if err != nil {
			return fmt.Errorf("find out the running kernel: %w; give its release with --archversion", err)
		}
		target.Release = strings.TrimSpace(string(b))
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
func kpatchName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, name)
	return name[:min(len(name), 48)]
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
