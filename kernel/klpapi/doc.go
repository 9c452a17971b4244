// Package klpapi knows the livepatch interface of a kernel: what
// include/linux/livepatch.h of each generation offers, how a target's own headers
// show it, and which mainline version brought what. Distributions backport, so the
// headers decide and versions are documentation.
//
// It is the only place that knows the generations. To add one, add a row to steps,
// its declarations to testdata/livepatch at the top, which the tests of this package
// and of generate read, and what is emitted differently to the templates.
package klpapi
