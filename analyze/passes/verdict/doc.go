// Package verdict says whether a livepatch may do without the consistency model:
// KLP401 for the immediate flag, KLP402 for forcing a transition that stalls.
//
// Without the model, one task may run the old code while another runs the new,
// and a task may run both in turn. The verdict is given when exactly one function
// changes, no new code or data travels with it, nothing else was found about
// consistency, and the compiled function before and after
//
//   - calls the same functions (messages apart),
//   - calls the same lock primitives, equally often, each with an argument that is
//     computed alike,
//   - writes the same named variables, and stores elsewhere to the same
//     displacements with the same widths and constants,
//   - hides nothing: no calls through pointers, no instructions that change
//     interrupts or preemption, no locked instructions.
//
// So what it does to shared state has the same shape; what differs is when it is
// done. Values that are computed and stored or passed on are not compared, and
// neither is what callers make of two results in turn: the evidence repeats that,
// and a person decides on it. In all other cases the verdict is not given, and
// the reasons are listed.
package verdict
