// Package coupled finds changed functions that communicate: one calls the
// other, or both use the same variable and one of them writes it.
//
// livepatch's consistency model sees to it for each task that they switch
// together, but with the immediate flag, or after a forced transition, one may be
// old while the other is new. So this is a note that rules these out, no fault of
// the patch.
//
// They must switch together where what passes between them is known to change:
// the one that is called has another prototype or became another clone, or a
// variable is written by one of them before the patch only, or after it only.
// Else the finding says that it is not known: the values that they exchange, and
// who of them does what, are not compared.
//
// Compiled code decides, before and after: direct calls, and variables that an
// instruction names. State that is only reached through pointers is not seen
// here.
package coupled
