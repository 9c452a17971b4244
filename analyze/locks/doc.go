// Package locks finds out, for every function of a program model, which locks
// it leaves held or released, on which return paths, and how it leaves
// the interrupt flag, bottom halves, preemption and RCU.
//
// # Method
//
// Functions are treated bottom-up over the call graph. Within one function,
// compiled code is executed symbolically: registers and stack slots hold
// expressions over the values at entry, globals, memory and results of calls.
// A lock's identity is such an expression, the lock's address. Calls of lock
// primitives (of package kfuncs) change the set of held locks; so do
// instructions that change the interrupt flag or the preempt count.
//
// All states that reach a block with the same locks held are joined into one,
// states with different locks are kept apart (property simulation: Das,
// Lerner, Seigle, "ESP: path-sensitive program verification in polynomial
// time", PLDI 2002). Each state also keeps what branches have shown about
// values, as sets of intervals, so that a result tested twice, a flag that
// records whether a lock was taken, or the result of a trylock correlate.
//
// What remains at the returns is the function's [Effect]: for each set of
// locks, what is then known of the returned value and of the arguments. A
// caller takes each outcome that its own knowledge admits.
//
// # Events
//
// [Flows.Events] executes a function once more and notes what it does: accesses,
// calls, locks that are taken, what is returned, each with the locks held and on
// which side of which comparison. Places and values are an [Expr], by how they are
// made from arguments, variables and memory, so that the events of two builds of a
// function compare. What paths merge is named by all that it may be; an element
// that is found by following one member again and again is one name. Which events may
// come before which, and how often something happens on a path, is asked of [Events].
//
// # What is assumed
//
// An indirect call is taken to leave all locks as they were. When a release
// names a lock by an expression that cannot be compared with the one it was
// taken by (a value reloaded after a call, or merged from two paths), the
// only held lock of that kind and offset is taken to be meant. Both are the
// rule in kernel code, and neither can be proven here; the latter is recorded
// in [Effect.Assumed]. More states than a block may have, recursion that does
// not settle, and code that cannot be followed set [Effect.Unknown].
package locks
