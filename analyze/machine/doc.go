// Package machine knows what an instruction does: which registers, flags and
// memory it reads and changes, what becomes of the stack pointer, and what a
// call changes by convention. Everything that follows values through machine
// code asks here; no other package holds a list of what an instruction changes.
//
// An Arch decodes bytes into an Inst, whose operands and operation are named
// without regard to the architecture, and a Convention says what calls do.
// Inst.Effects gives the Effects:
//
//   - They are complete: what an instruction may read or change is in them.
//     They may say more than happens, never less.
//   - An instruction that nothing is known of has Effects.Unknown: every
//     register, flag and byte of memory may have changed behind it. Execution
//     still goes on behind it, so an analysis forgets and does not end.
//   - Effects of one instruction are those between its first and last step as
//     the program sees them. What an interrupt or a fault changes is not in
//     them.
//
// The table of x86-64 is measured against a processor: the tests run each form
// of instruction that is found in the kernels at hand, with random registers,
// and compare what changed, and what the result depended on, with the table
// (testdata/forms.txt, TestProcessor).
//
// To add an architecture: implement Arch on top of its decoder of
// golang.org/x/arch, add it to For, and run the same test on a machine of that
// architecture.
package machine
