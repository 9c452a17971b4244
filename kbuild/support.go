package kbuild

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Some options decide how a whole kernel is made, so that an object compiled by itself
// is not what was shipped, or that nothing can be loaded into it at all. What cannot
// be followed is refused by the option's name, before anything is copied or compiled.

// unsupported is an option that cannot be followed.
type unsupported struct {
	option string // with its prefix
	why    string
}

// refusedOptions are refused whenever they are y.
var refusedOptions = []unsupported{
	{"CONFIG_LTO_CLANG_FULL",
		"the linker optimizes the whole kernel as one piece, so that no function can be compiled by itself as it was " +
			"shipped (ThinLTO can be followed)"},
	{"CONFIG_LTO_CLANG_THIN_DIST",
		"the objects of distributed ThinLTO are made by the linker's index of the whole kernel " +
			"(CONFIG_LTO_CLANG_THIN can be followed)"},
	{"CONFIG_AUTOFDO_CLANG", "code depends on a profile that is no part of the source (CLANG_AUTOFDO_PROFILE)"},
	{"CONFIG_PROPELLER_CLANG",
		"code depends on a profile that is no part of the source (CLANG_PROPELLER_PROFILE_PREFIX)"},
	// With GCOV_KERNEL alone only what makefiles name is counted (GCOV_PROFILE := y).
	{"CONFIG_GCOV_PROFILE_ALL",
		"the compiler lays out counters for the branches of each function, so that any change of code is one of data that " +
			"the kernel uses already (CONFIG_GCOV_KERNEL without it can be followed)"},
}

// UnsupportedError names the options of the target's configuration that cannot be
// followed, all of them.
type UnsupportedError struct {
	Config  string   // path of the configuration
	Reasons []string // "CONFIG_X: why"
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("check configuration %s: livepatches cannot be built for this kernel:\n\t%s", e.Config,
		strings.Join(e.Reasons, "\n\t"))
}

// supported refuses what cannot be followed.
func (p *preparation) supported() error {
	var reasons []string
	add := func(option, why string) { reasons = append(reasons, option+": "+why) }
	values := p.config.values

	// Every other option is of no use without this one, so it tells of those as well.
	if values["CONFIG_LIVEPATCH"] != "y" {
		why := "not set: the kernel has no livepatching, and nothing can be loaded into it. Configure it with " +
			"CONFIG_LIVEPATCH"
		if values["CONFIG_DYNAMIC_FTRACE"] != "y" || values["CONFIG_KALLSYMS_ALL"] != "y" ||
			values["CONFIG_MODULES"] != "y" {
			why += ", and with CONFIG_FUNCTION_TRACER, CONFIG_DYNAMIC_FTRACE, CONFIG_KALLSYMS_ALL and " +
				"CONFIG_MODULES, which it needs"
		}
		add("CONFIG_LIVEPATCH", why)
	}

	for _, o := range refusedOptions {
		if values[o.option] == "y" {
			add(o.option, o.why)
		}
	}

	if arch, ok := p.config.arch(); ok && !arch.Clang && values["CONFIG_CC_IS_CLANG"] == "y" {
		add("CONFIG_CC_IS_CLANG", "kernels for "+arch.Name+" can be followed when gcc compiled them: nothing is known of "+
			"how clang lays out variables there")
	}

	// Some are refused only together with others, or up to a version.
	if option := p.config.cfi(); option != "" && p.config.lto() != "" && p.config.olderThan(6, 1) {
		add(option, "until v6.1 indirect calls go through tables that the linker makes of the whole kernel")
	}
	if option := p.config.randstruct(); option != "" && !p.seeded() {
		add(option,
			"the layout of structures depends on a seed that was drawn when the kernel was built; give the tree that "+
				"it was built in with --build-tree")
	}
	if values["CONFIG_MODVERSIONS"] == "y" && values["CONFIG_EXTENDED_MODVERSIONS"] != "y" &&
		strings.Contains(string(p.config.text), "# CONFIG_BASIC_MODVERSIONS is not set\n") {
		// Since v6.14; before, there is no such option, and one form of versions.
		add("CONFIG_BASIC_MODVERSIONS", "not set, nor CONFIG_EXTENDED_MODVERSIONS: modules carry no versions, "+
			"and the kernel, which has CONFIG_MODVERSIONS, loads none without")
	}

	if len(reasons) == 0 {
		return nil
	}
	return &UnsupportedError{p.Config, reasons}
}

// olderThan reports whether the configuration was made for an older kernel; it is not
// where that is not known.
func (c *kconfig) olderThan(major, minor int) bool {
	var a, b int
	if n, _ := fmt.Sscanf(c.version, "%d.%d", &a, &b); n != 2 {
		return false
	}
	return a < major || a == major && b < minor
}

// lto is the option by which the kernel was optimized when it was linked, "" for none.
func (c *kconfig) lto() string {
	for _, option := range []string{"CONFIG_LTO_CLANG_THIN", "CONFIG_LTO_CLANG_FULL"} {
		if c.values[option] == "y" {
			return option
		}
	}
	return ""
}

// cfi is the option by which indirect calls are checked, "" for none. Since v6.18 it has
// another name.
func (c *kconfig) cfi() string {
	for _, option := range []string{"CONFIG_CFI_CLANG", "CONFIG_CFI"} {
		if c.values[option] == "y" {
			return option
		}
	}
	return ""
}

// randstruct is the option by which structures are laid out at random, "" for none.
// Until v5.18 only the plugin of gcc did it.
func (c *kconfig) randstruct() string {
	for _, option := range []string{"CONFIG_RANDSTRUCT", "CONFIG_GCC_PLUGIN_RANDSTRUCT"} {
		if c.values[option] == "y" {
			return option
		}
	}
	return ""
}

// seedFiles hold the seed of such layouts: of scripts/basic/Makefile since v5.19, and of
// scripts/gcc-plugins/Makefile before.
var seedFiles = []string{"scripts/basic/randstruct.seed", "scripts/gcc-plugins/randomize_layout_seed.h"}

// seeded reports whether the seed of the target's build is at hand.
func (p *preparation) seeded() bool {
	for _, f := range seedFiles {
		if p.BuildTree != "" && exists(filepath.Join(p.BuildTree, f)) {
			return true
		}
	}
	return false
}

// unlinked are the variables of make that have objects of a kernel with ThinLTO compiled
// to machine code, each by itself. Most functions come out as the linker made them;
// comparison with shipped code finds those that do not. Names of 6.1: the top Makefile
// and scripts/Makefile.build.
func (c *kconfig) unlinked() []string {
	if c.lto() == "" {
		return nil
	}
	return []string{"CC_FLAGS_LTO=-fvisibility=hidden", "cmd_ld_single_m="}
}
