// Package lockorder finds locks that the new code takes in another order than the
// old code. During the transition a task in the old universe holds the one and
// waits for the other, while a task in the new universe does the reverse: both
// wait for ever.
//
// The code of the object file is executed symbolically before and after the
// patch; each lock that is waited for while another is held, in a function or in
// one that it calls, makes a pair. A pair that is new, and that the old code has
// the other way round, is an error; when unpatched code keeps the other order the
// deadlock does not end with the transition, which the finding says. Global locks
// compare everywhere, locks reached through arguments only within one function.
// Attempts that give up at once make no pair. Where the old code had both orders
// already, nothing gets worse, and nothing is said.
//
// Two locks of one kind that a comparison puts in order, of their addresses, or of
// numbers that choose them from a table, make pairs in both directions. There the
// comparison is followed to the lock that is taken first. That it is the lock of the
// smaller value before the patch, and that of the greater one after it, or the
// reverse, is an error, and a warning where paths or arguments could not be told
// apart for certain.
//
// A new pair without a counterpart in the object is a note: whether the rest of
// the kernel takes the two the other way round is looked up in its image for
// global locks, where it is at hand, and is not known for others.
//
// What to do: keep the old order, for instance by a trylock with a way back, or
// patch in two steps: first a livepatch after which one of the two paths takes
// neither lock while it holds the other.
package lockorder
