// Package trial loads a livepatch into the kernel that it is for, in a VM, and says
// whether it does what it should: it loads and its transition ends under load, modules
// that it patches may come before or after it, the kernel does not complain, it goes out
// of force again, also in the middle of its transition, and unloads. With a reproducer:
// that fails without the livepatch, passes with it, and fails again once it is gone.
// With an older livepatch: the new one replaces it, and the older one the new.
//
// A trial is one boot, or two with a reproducer: what shows a fault may end the kernel.
package trial
