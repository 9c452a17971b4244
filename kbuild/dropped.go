package kbuild

import (
	"fmt"
	"path/filepath"
	"strings"
)

// kconfig drops an option whose conditions the programs at hand do not meet, and says
// nothing. Where all code or the layout of all data depends on it, a tree without it is
// another kernel's.

// essentialOptions must be in the prepared tree as the target has them. Names are
// prefixes, so that CONFIG_KASAN stands for CONFIG_KASAN_GENERIC, too.
var essentialOptions = []struct {
	prefix string
	needs  func(p *preparation) string // what is missing, probably
}{
	{"CONFIG_LTO_CLANG", func(p *preparation) string {
		return fmt.Sprintf("kconfig offers it with ld.lld, llvm-ar and llvm-nm only, and here they are %s, %s and "+
			"%s; name LLVM's with --llvm or --ld",
			linker(p.vars), variable(p.vars, "AR", "ar"), variable(p.vars, "NM", "nm"))
	}},
	{"CONFIG_CFI", needsCompiler},
	{"CONFIG_KASAN", needsCompiler},
	{"CONFIG_KCSAN", needsCompiler},
	{"CONFIG_KMSAN", needsCompiler},
	{"CONFIG_UBSAN", needsCompiler},
	{"CONFIG_KCOV", needsCompiler},
	{"CONFIG_X86_KERNEL_IBT", needsCompiler},
	{"CONFIG_FINEIBT", needsCompiler},
	{"CONFIG_CALL_PADDING", needsCompiler},
	{"CONFIG_STACKPROTECTOR", needsCompiler},
	{"CONFIG_INIT_STACK", needsCompiler},
	{"CONFIG_ZERO_CALL_USED_REGS", needsCompiler},
	// Those of mitigations have this prefix since v6.9.
	{"CONFIG_MITIGATION", needsCompiler},
	{"CONFIG_RETPOLINE", needsCompiler},
	{"CONFIG_RETHUNK", needsCompiler},
	{"CONFIG_SLS", needsCompiler},
	{"CONFIG_SHADOW_CALL_STACK", needsCompiler},
	{"CONFIG_GCC_PLUGIN", needsPlugins},
	{"CONFIG_RANDSTRUCT", func(p *preparation) string {
		if p.config.builtBy().Kind == familyClang {
			return needsCompiler(p)
		}
		return needsPlugins(p)
	}},
	{"CONFIG_PREEMPT_RT", func(*preparation) string {
		return "the source has no such option; it needs the real-time patches (until v6.11)"
	}},
}

func needsCompiler(p *preparation) string {
	return fmt.Sprintf("%s (%s) cannot do it; take the compiler that built the kernel", p.CC, p.ccText)
}

func needsPlugins(p *preparation) string {
	words := strings.Fields(p.CC)
	return fmt.Sprintf("it needs the headers for plugins of %s; install them with: apt-get install %s-plugin-dev", p.CC,
		packageOf(words[len(words)-1]))
}

// OptionsDroppedError reports options that kconfig dropped, and without which the tree
// would be that of another kernel.
type OptionsDroppedError struct {
	Options []string
	Reasons []string // why each was dropped, probably
}

func (e *OptionsDroppedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the target was configured with %s, which kconfig drops here:", strings.Join(e.Options, ", "))
	for i, o := range e.Options {
		fmt.Fprintf(&b, "\n\t%s: %s", o, e.Reasons[i])
	}
	return b.String()
}

// essential returns what says why an option was dropped, nil for one that need not be
// kept.
func essential(option string) func(*preparation) string {
	for _, o := range essentialOptions {
		if option == o.prefix || strings.HasPrefix(option, o.prefix+"_") ||
			o.prefix == "CONFIG_GCC_PLUGIN" && option == "CONFIG_GCC_PLUGINS" {
			return o.needs
		}
	}
	return nil
}

// checkKept compares the options that must be as the target has them, after kconfig
// completed the configuration.
func (p *preparation) checkKept() error {
	diffs, err := p.config.compare(filepath.Join(p.tree, ".config"))
	if err != nil {
		return err
	}
	dropped := &OptionsDroppedError{}
	for _, diff := range diffs {
		if diff.Want != "y" {
			continue
		}
		if needs := essential(diff.Name); needs != nil {
			dropped.Options = append(dropped.Options, diff.Name)
			dropped.Reasons = append(dropped.Reasons, needs(p))
		}
	}
	if len(dropped.Options) == 0 {
		return nil
	}
	return dropped
}
