// Package coupled finds changed functions that communicate: one calls the
// other, or both use the same variable and one of them writes it.
//
// Such functions must switch together. livepatch's consistency model sees to
// that for each task, but with the immediate flag, or after a forced transition,
// one may be old while the other is new. So this is a note that rules these out,
// no fault of the patch.
//
// Compiled code decides, before and after: direct calls, and variables that an
// instruction names. State that is only reached through pointers is not seen
// here.
package coupled
