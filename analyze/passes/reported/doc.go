// Package reported turns what the differ, the locator and the verifier found
// into findings, so that everything a person reads comes one way.
//
// These checks decide whether the patch can become a livepatch at all (KLP1xx)
// and whether what it needs is in the target (KLP409). They are made where the
// facts are: while objects are compared, functions are found in the shipped
// kernel, and the finished module is verified; those about releases (KLP403 to
// KLP408) where releases are built and compared.
package reported
