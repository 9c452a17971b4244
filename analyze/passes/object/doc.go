// Package object finds functions of an object that the target does not have.
//
// A livepatch names the module that it changes. The kernel accepts any name and
// waits for a module that is called so; under a wrong name the livepatch loads,
// reports success, and does nothing.
//
// The target's modules decide: those in /lib/modules, the built-in ones being
// part of vmlinux.
//
// What to do: check that the target's configuration builds the file into the
// module that the patch means, and that the module's package is installed.
package object
