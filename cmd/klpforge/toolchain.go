package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/kbuild"
)

// toolchainFlags adds the flags that say by which programs the target is compiled.
func toolchainFlags(cmd *cobra.Command, tools *kbuild.Toolchain) {
	flags := cmd.Flags()
	flags.StringVar(&tools.CC, "cc", os.Getenv("CC"), "compiler command (default $CC, else the target's)")
	flags.StringVar(&tools.LLVM, "llvm", "",
		"LLVM's compiler and linker, as make's LLVM=: 1, `SUFFIX` as -14, or a directory and a slash (default: as "+
			"the target's)")
	flags.StringVar(&tools.LD, "ld", "", "linker, as make's LD= (default: the target's)")
	flags.StringVar(&tools.KCFLAGS, "kcflags", "",
		"`FLAGS` that the target was compiled with beside its makefiles', as make's KCFLAGS=")
}

// launcherFlag adds the flag for what starts compilers elsewhere, or keeps their results.
func launcherFlag(cmd *cobra.Command, t *kbuild.Toolchain) {
	cmd.Flags().StringVar(&t.Launcher, "launcher", "",
		"put `PROGRAM` before the compiler command: ccache, sccache, distcc, icecc")
}
