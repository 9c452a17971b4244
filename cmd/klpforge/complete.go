package main

import (
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/klpforge/klpforge/analyze/all"
	"github.com/klpforge/klpforge/internal/releases"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/kernel/klpapi"
	"github.com/klpforge/klpforge/release/manifest"
)

// moduleFiles are the names of files with a module.
var moduleFiles = []string{"ko", "xz", "zst", "gz"}

// argumentCompletion says, by path of the command, what its arguments are.
// Commands that are not here take files.
func argumentCompletion() map[string]cobra.CompletionFunc {
	module := func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return moduleFiles, cobra.ShellCompDirectiveFilterFileExt
	}
	completions := map[string]cobra.CompletionFunc{
		"klpforge explain":        completeChecks,
		"klpforge unload":         completeLoaded,
		"klpforge release build":  completeTargets,
		"klpforge release matrix": cobra.FixedCompletions(releases.Systems, cobra.ShellCompDirectiveNoFileComp),
		"klpforge man":            cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs),
	}
	for _, path := range []string{"info", "load", "plan", "postlink", "verify"} {
		completions["klpforge "+path] = module
	}
	for _, path := range []string{"kernel list", "kernel fetch", "kernel info", "kernel prepare", "kernel prune",
		"status", "release schema", "release new-state",
		"inspect callers", "inspect layout", "inspect locks", "inspect sleeps", "inspect stacks"} {
		completions["klpforge "+path] = cobra.NoFileCompletions
	}
	return completions
}

// flagCompletion says what the value of a flag is. nil leaves it to the shell,
// which proposes files.
func flagCompletion(flag *pflag.Flag) cobra.CompletionFunc {
	switch flag.Name {
	case "kernel", "archversion":
		return completeReleases
	case "format", "fail-on", "policy", "on-timeout", "sign-hash":
		return cobra.FixedCompletions(choices(flag.Usage), cobra.ShellCompDirectiveNoFileComp)
	case "api":
		return cobra.FixedCompletions(klpapi.Versions(), cobra.ShellCompDirectiveNoFileComp)
	case "checks", "disable":
		return completeCheckList
	case "allow":
		return completeAllow
	case "launcher":
		return cobra.FixedCompletions([]string{"ccache", "sccache", "distcc", "icecc"}, cobra.ShellCompDirectiveDefault)
	case "file":
		return cobra.FixedCompletions([]string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt)
	}
	name, _ := pflag.UnquoteUsage(flag)
	switch name {
	case "DIR":
		return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
	case "FILE.ko":
		return cobra.FixedCompletions(moduleFiles, cobra.ShellCompDirectiveFilterFileExt)
	}
	return nil
}

// choices reads the words that a flag takes from its usage: those after the last
// colon, divided by commas and "or".
func choices(usage string) []string {
	if i := strings.LastIndex(usage, ": "); i >= 0 {
		usage = usage[i+2:]
	}
	return strings.Split(strings.ReplaceAll(usage, " or ", ", "), ", ")
}

// addCompletion tells the shells' completion about all commands.
func addCompletion(root *cobra.Command) {
	arguments := argumentCompletion()
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		cmd.ValidArgsFunction = arguments[cmd.CommandPath()]
		cmd.LocalFlags().VisitAll(func(flag *pflag.Flag) {
			if complete := flagCompletion(flag); complete != nil {
				if err := cmd.RegisterFlagCompletionFunc(flag.Name, complete); err != nil {
					panic(err) // the flag is there and was not registered before
				}
			}
		})
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(root)
}

// completeReleases proposes the kernels under --root and in the cache.
func completeReleases(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	value := func(flag string) string {
		if f := cmd.Flags().Lookup(flag); f != nil {
			return f.Value.String()
		}
		return ""
	}
	list, err := kernel.List(value("root"), cachedir.Dir(value("cache")))
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var out []string
	for _, installed := range list {
		where := "installed"
		if installed.Cached {
			where = "in the cache"
		}
		out = append(out, installed.Release+"\t"+where)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func completeChecks(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, c := range all.Registry().Checks() {
		out = append(out, string(c.ID)+"\t"+c.Title)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeCheckList completes the last id of a list divided by commas.
func completeCheckList(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	done := typed[:strings.LastIndex(typed, ",")+1]
	var out []string
	for _, c := range all.Registry().Checks() {
		out = append(out, done+string(c.ID)+"\t"+c.Title)
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeAllow completes the id of ID=reason.
func completeAllow(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, c := range all.Registry().Checks() {
		out = append(out, string(c.ID)+"=\t"+c.Title)
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeLoaded proposes the livepatches that the running kernel has, and files.
func completeLoaded(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	entries, err := os.ReadDir("/sys/kernel/livepatch")
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var out []string
	for _, entry := range entries {
		if !slices.Contains(args, entry.Name()) {
			out = append(out, entry.Name())
		}
	}
	return out, cobra.ShellCompDirectiveDefault
}

// completeTargets proposes the targets of the manifest.
func completeTargets(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	planned, err := manifest.Read(cmd.Flags().Lookup("file").Value.String())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, target := range planned.Targets {
		if !slices.Contains(args, target.Release) {
			out = append(out, target.Release)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
