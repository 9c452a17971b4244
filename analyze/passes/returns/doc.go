// Package returns finds functions that can now return what they could not
// before, and callers that are not patched and do not look.
//
// Decoded code is followed from constants in registers to the return, before and
// after. A negative error number (-4095 to -1) is new when no path returned it
// before. The check speaks up when
//
//   - a caller that is not patched ignores the result,
//     on every path, and an error number is new: the error gets lost (a note, not
//     decided, when the old function also returned values that are not constant);
//   - such a caller uses the result as an address without a test, and zero (NULL)
//     or an error number is new; or it tests for an error number alone (IS_ERR), and zero is
//     new; or for NULL alone, and an error number is new;
//   - such a caller divides by the result without a test, and zero is new;
//   - such a caller takes every value but zero for an error, or hands it on, and a number above
//     zero is new where the function returned zero or error numbers alone: by its own
//     constants, or because no other function of the ops table member that holds it returns a
//     constant above zero, while no caller looks for one;
//   - the old function returned only constants, none of them negative, and the
//     new one returns an error: no caller could expect that.
//
// Callers are looked for in the object file, in the kernel or the module that it belongs to, in
// every module that refers to the function by its name, and at the calls in the kernel and in
// the function's module through members of structures that surely hold it, in their tables or
// in those of such a module. Who returns the result as it is, is followed to its own callers,
// up to three of them one above the other; an argument into two functions, one below the other.
// Of each function 500 callers are looked at.
//
// Results that pass through memory other than one place of the frame are not followed, nor
// where the function's own result comes from another function; the evidence says so. What is
// computed from a result is not followed.
//
// What to do: patch the callers that do not check, or report the failure in a
// way that they know.
package returns
