// Package lockdata finds data that the new code guards with another lock than the
// old code. During the transition tasks of both universes use the data at once,
// and nothing excludes them.
//
// The code of the object file is executed symbolically before and after the
// patch. For each global variable, and for each field reached from a changed
// function's arguments, the locks are noted that every access in the changed
// functions holds: those that the function took itself, and, for a function
// whose callers are all in the object file, those that all its callers hold. When
// both sides hold some lock and none in common, and one of them writes (or holds
// a lock for writing, or a function that stays writes under the old lock), that is
// an error for such a function; it is a warning where callers are not all known,
// since they may hold a lock that excludes both. RCU, disabled interrupts and the
// like do not count as locks. Unpatched functions that use the data under the old
// lock are listed: with them the race does not end with the transition.
//
// The same severities have writes that leave their critical section: all old
// writes to a place hold a lock, and a new one lies before the function takes it
// or behind the unlock, or holds it for reading only, or holds a lock of the same
// kind of another object. A place is named by how the function reaches it, through
// pointers, elements of lists and the results of conditional moves; two locks of
// one type are told apart by the objects that they lie in. Writes that are atomic,
// to an object that the function made itself, or to what another function returned,
// do not count.
//
// Data that was guarded and now is used without any lock, is a note. So is a
// function that holds other locks than before where no data could be matched,
// because it is reached through pointers that are not followed. Where the compiler
// chose other parameters for a function, all is a note. Where members of types move
// (KLP208), offsets do not compare: then only a lock of another kind, or one that is
// reached in another way, is a note.
// Data that was not guarded and now is, is what most such patches are for, and
// nothing is said.
//
// What to do: take both locks in the new code until no old code runs any more,
// and drop the old one with the next livepatch.
package lockdata
