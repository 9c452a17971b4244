// Package klpapi knows the livepatch interface of a kernel: what
// include/linux/livepatch.h of each generation offers, how a target's own headers
// show it, and which mainline version brought what. Distributions backport, so the
// headers decide and versions are documentation.
//
// It is the only place that knows the generations. To add one, add a row to steps,
// the declarations that show it to Detect's testdata and to those of package
// generate, and what is emitted differently to the templates.
package klpapi
