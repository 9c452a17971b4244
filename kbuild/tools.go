package kbuild

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// requirement is something that building a kernel tree needs.
type requirement struct {
	what    string
	pkg     string
	present func() bool
}

func onPath(name string) func() bool {
	return func() bool { _, err := exec.LookPath(name); return err == nil }
}

func header(name string) func() bool {
	return func() bool {
		dirs := []string{"/usr/include", "/usr/local/include"}
		if more, _ := filepath.Glob("/usr/include/*-linux-gnu*"); more != nil {
			dirs = append(dirs, more...)
		}
		return slices.ContainsFunc(dirs, func(d string) bool {
			_, err := os.Stat(filepath.Join(d, name))
			return err == nil
		})
	}
}

// requirements lists what the configuration needs beyond a POSIX system.
func (p *preparation) requirements() []requirement {
	reqs := []requirement{
		{"make", "make", onPath("make")},
		{"flex", "flex", onPath("flex")},
		{"bison", "bison", onPath("bison")},
		{"bc", "bc", onPath("bc")},
		{"perl", "perl", onPath("perl")},
		{"stdlib.h", "libc6-dev", header("stdlib.h")},
	}
	for _, word := range strings.Fields(p.CC) {
		if !strings.HasPrefix(word, "-") && !strings.Contains(word, "=") {
			reqs = append(reqs, requirement{word, packageOf(word), onPath(word)})
		}
	}
	programs := []string{linker(p.vars)}
	for _, b := range binutils {
		if program := variable(p.vars, b.variable, ""); program != "" {
			programs = append(programs, program)
		}
	}
	for _, program := range programs {
		reqs = append(reqs, requirement{program, packageOf(program), onPath(program)})
	}
	if p.config.values["CONFIG_OBJTOOL"] == "y" || p.config.values["CONFIG_STACK_VALIDATION"] == "y" ||
		p.config.values["CONFIG_UNWINDER_ORC"] == "y" {
		reqs = append(reqs, requirement{"libelf.h", "libelf-dev", header("libelf.h")})
	}
	if p.config.values["CONFIG_DEBUG_INFO_BTF"] == "y" {
		// Without pahole kconfig turns BTF off, which changes struct module.
		reqs = append(reqs, requirement{"pahole", "dwarves", onPath("pahole")})
	}
	if p.config.values["CONFIG_MODULE_SIG"] == "y" || p.config.values["CONFIG_SYSTEM_TRUSTED_KEYRING"] == "y" {
		reqs = append(reqs, requirement{"openssl/ssl.h", "libssl-dev", header("openssl/ssl.h")})
	}
	return reqs
}

// FindProgram returns the path of a program of a build, as its commands find it.
func FindProgram(name string) (string, error) {
	p, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", name, err)
	}
	return filepath.Abs(p)
}

// checkTools finds the host compiler and reports everything missing at once.
func (p *preparation) checkTools(ctx context.Context) error {
	missing := &MissingToolsError{}
	for _, r := range p.requirements() {
		if !r.present() {
			missing.Tools = append(missing.Tools, r.what)
			missing.Packages = append(missing.Packages, r.pkg)
			if slices.Contains(strings.Fields(p.CC), r.what) {
				missing.Compiler = p.config.builtBy().Text
				missing.Have = installedCompilers(ctx, missing.Compiler)
			}
		}
	}
	cc := strings.Fields(p.CC)
	for _, host := range []string{"gcc", cc[len(cc)-1]} {
		if onPath(host)() {
			p.hostCC = host
			break
		}
	}
	if p.hostCC == "" && len(missing.Tools) == 0 {
		missing.Tools, missing.Packages = append(missing.Tools, "gcc"), append(missing.Packages, "gcc")
	}
	if len(missing.Tools) == 0 {
		return nil
	}
	slices.Sort(missing.Packages)
	missing.Packages = slices.Compact(missing.Packages)
	return missing
}

var compilerName = regexp.MustCompile(`^(gcc|clang)(-[0-9]+)?$`)

// installedCompilers lists what the compilers in PATH of the kind that like is say
// of themselves, sorted.
func installedCompilers(ctx context.Context, like string) []string {
	kind := "gcc"
	if strings.Contains(like, "clang") {
		kind = "clang"
	}
	var out []string
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		names, err := os.ReadDir(dir)
		if err != nil {
			continue // PATH may name what is not there
		}
		for _, n := range names {
			if m := compilerName.FindStringSubmatch(n.Name()); m == nil || m[1] != kind {
				continue
			}
			first, err := versionLine(ctx, filepath.Join(dir, n.Name()))
			if err != nil {
				continue // no compiler after all
			}
			out = append(out, fmt.Sprintf("%q", first))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// checkCompiler compares the compiler's version with the target's.
func (p *preparation) checkCompiler(ctx context.Context) error {
	words := strings.Fields(p.CC)
	if len(words) == 0 {
		return fmt.Errorf("choose compiler: %q names none", p.CC)
	}
	var err error
	if p.ccText, err = versionLine(ctx, words...); err != nil {
		return fmt.Errorf("ask compiler for its version: %w", err)
	}
	was := p.config.builtBy()
	want, number := was.Text, "CONFIG_GCC_VERSION"
	if was.Kind == familyClang {
		number = "CONFIG_CLANG_VERSION"
	}
	if want == "" || p.AllowCompilerMismatch || sameCompiler(want, p.ccText) {
		return nil
	}
	return &CompilerMismatchError{CC: p.CC, Want: want, Got: p.ccText, WantNumber: p.config.str(number)}
}

// sameCompiler compares version texts but for the name the command was called by:
// "gcc-12 (Debian 12.2.0-14) 12.2.0" is "gcc (Debian 12.2.0-14) 12.2.0".
func sameCompiler(left, right string) bool {
	cut := func(line string) string {
		name, rest, _ := strings.Cut(line, " ")
		family := "gcc"
		if strings.Contains(name, "clang") || strings.Contains(rest, "clang") {
			family = "clang"
			if i := strings.Index(line, "clang version"); i >= 0 {
				rest = line[i:]
			}
		}
		return family + " " + rest
	}
	return cut(left) == cut(right)
}

// toolVersions identifies the compiler and what it calls.
func (p *preparation) toolVersions(ctx context.Context) (string, error) {
	id := p.ccText
	for _, tool := range []string{linker(p.vars), variable(p.vars, "CROSS_COMPILE", "") + "as", "pahole"} {
		if !onPath(tool)() {
			continue
		}
		line, err := versionLine(ctx, tool)
		if err != nil {
			return "", fmt.Errorf("ask %s for its version: %w", tool, err)
		}
		id += "\n" + line
	}
	found, rust := p.rustState(ctx)
	p.rustFound = found
	return id + rust, nil
}
