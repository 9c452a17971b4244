// Package selection finds the largest part of an update of the kernel that can go live as
// one livepatch, and says of every other part why not.
//
// An update is cut into slices: its commits or, where only the trees before and after are
// known, the smallest sets of changes that belong together. The whole is reviewed once.
// Slices behind an error are taken out, with those that need them; what that touches is
// reviewed again, until no error is left. Then each slice that was taken out is tried
// once more on top of the rest: either it comes back, or its error is the proof that it
// cannot.
//
// Which slices are behind an error is a guess from the place and the names in a finding,
// and from what the compiler names. A wrong guess costs time, not truth: what is kept has
// been reviewed as a whole, and what is left out has been tried.
//
// The review itself is a [Reviewer]: package pipeline, or a test's.
package selection
