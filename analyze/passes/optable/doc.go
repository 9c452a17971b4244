// Package optable finds changed pointers in constant tables of functions, as in
// operation tables: a new or another callback that function replacement alone
// can never reach, because the running kernel keeps the table it has.
//
// The relocations of the table before and after the patch decide; of a callback
// that another object file defines the target kernel tells whether it is a function. The finding
// names the functions of the object file that read the table, and the tables
// that lead to it; users in other object files are not seen.
//
// Scheduler classes and other tables of functions that the kernel finds by their
// section are among them; that they changed is an error of its own (KLP103).
//
// What to do: patch a function that reads the table so that it calls the new
// callback itself, or give the old callback the new behaviour. A table that is
// not constant can also be changed by a pre-patch callback.
package optable
