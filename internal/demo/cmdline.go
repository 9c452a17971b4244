package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
)

// cmdlineMark is what the patch puts before the command line.
const cmdlineMark = "patched while running: "

// cmdline shows a livepatch whose effect a user can read in /proc/cmdline.
func (d *demo) cmdline(ctx context.Context) error {
	release, err := newestCloud(ctx)
	if err != nil {
		return err
	}
	d.title("The kernel")
	fetched, err := d.fetch(ctx, release)
	if err != nil {
		return err
	}

	d.title("The patch")
	const show = "seq_puts(m, saved_command_line);"
	made, err := d.env.EditPatch(ctx, fetched, "fs/proc/cmdline.c", show, `seq_puts(m, "`+cmdlineMark+`");`+"\n\t"+show)
	if err != nil {
		return err
	}
	patch := filepath.Join(d.out, "cmdline.patch")
	if err := copyFile(made, patch); err != nil {
		return err
	}
	d.say("Not a fix, but a change that anybody can see from user space:")
	d.say("")
	if err := d.showPatch(patch, 24); err != nil {
		return err
	}

	d.title("Forging the livepatch")
	ko, err := d.build(ctx, release, patch, "cmdline_change")
	if err != nil {
		return err
	}
	d.say("")
	d.say("No kernel was built for this: only the one file, before and after.")
	d.say("A reviewer reads %s; `make` builds the module from it again.", filepath.Join(d.out, "sources"))

	d.title("Before, with, and after")
	steps, err := cmdlineSteps(ko)
	if err != nil {
		return err
	}
	env := d.env
	env.Log = d.narrator(map[string]string{
		"before": "read /proc/cmdline", "load": "the module loaded", "transition": "every task moved to the new code in %d ms",
		"with": "read /proc/cmdline", "unload": "the livepatch is unloaded", "after": "read /proc/cmdline",
	})
	opt, err := env.VM(ctx, release)
	if err != nil {
		return err
	}
	r, err := vm.Run(ctx, opt, steps)
	if err != nil {
		return err
	}
	if err := r.Err(); err != nil {
		return fmt.Errorf("the VM did not do what it should: %w", err)
	}
	var seen []string
	for _, label := range []string{"before", "with", "after"} {
		seen = append(seen, fmt.Sprintf("%-9s %s", label, firstWords(r.Step(label).Out)))
	}
	d.summary(append(append([]string{"kernel    " + release + ", as Debian ships it"}, seen...), "module    "+ko)...)
	return nil
}

// cmdlineSteps reads /proc/cmdline before, with and after the livepatch; the
// script fails where it does not say what it should.
func cmdlineSteps(ko string) (vm.Script, error) {
	name, err := vm.ModuleName(ko)
	if err != nil {
		return vm.Script{}, err
	}
	file := vm.ModuleFile(ko)
	const proc = "/proc/cmdline"
	return vm.Script{Files: []vm.File{file}, Steps: []guest.Step{
		guest.Expect(proc, guest.MatchAbsent, cmdlineMark).Labelled("before"),
		guest.Insmod(file.Name, "").Labelled("load"),
		guest.WaitTransition(name, 0).Labelled("transition"),
		guest.ExpectEnabled(name),
		guest.Expect(proc, guest.MatchContains, cmdlineMark).Labelled("with"),
		guest.Disable(name, 0),
		guest.Rmmod(name).Labelled("unload"),
		guest.Expect(proc, guest.MatchAbsent, cmdlineMark).Labelled("after"),
		guest.CheckDmesg(),
		guest.CheckTaint(guest.TaintAllowed),
	}}, nil
}

func firstWords(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 70 {
		s = s[:70] + " ..."
	}
	return s
}

var cloudRE = regexp.MustCompile(`^linux-image-(6\.1\.0-(\d+)-cloud-amd64)$`)

// newestCloud asks apt for the newest 6.1 cloud kernel.
func newestCloud(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-cache", "pkgnames", "linux-image-6.1.0-").Output()
	if err != nil {
		return "", fmt.Errorf("ask apt for kernels: %w", err)
	}
	best := newest(strings.Fields(string(out)))
	if best == "" {
		return "", fmt.Errorf("the configured package sources have no linux-image-6.1.0-*-cloud-amd64: run apt-get update, on Debian 12")
	}
	return best, nil
}

// newest picks the release with the greatest ABI number.
func newest(packages []string) string {
	abi := func(p string) int {
		n, _ := strconv.Atoi(cloudRE.FindStringSubmatch(p)[2]) // digits
		return n
	}
	packages = slices.DeleteFunc(packages, func(p string) bool { return !cloudRE.MatchString(p) })
	if len(packages) == 0 {
		return ""
	}
	return cloudRE.FindStringSubmatch(slices.MaxFunc(packages, func(a, b string) int { return abi(a) - abi(b) }))[1]
}
