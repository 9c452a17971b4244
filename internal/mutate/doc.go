// Command mutate puts small faults into the packages that decide what a
// livepatch does, one at a time, and runs the tests that need no kernel and no
// VM: a fault that they let pass is a survivor.
//
//	mutate [-sample SHARE] [-seed N] [-files REGEXP] [-floor PERCENT] [-json FILE] [-jobs N] [-v] [package...]
//
// Packages are named relative to the module; without any, all of the table in
// core.go are taken. SHARE is the part of the faults that is tried, chosen by
// -seed and by where a fault stands, so that the same source and seed give the
// same sample on every machine. Below the floor the exit code is 1.
//
// All faults of a package are compiled into one test program, through go's
// -overlay, so that the tree is never changed; the variable
// KLPFORGE_MUTANT chooses the one that is active. A first run of each test
// writes down which faults it reaches. A fault is then tried with the tests that
// reach it only; one that no test reaches is counted apart, as uncovered. A
// fault that does not compile is left out, one that makes a test run on without
// end is killed. Tests whose name ends in Fresh are left out: they compile
// fixtures again, which takes long and tells nothing of the package.
//
// Run by root, tests run as nobody: a fault may make code remove what it should
// leave alone.
package main
