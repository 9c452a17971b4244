// Package ownkernel compiles small kernels as a team that builds its own does: in place
// or with O=, with gcc or clang, with options that distributions do not set. Tests build
// livepatches for them, and boot them in a VM.
//
// They are of one configuration of some 500 options, so that one takes minutes, and stay
// in the cache:
//
//	kernels-own/source-VERSION/   an unpacked source, which nothing is built in
//	kernels-own/NAME/build/       a build tree: all of it in place, objects alone with O=
package ownkernel

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/kernel/karch"
)

//go:embed config
var common string

//go:embed config.arm64
var commonARM64 string

// Spec is one kernel.
type Spec struct {
	Name    string
	Line    string   // of the source: "6.1"
	InPlace bool     // built where the source is, else with O=
	Git     bool     // in a repository with a change that was not committed: the release says -dirty
	Vars    []string // variables of make's command line
	Options []string // lines of configuration beside those that all have; the last of a name counts
	Needs   []string // programs of packages that scripts/install-deps does not install
	RPM     bool     // built by make rpm-pkg, which compiles a copy of the source; with InPlace
	Arch    string   // make ARCH=; "" is the machine's own, x86
	Cross   string   // make CROSS_COMPILE=, before the name of each program
	Common  string   // the configuration that Options come beside; "" is the one of most
}

// common is the configuration that the kernel shares with others.
func (s Spec) common() string {
	if s.Common != "" {
		return s.Common
	}
	return common
}

// clang are the programs of a version of clang and its linker, by their names in Debian.
func clang(version string) []string {
	out := []string{"CC=clang-" + version, "LD=ld.lld-" + version}
	for _, name := range []string{"ar", "nm", "objcopy", "objdump", "readelf", "strip"} {
		out = append(out, strings.ToUpper(name)+"=llvm-"+name+"-"+version)
	}
	return out
}

// Specs are all kernels, in the order in which they are made.
func Specs() []Spec {
	return []Spec{
		{Name: "6.1-gcc-dirty", Line: "6.1", InPlace: true, Git: true, Options: []string{"CONFIG_LOCALVERSION_AUTO=y"}},
		{Name: "6.1-gcc-o", Line: "6.1"},
		{Name: "6.1-clang", Line: "6.1", Vars: clang("14")},
		{Name: "6.1-thinlto", Line: "6.1", Vars: clang("14"), Options: []string{"CONFIG_LTO_CLANG_THIN=y"}},
	}
}

// Extra are kernels for the matrix, beside those of Specs.
func Extra() []Spec {
	return []Spec{
		// With versions in neither form, modules load by force alone.
		{Name: "7.2-gcc", Line: "7.2", Options: []string{"CONFIG_BASIC_MODVERSIONS=y"}},
		{Name: "6.1-rpm", Line: "6.1", InPlace: true, RPM: true},
		{Name: "6.1-kasan", Line: "6.1", Options: []string{"CONFIG_KASAN=y", "CONFIG_KASAN_GENERIC=y"}},
		{Name: "7.2-kcfi", Line: "7.2", Vars: clang("19"), Options: []string{
			"CONFIG_BASIC_MODVERSIONS=y", "CONFIG_CFI=y", "CONFIG_X86_KERNEL_IBT=y", "CONFIG_FINEIBT=y",
		}},
		{Name: "6.1-sanitizers", Line: "6.1", Options: []string{
			"# CONFIG_CC_OPTIMIZE_FOR_PERFORMANCE is not set", "CONFIG_CC_OPTIMIZE_FOR_SIZE=y",
			"CONFIG_UBSAN=y", "CONFIG_UBSAN_BOUNDS=y", "CONFIG_UBSAN_SHIFT=y", "CONFIG_UBSAN_BOOL=y", "CONFIG_UBSAN_ENUM=y",
			"CONFIG_UBSAN_SANITIZE_ALL=y", "CONFIG_KCSAN=y",
		}},
	}
}

// Foreign are kernels of other architectures, compiled by Debian's cross compilers.
func Foreign() []Spec {
	return []Spec{
		{Name: "7.2-arm64", Line: "7.2", Arch: "arm64", Cross: "aarch64-linux-gnu-",
			Vars:   []string{"CC=aarch64-linux-gnu-gcc-12"},
			Common: commonARM64, Needs: []string{"aarch64-linux-gnu-gcc-12", "aarch64-linux-gnu-ld"}},
	}
}

// All are the kernels that are known here.
func All() []Spec { return slices.Concat(Specs(), Extra(), Foreign()) }

// Find returns the spec of a name.
func Find(name string) (Spec, error) {
	all := All()
	i := slices.IndexFunc(all, func(s Spec) bool { return s.Name == name })
	if i < 0 {
		return Spec{}, fmt.Errorf("own kernels: there is none called %s", name)
	}
	return all[i], nil
}

// Kernel is a kernel that was made.
type Kernel struct {
	Source  string // directory of the source
	Build   string // the build tree; Source for one that was built in place
	Release string
	// Packages is the directory of the RPM packages, binary and source, of a Spec with RPM.
	Packages string
	Arch     karch.Arch
}

// Image is what boots.
func (k Kernel) Image() string { return filepath.Join(k.Build, k.Arch.Images[0]) }

// Make compiles a kernel below cache, or finds it there. tarball returns the path of the
// source of a line, packed; it is asked when that is not unpacked yet. What make says goes
// to log.
func (s Spec) Make(ctx context.Context, cache string, tarball func(line string) (string, error), log io.Writer) (Kernel, error) {
	for _, program := range s.Needs {
		if _, err := exec.LookPath(program); err != nil {
			return Kernel{}, fmt.Errorf("make kernel %s: %w", s.Name, err)
		}
	}
	arch, err := karch.Named(s.Arch)
	if err != nil {
		return Kernel{}, fmt.Errorf("make kernel %s: %w", s.Name, err)
	}
	m := maker{Spec: s, ctx: ctx, log: log, dir: filepath.Join(cache, "kernels-own", s.Name)}
	k := Kernel{Source: filepath.Join(cache, "kernels-own", "source-"+s.Line), Build: filepath.Join(m.dir, "build"),
		Arch: arch}
	// One run at a time makes kernels: each takes all processors.
	unlock, err := cachedir.Lock(ctx, filepath.Join(cache, "kernels-own", ".lock"), func() {
		fmt.Fprintln(log, "waiting for another run that makes kernels")
	})
	if err != nil {
		return Kernel{}, fmt.Errorf("make kernel %s: %w", s.Name, err)
	}
	defer unlock()
	if err := m.unpack(k.Source, tarball); err != nil {
		return Kernel{}, fmt.Errorf("unpack the source of kernel %s: %w", s.Name, err)
	}
	pristine := k.Source
	if s.InPlace {
		k.Source = k.Build
	}
	stamp := filepath.Join(m.dir, "made")
	if have, err := os.ReadFile(stamp); err != nil || string(have) != s.stamp() {
		if err := m.build(pristine, k); err != nil {
			return Kernel{}, fmt.Errorf("make kernel %s: %w", s.Name, err)
		}
		if err := os.WriteFile(stamp, []byte(s.stamp()), 0o644); err != nil {
			return Kernel{}, fmt.Errorf("make kernel %s: %w", s.Name, err)
		}
	}
	if s.RPM {
		k.Packages = filepath.Join(m.dir, "rpm", "packages")
		built, err := filepath.Glob(filepath.Join(m.dir, "rpm", "BUILD", "kernel-*"))
		if err != nil || len(built) != 1 {
			return Kernel{}, fmt.Errorf("make kernel %s: rpmbuild left %q (%w)", s.Name, built, err)
		}
		k.Source, k.Build = built[0], built[0]
	}
	release, err := os.ReadFile(filepath.Join(k.Build, "include/config/kernel.release"))
	k.Release = strings.TrimSpace(string(release))
	return k, err
}

// stamp identifies what a kernel is made of.
func (s Spec) stamp() string {
	text := fmt.Sprintf("{Name:%s Line:%s InPlace:%t Git:%t Vars:%v Options:%v Needs:%v}\n%s",
		s.Name, s.Line, s.InPlace, s.Git, s.Vars, s.Options, s.Needs, s.common())
	if s.RPM {
		text += "rpm-pkg\n"
	}
	if s.Arch != "" || s.Cross != "" {
		text += fmt.Sprintf("ARCH=%s CROSS_COMPILE=%s\n", s.Arch, s.Cross)
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:]) + "\n"
}

type maker struct {
	Spec
	ctx context.Context
	log io.Writer
	dir string
}

func (m *maker) run(dir, program string, args ...string) error {
	fmt.Fprintf(m.log, "+ %s %s\n", program, strings.Join(args, " "))
	cmd := exec.CommandContext(m.ctx, program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, m.log, m.log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run %s %s: %w", program, strings.Join(args, " "), err)
	}
	return nil
}

// unpack makes the directory of a source, once.
func (m *maker) unpack(dir string, tarball func(line string) (string, error)) error {
	if _, err := os.Stat(dir); err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	packed, err := tarball(m.Line)
	if err != nil {
		return err
	}
	tmp := dir + ".tmp"
	if err := errors.Join(os.RemoveAll(tmp), os.MkdirAll(tmp, 0o755)); err != nil {
		return err
	}
	if err := m.run(tmp, "tar", "-xf", packed, "--strip-components=1"); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}

// build configures and compiles the kernel from the beginning.
func (m *maker) build(source string, k Kernel) error {
	if err := errors.Join(os.RemoveAll(m.dir), os.MkdirAll(m.dir, 0o755)); err != nil {
		return err
	}
	args := append([]string{"KBUILD_BUILD_TIMESTAMP=Thu Jan  1 00:00:00 UTC 1970"}, m.Vars...)
	if m.Arch != "" {
		args = append(args, "ARCH="+m.Arch, "CROSS_COMPILE="+m.Cross)
	}
	if m.InPlace {
		// Hard links: a build makes files, and changes none of the source.
		if err := m.run(m.dir, "cp", "-al", source, k.Build); err != nil {
			return err
		}
		source = k.Build
	} else {
		args = append(args, "O="+k.Build)
	}
	if m.Git {
		if err := m.dirty(k.Build); err != nil {
			return err
		}
	}
	fragment := filepath.Join(m.dir, "fragment")
	options := strings.Join(append(strings.Split(m.common(), "\n"), m.Options...), "\n") + "\n"
	if err := os.WriteFile(fragment, []byte(options), 0o644); err != nil {
		return err
	}
	if err := m.run(source, "make", append(slices.Clone(args), "KCONFIG_ALLCONFIG="+fragment, "allnoconfig")...); err != nil {
		return err
	}
	if err := m.configured(filepath.Join(k.Build, ".config")); err != nil {
		return err
	}
	if m.RPM {
		return m.pack(source, args)
	}
	return m.run(source, "make", append(args, jobs(), filepath.Base(k.Image()), "modules")...)
}

// jobs lets make use all processors.
func jobs() string { return fmt.Sprintf("-j%d", runtime.NumCPU()) }

// pack has the kernel's makefiles make packages: kernel, kernel-devel, kernel-headers, and
// the source package.
func (m *maker) pack(source string, args []string) error {
	top := filepath.Join(m.dir, "rpm")
	// On Debian, the packages that an RPM needs are not in RPM's database.
	options := fmt.Sprintf("RPMOPTS=--nodeps --define '_topdir %s'", top)
	// rpmbuild hands make's jobs on (scripts/Makefile.package).
	if err := m.run(source, "make", append(args, options, jobs(), "rpm-pkg")...); err != nil {
		return err
	}
	packages := filepath.Join(top, "packages")
	if err := os.MkdirAll(packages, 0o755); err != nil {
		return err
	}
	return m.run(top, "sh", "-c", `mv RPMS/*/*.rpm SRPMS/*.rpm packages && createrepo_c -q packages`)
}

// configured makes sure that kconfig kept the options that make this kernel another
// than the others.
func (m *maker) configured(path string) error {
	config, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	needed := []string{"CONFIG_LIVEPATCH=y"}
	for line := range strings.Lines(m.common()) {
		if line = strings.TrimSpace(line); strings.HasSuffix(line, "=m") {
			needed = append(needed, line)
		}
	}
	for _, o := range append(needed, m.Options...) {
		if !slices.Contains(strings.Split(string(config), "\n"), o) {
			return fmt.Errorf("configure: kconfig dropped %s", o)
		}
	}
	return nil
}

// dirty makes dir a repository with a change of a file that is in it.
func (m *maker) dirty(dir string) error {
	const file = "Kbuild"
	for _, args := range [][]string{{"init", "-q"}, {"add", "-f", file}, {"-c", "user.name=own", "-c", "user.email=own@localhost", "commit", "-q", "-m", "own"}} {
		if err := m.run(dir, "git", args...); err != nil {
			return err
		}
	}
	path := filepath.Join(dir, file)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil { // a hard link
		return err
	}
	return os.WriteFile(path, append(text, "\n# changed here\n"...), 0o644)
}
