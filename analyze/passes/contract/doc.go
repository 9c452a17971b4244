// Package contract finds functions whose calling contract changes while callers
// that are not patched go on calling them.
//
// Two things count as the contract: the prototype in the source, without the
// names of parameters, and the clone that the compiler made of the function
// (.isra, .constprop), whose parameters it chose itself. The compiled objects
// tell who calls the function or holds its address and is not replaced. Callers
// in other object files are not seen: for a function that other files can call,
// the finding says so.
//
// A changed prototype need not change how arguments travel; then the finding is
// only a warning to look at.
//
// What to do: patch the callers too, or leave the old function as it is and add
// a new one with the new contract.
package contract
