package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
)

// transition is how long one may take on an emulated processor.
const transition = 2 * time.Minute

// script loads the modules of a case and a livepatch, looks whether it does what it should,
// and takes it out of force again.
func script(c testCase, tree, livepatch string) (vm.Script, error) {
	name, err := vm.ModuleName(livepatch)
	if err != nil {
		return vm.Script{}, err
	}
	s := vm.Script{}
	for _, m := range c.modules {
		file := vm.ModuleFile(filepath.Join(tree, m))
		s.Files = append(s.Files, file)
		s = s.Add(guest.Insmod(file.Name, ""))
	}
	file := vm.ModuleFile(livepatch)
	s.Files = append(s.Files, file)
	s = s.Add(guest.Insmod(file.Name, ""), guest.WaitTransition(name, transition), guest.ExpectEnabled(name))
	s = s.Add(c.seen...)
	return s.Add(guest.Disable(name, transition), guest.Rmmod(name), guest.CheckDmesg(), guest.CheckTaint(guest.TaintAllowed)), nil
}

// load boots the kernel and runs the script of a case. The error is for what keeps a VM from
// running.
func load(ctx context.Context, o vm.Options, c testCase, tree, livepatch string) (ok bool, why string, err error) {
	s, err := script(c, tree, livepatch)
	if err != nil {
		return false, "", fmt.Errorf("load %s: %w", filepath.Base(livepatch), err)
	}
	if o.Dir, err = os.MkdirTemp(filepath.Dir(livepatch), "boot-"); err != nil {
		return false, "", err
	}
	r, err := vm.Run(ctx, o, s)
	if err != nil {
		return false, "", err
	}
	if failure := r.Err(); failure != nil {
		first, _, _ := strings.Cut(failure.Error(), "\n")
		return false, first, nil
	}
	return true, "", os.RemoveAll(o.Dir)
}
