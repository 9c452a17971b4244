// Package verdict says whether a livepatch may do without the consistency model:
// KLP401 for the immediate flag, KLP402 for forcing a transition that stalls.
//
// Without the model, one task may run the old code while another runs the new, and
// a task may run both in turn. A verdict is therefore given for a proof alone, never
// because nothing was found. Each changed function needs a certificate: its compiled
// code before and after is walked through together, and makes the same calls with
// the same arguments, stores the same values at the same addresses, takes and gives
// back the same locks, and returns the same values, in the same order. Only these
// differences are allowed, each with what has to be shown for it:
//
//   - message: calls of functions that only print may come, go and say something else;
//   - guard: a new test may lead to an exit, without a store or call on its path but
//     messages and the release of locks that were taken before. The exit returns a
//     negative error number that the function returned before; and either nothing was
//     done before the test but to take locks, or the old code has the same exit at the same
//     point. It may return any error or 0, or nothing, when the test finds a NULL or error
//     pointer that the old code uses right there: that would have faulted;
//   - tightened test: one that rejects more than before, which is a guard beside a test
//     whose answer is then known.
//
// Nothing else may come with the functions: no new code or data, no changed data, no
// change in code that only ran while booting. Every finding of severity warning or
// above of any check, accepted or not, everything about consistency (KLP2xx)
// and every question that could not be decided stands against a verdict, and so do two
// locks of one kind held together, access to user space, alternatives, instructions that are
// not known, and newly written calls that by their name may read a register of a device. The
// finding names the obligation that failed first, and where.
//
// The certificate is in the JSON form of the report ("proofs") and in the module's
// note. build sets the immediate flag by itself, and load forces without being asked
// for words, on the strength of a certificate only; load wants somebody to vouch for
// the note besides.
package verdict
