// Package certcheck is the second opinion on certificates of equivalence
// (analyze/equiv), for tests. It shares nothing with the prover but the reader of
// objects and the decoder of instructions, and works otherwise: with numbers.
//
// From every spot of a certificate it starts both functions with values drawn at
// random, but so that all locations hold their terms and all known conditions are
// met. It runs both on a processor of its own and follows the steps that the
// certificate names: events must match and operands be equal, results must be
// equal, new tests must lead where the guard says, and at the spot where the ways
// divide what the certificate claims of it must be true of the numbers. The entry
// must be a spot, at which nothing is claimed but what a caller guarantees. What
// holds of all values is thus tried with many, with those on the edges of what the
// code compares first.
package certcheck
