package kbuild

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/klpforge/klpforge/kernel/karch"
	kconf "github.com/klpforge/klpforge/kernel/kconfig"
)

// A kernel is built by more programs than the compiler: the linker decides whether
// kconfig offers link-time optimization, for which it also asks ar and nm. Which they
// were is recorded in the configuration, in parts. They are given to make by the
// variables CC, LD, AR and so on, which every version knows; LLVM=-14 is understood
// since v5.18 only.

// Toolchain says by which programs, and how, a kernel is compiled. The zero value takes
// everything as the target's configuration tells.
type Toolchain struct {
	CC string // compiler command, may be "ccache gcc-12"
	// LLVM takes the compiler, the linker and the other programs of LLVM, as make's
	// variable of this name: "1", a suffix as "-14", or a directory with a slash at its
	// end.
	LLVM string
	LD   string // linker
	// KCFLAGS are flags that the kernel was compiled with beside those of its makefiles.
	KCFLAGS string
	// Launcher is put before the compiler command: ccache, sccache, distcc, icecc.
	// Trees prepared with and without one are kept apart.
	Launcher string
}

// Families of compilers, as kconf.Compiler.Kind has them.
const (
	familyGCC   = "gcc"
	familyClang = "clang"
)

// builtBy is what a configuration says of the programs that built its kernel.
type builtBy struct {
	kconf.Compiler      // Kind "" and Major 0 where nothing says
	LLD            bool // linked by ld.lld
	// cross is what the names of GNU's programs begin with for a kernel of another architecture than
	// this machine's, "aarch64-linux-gnu-"; else "".
	cross string
	// Assembler is "llvm" or "gnu"; "" where the configuration does not say (until v5.11).
	Assembler string
}

// headerCompiler is the comment by which kconfig names the compiler; until v5.7 no option
// does (CONFIG_CC_VERSION_TEXT).
var headerCompiler = regexp.MustCompile(`(?m)^# Compiler: (.+)$`)

// builtBy reads what is recorded. The options CC_IS_… and …_VERSION are there since
// v4.18, and count for more than the text, which vendors word as they like: "Debian clang
// version 14.0.6" is called clang-14.
func (c *kconfig) builtBy() builtBy {
	text := c.str("CONFIG_CC_VERSION_TEXT")
	if m := headerCompiler.FindSubmatch(c.text); text == "" && m != nil {
		text = string(m[1])
	}
	by := builtBy{Compiler: kconf.ParseCompiler(text), LLD: c.values["CONFIG_LD_IS_LLD"] == "y"}
	if arch, ok := c.arch(); ok {
		by.cross = arch.CrossPrefix()
	}
	for _, fact := range []struct{ kind, is, version string }{
		{familyClang, "CONFIG_CC_IS_CLANG", "CONFIG_CLANG_VERSION"},
		{familyGCC, "CONFIG_CC_IS_GCC", "CONFIG_GCC_VERSION"},
	} {
		if c.values[fact.is] != "y" {
			continue
		}
		by.Kind = fact.kind
		if n, err := strconv.Atoi(c.values[fact.version]); err == nil && n > 0 {
			by.Major = n / 10000
		}
	}
	switch {
	case c.values["CONFIG_AS_IS_LLVM"] == "y":
		by.Assembler = "llvm"
	case c.values["CONFIG_AS_IS_GNU"] == "y":
		by.Assembler = "gnu"
	}
	return by
}

// gccCommand is what a text of gcc begins with: the name by which it was called.
var gccCommand = regexp.MustCompile(`^[\w.+-]*gcc(-\d+)?$`)

// commands are the names that the compiler may go by here, the most likely first.
func (b builtBy) commands() []string {
	major := strconv.Itoa(b.Major)
	var out []string
	if b.Kind == familyClang {
		if b.Major > 0 {
			out = append(out, "clang-"+major)
		}
		return append(out, "clang")
	}
	if first, _, _ := strings.Cut(b.Text, " "); gccCommand.MatchString(first) {
		if strings.HasPrefix(first, familyGCC) {
			// Where the kernel was built, that was no cross compiler; here it has to be one.
			first = b.cross + first
		}
		out = append(out, first)
	}
	if b.Major > 0 {
		out = append(out, b.cross+"gcc-"+major)
		if host, ok := karch.Host(); ok && b.cross == "" {
			out = append(out, host.Triplet+"-gcc-"+major)
		}
	}
	return append(out, b.cross+"gcc")
}

// chooseArch finds the architecture, and sets p.Arch to the kernel's name of it.
func (p *preparation) chooseArch() error {
	arch, err := karch.Named(p.Arch)
	if err != nil {
		return err
	}
	configured, ok := p.config.arch()
	switch {
	case !ok:
	case p.Arch != "" && configured.Name != arch.Name:
		return fmt.Errorf("choose architecture: %s is asked for, the configuration %s is for %s", arch.Name, p.Config,
			configured.Name)
	default:
		arch = configured
	}
	p.Arch = arch.Name
	return nil
}

// findCompiler chooses the command of the compiler that built the target: the first of
// its names that says of itself what is recorded. Without one, anyOther takes the first
// name that is here, and the most likely name is returned else, for what is missing to
// be named.
//
// recorded is the command that a build tree names, "" for none.
func findCompiler(ctx context.Context, was builtBy, recorded string, anyOther bool) string {
	names := was.commands()
	if recorded != "" {
		names = append([]string{recorded}, names...)
	}
	here := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !allOnPath(n) })
	for _, n := range here {
		text, err := versionLine(ctx, strings.Fields(n)...)
		if err == nil && was.Text != "" && sameCompiler(was.Text, text) {
			return n
		}
	}
	if anyOther && len(here) > 0 {
		return here[0]
	}
	return names[0]
}

// allOnPath reports whether each program of a command, "ccache gcc", is here.
func allOnPath(command string) bool {
	return !slices.ContainsFunc(strings.Fields(command), func(w string) bool { return !onPath(w)() })
}

// versionLine is the first line of what a program says to --version.
func versionLine(ctx context.Context, program ...string) (string, error) {
	out, err := command{name: strings.Join(program, " ") + " --version", env: baseEnv(),
		argv: append(slices.Clone(program), "--version")}.run(ctx)
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line), err
}

// llvmProgram is a command of LLVM: its directory, with a slash, and the suffix of
// its version.
var llvmProgram = regexp.MustCompile(`^(.*/)?clang(-\d+)?$`)

// binutils are the variables of make for what LLVM has instead of GNU's binutils, and
// the names there, in the order of the top Makefile (v6.1).
var binutils = []struct{ variable, name string }{
	{"AR", "llvm-ar"}, {"NM", "llvm-nm"}, {"OBJCOPY", "llvm-objcopy"},
	{"OBJDUMP", "llvm-objdump"}, {"READELF", "llvm-readelf"}, {"STRIP", "llvm-strip"},
}

// choosePrograms sets p.CC, unless it was given, and p.vars. LLVM of the options is as
// in make's LLVM=: 1, -SUFFIX or DIRECTORY/.
func (p *preparation) choosePrograms(ctx context.Context) {
	was := p.config.builtBy()
	prefix, suffix := "", ""
	switch {
	case strings.HasSuffix(p.LLVM, "/"):
		prefix = p.LLVM
	case strings.HasPrefix(p.LLVM, "-"):
		suffix = p.LLVM
	}
	switch {
	case p.CC == "" && p.LLVM != "":
		p.CC = prefix + "clang" + suffix
	case p.CC == "":
		p.CC = findCompiler(ctx, was, p.recorded.CC, p.AllowCompilerMismatch)
	}
	words := strings.Fields(p.CC)
	clang := was.Kind == familyClang
	if len(words) > 0 {
		m := llvmProgram.FindStringSubmatch(words[len(words)-1])
		if clang = m != nil; clang && p.LLVM == "" {
			prefix, suffix = m[1], m[2]
		}
	}

	// What belongs to a compiler is beside it, and has its suffix.
	companion := func(name string) string {
		names := []string{prefix + name + suffix}
		if p.LLVM == "" {
			names = append(names, name+"-"+strconv.Itoa(was.Major), name)
		}
		for _, n := range names {
			if onPath(n)() {
				return n
			}
		}
		return names[0]
	}
	ld := p.LD
	if ld == "" && p.LLVM == "" && p.recorded.LD != was.cross+"ld" {
		ld = p.recorded.LD
	}
	if ld == "" && (p.LLVM != "" || was.LLD) {
		ld = companion("ld.lld")
	}
	if was.cross != "" {
		p.vars = append(p.vars, "CROSS_COMPILE="+crossOf(p.CC, was.cross))
	}
	if ld != "" {
		p.vars = append(p.vars, "LD="+ld)
	}
	if p.LLVM != "" || clang && strings.Contains(filepath.Base(ld), "lld") {
		for _, b := range binutils {
			// Only link-time optimization needs these; GNU's do as well.
			if program := companion(b.name); p.LLVM != "" || p.config.lto() != "" || onPath(program)() {
				p.vars = append(p.vars, b.variable+"="+program)
			}
		}
	}
	if clang && was.Assembler != "" {
		// The default changed with v5.15.
		p.vars = append(p.vars, "LLVM_IAS="+map[string]string{"llvm": "1", "gnu": "0"}[was.Assembler])
	}
	p.vars = append(p.vars, p.config.unlinked()...)
}

// crossCompiler is the command of a cross compiler of gcc: what binutils begin with as well.
var crossCompiler = regexp.MustCompile(`^(.+-)gcc(-[\d.]+)?$`)

// crossOf is what the names of binutils begin with, beside a compiler command, or otherwise.
func crossOf(cc, otherwise string) string {
	words := strings.Fields(cc)
	if len(words) == 0 {
		return otherwise
	}
	if m := crossCompiler.FindStringSubmatch(words[len(words)-1]); m != nil {
		return m[1]
	}
	return otherwise
}

// linker is the command of the linker that make takes by these variables.
func linker(vars []string) string {
	return variable(vars, "LD", variable(vars, "CROSS_COMPILE", "")+"ld")
}

// variable returns the value that a variable of make has among vars, or def.
func variable(vars []string, name, def string) string {
	for _, v := range vars {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return def
}

var (
	versioned   = regexp.MustCompile(`-\d+$`)
	crossPrefix = regexp.MustCompile(`^(.*-linux-gnu)-`)
)

// packageOf names the Debian package of a program of a compiler: gcc-12 for
// x86_64-linux-gnu-gcc-12, lld-14 for ld.lld-14, gcc-12-aarch64-linux-gnu for a cross compiler.
func packageOf(program string) string {
	base := filepath.Base(program)
	// /usr/lib/llvm-14/bin/clang
	suffix := cmp.Or(versioned.FindString(base), versioned.FindString(filepath.Dir(filepath.Dir(program))))
	switch {
	case base == "ld":
		return "binutils"
	case strings.HasPrefix(base, "ld.lld"):
		return "lld" + suffix
	case strings.HasPrefix(base, "llvm-"):
		return "llvm" + suffix
	case strings.HasPrefix(base, "clang"):
		return "clang" + suffix
	}
	m := crossPrefix.FindStringSubmatch(base)
	if m == nil {
		return base
	}
	name := base[len(m[0]):]
	if host, ok := karch.Host(); ok && host.Triplet == m[1] {
		return name
	}
	return packageOf(name) + "-" + m[1]
}
