// Package lockeffect finds functions that leave other locks held, or need others
// on entry, than before the patch. During the transition an old caller meets the
// new function, or the reverse, and a lock is released twice or never.
//
// The effect of every function of the object file is found by symbolic execution
// of its compiled code, before and after: which locks, interrupt state, bottom
// halves, preemption and RCU each return path changes. Functions outside of
// the object count as neutral, but for the lock primitives.
//
// The kinds of lock and the directions are compared. A new effect is an error
// when callers are not patched; when the new code merely loses a return path
// that left a lock behind, that looks like a repaired leak and is a note. Locks
// of the same kind whose identity cannot be compared, and effects that are not
// fully known, are reported as unknown.
//
// When the change is certain, klpforge puts the callers on the list, unchanged, up
// to where the locks are balanced: a task then switches only when none of them is
// on its stack. It looks for them in the object file, in the linked kernel or
// module, and for an exported function in every module; the finding is a note that
// names them. It stays an error when a caller cannot be found or patched, when the
// function's address is stored somewhere, or with --no-auto-callers.
//
// What to do about an error: patch the callers it names too, up to where the
// effect is balanced; or keep the locks as they are and repair the fault inside
// the function.
package lockeffect
