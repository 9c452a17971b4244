// Package selflock finds changed functions that take a lock which one of their
// callers holds already. The caller then waits for itself for ever.
//
// The code of the object file is executed symbolically before and after the
// patch. Wherever a function that holds a lock calls something that waits for
// the very same lock after the patch but not before, directly or in a function
// that it calls in turn, that is an error, whether the function that holds the
// lock is patched or not. Conditions on arguments are respected: a helper that
// takes the lock only when it is told to does no harm to who tells it not to,
// nor one that releases its caller's lock first and takes it again.
// A lock that is taken for reading both times is a warning, since only a
// writer that comes in between makes it deadlock.
//
// Callers in other object files are looked for in the whole kernel, when its
// image is at hand and the changed function can be reached from there, up to four calls
// above it; callers in modules are not. A function that a member of a structure holds, as
// net_device_ops.ndo_open or inode_operations.create, is also reached from the kernel's calls
// through that member, where the lock is followed by the arguments that the callers pass. An
// error when the caller by name holds the lock; a warning when it is held further up, or the
// pointer has to lead to this function. Other calls through pointers are not followed.
//
// What to do: look for the commit that takes the lock out of the caller, which
// is often a follow-up or a prerequisite that the backport lacks; or split the
// function into one that takes the lock and one that expects it.
package selflock
