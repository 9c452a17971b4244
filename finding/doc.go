// Package finding is what klpforge says about a patch, a module or a release: one
// type for a finding with its severity, place and remedy, and the registry of all
// ids.
//
// A finding is data. Each stage collects those of its own until it ends, so that a
// user sees all of them; an error value means that klpforge or its environment
// failed. Where a function can return only one and must stop, a *Finding serves as
// the error.
//
// To add an id: a constant and a row in ids.go, and its text: the package comment of
// the check below analyze/passes that reports it, else a paragraph of texts.txt. An
// id is written nowhere else; tests of internal/docs see to that.
package finding
