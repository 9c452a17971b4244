package kbuild

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/kernel/karch"
)

func configOf(t *testing.T, lines ...string) *kconfig {
	t.Helper()
	c, err := parseConfig("config", []byte(strings.Join(append(lines, "CONFIG_LIVEPATCH=y"), "\n")+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fakePrograms makes a directory of programs that print one line, alone in PATH.
func fakePrograms(t *testing.T, says map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, line := range says {
		script := fmt.Sprintf("#!/bin/sh\necho '%s'\n", line)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	return dir
}

// TestBuiltBy has texts as distributions have them in CONFIG_CC_VERSION_TEXT.
func TestBuiltBy(t *testing.T) {
	const clang, lld, ias = "CONFIG_CC_IS_CLANG=y", "CONFIG_LD_IS_LLD=y", "CONFIG_AS_IS_LLVM=y"
	for _, c := range []struct {
		lines    []string
		kind     string
		major    int
		commands []string
	}{
		{[]string{`CONFIG_CC_VERSION_TEXT="gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0"`, "CONFIG_CC_IS_GCC=y", "CONFIG_GCC_VERSION=120200"},
			"gcc", 12, []string{"gcc-12", "gcc-12", "x86_64-linux-gnu-gcc-12", "gcc"}},
		{[]string{`CONFIG_CC_VERSION_TEXT="x86_64-linux-gnu-gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0"`, "CONFIG_CC_IS_GCC=y", "CONFIG_GCC_VERSION=120200"},
			"gcc", 12, []string{"x86_64-linux-gnu-gcc-12", "gcc-12", "x86_64-linux-gnu-gcc-12", "gcc"}},
		{[]string{`CONFIG_CC_VERSION_TEXT="gcc (GCC) 8.5.0 20210514 (Red Hat 8.5.0-22)"`, "CONFIG_CC_IS_GCC=y", "CONFIG_GCC_VERSION=80500"},
			"gcc", 8, []string{"gcc", "gcc-8", "x86_64-linux-gnu-gcc-8", "gcc"}},
		{[]string{`CONFIG_CC_VERSION_TEXT="x86_64-linux-gnu-gcc-13 (Ubuntu 13.3.0-6ubuntu2~24.04) 13.3.0"`, "CONFIG_CC_IS_GCC=y", "CONFIG_GCC_VERSION=130300"},
			"gcc", 13, []string{"x86_64-linux-gnu-gcc-13", "gcc-13", "x86_64-linux-gnu-gcc-13", "gcc"}},
		{[]string{`CONFIG_CC_VERSION_TEXT="gcc (Debian 16.1.0-3) 16.1.0"`, "CONFIG_CC_IS_GCC=y", "CONFIG_GCC_VERSION=160100"},
			"gcc", 16, []string{"gcc", "gcc-16", "x86_64-linux-gnu-gcc-16", "gcc"}},
		{[]string{"# Compiler: gcc (Debian 8.3.0-6) 8.3.0", "CONFIG_CC_IS_GCC=y", "CONFIG_GCC_VERSION=80300"},
			"gcc", 8, []string{"gcc", "gcc-8", "x86_64-linux-gnu-gcc-8", "gcc"}},
		{[]string{`CONFIG_CC_VERSION_TEXT="Debian clang version 14.0.6"`, clang, "CONFIG_CLANG_VERSION=140006", "CONFIG_GCC_VERSION=0", lld, ias},
			"clang", 14, []string{"clang-14", "clang"}},
		{[]string{`CONFIG_CC_VERSION_TEXT="Ubuntu clang version 15.0.7"`, clang, "CONFIG_CLANG_VERSION=150007"},
			"clang", 15, []string{"clang-15", "clang"}},
		{[]string{`CONFIG_CC_VERSION_TEXT="clang version 19.1.7 (Fedora 19.1.7-3.fc41)"`, clang, "CONFIG_CLANG_VERSION=190107"},
			"clang", 19, []string{"clang-19", "clang"}},
		{[]string{`CONFIG_CC_VERSION_TEXT="Android (8490178, based on r450784d) clang version 14.0.6 (https://x 4c603efb0cca)"`, clang, "CONFIG_CLANG_VERSION=140006"},
			"clang", 14, []string{"clang-14", "clang"}},
		{[]string{"CONFIG_X=y"}, "", 0, []string{"gcc"}},
	} {
		b := configOf(t, c.lines...).builtBy()
		if b.Kind != c.kind || b.Major != c.major {
			t.Errorf("%s: %q %d, want %q %d", c.lines[0], b.Kind, b.Major, c.kind, c.major)
		}
		if diff := cmp.Diff(c.commands, b.commands()); diff != "" {
			t.Errorf("%s: commands (-want +got):\n%s", c.lines[0], diff)
		}
		if lld := len(c.lines) == 6; b.LLD != lld || (b.Assembler == "llvm") != lld {
			t.Errorf("%s: linker and assembler: %+v", c.lines[0], b)
		}
	}
}

// TestEveryCompiler: the compilers from gcc 8 to 16 and clang 14 to 19 are known by what
// Debian, Ubuntu, Fedora and a compiler built from its source say to --version, which is
// CONFIG_CC_VERSION_TEXT, whether or not the options beside it are there.
func TestEveryCompiler(t *testing.T) {
	for _, c := range []struct {
		kind        string
		first, last int
		texts       []string // N for the version
	}{
		{familyGCC, 8, 16, []string{
			"gcc (Debian N.2.0-3) N.2.0", "gcc-N (Debian N.2.0-14+deb12u1) N.2.0", "x86_64-linux-gnu-gcc-N (Debian N.2.0-19) N.2.0",
			"x86_64-linux-gnu-gcc-N (Ubuntu N.3.0-6ubuntu2~24.04) N.3.0", "gcc (GCC) N.2.1 20240801 (Red Hat N.2.1-3)",
			"gcc (SUSE Linux) N.3.0", "gcc (GCC) N.1.0", "gcc (Gentoo N.2.0 p1) N.2.0", "gcc-N (SUSE Linux) N.3.1 20240807 [revision abc]",
			"x86_64-linux-gcc (GCC) N.1.0", "gcc (Ubuntu N.4.0-1ubuntu1~20.04) N.4.0",
		}},
		{familyClang, 14, 19, []string{
			"Debian clang version N.0.6", "Ubuntu clang version N.1.3 (1ubuntu1)", "clang version N.0.6 (Fedora N.0.6-1.fc40)",
			"clang version N.0.0 (https://github.com/llvm/llvm-project.git 0123abcd)", "ClangBuiltLinux clang version N.0.1",
			"Android (8490178, based on r450784d) clang version N.0.6 (https://x 4c603efb0cca)", "clang version N.1.7",
		}},
	} {
		for major := c.first; major <= c.last; major++ {
			for _, text := range c.texts {
				text = strings.ReplaceAll(text, "N", strconv.Itoa(major))
				line := `CONFIG_CC_VERSION_TEXT="` + text + `"`
				options := []string{"CONFIG_CC_IS_GCC=y", fmt.Sprintf("CONFIG_GCC_VERSION=%d0200", major), "CONFIG_CLANG_VERSION=0"}
				if c.kind == familyClang {
					options = []string{"CONFIG_CC_IS_CLANG=y", "CONFIG_GCC_VERSION=0", fmt.Sprintf("CONFIG_CLANG_VERSION=%d0006", major)}
				}
				for _, lines := range [][]string{{line}, append([]string{line}, options...), {"# Compiler: " + text}} {
					b := configOf(t, lines...).builtBy()
					if b.Kind != c.kind || b.Major != major {
						t.Errorf("%q is %q %d, want %s %d", lines, b.Kind, b.Major, c.kind, major)
					}
					if suffixed := c.kind + "-" + strconv.Itoa(major); !slices.Contains(b.commands(), suffixed) {
						t.Errorf("%q: %s is not among %q", lines, suffixed, b.commands())
					}
				}
			}
		}
	}
}

func TestFindCompiler(t *testing.T) {
	const gcc12, gcc13, clang14, clang16 = "gcc (Debian 12.2.0-14+deb12u1) 12.2.0", "gcc (Debian 13.1.0-1) 13.1.0", "Debian clang version 14.0.6", "Debian clang version 16.0.6"
	for _, c := range []struct {
		name     string
		here     map[string]string
		recorded string
		any      bool
		want     string
	}{
		{"by the recorded name", map[string]string{"gcc": gcc13, "gcc-12": gcc12}, "gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0", false, "gcc-12"},
		{"gcc has become another one", map[string]string{"gcc": gcc13, "gcc-12": gcc12}, gcc12, false, "gcc-12"},
		{"called gcc here", map[string]string{"gcc": gcc12}, "gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0", false, "gcc"},
		{"not here", map[string]string{"gcc": gcc13}, "gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0", false, "gcc-12"},
		{"not here, another will do", map[string]string{"gcc": gcc13}, "gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0", true, "gcc"},
		{"clang", map[string]string{"gcc": gcc12, "clang-14": clang14, "clang": clang16}, clang14, false, "clang-14"},
		{"clang without a suffix", map[string]string{"gcc": gcc12, "clang": clang14}, clang14, false, "clang"},
		{"no clang", map[string]string{"gcc": gcc12, "clang-16": clang16}, clang14, false, "clang-14"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fakePrograms(t, c.here)
			lines := []string{`CONFIG_CC_VERSION_TEXT="` + c.recorded + `"`}
			if strings.Contains(c.recorded, "clang") {
				lines = append(lines, "CONFIG_CC_IS_CLANG=y", "CONFIG_CLANG_VERSION=140006")
			} else {
				lines = append(lines, "CONFIG_CC_IS_GCC=y", "CONFIG_GCC_VERSION=120200")
			}
			if got := findCompiler(context.Background(), configOf(t, lines...).builtBy(), "", c.any); got != c.want {
				t.Errorf("found %s, want %s", got, c.want)
			}
		})
	}
}

func TestChoosePrograms(t *testing.T) {
	const version = "Debian clang version 14.0.6"
	all := map[string]string{"gcc": "gcc (Debian 12.2.0-14) 12.2.0", "clang-14": version, "clang": version, "ld.lld-14": "LLD", "ld.lld": "LLD"}
	for _, b := range binutils {
		all[b.name+"-14"] = "LLVM"
	}
	llvm := func(suffix string) []string {
		out := []string{"LD=ld.lld" + suffix}
		for _, b := range binutils {
			out = append(out, b.variable+"="+b.name+suffix)
		}
		return out
	}
	clang := []string{`CONFIG_CC_VERSION_TEXT="` + version + `"`, "CONFIG_CC_IS_CLANG=y", "CONFIG_CLANG_VERSION=140006"}
	lld := slices.Concat(clang, []string{"CONFIG_LD_IS_LLD=y", "CONFIG_AS_IS_LLVM=y"})
	for _, c := range []struct {
		name   string
		opts   PrepareOptions
		config []string
		cc     string
		vars   []string
	}{
		{"gcc", PrepareOptions{}, []string{`CONFIG_CC_VERSION_TEXT="gcc (Debian 12.2.0-14) 12.2.0"`, "CONFIG_CC_IS_GCC=y"}, "gcc", nil},
		{"clang with GNU's linker and assembler", PrepareOptions{}, slices.Concat(clang, []string{"CONFIG_AS_IS_GNU=y"}), "clang-14", []string{"LLVM_IAS=0"}},
		{"all of LLVM", PrepareOptions{}, lld, "clang-14", append(llvm("-14"), "LLVM_IAS=1")},
		{"ThinLTO", PrepareOptions{}, slices.Concat(lld, []string{"CONFIG_LTO_CLANG_THIN=y"}), "clang-14", append(llvm("-14"), "LLVM_IAS=1", "CC_FLAGS_LTO=-fvisibility=hidden", "cmd_ld_single_m=")},
		{"LLVM=-14", PrepareOptions{Toolchain: Toolchain{LLVM: "-14"}}, clang, "clang-14", llvm("-14")},
		{"LLVM=1", PrepareOptions{Toolchain: Toolchain{LLVM: "1"}}, clang, "clang", llvm("")},
		{"LD=", PrepareOptions{Toolchain: Toolchain{LD: "ld.gold"}}, clang, "clang-14", []string{"LD=ld.gold"}},
		{"CC=", PrepareOptions{Toolchain: Toolchain{CC: "clang"}}, clang, "clang", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			fakePrograms(t, all)
			p := &preparation{PrepareOptions: c.opts, config: configOf(t, c.config...)}
			p.choosePrograms(context.Background())
			if diff := cmp.Diff(c.vars, p.vars); p.CC != c.cc || diff != "" {
				t.Errorf("CC=%s, want %s; variables (-want +got):\n%s", p.CC, c.cc, diff)
			}
		})
	}
}

func TestPackageOf(t *testing.T) {
	for program, want := range map[string]string{
		"gcc-12": "gcc-12", "x86_64-linux-gnu-gcc-12": "gcc-12", "gcc": "gcc", "clang-14": "clang-14", "clang": "clang",
		"/usr/lib/llvm-14/bin/clang": "clang-14", "ld": "binutils", "ld.lld-14": "lld-14", "ld.lld": "lld",
		"aarch64-linux-gnu-gcc-12": "gcc-12-aarch64-linux-gnu", "aarch64-linux-gnu-ld": "binutils-aarch64-linux-gnu",
		"llvm-ar-14": "llvm-14", "llvm-nm": "llvm", "ccache": "ccache",
	} {
		if got := packageOf(program); got != want {
			t.Errorf("%s is in %s, want %s", program, got, want)
		}
	}
}

// TestCross: a kernel of another architecture is built by its cross compiler and binutils, whatever the
// compiler was called where the kernel was built; the machine's own compiler of the same version is none.
func TestCross(t *testing.T) {
	arch := foreign(t)
	const says = "(Debian 12.2.0-14) 12.2.0"
	cross := arch.Triplet + "-"
	both := map[string]string{"gcc": "gcc " + says, "gcc-12": "gcc-12 " + says, cross + "gcc-12": cross + "gcc-12 " + says,
		"other-elf-gcc": "other-elf-gcc " + says, "clang-14": "Debian clang version 14.0.6"}
	for _, c := range []struct {
		name, recorded, given, recordedCC, recordedLD string
		cc                                            string
		vars                                          []string
	}{
		{name: "built by a cross compiler", recorded: cross + "gcc-12 " + says, cc: cross + "gcc-12", vars: []string{"CROSS_COMPILE=" + cross}},
		{name: "built on such a machine", recorded: "gcc-12 " + says, cc: cross + "gcc-12", vars: []string{"CROSS_COMPILE=" + cross}},
		{name: "another cross compiler", recorded: "gcc-12 " + says, given: "ccache other-elf-gcc", cc: "ccache other-elf-gcc",
			vars: []string{"CROSS_COMPILE=other-elf-"}},
		{name: "a build tree", recorded: cross + "gcc-12 " + says, recordedCC: cross + "gcc-12", recordedLD: cross + "ld", cc: cross + "gcc-12",
			vars: []string{"CROSS_COMPILE=" + cross}},
		{name: "not here", recorded: "gcc-11 (Debian 11.1.0-1) 11.1.0", cc: cross + "gcc-11", vars: []string{"CROSS_COMPILE=" + cross}},
		{name: "clang", recorded: "Debian clang version 14.0.6", cc: "clang-14", vars: []string{"CROSS_COMPILE=" + cross}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fakePrograms(t, both)
			lines := []string{"CONFIG_" + arch.Option + "=y", `CONFIG_CC_VERSION_TEXT="` + c.recorded + `"`}
			if strings.Contains(c.recorded, "clang") {
				lines = append(lines, "CONFIG_CC_IS_CLANG=y", "CONFIG_CLANG_VERSION=140006")
			} else {
				lines = append(lines, "CONFIG_CC_IS_GCC=y")
			}
			p := &preparation{PrepareOptions: PrepareOptions{Toolchain: Toolchain{CC: c.given}}, config: configOf(t, lines...),
				recorded: recordedBuild{CC: c.recordedCC, LD: c.recordedLD}}
			p.choosePrograms(context.Background())
			if diff := cmp.Diff(c.vars, p.vars); p.CC != c.cc || diff != "" {
				t.Errorf("CC=%s, want %s; variables (-want +got):\n%s", p.CC, c.cc, diff)
			}
			if want := strings.TrimPrefix(c.vars[0], "CROSS_COMPILE=") + "ld"; linker(p.vars) != want {
				t.Errorf("the linker is %s, want %s", linker(p.vars), want)
			}
		})
	}
}

// foreign is an architecture that is not this machine's.
func foreign(t *testing.T) karch.Arch {
	t.Helper()
	for _, name := range []string{"arm64", "x86"} {
		if arch, err := karch.Named(name); err == nil && arch.CrossPrefix() != "" {
			return arch
		}
	}
	t.Fatal("this machine is of every architecture")
	return karch.Arch{}
}

// TestChooseArch: the configuration tells the architecture, and what is asked for must be the same.
func TestChooseArch(t *testing.T) {
	for _, c := range []struct{ line, asked, want, fails string }{
		{"CONFIG_ARM64=y", "", "arm64", ""}, {"CONFIG_ARM64=y", "aarch64", "arm64", ""}, {"CONFIG_X86_64=y", "", "x86", ""},
		{"CONFIG_NO_ARCH=y", "", "x86", ""}, {"CONFIG_NO_ARCH=y", "s390x", "s390", ""}, {"CONFIG_ARM64=y", "amd64", "", "is for arm64"},
		{"CONFIG_ARM64=y", "vax", "", "vax"},
	} {
		p := &preparation{PrepareOptions: PrepareOptions{Arch: c.asked}, config: configOf(t, c.line)}
		err := p.chooseArch()
		if c.fails == "" && (err != nil || p.Arch != c.want) || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
			t.Errorf("%s, asked for %q: %s, %v", c.line, c.asked, p.Arch, err)
		}
	}
}

// TestMissingClang misses the compiler and the linker by their names.
func TestMissingClang(t *testing.T) {
	fakePrograms(t, map[string]string{"gcc": "gcc (Debian 12.2.0-14) 12.2.0"})
	opts := fakeOptions(t)
	text := fakeConfig + "CONFIG_CC_VERSION_TEXT=\"Debian clang version 14.0.6\"\nCONFIG_CC_IS_CLANG=y\nCONFIG_CLANG_VERSION=140006\nCONFIG_LD_IS_LLD=y\nCONFIG_LTO_CLANG_THIN=y\n"
	if err := os.WriteFile(opts.Config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Prepare(context.Background(), opts)
	for _, want := range []string{"clang-14", "ld.lld-14", "llvm-nm-14", "lld-14", "llvm-14", "Debian clang version 14.0.6"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named in: %v", want, err)
		}
	}
	if err != nil && strings.Contains(err.Error(), "install Debian") {
		t.Errorf("the compiler's vendor is taken for a package: %v", err)
	}
}

func TestSupported(t *testing.T) {
	seeded := t.TempDir()
	if err := os.MkdirAll(filepath.Join(seeded, "scripts/basic"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(seeded, "scripts/basic/randstruct.seed"), []byte("00\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	const v60, v61 = "# Linux/x86 6.0.1 Kernel Configuration", "# Linux/x86 6.1.1 Kernel Configuration"
	for _, c := range []struct {
		name      string
		lines     []string
		buildTree string
		want      []string // in the error, nothing for none
	}{
		{"plain", []string{"CONFIG_LIVEPATCH=y"}, "", nil},
		{"no livepatching", []string{"CONFIG_X=y"}, "", []string{"CONFIG_LIVEPATCH", "CONFIG_DYNAMIC_FTRACE"}},
		{"full LTO", []string{"CONFIG_LIVEPATCH=y", "CONFIG_LTO_CLANG_FULL=y"}, "", []string{"CONFIG_LTO_CLANG_FULL"}},
		{"ThinLTO", []string{"CONFIG_LIVEPATCH=y", "CONFIG_LTO_CLANG_THIN=y"}, "", nil},
		{"CFI of 6.0", []string{v60, "CONFIG_LIVEPATCH=y", "CONFIG_LTO_CLANG_THIN=y", "CONFIG_CFI_CLANG=y"}, "", []string{"CONFIG_CFI_CLANG"}},
		{"CFI of 6.1", []string{v61, "CONFIG_LIVEPATCH=y", "CONFIG_LTO_CLANG_THIN=y", "CONFIG_CFI_CLANG=y"}, "", nil},
		{"profile", []string{"CONFIG_LIVEPATCH=y", "CONFIG_AUTOFDO_CLANG=y"}, "", []string{"CONFIG_AUTOFDO_CLANG"}},
		{"coverage of everything", []string{"CONFIG_LIVEPATCH=y", "CONFIG_GCOV_KERNEL=y", "CONFIG_GCOV_PROFILE_ALL=y"}, "", []string{"CONFIG_GCOV_PROFILE_ALL"}},
		{"coverage of single objects", []string{"CONFIG_LIVEPATCH=y", "CONFIG_GCOV_KERNEL=y"}, "", nil},
		{"sanitizers and small code", []string{"CONFIG_LIVEPATCH=y", "CONFIG_KASAN=y", "CONFIG_KCSAN=y", "CONFIG_UBSAN=y", "CONFIG_KCOV=y", "CONFIG_CC_OPTIMIZE_FOR_SIZE=y"}, "", nil},
		{"kCFI and FineIBT", []string{"CONFIG_LIVEPATCH=y", "CONFIG_CFI=y", "CONFIG_X86_KERNEL_IBT=y", "CONFIG_FINEIBT=y"}, "", nil},
		{"versions in no form", []string{"CONFIG_LIVEPATCH=y", "CONFIG_MODVERSIONS=y", "# CONFIG_BASIC_MODVERSIONS is not set"}, "", []string{"CONFIG_BASIC_MODVERSIONS"}},
		{"versions in the extended form", []string{"CONFIG_LIVEPATCH=y", "CONFIG_MODVERSIONS=y", "CONFIG_EXTENDED_MODVERSIONS=y", "# CONFIG_BASIC_MODVERSIONS is not set"}, "", nil},
		{"clang", []string{"CONFIG_X86_64=y", "CONFIG_LIVEPATCH=y", "CONFIG_CC_IS_CLANG=y"}, "", nil},
		{"clang where it was never tried", []string{"CONFIG_ARM64=y", "CONFIG_LIVEPATCH=y", "CONFIG_CC_IS_CLANG=y"}, "", []string{"CONFIG_CC_IS_CLANG", "for arm64"}},
		{"gcc there", []string{"CONFIG_ARM64=y", "CONFIG_LIVEPATCH=y", "CONFIG_CC_IS_GCC=y"}, "", nil},
		{"random layout", []string{"CONFIG_LIVEPATCH=y", "CONFIG_RANDSTRUCT=y"}, "", []string{"CONFIG_RANDSTRUCT", "--build-tree"}},
		{"random layout by the plugin", []string{"CONFIG_LIVEPATCH=y", "CONFIG_GCC_PLUGIN_RANDSTRUCT=y"}, "", []string{"CONFIG_GCC_PLUGIN_RANDSTRUCT"}},
		{"random layout, its seed at hand", []string{"CONFIG_LIVEPATCH=y", "CONFIG_RANDSTRUCT=y"}, seeded, nil},
		{"everything at once", []string{"CONFIG_LTO_CLANG_FULL=y", "CONFIG_RANDSTRUCT=y"}, "", []string{"CONFIG_LIVEPATCH", "CONFIG_LTO_CLANG_FULL", "CONFIG_RANDSTRUCT"}},
	} {
		config, err := parseConfig("config", []byte(strings.Join(c.lines, "\n")+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		p := &preparation{PrepareOptions: PrepareOptions{BuildTree: c.buildTree, Config: "config"}, config: config}
		err = p.supported()
		if (err != nil) != (len(c.want) > 0) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q is not in %v", c.name, w, err)
			}
		}
	}
}

// TestEssential: what all code depends on must be kept, by whatever name a version has it.
func TestEssential(t *testing.T) {
	for _, option := range []string{
		"CONFIG_LTO_CLANG_THIN", "CONFIG_CFI", "CONFIG_CFI_CLANG", "CONFIG_KASAN_GENERIC", "CONFIG_KCSAN", "CONFIG_KMSAN",
		"CONFIG_UBSAN", "CONFIG_UBSAN_BOUNDS_STRICT", "CONFIG_KCOV_INSTRUMENT_ALL", "CONFIG_X86_KERNEL_IBT", "CONFIG_FINEIBT",
		"CONFIG_FINEIBT_BHI", "CONFIG_CALL_PADDING", "CONFIG_STACKPROTECTOR_STRONG", "CONFIG_INIT_STACK_ALL_ZERO",
		"CONFIG_ZERO_CALL_USED_REGS", "CONFIG_RETPOLINE", "CONFIG_MITIGATION_RETPOLINE", "CONFIG_RETHUNK", "CONFIG_SLS",
		"CONFIG_MITIGATION_SLS", "CONFIG_GCC_PLUGINS", "CONFIG_GCC_PLUGIN_STACKLEAK", "CONFIG_RANDSTRUCT_FULL",
	} {
		if essential(option) == nil {
			t.Errorf("%s may be dropped", option)
		}
	}
	for _, option := range []string{"CONFIG_SCSI", "CONFIG_KASANX", "CONFIG_CC_HAS_KASAN_GENERIC"} {
		if essential(option) != nil {
			t.Errorf("%s must be kept", option)
		}
	}
}

// TestOptionsDropped has kconfig drop options that the target's code depends on.
func TestOptionsDropped(t *testing.T) {
	for _, c := range []struct {
		name   string
		option string
		want   []string // in the error, nothing for none
	}{
		{"LTO with GNU ld", "CONFIG_LTO_CLANG_THIN", []string{"CONFIG_LTO_CLANG_THIN", "ld.lld", "--llvm"}},
		{"plugins without their headers", "CONFIG_GCC_PLUGIN_STACKLEAK", []string{"CONFIG_GCC_PLUGIN_STACKLEAK", "-plugin-dev"}},
		{"KASAN", "CONFIG_KASAN_GENERIC", []string{"CONFIG_KASAN_GENERIC"}},
		{"real-time without its patches", "CONFIG_PREEMPT_RT", []string{"CONFIG_PREEMPT_RT", "patches"}},
		{"anything else", "CONFIG_SCSI", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := oldLayout(t, func(name, text string) string { // which is a copy that can be changed
				return strings.Replace(text, "olddefconfig:\n", "olddefconfig:\n\t@sed -i '/"+c.option+"/d' .config\n", 1)
			})
			if err := os.WriteFile(opts.Config, []byte(fakeConfig+c.option+"=y\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			opts.LD = "ld"                                    // of GNU, whatever else is here
			opts.CC, opts.AllowCompilerMismatch = "gcc", true // it compiles everything
			tree, err := Prepare(context.Background(), opts)
			var missing *MissingToolsError
			if errors.As(err, &missing) {
				t.Skipf("needs a toolchain: %v", err)
			}
			var dropped *OptionsDroppedError
			if errors.As(err, &dropped) != (c.want != nil) {
				t.Fatalf("error: %v", err)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q is not in %v", w, err)
				}
			}
			if c.want == nil && len(tree.ConfigDiffs) == 0 {
				t.Error("a dropped option is not told")
			}
		})
	}
}
