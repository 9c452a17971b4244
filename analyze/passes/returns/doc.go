// Package returns finds functions that can now return what they could not
// before, and callers that are not patched and do not look.
//
// Decoded code is followed from constants in registers to the return, before and
// after. A negative error number (-4095 to -1) is new when no path returned it
// before. The check speaks up when
//
//   - a caller that is not patched, in the same object file or else in the kernel or module
//     that it belongs to, ignores the result,
//     on every path, and an error number is new: the error gets lost (a note, not
//     decided, when the old function also returned values that are not constant);
//   - such a caller uses the result as an address without a test, and zero (NULL)
//     or an error number is new; or it tests for an error number alone (IS_ERR), and zero is new;
//   - the old function returned only constants, none of them negative, and the
//     new one returns an error: no caller could expect that.
//
// Results that pass through memory or come from another function are not
// followed; the evidence says so. Callers in other modules are not seen, and calls through
// pointers neither. Positive values are not looked at.
//
// What to do: patch the callers that do not check, or report the failure in a
// way that they know.
package returns
