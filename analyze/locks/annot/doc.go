// Package annot measures lock effects against the kernel's own annotations:
// definitions of functions in .c files that say __acquires(x), __releases(x)
// or __cond_acquires(x), which nobody here wrote. It extracts them from a
// source tree, matches them with functions of a kernel image and compares.
package annot
