// Package analyze judges a planned livepatch: can it be made at all, does it
// keep the system consistent, will it finish, may it skip consistency.
//
// A check is an Analyzer, a value in a package of its own under passes, whose
// package comment is the help text. Analyzers see the patch through a Pass and
// hand back Findings, which are data: an analyzer returns an error only when it
// failed itself. What cannot be decided is a finding that says so.
//
// Run executes a Registry on an Input. The same input gives the same findings
// in the same order.
package analyze
