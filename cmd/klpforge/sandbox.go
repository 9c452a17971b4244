package main

import (
	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/kbuild"
)

// sandboxValue is the value of --sandbox.
type sandboxValue struct{ to *kbuild.Sandbox }

func (v sandboxValue) String() string {
	if v.to == nil || *v.to == "" {
		return string(kbuild.SandboxAuto)
	}
	return string(*v.to)
}

func (v sandboxValue) Set(s string) (err error) {
	*v.to, err = kbuild.ParseSandbox(s)
	return err
}

func (sandboxValue) Type() string { return "string" }

// sandboxFlag adds --sandbox to a command that compiles.
func sandboxFlag(cmd *cobra.Command, to *kbuild.Sandbox) {
	cmd.Flags().Var(sandboxValue{to}, "sandbox",
		"confine compiler, objtool and make: auto, require or off; auto says when it cannot")
}

// trustFlag adds --trust-patch to a command that builds modules.
func trustFlag(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "trust-patch", false,
		"run makefiles, scripts and programs of the build that the patches change")
}
