// Package equiv proves that a function does after a patch what it did before, but
// for a few named differences, or says what stands in the way.
//
// It walks through both compiled functions at once (translation validation by a
// product walk). A state holds, for both, which value is in each register and in each
// place of the frame. Values are numbers shared by both sides, made by hash consing:
// an expression over equal operands has an equal number (term.go). Reads of memory are
// expressions over the address and the memory's epoch, which begins anew at each matched
// store or call. What the state says is thus always of the form "this register of the
// old function holds the same as that one of the new".
//
// From a pair of places each side executes what nobody can see, up to its next event
// (exec.go, compute.go): a test, a store outside of the frame, a call, a return, an
// instruction with an effect of its own. Events of both sides must match, with equal
// operands (match.go). Tests with equal conditions, however the compiler asks (cond.go),
// divide the walk; behind them are pairs of places with states of their own, which are
// joined when several paths lead there: two locations stay equal when they are on both paths
// (state.go). The walk is repeated until no state changes (walk.go). It then holds for
// every path through the functions, by induction over their matched events.
//
// One side may pass a test alone when what is known decides it; when both ways
// behind it do what the other side does, in which case no loop may be passed by one side
// alone, which would wait where the other does not; or, in the new function, when one way
// is an exit that is allowed (guard.go). Calls that only print are passed by one side
// alone (package kfuncs).
//
// What is not known to be harmless is refused: instructions without a meaning here,
// jumps through pointers, accesses whose fault is caught, alternatives, data without a
// partner, frames whose variables others can see and which are not the same. Work is
// bounded. Values that two paths bring, and memory between two epochs, are not
// reasoned about, nor is the order of stores: a compiler that orders two of them
// otherwise makes a function that is not proven.
//
// The certificate (certificate.go) holds every pair of places with what is claimed of
// it, so that each claim can be checked from the one before; internal/certcheck does that,
// with code of its own.
package equiv
