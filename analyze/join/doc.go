// Package join decides which unchanged functions must switch together with what they
// call, because that leaves other locks held than before the patch: a task must not
// take a lock in one universe and release it in the other (KLP201).
//
// # How it decides
//
// A replaced function whose lock effect certainly changed is looked at first. Its
// callers join: those of its own object file, and those that the linked kernel or
// module shows in other object files; of an exported function, those of every module
// that refers to it. A caller that does not leave all locks as they were, before and
// after, makes its own callers join, and so on.
//
// A caller in code that has run and is gone does not join. One whose function cannot
// be named for certain is told as one that stays behind, and so is what holds the
// function's address: who calls through that is not known.
//
// # How it is used
//
// Decide is a function of its input alone. Callers in object files that the input
// does not have are Decision.Wanted: the owner of the flow finds and compiles them,
// adds them to the input, or to its Lost, and asks again, until nothing is wanted.
package join
